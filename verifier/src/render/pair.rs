//! The report on two images or directories: text, Markdown and HTML.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html as template};
use repro_core::event::counted;

use super::{
    escape::{code_span, markdown_text, printable, shortened},
    style::{Line, Style},
    text::wrapped,
    words,
};
use crate::{
    compare::Difference,
    report::{CauseSummary, Equality, PairReport},
};

const STYLE: &str = include_str!("report.css");
/// Longest path or excerpt in a line or cell, in characters.
const LONGEST: usize = 96;
/// Paths named with a cause.
const PATHS: usize = 3;
/// Most differences in Markdown and HTML; all of them are in the JSON.
const MAX_ROWS: usize = 1_000;

const fn verdict(report: &PairReport) -> &'static str {
    match report.verdict {
        Equality::Equal => "equal",
        Equality::Different => "different",
    }
}

/// Path of a row, with the part in it.
fn place(row: &Difference) -> String {
    let layer = row
        .layer
        .map_or_else(String::new, |layer| format!("layer {layer}: "));
    let platform = row.platform.as_deref();
    let platform = platform.map_or_else(String::new, |platform| format!("{platform}: "));
    format!("{platform}{layer}{}", words::path_inside(row))
}

fn ratio(report: &PairReport) -> String {
    let ratio = report.ratio;
    format!(
        "{} of {} layers and {} of {} entries are equal",
        ratio.layers_equal, ratio.layers, ratio.files_equal, ratio.files
    )
}

fn named(cause: &CauseSummary) -> String {
    let paths = cause.paths.iter().take(PATHS).map(|path| {
        let path = if path.is_empty() { "/" } else { path };
        shortened(&printable(path), LONGEST).into_owned()
    });
    let paths: Vec<String> = paths.collect();
    let more = cause.count.saturating_sub(paths.len() as u64);
    if more > 0 {
        format!("{}, and {more} more", paths.join(", "))
    } else {
        paths.join(", ")
    }
}

fn sureness(cause: &CauseSummary) -> String {
    let follows = if cause.primary {
        ""
    } else {
        ", follows from others"
    };
    format!("{}{follows}", cause.confidence)
}

/// The report as lines of at most about `width` columns; of the differences the first `most`.
#[must_use]
pub fn pair_text(report: &PairReport, width: usize, most: usize) -> Vec<Line> {
    let style = match report.verdict {
        Equality::Equal => Style::Good,
        Equality::Different => Style::Bad,
    };
    let names = format!("{} and {}", printable(&report.a), printable(&report.b));
    let mut lines = vec![
        Line::new(style, verdict(report))
            .with(Style::Plain, ": ")
            .with(Style::Strong, names),
        Line::new(Style::Dim, format!("  {}", ratio(report))),
    ];
    let room = width.saturating_sub(9).max(20);
    if !report.causes.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, "why"));
    }
    for cause in &report.causes {
        lines.push(
            Line::new(Style::Warning, format!("  {}", cause.code))
                .with(Style::Plain, format!(": {}", cause.code.info().title))
                .with(Style::Dim, format!(" ({})", sureness(cause))),
        );
        for part in wrapped(&named(cause), room) {
            lines.push(Line::new(Style::Code, format!("    {part}")));
        }
        let mut label = "    fix: ";
        for part in wrapped(cause.code.info().remedy, room) {
            lines.push(Line::new(Style::Dim, label).with(Style::Plain, part));
            label = "         ";
        }
    }
    if !report.differences.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, "what differs"));
    }
    for row in report.differences.iter().take(most) {
        let place = place(row);
        let place = printable(&place);
        lines.push(
            Line::new(Style::Code, format!("  {}", shortened(&place, LONGEST)))
                .with(Style::Dim, format!("  {}  ", row.kind))
                .with(Style::Warning, row.cause.code()),
        );
        if let Some(evidence) = &row.evidence {
            for (name, value) in [("a", &evidence.a), ("b", &evidence.b)] {
                let value = printable(value);
                lines.push(
                    Line::new(Style::Dim, format!("    {name}  "))
                        .with(Style::Plain, shortened(&value, LONGEST)),
                );
            }
        }
    }
    let more = beyond(report, most);
    if more > 0 {
        let more = counted(more, "difference", "differences");
        let text = format!("  and {more} more; --json lists them");
        lines.push(Line::new(Style::Dim, text));
    }
    let aside = aside(report);
    if !aside.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, "no part of the verdict"));
        let aside = aside.iter().map(|line| format!("  {}", printable(line)));
        lines.extend(aside.map(|line| Line::new(Style::Plain, line)));
    }
    lines
}

/// What is said besides the verdict: attestations, and the words of diffoscope.
fn aside(report: &PairReport) -> Vec<String> {
    let listed = |digests: &[repro_core::digest::Digest]| {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        if digests.is_empty() {
            "none".to_owned()
        } else {
            digests.join(", ")
        }
    };
    let mut lines = Vec::new();
    for pair in &report.attestations {
        let same = if pair.a == pair.b {
            "equal"
        } else {
            "different"
        };
        lines.push(format!("attestations on {}: {same}", pair.platform));
        if pair.a != pair.b {
            lines.push(format!("  a  {}", listed(&pair.a)));
            lines.push(format!("  b  {}", listed(&pair.b)));
        }
    }
    if let Some(said) = &report.diffoscope {
        lines.push("diffoscope:".into());
        lines.extend(said.lines().map(|line| format!("  {line}")));
    }
    lines
}

/// Differences beyond the first `most`.
fn beyond(report: &PairReport, most: usize) -> u64 {
    let left_out = report.differences.len().saturating_sub(most) as u64;
    left_out.saturating_add(report.not_listed.total())
}

/// The report as Markdown, for the summary of a CI job.
#[must_use]
pub fn pair_markdown(report: &PairReport) -> String {
    let mut page = String::new();
    let code = |text: &str| code_span(&shortened(text, LONGEST));
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    let sign = match report.verdict {
        Equality::Equal => "✅",
        Equality::Different => "❌",
    };
    line(format!(
        "## {sign} {} and {}: {}\n\n{}.\n",
        code(&report.a),
        code(&report.b),
        verdict(report),
        ratio(report)
    ));
    if !report.causes.is_empty() {
        line("| cause | paths | remedy |\n|---|---|---|".into());
        for cause in &report.causes {
            let info = cause.code.info();
            line(format!(
                "| `{}` ({}): {} | {}: {} | {} |",
                cause.code,
                sureness(cause),
                markdown_text(info.title),
                cause.count,
                code(&named(cause)),
                info.remedy.replace('|', "\\|").replace('<', "&lt;"),
            ));
        }
        line("\n| path | kind | cause | a | b |\n|---|---|---|---|---|".into());
        for row in report.differences.iter().take(MAX_ROWS) {
            let value = |side: fn(&crate::compare::Evidence) -> &str| {
                let value = row.evidence.as_ref().map_or("", side);
                if value.is_empty() {
                    String::new()
                } else {
                    code(value)
                }
            };
            line(format!(
                "| {} | {} | `{}` ({}) | {} | {} |",
                code(&place(row)),
                row.kind,
                row.cause,
                row.confidence,
                value(|evidence| &evidence.a),
                value(|evidence| &evidence.b),
            ));
        }
        let more = beyond(report, MAX_ROWS);
        if more > 0 {
            line(format!("\nand {more} more."));
        }
    }
    let aside = aside(report);
    if !aside.is_empty() {
        line("\nNo part of the verdict:\n".into());
        for text in aside {
            // Indented: no character of it means anything in a block of code.
            line(format!("    {}", printable(&text)));
        }
    }
    page
}

/// The report as one HTML page that needs nothing from elsewhere.
#[must_use]
pub fn pair_html(report: &PairReport) -> String {
    let class = match report.verdict {
        Equality::Equal => "good",
        Equality::Different => "bad",
    };
    let mut title = String::new();
    let written = write!(title, "{}: {} and {}", verdict(report), report.a, report.b);
    debug_assert!(written.is_ok(), "a String takes every write");
    let more = beyond(report, MAX_ROWS);
    let aside = aside(report);
    let page = template! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { (printable(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(class) {
                    p.verdict { (verdict(report)) }
                    h1 { (printable(&report.a)) " and " (printable(&report.b)) }
                    p { (ratio(report)) }
                }
                main {
                    @if !report.causes.is_empty() {
                        section {
                            h2 { "Why" }
                            @for cause in &report.causes { (cause_of(cause)) }
                        }
                        section {
                            h2 { "What differs" }
                            div.scroll {
                                table.differences {
                                    thead { tr { th { "path" } th { "kind" } th { "cause" } th { "a" } th { "b" } } }
                                    tbody { @for row in report.differences.iter().take(MAX_ROWS) { (row_of(row)) } }
                                }
                            }
                            @if more > 0 { p { "And " (more) " more." } }
                        }
                    }
                    @if !aside.is_empty() {
                        section {
                            h2 { "No part of the verdict" }
                            pre { @for line in &aside { (printable(line)) "\n" } }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn cause_of(cause: &CauseSummary) -> Markup {
    let info = cause.code.info();
    template! {
        article {
            h3 { code { (cause.code) } " " (info.title) " " small { (sureness(cause)) } }
            p { code { (named(cause)) } }
            p { (info.remedy) }
        }
    }
}

fn row_of(row: &Difference) -> Markup {
    template! {
        tr {
            td { code { (printable(&place(row))) } }
            td { (row.kind) }
            td { code { (row.cause) } br; span.quiet { (row.confidence) } }
            @match &row.evidence {
                Some(evidence) => {
                    td { code.a { (printable(&evidence.a)) } }
                    td { code.b { (printable(&evidence.b)) } }
                }
                None => { td {} td {} }
            }
        }
    }
}
