//! What happens while it happens. Libraries report events; only the command line prints.

use serde::{Deserialize, Serialize};

use crate::{
    build::{Finding, Outcome, RunId},
    digest::DiffId,
};

/// Version of [`Event`]'s JSON form, the field `version` of each NDJSON line.
pub const EVENT_VERSION: u32 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// Work that takes a while began: reading the context, unpacking, downloading.
    TaskStarted {
        /// Names the task until it ends.
        id: String,
        /// What people read.
        title: String,
        /// How much there is to do, if known.
        total: Option<u64>,
        /// What `total` counts.
        unit: Unit,
    },
    /// The task got further.
    TaskAdvanced {
        /// The task.
        id: String,
        /// How much is done.
        done: u64,
    },
    /// The task ended.
    TaskFinished {
        /// The task.
        id: String,
        /// What people read.
        summary: String,
    },
    /// The steps are known.
    Planned {
        /// The steps that work on files, which every run goes through: their indices in the plan,
        /// ascending.
        steps: Vec<u32>,
        /// How many runs there are.
        runs: u32,
    },
    /// A step began.
    StepStarted {
        /// The run.
        run: RunId,
        /// Index in the plan.
        index: u32,
        /// The instruction.
        instruction: String,
        /// Line in the Dockerfile.
        line: u32,
    },
    /// A step printed something.
    StepOutput {
        /// The run.
        run: RunId,
        /// Index in the plan.
        index: u32,
        /// Text; bytes that are not UTF-8 are replaced.
        text: String,
    },
    /// A step ended.
    StepFinished {
        /// The run.
        run: RunId,
        /// Index in the plan.
        index: u32,
        /// Its layer, if it made one.
        diff_id: Option<DiffId>,
        /// Milliseconds it took.
        wall_ms: u64,
    },
    /// A step failed, or could not be run.
    StepFailed {
        /// The run.
        run: RunId,
        /// Index in the plan.
        index: u32,
        /// How it ended, in words: `exit code 2`.
        message: String,
    },
    /// A step was stopped, since another one of its run, or run A, failed.
    StepStopped {
        /// The run.
        run: RunId,
        /// Index in the plan.
        index: u32,
    },
    /// Both runs ended a step, and their layers were compared.
    StepCompared {
        /// Index in the plan.
        index: u32,
        /// What came out.
        comparison: Comparison,
    },
    /// Something the user should know.
    Finding {
        /// What.
        finding: Finding,
    },
    /// The build ended.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things, such as files or packages.
    Items,
}

/// The layers of one step in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// The same digest, or no layer in either.
    Equal,
    /// Different digests.
    Differs,
}

/// Takes events, from any thread.
pub trait EventSink: Send + Sync {
    /// Takes one event. Must not block for long: the build waits for it.
    fn event(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn event(&self, _: Event) {}
}

/// A number with its noun, as summaries of tasks have it: `1 entry`, `2 entries`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}
