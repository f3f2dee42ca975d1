//! The report as one HTML page that needs nothing else: no script, no font, no image from
//! elsewhere. Every value goes through the template's escaping.

use maud::{DOCTYPE, Markup, PreEscaped, html as template};
use repro_core::build::{RunId, as_written};

use super::{
    axes,
    escape::{printable, shortened},
    words,
};
use crate::{
    compare::Difference,
    predicate::reproducibility::Verdict,
    report::{CauseSummary, Report, RunReport, StepReport},
};

/// Most differences on the page; more make it slow and say nothing new.
const MAX_ROWS: usize = 10_000;
/// Longest instruction on the page, in characters.
const INSTRUCTION: usize = 400;

const STYLE: &str = include_str!("report.css");

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let name = report.image.name.as_deref().unwrap_or("image");
    let class = match report.verdict {
        Verdict::Reproducible => "good",
        Verdict::NotReproducible | Verdict::BuildFailed => "bad",
        Verdict::Inconclusive => "open",
    };
    let page = template! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { (words::verdict(report.verdict)) ": " (printable(name)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(class) {
                    p.verdict { (words::verdict(report.verdict)) }
                    h1 { (printable(name)) " " small { (report.image.platform.to_string()) } }
                    p { (words::reason(report.reason)) }
                }
                main {
                    (failures(report))
                    (strip(report))
                    (causes(report))
                    (differences(report))
                    (facts(report))
                }
            }
        }
    };
    page.into_string()
}

fn failures(report: &Report) -> Markup {
    template! {
        @for run in &report.runs {
            @if let Some(failure) = &run.failure {
                section {
                    h2 { "Run " (run.id) " failed" }
                    p { (step_name(report, failure.line, &failure.instruction)) }
                    p { (printable(&failure.message)) }
                }
            }
        }
    }
}

fn step_name(report: &Report, line: u32, instruction: &str) -> Markup {
    let instruction = as_written(instruction);
    let instruction = printable(&instruction);
    template! {
        span.line { (printable(&words::position(report, line))) } " "
        code { (shortened(&instruction, INSTRUCTION)) }
    }
}

/// The steps of run A, each beside that of run B.
fn strip(report: &Report) -> Markup {
    let (Some(a), b) = (report.run(RunId::A), report.run(RunId::B)) else {
        return template! {};
    };
    template! {
        section {
            h2 { "Steps" }
            div.scroll {
                table {
                    thead {
                        tr {
                            th { "step" } th { "run a" } th { "run b" }
                            th.number { "time a" } th.number { "time b" } th.number { "attempts" }
                        }
                    }
                    tbody {
                        @for step in &a.steps { (strip_row(report, step, b)) }
                    }
                }
            }
        }
    }
}

fn strip_row(report: &Report, a: &StepReport, run_b: Option<&RunReport>) -> Markup {
    let b = run_b.and_then(|run| run.steps.iter().find(|step| step.index == a.index));
    let class = match b {
        Some(b) if b.diff_id == a.diff_id => "same",
        Some(_) => "differs",
        None => "alone",
    };
    let layer = |step: &StepReport| {
        step.diff_id
            .map_or_else(|| "no layer".to_owned(), |diff_id| diff_id.0.short())
    };
    let attempts_b = b.map_or(0, |b| b.network.attempts);
    let attempts = a.network.attempts.saturating_add(attempts_b);
    template! {
        tr class=(class) {
            td { (step_name(report, a.line, &a.instruction)) }
            td { code.digest { (layer(a)) } }
            td { @if let Some(b) = b { code.digest { (layer(b)) } } @else { "did not end" } }
            td.number { (words::seconds(a.wall_ms)) }
            td.number { @if let Some(b) = b { (words::seconds(b.wall_ms)) } }
            td.number { (attempts) }
        }
    }
}

fn causes(report: &Report) -> Markup {
    template! {
        @if !report.causes.is_empty() {
            section {
                h2 { "Why" }
                @for cause in &report.causes { (cause_card(report, cause)) }
            }
        }
    }
}

fn cause_card(report: &Report, cause: &CauseSummary) -> Markup {
    let more = cause.count.saturating_sub(cause.paths.len() as u64);
    template! {
        article {
            h3 { code { (cause.code) } " " (printable(&cause.title)) }
            p.quiet {
                (cause.confidence)
                @if !cause.primary { ", follows from an earlier step" }
                @if let Some(axis) = cause.axis { ", axis " (axis) }
                @for line in words::lines(report, &cause.steps) {
                    ", " span.line { (printable(&line)) }
                }
            }
            p { b { "Fix: " } (prose(&cause.remedy)) }
            @if !cause.paths.is_empty() {
                ul {
                    @for path in &cause.paths { li { code { (printable(path)) } } }
                    @if more > 0 { li { "and " (more) " more" } }
                }
            }
        }
    }
}

/// Text in which backticks mark code.
fn prose(text: &str) -> Markup {
    let text = printable(text);
    template! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn differences(report: &Report) -> Markup {
    let shown = report.differences.len().min(MAX_ROWS);
    let more =
        ((report.differences.len() - shown) as u64).saturating_add(report.not_listed.total());
    template! {
        @if !report.differences.is_empty() {
            section {
                h2 { "What differs" }
                div.scroll {
                    table.differences {
                        thead {
                            tr {
                                th { "path" } th { "kind" } th { "cause" } th { "run a" }
                                th { "run b" }
                            }
                        }
                        tbody { @for row in &report.differences[..shown] { (row_of(report, row)) } }
                    }
                }
                @if more > 0 { p { "And " (more) " more in " code { "report.json" } "." } }
            }
        }
    }
}

fn row_of(report: &Report, row: &Difference) -> Markup {
    template! {
        tr {
            td {
                code { (printable(&words::path_inside(row))) }
                br; span.quiet { (printable(&words::place(report, row))) }
                @if let Some(origin) = &row.derived_from {
                    br; span.quiet { "follows from " code { (printable(&origin.path)) } }
                }
            }
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

fn facts(report: &Report) -> Markup {
    template! {
        section {
            h2 { "What was seen" }
            dl {
                @if let Some(digest) = report.image.manifest_digest {
                    dt { "image" } dd { code { (digest) } }
                }
                @if let Some(ratio) = report.ratio {
                    dt { "layers" } dd { (ratio.layers_equal) " of " (ratio.layers) " equal" }
                    dt { "files" } dd { (ratio.files_equal) " of " (ratio.files) " equal" }
                }
                @for run in &report.runs {
                    dt { "run " (run.id) }
                    dd {
                        (words::run_time(run)) ", " (printable(&run.started_on)) " to "
                        (printable(&run.finished_on))
                    }
                }
                dt { "hermetic" } dd { (words::hermetic(&report.hermetic)) }
                @for name in &report.hermetic.names {
                    dt { "asked for" } dd { code { (printable(name)) } }
                }
                @for (axis, values) in &report.axes.varied {
                    dt { "varied: " (axis) }
                    dd { code { (printable(&values.a)) } " / " code { (printable(&values.b)) } }
                }
                @for line in axes::not_varied(report) {
                    dt { "not varied" } dd { (line) }
                }
                @if let Some(control) = axes::control(report) {
                    dt { "control" } dd { (control) }
                }
                @for line in axes::bisection(report) {
                    dt { "bisected" } dd { (line) }
                }
                @for finding in &report.findings {
                    dt { (printable(&finding.code)) } dd { (printable(&finding.message)) }
                }
                @for input in &report.inputs {
                    dt { "input" }
                    dd { code { (printable(&input.uri)) } " " code.quiet { (input.digest) } }
                }
            }
        }
    }
}
