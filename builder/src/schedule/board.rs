//! What two runs of one build tell each other.
//!
//! Run A never waits. Run B starts each step no sooner than its delay after A started the same
//! step: with a delay of two seconds a clock that is embedded with seconds reads differently in
//! both, at the cost of two seconds a build, not two seconds a step, since B keeps its distance.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use repro_core::{build::RunId, digest::DiffId, event::Comparison};

/// Whether a run may start its next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may.
    Go,
    /// Run A failed: there is nothing to compare with.
    Stop,
}

/// How far run A got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// To the end.
    Complete,
    /// A step failed.
    Failed,
}

#[derive(Debug, Default)]
struct State {
    started: BTreeMap<u32, Instant>,
    ended: Option<Ending>,
    layers: BTreeMap<u32, (RunId, Option<DiffId>)>,
}

/// Shared by both runs of one build.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    /// The state is whole between any two statements, so a run that panicked left nothing half
    /// done here, and the other run can end in order.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Run A starts step `index`.
    pub(crate) fn started(&self, index: u32) {
        self.state().started.insert(index, Instant::now());
        self.changed.notify_all();
    }

    /// Run A got so far and starts no more steps. The first call counts.
    pub(crate) fn ended(&self, ending: Ending) {
        self.state().ended.get_or_insert(ending);
        self.changed.notify_all();
    }

    /// Whether a step of run A failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().ended == Some(Ending::Failed)
    }

    /// Blocks run B until `delay` after run A started step `index`, or until A is over.
    pub(crate) fn wait_turn(&self, index: u32, delay: Duration) -> Turn {
        let mut state = self.state();
        loop {
            if state.ended == Some(Ending::Failed) {
                return Turn::Stop;
            }
            let Some(started) = state.started.get(&index) else {
                // A that is complete has started every step; one that panicked says Failed.
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = delay.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Turn::Go;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A run finished step `index`; the run that comes second learns how they compare.
    pub(crate) fn finished(
        &self,
        run: RunId,
        index: u32,
        layer: Option<DiffId>,
    ) -> Option<Comparison> {
        let mut state = self.state();
        match state.layers.get(&index) {
            Some((other, _)) if *other == run => None,
            Some((_, other)) if *other == layer => Some(Comparison::Equal),
            Some(_) => Some(Comparison::Differs),
            None => {
                state.layers.insert(index, (run, layer));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use repro_core::digest::Digest;

    use super::*;

    #[test]
    fn b_waits_for_a_and_for_its_delay() {
        let board = Board::default();
        let delay = Duration::from_millis(50);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let b = scope.spawn(|| board.wait_turn(3, delay));
            std::thread::sleep(Duration::from_millis(20));
            board.started(3);
            assert_eq!(b.join().unwrap(), Turn::Go);
        });
        assert!(begin.elapsed() >= Duration::from_millis(70));
    }

    #[test]
    fn b_stops_where_a_failed() {
        let board = Board::default();
        std::thread::scope(|scope| {
            let b = scope.spawn(|| board.wait_turn(0, Duration::ZERO));
            board.ended(Ending::Failed);
            assert_eq!(b.join().unwrap(), Turn::Stop);
        });
    }

    #[test]
    fn the_second_run_learns_how_they_compare() {
        let board = Board::default();
        let layer = |text: &[u8]| Some(DiffId(Digest::of(text)));
        assert_eq!(board.finished(RunId::A, 0, layer(b"x")), None);
        assert_eq!(
            board.finished(RunId::B, 0, layer(b"x")),
            Some(Comparison::Equal)
        );
        assert_eq!(board.finished(RunId::B, 1, None), None);
        assert_eq!(
            board.finished(RunId::A, 1, layer(b"x")),
            Some(Comparison::Differs)
        );
    }
}
