//! A build whose runs have ended, and which can be run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use repro_core::{
    build::{Axis, BuildRecord, BuildRequest, ExecutorError, RunId, RunRecord},
    digest::{DiffId, Digest},
    event::{Event, EventSink, Unit},
};

use super::{Builder, Prepared, filesystem_steps, finished, record::record};
use crate::{
    error::BuildError,
    schedule::{RunContext, run},
};

/// What has been built so far.
pub struct Build<'b> {
    pub(super) builder: &'b Builder<'b>,
    pub(super) request: &'b BuildRequest,
    pub(super) prepared: Prepared,
    pub(super) runs: Vec<RunRecord>,
}

impl std::fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Build")
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl Build<'_> {
    /// The record of its runs.
    #[must_use]
    pub fn record(&self) -> BuildRecord {
        record(self.request, &self.prepared, self.runs.clone())
    }

    /// The context and those with names, as far as they have entries: the digest of each as a canonical
    /// tar, and the blob that has it compressed.
    #[must_use]
    pub const fn contexts(&self) -> &BTreeMap<DiffId, Digest> {
        &self.prepared.taken
    }

    /// Says that it is over, and gives its record.
    #[must_use]
    pub fn finish(self) -> BuildRecord {
        let record = record(self.request, &self.prepared, self.runs);
        self.builder.events.event(Event::Finished {
            outcome: record.outcome,
        });
        record
    }

    /// Runs it once more, with an environment that differs from run A's on `axes`, from the same inputs
    /// and by the same plan. `turn` counts these runs from 1. What the steps of earlier runs left is
    /// removed first, but for their layers.
    pub fn again(&self, axes: &BTreeSet<Axis>, turn: u32) -> Result<RunRecord, BuildError> {
        let Self {
            builder,
            request,
            prepared,
            ..
        } = self;
        builder
            .executor
            .discard(&request.invocation)
            .map_err(BuildError::Again)?;
        let steps = filesystem_steps(&prepared.plan).len() as u64;
        let events = AsTask {
            inner: builder.events,
            id: format!("bisect-{turn}"),
            done: AtomicU64::new(0),
        };
        builder.events.event(Event::TaskStarted {
            id: events.id.clone(),
            title: format!("run {turn} for the axis: {}", names(axes)),
            total: Some(steps),
            unit: Unit::Items,
        });
        let context = RunContext {
            events: &events,
            ..builder.context_of_runs(request, prepared)
        };
        let variation = builder.variation(RunId::Bisect, axes);
        let ended = run(&context, RunId::Bisect, &variation, None);
        let summary = match &ended {
            Ok(_) => format!("ran with {}", names(axes)),
            Err(_) => format!("cannot run with {}", names(axes)),
        };
        builder.events.event(Event::TaskFinished {
            id: events.id.clone(),
            summary,
        });
        // Only run B is stopped by another run.
        finished(ended?).ok_or(BuildError::Again(ExecutorError::Cancelled))
    }
}

/// Axes for people.
fn names(axes: &BTreeSet<Axis>) -> String {
    if axes.is_empty() {
        return "nothing varied".to_owned();
    }
    let names: Vec<&str> = axes.iter().map(|axis| axis.name()).collect();
    names.join(", ")
}

/// Tells of the steps of a run as of one task: what they print was printed before.
struct AsTask<'a> {
    inner: &'a dyn EventSink,
    id: String,
    done: AtomicU64,
}

impl EventSink for AsTask<'_> {
    fn event(&self, event: Event) {
        if let Event::StepFinished { .. } = event {
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            self.inner.event(Event::TaskAdvanced {
                id: self.id.clone(),
                done,
            });
        }
    }
}
