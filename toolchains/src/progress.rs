//! Progress of several transfers as one task.

use std::sync::{Mutex, PoisonError};

use repro_core::event::{Event, EventSink, Unit};

/// Bytes between two reports: a report for each read would be most of the work.
const STEP: u64 = 256 << 10;

/// Transfers that people follow as one task.
pub(crate) struct Progress<'a> {
    events: &'a dyn EventSink,
    id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: u64,
    reported: u64,
}

impl<'a> Progress<'a> {
    /// Begins the task `id`, a name that no other task has at the same time.
    pub(crate) fn start(events: &'a dyn EventSink, id: &str, title: &str, total: u64) -> Self {
        events.event(Event::TaskStarted {
            id: id.to_owned(),
            title: title.to_owned(),
            total: Some(total),
            unit: Unit::Bytes,
        });
        Self {
            events,
            id: id.to_owned(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += bytes;
        if state.done >= state.reported + STEP {
            state.reported = state.done;
            self.events.event(Event::TaskAdvanced {
                id: self.id.clone(),
                done: state.done,
            });
        }
    }

    /// Bytes that turned out to be worthless.
    pub(crate) fn take_back(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_sub(bytes);
        state.reported = state.reported.min(state.done);
    }

    pub(crate) fn finish(&self, summary: &str) {
        self.events.event(Event::TaskFinished {
            id: self.id.clone(),
            summary: summary.to_owned(),
        });
    }
}
