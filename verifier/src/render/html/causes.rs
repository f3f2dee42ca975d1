//! Why: one card for each cause, first those that follow from no other.

use maud::{Markup, html as template};
use repro_core::event::counted;

use super::{super::axes, Sheet, capital, more, prose, sides::sides, text, words};
use crate::{causes::Confidence, report::CauseSummary};

/// Lines of the Dockerfile named with a cause.
const LINES: usize = 12;

pub(super) fn section(sheet: Sheet<'_>) -> Markup {
    let follows = sheet.causes.iter().filter(|cause| !cause.primary).count();
    template! {
        @if !sheet.causes.is_empty() {
            section id="why" {
                h2 { "Why" }
                @if let Some(beyond) = sheet.beyond() { p.quiet { (capital(&beyond)) "." } }
                @for cause in sheet.causes.iter().filter(|cause| cause.primary) { (card(sheet, cause)) }
                @if follows > 0 {
                    details.more {
                        summary {
                            (counted(follows as u64, "more cause that follows", "more causes that follow"))
                            " from these"
                        }
                        @for cause in sheet.causes.iter().filter(|cause| !cause.primary) {
                            (card(sheet, cause))
                        }
                    }
                }
            }
        }
    }
}

fn card(sheet: Sheet<'_>, cause: &CauseSummary) -> Markup {
    let (class, sureness) = match cause.confidence {
        Confidence::Certain => ("certain", "certain"),
        Confidence::Likely => ("likely", "likely"),
        Confidence::Unknown => ("unknown", "not recognised"),
    };
    let lines = sheet.whence(cause);
    let example = sheet.example(cause);
    template! {
        article class={ "card " (class) } id={ "cause-" (cause.code) } {
            div.top {
                h3 { (capital(&text(&cause.title))) }
                p.tags {
                    span.tag.sure { (sureness) }
                    span.tag { (counted(cause.count, "path", "paths")) }
                    @if let Some(axis) = cause.axis { span.tag { "axis " (axis) } }
                    @if let Some(shown) = axes::of_cause(cause) { span.tag { (shown) } }
                    @for line in lines.iter().take(LINES) { span.tag.line { (text(line)) } }
                    @if lines.len() > LINES { span.tag { "and " (lines.len() - LINES) " more lines" } }
                }
            }
            p.fix { b { "Fix" } " " (prose(&cause.remedy)) }
            @if let Some(row) = example {
                @if let Some(evidence) = &row.evidence {
                    figure {
                        figcaption {
                            code { (text(&words::path_inside(row))) }
                            @if let Some(offset) = evidence.offset { " " span.quiet { "at byte " (offset) } }
                        }
                        (sides(sheet, evidence))
                    }
                }
            }
            @if cause.paths.len() > 1 || example.is_none_or(|row| row.evidence.is_none()) {
                (paths(cause))
            }
            p.quiet.command { code { "repro explain " (cause.code) } }
        }
    }
}

fn paths(cause: &CauseSummary) -> Markup {
    let left_out = cause.count.saturating_sub(cause.paths.len() as u64);
    template! {
        @if !cause.paths.is_empty() {
            details {
                summary { (counted(cause.count, "path", "paths")) }
                ul.paths {
                    @for path in &cause.paths {
                        li { code { (text(if path.is_empty() { "/" } else { path })) } }
                    }
                }
                (more(left_out, "path is", "paths are"))
            }
        }
    }
}
