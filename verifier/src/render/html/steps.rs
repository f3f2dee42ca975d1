//! The steps of both runs: as a strip, and as a table with digests and times.

use maud::{Markup, html as template};
use repro_core::build::{RunId, as_written};

use super::{super::escape::printable, Report, shortened, step_name, text, words};
use crate::report::{RunReport, StepReport};

/// Longest instruction in a label, in columns.
const LABEL: usize = 120;

/// How a step ended in both runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Same,
    Differs,
    /// In one of the runs only, or there was but one.
    Alone,
}

impl Pair {
    const fn class(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Alone => "alone",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Same => "equal",
            Self::Differs => "differs",
            Self::Alone => "in one run only",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Differs => "≠",
            Self::Alone => "?",
        }
    }
}

/// The steps that either run ended, in order of the plan, with what each run has of them.
fn steps(report: &Report) -> Vec<(Option<&StepReport>, Option<&StepReport>)> {
    let of = |id| {
        report
            .run(id)
            .map_or(&[][..], |run: &RunReport| &run.steps[..])
    };
    let (a, b) = (of(RunId::A), of(RunId::B));
    let mut indices: Vec<u32> = a.iter().chain(b).map(|step| step.index).collect();
    indices.sort_unstable();
    indices.dedup();
    let find =
        |steps: &'_ [StepReport], index: u32| steps.iter().position(|step| step.index == index);
    indices
        .into_iter()
        .map(|index| {
            (
                find(a, index).map(|at| &a[at]),
                find(b, index).map(|at| &b[at]),
            )
        })
        .collect()
}

const fn step<'a>(
    pair: (Option<&'a StepReport>, Option<&'a StepReport>),
) -> Option<&'a StepReport> {
    match pair {
        (Some(step), _) | (None, Some(step)) => Some(step),
        (None, None) => None,
    }
}

fn ending(pair: (Option<&StepReport>, Option<&StepReport>)) -> Pair {
    match pair {
        (Some(a), Some(b)) if a.diff_id == b.diff_id => Pair::Same,
        (Some(_), Some(_)) => Pair::Differs,
        _ => Pair::Alone,
    }
}

/// Each step as a column: run A above, run B below; joined where they are equal.
pub(super) fn strip(report: &Report) -> Option<Markup> {
    let steps = steps(report);
    if steps.is_empty() {
        return None;
    }
    let count = |wanted| steps.iter().filter(|pair| ending(**pair) == wanted).count();
    let (same, differs, alone) = (count(Pair::Same), count(Pair::Differs), count(Pair::Alone));
    Some(template! {
        section.strip aria-label="Steps of both runs" {
            div.rows {
                div.names aria-hidden="true" { span { "A" } span { "B" } }
                ol {
                    @for pair in &steps {
                        @if let Some(step) = step(*pair) { (column(report, step, ending(*pair))) }
                    }
                }
            }
            p.legend {
                span.key.same { (same) " equal" }
                @if differs > 0 { span.key.differs { (differs) " different" } }
                @if alone > 0 { span.key.alone { (alone) " in one run only" } }
                @if steps.iter().any(|pair| step(*pair).is_some_and(|step| !step.in_image)) {
                    span.key.stage { "narrow: only in a stage, not in the image" }
                }
            }
        }
    })
}

fn column(report: &Report, step: &StepReport, ending: Pair) -> Markup {
    let instruction = as_written(&step.instruction);
    let instruction = printable(&instruction);
    let label = format!(
        "{} {}: {}",
        text(&words::position(report, step.line)),
        shortened(&instruction, LABEL),
        ending.word()
    );
    let stage = if step.in_image { "" } else { " stage" };
    template! {
        li class={ (ending.class()) (stage) } {
            a href={ "#step-" (step.index) } title=(label) aria-label=(label) {
                i {} b aria-hidden="true" { (ending.sign()) } i {}
            }
        }
    }
}

/// The table.
pub(super) fn section(report: &Report) -> Markup {
    let steps = steps(report);
    let longest = steps
        .iter()
        .flat_map(|(a, b)| [a, b])
        .flatten()
        .map(|step| step.wall_ms)
        .max()
        .unwrap_or(0);
    template! {
        @if !steps.is_empty() {
            section id="steps" {
                h2 { "Steps and their time" }
                div.scroll tabindex="0" role="region" aria-label="Steps and their time" {
                    table.steps {
                        thead {
                            tr {
                                th scope="col" { "step" }
                                th scope="col" { "layer, run a" }
                                th scope="col" { "layer, run b" }
                                th scope="col" { "time, a over b" }
                                th.number scope="col" { abbr title="attempts to reach the network, all blocked" { "network" } }
                            }
                        }
                        tbody { @for pair in &steps { (row(report, *pair, longest)) } }
                    }
                }
            }
        }
    }
}

fn row(report: &Report, pair: (Option<&StepReport>, Option<&StepReport>), longest: u64) -> Markup {
    let Some(step) = step(pair) else {
        return template! {};
    };
    let ending = ending(pair);
    let sides = [("a", pair.0), ("b", pair.1)];
    let attempts = sides.iter().filter_map(|(_, step)| *step);
    let attempts = attempts
        .map(|step| step.network.attempts)
        .fold(0, u64::saturating_add);
    template! {
        tr class=(ending.class()) id={ "step-" (step.index) } {
            th scope="row" {
                (step_name(report, step.line, &step.instruction))
                @if !step.in_image { " " span.quiet { "(stage)" } }
            }
            @for (_, step) in sides {
                td {
                    @match step {
                        Some(step) => { code.digest { (layer(step)) } }
                        None => { span.quiet { "did not end" } }
                    }
                }
            }
            td.times {
                @for (run, step) in sides {
                    @if let Some(step) = step {
                        div.time {
                            span class={ "bar " (run) } style={ "width:" (share(step.wall_ms, longest)) "%" } {}
                            span.number { (words::seconds(step.wall_ms)) }
                        }
                    }
                }
            }
            td.number { (attempts) }
        }
    }
}

fn layer(step: &StepReport) -> String {
    step.diff_id
        .map_or_else(|| "no layer".to_owned(), |diff_id| diff_id.0.short())
}

/// Per cent of `of`, at least one for what took time at all; the number takes the rest of the
/// cell.
fn share(part: u64, of: u64) -> u64 {
    const WIDEST: u128 = 60;
    let share = u128::from(part) * WIDEST / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(0).max(u64::from(part > 0))
}
