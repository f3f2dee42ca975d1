//! The reports as one HTML page that needs nothing else: no script, no font, no image from
//! elsewhere. Every value goes through the template's escaping.

mod causes;
mod facts;
mod sides;
mod steps;
mod tree;

use maud::{DOCTYPE, Markup, PreEscaped, html as template};
use repro_core::{build::as_written, event::counted};

use super::{
    aside::aside,
    escape::{capital, printable, shortened},
    sheet::Sheet,
    words,
};
use crate::{
    compare::Ratio,
    predicate::reproducibility::Verdict,
    report::{Equality, PairReport, Report},
};

/// Longest instruction on the page, in columns.
const INSTRUCTION: usize = 400;
/// Longest path, name or value on the page, in columns. Linux takes paths of 4096 bytes.
const NAME: usize = 240;

const STYLE: &str = include_str!("report.css");

/// The report on a build as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let name = report
        .image
        .name
        .as_deref()
        .unwrap_or("image without a name");
    let tone = match report.verdict {
        Verdict::Reproducible => Tone::Good,
        Verdict::NotReproducible => Tone::Bad,
        Verdict::BuildFailed => Tone::Failed,
        Verdict::Inconclusive => Tone::Open,
    };
    let sheet = Sheet::from(report);
    let strip = steps::strip(report);
    let times: Vec<(String, String)> = report
        .runs
        .iter()
        .filter_map(|run| Some((format!("run {}", run.id), words::run_time(run)?)))
        .collect();
    page(
        &Head {
            tone,
            verdict: report.verdict.words(),
            subject: template! { (text(name)) " " small { (report.image.platform.to_string()) } },
            title: format!("{}: {name}", report.verdict.words()),
            reason: words::reason(report.reason).to_owned(),
            figures: figures(sheet, &times),
        },
        &[
            ("why", "Why", sheet.causes.is_empty()),
            ("steps", "Steps", strip.is_none()),
            ("files", "Files", sheet.differences.is_empty()),
            ("environment", "Environment", false),
            ("inputs", "Inputs", report.inputs.is_empty()),
        ],
        &template! {
            (failures(report))
            @if let Some(strip) = &strip { (strip) }
            (causes::section(sheet))
            (steps::section(report))
            (tree::section(sheet))
            (facts::section(report))
        },
    )
}

/// The report on a pair as a page.
#[must_use]
pub fn pair_html(report: &PairReport) -> String {
    let (tone, verdict) = match report.verdict {
        Equality::Equal => (Tone::Good, "equal"),
        Equality::Different => (Tone::Bad, "different"),
    };
    let sheet = Sheet::from(report);
    page(
        &Head {
            tone,
            verdict,
            subject: template! {
                span.side.a { b { "a" } " " (text(&report.a)) } " "
                span.side.b { b { "b" } " " (text(&report.b)) }
            },
            title: format!("{verdict}: {} and {}", report.a, report.b),
            reason: words::ratio(report.ratio),
            figures: figures(sheet, &[]),
        },
        &[
            ("why", "Why", sheet.causes.is_empty()),
            ("files", "Files", sheet.differences.is_empty()),
        ],
        &template! {
            (causes::section(sheet))
            (tree::section(sheet))
            (said_aside(report))
        },
    )
}

fn said_aside(report: &PairReport) -> Markup {
    let lines = aside(report);
    template! {
        @if !lines.is_empty() {
            section id="aside" {
                h2 { "No part of the verdict" }
                pre.aside tabindex="0" { code { @for line in &lines { (printable(line)) "\n" } } }
            }
        }
    }
}

/// What the verdict is to people.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Bad,
    Failed,
    Open,
}

impl Tone {
    /// The class of the head, and a sign that does not rely on colour.
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("good", "="),
            Self::Bad => ("bad", "≠"),
            Self::Failed => ("bad", "!"),
            Self::Open => ("open", "?"),
        }
    }
}

struct Head {
    tone: Tone,
    verdict: &'static str,
    subject: Markup,
    title: String,
    reason: String,
    figures: Markup,
}

/// The frame of every page. `places` are sections with their names, and whether they are empty.
fn page(head: &Head, places: &[(&str, &str, bool)], main: &Markup) -> String {
    let (class, sign) = head.tone.parts();
    let page = template! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                title { (text(&head.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                header class=(class) {
                    div.frame {
                        h1 {
                            span.verdict { span.sign aria-hidden="true" { (sign) } " " (capital(head.verdict)) }
                            " " span.subject { (head.subject) }
                        }
                        p.reason { (capital(&text(&head.reason))) }
                        (head.figures)
                    }
                }
                nav aria-label="Sections" {
                    ul.frame {
                        @for (id, name, empty) in places {
                            @if !empty { li { a href={ "#" (id) } { (name) } } }
                        }
                    }
                }
                main id="main" { div.frame { (main) } }
                footer { p.frame { "Made by repro " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    page.into_string()
}

/// The few numbers that say how much it is.
fn figures(sheet: Sheet<'_>, times: &[(String, String)]) -> Markup {
    let of = |equal: u64, all: u64| template! { (equal) span.of { "/" (all) } };
    template! {
        dl.figures {
            @if let Some(Ratio { layers, layers_equal, files, files_equal }) = sheet.ratio {
                div { dt { "layers equal" } dd { (of(layers_equal, layers)) } }
                div { dt { "files equal" } dd { (of(files_equal, files)) } }
            }
            @if !sheet.causes.is_empty() {
                div { dt { "causes" } dd { (sheet.causes.len()) } }
                div { dt { "paths that differ" } dd { (sheet.paths()) } }
            }
            @for (run, time) in times { div { dt { (run) } dd { (time) } } }
        }
    }
}

fn failures(report: &Report) -> Markup {
    template! {
        @for run in &report.runs {
            @if let Some(failure) = &run.failure {
                section.card.failure {
                    h2 { "Run " (run.id) " failed" }
                    p { (step_name(report, failure.line, &failure.instruction)) }
                    p { (shortened(&printable(&failure.message), 4 * INSTRUCTION)) }
                }
            }
        }
    }
}

fn step_name(report: &Report, line: u32, instruction: &str) -> Markup {
    let instruction = as_written(instruction);
    let instruction = printable(&instruction);
    template! {
        span.line { (text(&words::position(report, line))) } " "
        code { (shortened(&instruction, INSTRUCTION)) }
    }
}

/// A name or value from outside.
fn text(text: &str) -> String {
    shortened(&printable(text), NAME).into_owned()
}

/// Text of ours in which backticks mark code.
fn prose(text: &str) -> Markup {
    let text = printable(text);
    template! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// `3 more paths, in report.json`, if there are any.
fn more(count: u64, one: &str, many: &str) -> Markup {
    template! {
        @if count > 0 {
            p.quiet { (counted(count, one, many)) " not shown here; the report as JSON has all that were kept." }
        }
    }
}
