//! What was measured: environment, runs, hermeticity, inputs, notes.

use maud::{Markup, html as template};
use repro_core::event::counted;

use super::{super::axes, Report, more, text, words};

/// Inputs, names and notes that are listed.
const MOST: usize = 1_000;

pub(super) fn section(report: &Report) -> Markup {
    template! {
        section id="environment" {
            h2 { "Environment" }
            (hermetic(report))
            (varied(report))
            (more_runs(report))
            (runs(report))
            (findings(report))
        }
        (inputs(report))
    }
}

fn hermetic(report: &Report) -> Markup {
    let hermetic = &report.hermetic;
    let (class, names) = match (hermetic.measured, hermetic.attempts_blocked) {
        (true, 0) => ("good", &hermetic.names[..]),
        _ => ("open", &hermetic.names[..]),
    };
    let left_out = names.len().saturating_sub(MOST) as u64;
    template! {
        h3 { "Hermetic" }
        p class={ "measured " (class) } { (words::hermetic(hermetic)) }
        @if !names.is_empty() {
            details {
                summary { (counted(names.len() as u64, "name", "names")) " asked for" }
                ul.paths { @for name in names.iter().take(MOST) { li { code { (text(name)) } } } }
                (more(left_out, "name is", "names are"))
            }
        }
    }
}

fn varied(report: &Report) -> Markup {
    let found = &report.axes;
    let named = |axis| {
        report
            .causes
            .iter()
            .filter(move |cause| cause.axis == Some(axis))
    };
    if found.varied.is_empty() {
        // One reason instead of a table that gives it for each axis.
        return template! {
            h3 { "What was varied" }
            p { "Nothing" }
            ul.notes { @for line in axes::not_varied(report) { li { (line) } } }
        };
    }
    template! {
        h3 { "What was varied" }
        div.scroll tabindex="0" role="region" aria-label="What was varied" {
            table.axes {
                thead {
                    tr {
                        th scope="col" { "axis" } th scope="col" { "run a" } th scope="col" { "run b" }
                        th scope="col" { "brought to light" }
                    }
                }
                tbody {
                    @for (axis, values) in &found.varied {
                        tr {
                            th scope="row" { (axis) }
                            td { code { (text(&values.a)) } }
                            td { code { (text(&values.b)) } }
                            td {
                                @for cause in named(*axis) {
                                    a href={ "#cause-" (cause.code) } { (cause.code) } " "
                                }
                            }
                        }
                    }
                    @for axis in &found.not_varied {
                        tr.quiet {
                            th scope="row" { (axis) }
                            td colspan="3" {
                                "not varied"
                                @if let Some(reason) = found.reasons.get(axis) {
                                    ": " (reason.words())
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What runs without variation, or with a part of it, showed.
fn more_runs(report: &Report) -> Markup {
    let control = axes::control(report);
    let bisection = axes::bisection(report);
    template! {
        @if control.is_some() || !bisection.is_empty() {
            h3 { "More runs" }
            ul.notes {
                @if let Some(control) = &control { li { (text(control)) } }
                @for line in &bisection { li { (line) } }
            }
        }
    }
}

fn runs(report: &Report) -> Markup {
    template! {
        h3 { "Runs" }
        div.scroll tabindex="0" role="region" aria-label="Runs" {
            table.runs {
                thead {
                    tr {
                        th scope="col" { "run" } th scope="col" { "image" } th scope="col" { "began" }
                        th scope="col" { "ended" } th.number scope="col" { "time of steps" }
                        th scope="col" { "executor" }
                    }
                }
                tbody {
                    @for run in &report.runs {
                        tr {
                            th scope="row" { (run.id) }
                            td {
                                @match run.manifest_digest {
                                    Some(digest) => { code.whole { (digest) } }
                                    None => { span.quiet { "none" } }
                                }
                            }
                            td.when { (text(&run.started_on)) }
                            td.when { (text(&run.finished_on)) }
                            td.number {
                                @match words::run_time(run) {
                                    Some(time) => { (time) }
                                    None => { span.quiet { "none" } }
                                }
                            }
                            td { (text(&run.executor)) }
                        }
                    }
                }
            }
        }
    }
}

fn findings(report: &Report) -> Markup {
    let left_out = report.findings.len().saturating_sub(MOST) as u64;
    template! {
        @if !report.findings.is_empty() {
            h3 { "Notes" }
            ul.notes {
                @for finding in report.findings.iter().take(MOST) {
                    li {
                        @if let Some(line) = finding.line {
                            span.line { (text(&words::position(report, line))) } " "
                        }
                        (text(&finding.message)) " " code.quiet { (text(&finding.code)) }
                    }
                }
            }
            (more(left_out, "note is", "notes are"))
        }
    }
}

fn inputs(report: &Report) -> Markup {
    let inputs = &report.inputs;
    let locked = inputs.iter().filter(|input| input.locked).count();
    let left_out = inputs.len().saturating_sub(MOST) as u64;
    template! {
        @if !inputs.is_empty() {
            section id="inputs" {
                h2 { "Inputs" }
                details open[inputs.len() <= 12] {
                    summary {
                        (counted(inputs.len() as u64, "input", "inputs")) ", "
                        (locked) " pinned before the build"
                    }
                    div.scroll tabindex="0" role="region" aria-label="Inputs" {
                        table.inputs {
                            thead {
                                tr {
                                    th scope="col" { "input" } th scope="col" { "digest" }
                                    th scope="col" { "kind" } th scope="col" { "first used" }
                                    th scope="col" { "pinned" }
                                }
                            }
                            tbody {
                                @for input in inputs.iter().take(MOST) {
                                    tr {
                                        th scope="row" { code { (text(&input.uri)) } }
                                        td { code.whole { (input.digest) } }
                                        td { (kind(input)) }
                                        td {
                                            @if let Some(line) = input.step.and_then(|step| words::line(report, step)) {
                                                (text(&words::position(report, line)))
                                            }
                                        }
                                        td { @if input.locked { "yes" } @else { "no" } }
                                    }
                                }
                            }
                        }
                    }
                    (more(left_out, "input is", "inputs are"))
                }
            }
        }
    }
}

/// The kind of an input as the report as JSON writes it.
fn kind(input: &crate::report::InputSummary) -> String {
    let value = serde_json::to_value(input.kind);
    let name = value
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned));
    name.unwrap_or_default()
}
