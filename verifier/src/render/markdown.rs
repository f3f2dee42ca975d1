//! The report as Markdown (GitHub's dialect), for the summary of a CI job.

use std::fmt;

use repro_core::build::as_written;

use super::{
    axes,
    escape::{code_span, markdown_text, shortened},
    words,
};
use crate::{
    compare::Difference,
    predicate::reproducibility::Verdict,
    report::{CauseSummary, Report},
};

/// Most differences in the table: a summary has a limit of one mebibyte on common forges.
const MAX_ROWS: usize = 100;
/// Longest instruction, path or excerpt.
const LONGEST: usize = 120;

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    Summary(report).to_string()
}

struct Summary<'a>(&'a Report);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, f)
    }
}

fn write(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = match report.verdict {
        Verdict::Reproducible => "✅",
        Verdict::NotReproducible | Verdict::BuildFailed => "❌",
        Verdict::Inconclusive => "⚠️",
    };
    let name = report.image.name.as_deref().unwrap_or("image");
    let (name, platform) = (code(name), &report.image.platform);
    let verdict = words::verdict(report.verdict);
    writeln!(out, "## {sign} {name} ({platform}): {verdict}\n")?;
    writeln!(out, "{}.\n", capital(words::reason(report.reason)))?;
    for run in &report.runs {
        if let Some(failure) = &run.failure {
            let position = code(&words::position(report, failure.line));
            let instruction = code(&as_written(&failure.instruction));
            let message = markdown_text(&failure.message);
            writeln!(
                out,
                "**Run {} failed** at {position} {instruction}: {message}\n",
                run.id
            )?;
        }
    }
    if let Some(at) = report.first_divergence {
        let position = code(&words::position(report, at.line));
        let instruction = report.divergent_instruction(at).unwrap_or_default();
        let instruction = code(&as_written(instruction));
        writeln!(
            out,
            "**First step that differs:** {position} {instruction}\n"
        )?;
    }
    if !report.causes.is_empty() {
        writeln!(
            out,
            "### Why\n\n| cause | paths | where | remedy |\n|---|---:|---|---|"
        )?;
        for cause in &report.causes {
            cause_row(report, cause, out)?;
        }
        writeln!(out)?;
    }
    if !report.differences.is_empty() {
        writeln!(
            out,
            "### What differs\n\n| where | path | kind | cause | run a | run b |\n|---|---|---|---|---|---|"
        )?;
        for row in report.differences.iter().take(MAX_ROWS) {
            difference_row(report, row, out)?;
        }
        let more = (report.differences.len().saturating_sub(MAX_ROWS) as u64)
            .saturating_add(report.not_listed.total());
        if more > 0 {
            writeln!(out, "\nand {more} more in `report.json`.")?;
        }
        writeln!(out)?;
    }
    facts(report, out)
}

fn cause_row(report: &Report, cause: &CauseSummary, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let lines: Vec<String> = words::lines(report, &cause.steps)
        .iter()
        .map(|line| code(line))
        .collect();
    let follows = if cause.primary {
        ""
    } else {
        ", follows from an earlier step"
    };
    let shown = axes::of_cause(cause).map_or_else(String::new, |shown| format!(", {shown}"));
    // The remedies are our own text; they hold code spans, and no bar.
    writeln!(
        out,
        "| `{}` ({}{follows}{shown}): {} | {} | {} | {} |",
        cause.code,
        cause.confidence,
        markdown_text(&cause.title),
        cause.count,
        lines.join(", "),
        cause_remedy(cause),
    )
}

/// The remedy from the catalogue, not the one of a document that could say anything.
fn cause_remedy(cause: &CauseSummary) -> String {
    let remedy = cause.code.info().remedy;
    remedy.replace('|', "\\|").replace('<', "&lt;")
}

fn difference_row(report: &Report, row: &Difference, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (a, b) = row
        .evidence
        .as_ref()
        .map_or(("", ""), |evidence| (&evidence.a, &evidence.b));
    let by = axes::of_row(report, row).map_or_else(String::new, |by| format!(", {by}"));
    writeln!(
        out,
        "| {} | {} | {} | `{}` ({}{by}) | {} | {} |",
        code(&words::place(report, row)),
        code(&words::path_inside(row)),
        row.kind,
        row.cause,
        row.confidence,
        code(a),
        code(b),
    )
}

fn facts(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "### What was seen\n\n| | |\n|---|---|")?;
    if let Some(digest) = report.image.manifest_digest {
        writeln!(out, "| image | `{digest}` |")?;
    }
    if let Some(ratio) = report.ratio {
        writeln!(
            out,
            "| layers | {} of {} equal |",
            ratio.layers_equal, ratio.layers
        )?;
        writeln!(
            out,
            "| files | {} of {} equal |",
            ratio.files_equal, ratio.files
        )?;
    }
    for run in &report.runs {
        writeln!(out, "| time, run {} | {} |", run.id, words::run_time(run))?;
    }
    writeln!(out, "| hermetic | {} |", words::hermetic(&report.hermetic))?;
    if !report.hermetic.names.is_empty() {
        let names: Vec<String> = report
            .hermetic
            .names
            .iter()
            .map(|name| code(name))
            .collect();
        writeln!(out, "| names asked for | {} |", names.join(", "))?;
    }
    for (axis, values) in &report.axes.varied {
        writeln!(
            out,
            "| varied: {axis} | {} / {} |",
            code(&values.a),
            code(&values.b)
        )?;
    }
    // Our own words, but for paths of the control run.
    for line in axes::not_varied(report) {
        writeln!(out, "| not varied | {line} |")?;
    }
    if let Some(control) = axes::control(report) {
        writeln!(out, "| control | {} |", markdown_text(&control))?;
    }
    for line in axes::bisection(report) {
        writeln!(out, "| bisected | {line} |")?;
    }
    for finding in &report.findings {
        writeln!(
            out,
            "| {} | {} |",
            code(&finding.code),
            markdown_text(&finding.message)
        )?;
    }
    Ok(())
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    code_span(&shortened(text, LONGEST))
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
