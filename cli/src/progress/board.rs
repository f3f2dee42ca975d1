//! What is known of the runs so far: what both text views draw from.

use std::collections::{BTreeMap, VecDeque};

use repro_core::{
    build::{RunId, as_written},
    digest::DiffId,
    event::{Comparison, Event, Unit},
};

use crate::text;

/// Lines of output kept of a running step, to be shown if it fails.
const TAIL_LINES: usize = 20;
/// Characters kept of one of them.
const TAIL_WIDTH: usize = 400;

/// The last lines that a running step printed.
pub(super) type Tail = VecDeque<String>;

/// A step that a run has finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) diff_id: Option<DiffId>,
    pub(super) wall_ms: u64,
}

/// A task: reading the context, unpacking, downloading.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) title: String,
    pub(super) total: Option<u64>,
    pub(super) unit: Unit,
    /// Quarters of `total` that were told of already.
    pub(super) quarters: u64,
}

/// The state of a build, as the events tell it.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// The steps of each run, ascending.
    steps: Vec<u32>,
    runs: u32,
    instructions: BTreeMap<u32, String>,
    /// What the runs are working on.
    running: BTreeMap<(RunId, u32), Tail>,
    done: BTreeMap<(RunId, u32), Done>,
    tasks: BTreeMap<String, Task>,
}

impl Board {
    /// Takes in one event.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Planned { steps, runs } => {
                self.steps.clone_from(steps);
                self.runs = *runs;
            }
            Event::StepStarted {
                run,
                index,
                instruction,
                ..
            } => {
                self.instructions.insert(
                    *index,
                    text::one_line(&as_written(instruction)).into_owned(),
                );
                self.running.insert((*run, *index), Tail::new());
            }
            Event::StepOutput { run, index, text } => {
                if let Some(tail) = self.running.get_mut(&(*run, *index)) {
                    if tail.len() == TAIL_LINES {
                        tail.pop_front();
                    }
                    let line = text::output_line(text);
                    tail.push_back(line.chars().take(TAIL_WIDTH).collect());
                }
            }
            Event::StepFinished {
                run,
                index,
                diff_id,
                wall_ms,
            } => {
                self.running.remove(&(*run, *index));
                let done = Done {
                    diff_id: *diff_id,
                    wall_ms: *wall_ms,
                };
                self.done.insert((*run, *index), done);
            }
            Event::TaskStarted {
                id,
                title,
                total,
                unit,
            } => {
                let title = text::one_line(title).into_owned();
                let task = Task {
                    title,
                    total: *total,
                    unit: *unit,
                    quarters: 0,
                };
                self.tasks.insert(id.clone(), task);
            }
            Event::TaskFinished { id, .. } => {
                self.tasks.remove(id);
            }
            Event::StepStopped { run, index } => {
                self.running.remove(&(*run, *index));
            }
            Event::StepFailed { .. }
            | Event::TaskAdvanced { .. }
            | Event::StepCompared { .. }
            | Event::Finding { .. }
            | Event::Finished { .. } => {}
        }
    }

    /// Whether there is a second run to compare with.
    pub(super) const fn compares(&self) -> bool {
        self.runs > 1
    }

    /// The steps of each run, ascending.
    pub(super) fn steps(&self) -> &[u32] {
        &self.steps
    }

    /// `3/7`, counted from one. Only steps that work on files are told of, while `index` counts
    /// every instruction.
    pub(super) fn position(&self, index: u32) -> String {
        let before = self.steps.partition_point(|step| *step < index);
        format!("{}/{}", before + 1, self.steps.len())
    }

    /// Whether a run has finished all its steps.
    pub(super) fn is_over(&self, run: RunId) -> bool {
        let done = |step: &u32| self.done.contains_key(&(run, *step));
        self.steps.iter().all(done)
    }

    /// The instruction of a step, in one harmless line.
    pub(super) fn instruction(&self, index: u32) -> &str {
        self.instructions.get(&index).map_or("", String::as_str)
    }

    /// The last lines of a step, if the run works on it.
    pub(super) fn tail(&self, run: RunId, index: u32) -> Option<&Tail> {
        self.running.get(&(run, index))
    }

    /// Whether a run works on more than one step.
    pub(super) fn is_parallel(&self, run: RunId) -> bool {
        self.running.range((run, 0)..=(run, u32::MAX)).count() > 1
    }

    /// What a run made of a step.
    pub(super) fn done(&self, run: RunId, index: u32) -> Option<Done> {
        self.done.get(&(run, index)).copied()
    }

    pub(super) fn task(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.get_mut(id)
    }

    /// What the comparison of a step says: `equal sha256:...`, or both digests.
    pub(super) fn verdict(&self, index: u32, comparison: Comparison) -> String {
        let layer = |run| {
            let diff_id = self.done(run, index).and_then(|done| done.diff_id);
            diff_id.map_or_else(|| "no layer".to_owned(), short)
        };
        match comparison {
            Comparison::Equal => format!("equal, {}", layer(RunId::A)),
            Comparison::Differs => {
                format!("differs, a {}, b {}", layer(RunId::A), layer(RunId::B))
            }
        }
    }
}

/// A digest short enough to compare by eye; the report has all of it.
pub(super) fn short(diff_id: DiffId) -> String {
    diff_id
        .to_string()
        .chars()
        .take("sha256:".len() + 12)
        .collect()
}

/// `12 of 30`, in the unit of the task.
pub(super) fn amount(done: u64, total: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{} of {}", text::bytes(done), text::bytes(total)),
        Unit::Items => format!("{done} of {total}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use repro_core::{
        build::{Cost, Finding, Outcome, Reason},
        digest::Digest,
    };

    /// A build of two steps in two runs: the first step is equal, the second differs.
    pub(in crate::progress) fn recorded() -> Vec<Event> {
        let started = |run, index, instruction: &str| Event::StepStarted {
            run,
            index,
            instruction: instruction.into(),
            line: index + 2,
        };
        let output = |run, index, text: &str| Event::StepOutput {
            run,
            index,
            text: text.into(),
        };
        let finished = |run, index, content: &[u8], wall_ms| Event::StepFinished {
            run,
            index,
            diff_id: Some(DiffId(Digest::of(content))),
            wall_ms,
        };
        vec![
            Event::TaskStarted {
                id: "d".into(),
                title: "downloading gcc-12".into(),
                total: Some(1 << 20),
                unit: Unit::Bytes,
            },
            Event::TaskAdvanced {
                id: "d".into(),
                done: 1 << 19,
            },
            Event::TaskAdvanced {
                id: "d".into(),
                done: (1 << 19) + 10,
            },
            Event::TaskFinished {
                id: "d".into(),
                summary: "downloaded gcc-12, 1 MiB".into(),
            },
            Event::Planned {
                steps: vec![0, 1],
                runs: 2,
            },
            started(RunId::A, 0, "COPY . /src"),
            finished(RunId::A, 0, b"src", 120),
            started(RunId::B, 0, "COPY . /src"),
            finished(RunId::B, 0, b"src", 130),
            Event::StepCompared {
                index: 0,
                comparison: Comparison::Equal,
            },
            started(RunId::A, 1, "RUN make &&\n\t./stamp\x1b[2J"),
            output(RunId::A, 1, "cc -c stamp.c\r\n"),
            output(RunId::A, 1, "\x1b]0;owned\x07done"),
            started(RunId::B, 1, "RUN make &&\n\t./stamp\x1b[2J"),
            output(RunId::B, 1, "cc -c stamp.c"),
            finished(RunId::A, 1, b"one", 3_400),
            finished(RunId::B, 1, b"two", 3_500),
            Event::StepCompared {
                index: 1,
                comparison: Comparison::Differs,
            },
            Event::Finding {
                finding: Finding {
                    code: "epoch-before-base".into(),
                    message: "the base image is newer than the epoch".into(),
                    line: Some(1),
                },
            },
            Event::Finished {
                outcome: Outcome::new(Reason::Differs, Cost::default()),
            },
        ]
    }

    /// Run A works on two steps, one of which ends before the other.
    pub(in crate::progress) fn parallel() -> Vec<Event> {
        let started = |run, index, instruction: &str| Event::StepStarted {
            run,
            index,
            instruction: instruction.into(),
            line: index,
        };
        let output = |index, text: &str| Event::StepOutput {
            run: RunId::A,
            index,
            text: text.into(),
        };
        let finished = |index| Event::StepFinished {
            run: RunId::A,
            index,
            diff_id: None,
            wall_ms: 100,
        };
        vec![
            Event::Planned {
                steps: vec![0, 3, 4],
                runs: 2,
            },
            started(RunId::A, 0, "RUN one"),
            started(RunId::B, 0, "RUN one"),
            output(0, "alone"),
            started(RunId::A, 3, "RUN two"),
            output(3, "of two"),
            output(0, "of one"),
            started(RunId::B, 3, "RUN two"),
            finished(0),
            finished(3),
        ]
    }

    /// Run A fails in its first step.
    pub(in crate::progress) fn failing() -> Vec<Event> {
        let mut events = vec![
            Event::Planned {
                steps: vec![1, 2, 4],
                runs: 2,
            },
            Event::StepStarted {
                run: RunId::A,
                index: 1,
                instruction: "RUN false".into(),
                line: 4,
            },
        ];
        events.extend((0..30).map(|n| Event::StepOutput {
            run: RunId::A,
            index: 1,
            text: format!("line {n}"),
        }));
        events.push(Event::StepFailed {
            run: RunId::A,
            index: 1,
            message: "exit code 1".into(),
        });
        events.push(Event::Finished {
            outcome: Outcome::new(Reason::StepFailed, Cost::default()),
        });
        events
    }
}
