//! Plain lines: for CI logs, pipes and terminals that cannot move their cursor.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use repro_core::{
    build::{Finding, RunId, as_written},
    event::{Comparison, Event, EventSink},
};

use super::board::{Board, amount, short};
use crate::{output::Meaning, text};

/// Writes one line for each thing that happened.
///
/// Of what steps print, the lines of run A are shown; run B prints the same or is compared in
/// the report, and both logs are in the evidence. If a step of B fails, the end of its log is.
pub(super) struct Plain<W> {
    state: Mutex<(Board, W)>,
}

impl<W: Write + Send> Plain<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            state: Mutex::new((Board::default(), out)),
        }
    }
}

impl<W: Write + Send> EventSink for Plain<W> {
    fn event(&self, event: Event) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (board, out) = &mut *guard;
        let lines = lines(board, &event);
        board.take(&event);
        for line in lines {
            // Where standard error is closed there is nobody to tell; the build goes on.
            drop(writeln!(out, "{line}"));
        }
    }
}

/// What to print for an event, before `board` has taken it in.
fn lines(board: &mut Board, event: &Event) -> Vec<String> {
    let tag = |run: RunId, index: u32| format!("[{run} {}]", board.position(index));
    match event {
        Event::TaskStarted { title, .. } => vec![format!("{} ...", text::one_line(title))],
        Event::TaskAdvanced { id, done } => quarter(board, id, *done).into_iter().collect(),
        Event::TaskFinished { summary, .. } => vec![text::one_line(summary).into_owned()],
        Event::Planned { steps, runs } => {
            let runs = text::plural(u64::from(*runs), "run");
            vec![format!(
                "{}, {runs}",
                text::plural(steps.len() as u64, "step")
            )]
        }
        Event::StepStarted {
            run,
            index,
            instruction,
            ..
        } => {
            vec![format!(
                "{} {}",
                tag(*run, *index),
                text::one_line(&as_written(instruction))
            )]
        }
        Event::StepOutput {
            run: run @ (RunId::A | RunId::Setup),
            index,
            text,
        } => {
            let line = text::output_line(text);
            // Whose line it is goes without saying where there is but one step.
            vec![if board.is_parallel(*run) {
                format!("{} | {line}", tag(*run, *index))
            } else {
                format!("  | {line}")
            }]
        }
        Event::StepFinished {
            run,
            index,
            diff_id,
            wall_ms,
        } => {
            let layer = diff_id.map_or_else(|| "no layer".to_owned(), short);
            vec![format!(
                "{} done in {}, {layer}",
                tag(*run, *index),
                text::seconds(*wall_ms)
            )]
        }
        Event::StepFailed {
            run,
            index,
            message,
        } => {
            let head = format!("{} failed: {}", tag(*run, *index), text::one_line(message));
            let mut lines = vec![Meaning::Error.paint(head).to_string()];
            // The lines of run A were printed as they came.
            if !matches!(run, RunId::A | RunId::Setup) {
                lines.extend(tail(board, *run, *index));
            }
            lines
        }
        Event::StepStopped { run, index } => {
            let head = format!("{} stopped: another step failed", tag(*run, *index));
            vec![head]
        }
        Event::StepCompared { index, comparison } => {
            let (mark, meaning) = match comparison {
                Comparison::Equal => ("=", Meaning::Good),
                Comparison::Differs => ("!", Meaning::Bad),
            };
            let verdict = board.verdict(*index, *comparison);
            let line = format!("[{mark} {}] {verdict}", board.position(*index));
            vec![meaning.paint(line).to_string()]
        }
        Event::Finding { finding } => vec![finding_line(finding)],
        Event::StepOutput { .. } | Event::Finished { .. } => Vec::new(),
    }
}

/// A line at each quarter of a task whose size is known: a CI that sees nothing for minutes
/// takes the job for dead.
fn quarter(board: &mut Board, id: &str, done: u64) -> Option<String> {
    let task = board.task(id)?;
    let total = task.total.filter(|total| *total > 0)?;
    let quarters = u64::try_from(u128::from(done) * 4 / u128::from(total)).unwrap_or(4);
    if quarters <= task.quarters || quarters >= 4 {
        return None;
    }
    task.quarters = quarters;
    Some(format!(
        "{} ... {}",
        task.title,
        amount(done, total, task.unit)
    ))
}

/// The last lines that a running step printed.
pub(super) fn tail(board: &Board, run: RunId, index: u32) -> Vec<String> {
    let lines = board.tail(run, index);
    lines
        .into_iter()
        .flatten()
        .map(|line| format!("  | {line}"))
        .collect()
}

pub(super) fn finding_line(finding: &Finding) -> String {
    let line = finding
        .line
        .map_or_else(String::new, |line| format!("line {line}: "));
    let message = text::one_line(&finding.message);
    format!(
        "{}: {line}{message} ({})",
        Meaning::Warning.paint("warning"),
        finding.code
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::board::tests::{failing, parallel, recorded};

    fn shown(events: Vec<Event>) -> String {
        let plain = Plain::new(Vec::new());
        for event in events {
            plain.event(event);
        }
        let (_, bytes) = plain.state.into_inner().unwrap();
        anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
    }

    #[test]
    fn a_build_reads_line_by_line() {
        assert_eq!(
            shown(recorded()),
            "\
downloading gcc-12 ...
downloading gcc-12 ... 512.00 KiB of 1.00 MiB
downloaded gcc-12, 1 MiB
2 steps, 2 runs
[a 1/2] COPY . /src
[a 1/2] done in 0.1 s, sha256:25a6634263c1
[b 1/2] COPY . /src
[b 1/2] done in 0.1 s, sha256:25a6634263c1
[= 1/2] equal, sha256:25a6634263c1
[a 2/2] RUN make &&     ./stamp\\x1b[2J
  | cc -c stamp.c
  | done
[b 2/2] RUN make &&     ./stamp\\x1b[2J
[a 2/2] done in 3.4 s, sha256:7692c3ad3540
[b 2/2] done in 3.5 s, sha256:3fc4ccfe7458
[! 2/2] differs, a sha256:7692c3ad3540, b sha256:3fc4ccfe7458
warning: line 1: the base image is newer than the epoch (epoch-before-base)
"
        );
    }

    #[test]
    fn lines_of_steps_side_by_side_say_whose_they_are() {
        assert_eq!(
            shown(parallel()),
            "\
3 steps, 2 runs
[a 1/3] RUN one
[b 1/3] RUN one
  | alone
[a 2/3] RUN two
[a 2/3] | of two
[a 1/3] | of one
[b 2/3] RUN two
[a 1/3] done in 0.1 s, no layer
[a 2/3] done in 0.1 s, no layer
"
        );
    }

    #[test]
    fn a_failure_of_b_shows_the_end_of_its_log() {
        let of_b = failing().into_iter().map(|event| match event {
            Event::StepStarted {
                index,
                instruction,
                line,
                ..
            } => Event::StepStarted {
                run: RunId::B,
                index,
                instruction,
                line,
            },
            Event::StepOutput { index, text, .. } => Event::StepOutput {
                run: RunId::B,
                index,
                text,
            },
            Event::StepFailed { index, message, .. } => Event::StepFailed {
                run: RunId::B,
                index,
                message,
            },
            other => other,
        });
        let shown = shown(of_b.collect());
        assert!(
            shown.contains("[b 1/3] failed: exit code 1\n  | line 10\n"),
            "{shown}"
        );
        assert!(shown.ends_with("  | line 29\n"), "{shown}");
        assert!(!shown.contains("line 9\n"), "{shown}");
    }
}
