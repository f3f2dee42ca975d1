//! Progress of several transfers as one task.

use std::sync::{Mutex, PoisonError};

use repro_core::event::{Event, EventSink, Unit};

/// Bytes between two reports: a report for each read would be most of the work.
const STEP: u64 = 256 << 10;

/// The one id: downloads of one process do not overlap.
const ID: &str = "fetch";

pub(crate) struct Progress<'a> {
    events: &'a dyn EventSink,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: u64,
    reported: u64,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(events: &'a dyn EventSink, title: &str, total: u64) -> Self {
        events.event(Event::TaskStarted {
            id: ID.into(),
            title: title.to_owned(),
            total: Some(total),
            unit: Unit::Bytes,
        });
        Self {
            events,
            state: Mutex::default(),
        }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += bytes;
        if state.done >= state.reported + STEP {
            state.reported = state.done;
            self.events.event(Event::TaskAdvanced {
                id: ID.into(),
                done: state.done,
            });
        }
    }

    /// Bytes that turned out to be worthless.
    pub(super) fn take_back(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_sub(bytes);
        state.reported = state.reported.min(state.done);
    }

    pub(crate) fn finish(&self, summary: &str) {
        self.events.event(Event::TaskFinished {
            id: ID.into(),
            summary: summary.to_owned(),
        });
    }
}
