//! The reports as Markdown (GitHub's dialect), for the summary of a CI job or a comment.

use std::fmt::Write as _;

use repro_core::{build::as_written, event::counted};

use super::{
    aside::aside,
    axes,
    escape::{capital, code_span, markdown_text, printable, shortened},
    sheet::Sheet,
    words,
};
use crate::{
    compare::{Difference, Evidence},
    predicate::reproducibility::Verdict,
    report::{CauseSummary, Equality, PairReport, Report},
};

/// Most bytes of a report. Common forges take a summary of one mebibyte, which all steps of a job
/// may share, and a comment of 65,536 characters; a longer one is refused as a whole.
pub(super) const MOST: usize = 60_000;
/// Bytes that are kept for the facts, which stand behind the tables.
const FACTS: usize = 16_000;
/// Most rows of each table: who reads more opens the page.
const MAX_ROWS: usize = 100;
/// Most values named in one cell, and findings listed.
const MAX_NAMES: usize = 20;
/// Longest instruction, path or excerpt, in columns.
const LONGEST: usize = 120;

/// The report on a build as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut page = Page::default();
    let sign = match report.verdict {
        Verdict::Reproducible => "✅",
        Verdict::NotReproducible | Verdict::BuildFailed => "❌",
        Verdict::Inconclusive => "⚠️",
    };
    let name = code(report.image.name.as_deref().unwrap_or("image"));
    let verdict = report.verdict.words();
    page.line(&format!(
        "## {sign} {name} ({}): {verdict}\n",
        report.image.platform
    ));
    page.line(&format!("{}.\n", capital(words::reason(report.reason))));
    for run in &report.runs {
        if let Some(failure) = &run.failure {
            let position = code(&words::position(report, failure.line));
            let instruction = code(&as_written(&failure.instruction));
            let message = markdown_text(&shortened(&failure.message, 4 * LONGEST));
            let id = run.id;
            page.line(&format!(
                "**Run {id} failed** at {position} {instruction}: {message}\n"
            ));
        }
    }
    if let Some(at) = report.first_divergence {
        let position = code(&words::position(report, at.line));
        let instruction = report.divergent_instruction(at).unwrap_or_default();
        let instruction = code(&as_written(instruction));
        page.line(&format!(
            "**First step that differs:** {position} {instruction}\n"
        ));
    }
    page.sheet(report.into(), "`report.html` and `report.json` have all");
    facts(report, &mut page);
    page.text
}

/// The report on a pair as Markdown.
#[must_use]
pub fn pair_markdown(report: &PairReport) -> String {
    let mut page = Page::default();
    let (sign, verdict) = match report.verdict {
        Equality::Equal => ("✅", "equal"),
        Equality::Different => ("❌", "different"),
    };
    let (a, b) = (code(&report.a), code(&report.b));
    page.line(&format!("## {sign} {a} and {b}: {verdict}\n"));
    page.line(&format!("{}.\n", capital(&words::ratio(report.ratio))));
    page.sheet(
        report.into(),
        "`repro diff --format html` and `--format json` have all",
    );
    let aside = aside(report);
    if !aside.is_empty() {
        page.line("No part of the verdict:\n");
        for text in aside {
            // Indented: no character of it means anything in a block of code.
            let line = format!("    {}", printable(&text));
            if page.text.len() + line.len() > MOST {
                page.line("    …");
                break;
            }
            page.line(&line);
        }
    }
    page.text
}

/// A page that does not grow beyond its limit.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a table of rows while there is room below `limit`; gives the number of those that are
    /// in it.
    fn table(&mut self, head: &str, rows: impl Iterator<Item = String>, limit: usize) -> usize {
        self.line(head);
        let mut written = 0;
        for row in rows.take(MAX_ROWS) {
            if self.text.len() + row.len() + 1 > limit {
                break;
            }
            self.line(&row);
            written += 1;
        }
        self.line("");
        written
    }

    fn sheet(&mut self, sheet: Sheet<'_>, rest: &str) {
        // Half of the room is for the causes; what they do not use is for the differences.
        let limit = MOST - FACTS;
        if !sheet.causes.is_empty() {
            let head = match sheet.build {
                Some(_) => "### Why\n\n| cause | paths | where | remedy |\n|---|---:|---|---|",
                None => "### Why\n\n| cause | paths | such as | remedy |\n|---|---:|---|---|",
            };
            let rows = sheet.causes.iter().map(|cause| cause_row(sheet, cause));
            let written = self.table(head, rows, limit / 2);
            if let Some(beyond) = sheet.beyond() {
                self.line(&format!("{}.\n", capital(&beyond)));
            }
            let more = sheet.causes.len().saturating_sub(written);
            if more > 0 {
                let more = counted(more as u64, "more cause", "more causes");
                self.line(&format!("And {more}; {rest}.\n"));
            }
        }
        if !sheet.differences.is_empty() {
            let rows = sheet.differences.len() as u64;
            let all = rows.saturating_add(sheet.not_listed.total());
            let total = counted(all, "difference", "differences");
            let [a, b] = sheet.sides();
            let head = format!(
                "<details>\n<summary>What differs: {total}</summary>\n\n\
                 | where | path | kind | cause | {a} | {b} |\n|---|---|---|---|---|---|"
            );
            let rows = sheet
                .differences
                .iter()
                .map(|row| difference_row(sheet, row));
            let written = self.table(&head, rows, limit);
            let more = all.saturating_sub(written as u64);
            if more > 0 {
                self.line(&format!("And {more} more; {rest}.\n"));
            }
            self.line("</details>\n");
        }
    }
}

fn cause_row(sheet: Sheet<'_>, cause: &CauseSummary) -> String {
    let place = if sheet.build.is_some() {
        codes(&sheet.whence(cause), cause.steps.len() as u64)
    } else {
        let (paths, more) = Sheet::named(cause, 3);
        codes(&paths, paths.len() as u64 + more)
    };
    let info = cause.code.info();
    // The texts of the catalogue, not those of a document that could say anything. They hold code
    // spans.
    let remedy = cause.advice().replace('|', "\\|").replace('<', "&lt;");
    format!(
        "| `{}` ({}): {} | {} | {place} | {remedy} |",
        cause.code,
        Sheet::sureness(cause),
        markdown_text(info.title),
        cause.count,
    )
}

/// Some of `total` values, each as code.
fn codes(values: &[String], total: u64) -> String {
    let shown: Vec<String> = values
        .iter()
        .take(MAX_NAMES)
        .map(|value| code(value))
        .collect();
    let mut text = shown.join(", ");
    let more = total.saturating_sub(shown.len() as u64);
    if more > 0 && !shown.is_empty() {
        write!(text, ", and {more} more").expect("a String takes every write");
    }
    text
}

fn difference_row(sheet: Sheet<'_>, row: &Difference) -> String {
    let value = |side: fn(&Evidence) -> &str| row.evidence.as_ref().map_or("", side);
    let by = sheet
        .by(row)
        .map_or_else(String::new, |by| format!(", {by}"));
    format!(
        "| {} | {} | {} | `{}` ({}{by}) | {} | {} |",
        code(&sheet.place(row)),
        code(&words::path_inside(row)),
        row.kind,
        row.cause,
        row.confidence,
        code(value(|evidence| &evidence.a)),
        code(value(|evidence| &evidence.b)),
    )
}

fn facts(report: &Report, page: &mut Page) {
    let mut rows: Vec<String> = Vec::new();
    let mut row = |name: &str, value: &str| rows.push(format!("| {name} | {value} |"));
    if let Some(digest) = report.image.manifest_digest {
        row("image", &format!("`{digest}`"));
    }
    if let Some(ratio) = report.ratio {
        row(
            "layers",
            &format!("{} of {} equal", ratio.layers_equal, ratio.layers),
        );
        row(
            "files",
            &format!("{} of {} equal", ratio.files_equal, ratio.files),
        );
    }
    for run in &report.runs {
        if let Some(time) = words::run_time(run) {
            row(&format!("time, run {}", run.id), &time);
        }
    }
    row("hermetic", &words::hermetic(&report.hermetic));
    if !report.hermetic.names.is_empty() {
        let names = &report.hermetic.names;
        row("names asked for", &codes(names, names.len() as u64));
    }
    for (axis, values) in &report.axes.varied {
        let values = format!("{} / {}", code(&values.a), code(&values.b));
        row(&format!("varied: {axis}"), &values);
    }
    // Our own words, but for paths of the control run.
    for line in axes::not_varied(report) {
        row("not varied", &line);
    }
    if let Some(control) = axes::control(report) {
        row("control", &markdown_text(&shortened(&control, 4 * LONGEST)));
    }
    for line in axes::bisection(report) {
        row("bisected", &line);
    }
    for finding in report.findings.iter().take(MAX_NAMES) {
        let message = markdown_text(&shortened(&finding.message, 2 * LONGEST));
        row(&code(&finding.code), &message);
    }
    let more = report.findings.len().saturating_sub(MAX_NAMES);
    if more > 0 {
        row("", &format!("and {more} more findings"));
    }
    page.table(
        "### What was seen\n\n| | |\n|---|---|",
        rows.into_iter(),
        MOST,
    );
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    code_span(&shortened(text, LONGEST))
}
