//! Hands the steps of one run to the threads that carry them out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::order::Order;

/// The steps of one run that are still to be done.
///
/// Of those that wait for nothing, the first of the Dockerfile is handed out first: with one
/// thread, steps run in its order.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: BTreeSet<u32>,
    /// What each other step still waits for.
    waiting: BTreeMap<u32, BTreeSet<u32>>,
    stopped: bool,
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        let mut state = State::default();
        for (index, waits_for) in (0..).zip(order) {
            if waits_for.is_empty() {
                state.ready.insert(index);
            } else {
                state.waiting.insert(index, waits_for);
            }
        }
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// No statement leaves the state half changed, so a thread that panicked has not either.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step to carry out; blocks until there is one. `None` once there will be none.
    pub(super) fn next(&self) -> Option<u32> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(index) = state.ready.pop_first() {
                return Some(index);
            }
            if state.waiting.is_empty() {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The step is done: those that waited for nothing else can start.
    pub(super) fn done(&self, index: u32) {
        let state = &mut *self.state();
        state.waiting.retain(|other, waits_for| {
            waits_for.remove(&index);
            if waits_for.is_empty() {
                state.ready.insert(*other);
            }
            !waits_for.is_empty()
        });
        self.changed.notify_all();
    }

    /// Whether no further step is handed out.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// No further step is handed out.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }
}

/// Stops a queue when dropped, so that a thread that panics does not leave the others waiting for
/// steps that nobody will finish.
pub(super) struct StopOnPanic<'a>(pub(super) &'a Queue);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps that wait for nothing, and one that waits for both.
    fn diamond() -> Queue {
        Queue::new(vec![
            BTreeSet::new(),
            BTreeSet::new(),
            BTreeSet::from([0, 1]),
        ])
    }

    #[test]
    fn a_step_is_handed_out_when_all_that_it_waits_for_are_done() {
        let queue = diamond();
        assert_eq!([queue.next(), queue.next()], [Some(0), Some(1)]);
        queue.done(1);
        std::thread::scope(|scope| {
            let third = scope.spawn(|| queue.next());
            queue.done(0);
            assert_eq!(third.join().unwrap(), Some(2));
        });
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn one_thread_keeps_the_order_of_the_file() {
        let queue = Queue::new(vec![
            BTreeSet::new(),
            BTreeSet::from([0]),
            BTreeSet::new(),
            BTreeSet::from([1, 2]),
        ]);
        let mut order = Vec::new();
        while let Some(index) = queue.next() {
            order.push(index);
            queue.done(index);
        }
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn a_stopped_queue_wakes_everyone() {
        let queue = diamond();
        assert_eq!([queue.next(), queue.next()], [Some(0), Some(1)]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next());
            queue.stop();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }

    #[test]
    fn a_panic_wakes_everyone() {
        let queue = diamond();
        assert_eq!([queue.next(), queue.next()], [Some(0), Some(1)]);
        let ended = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next());
            let panicking = scope.spawn(|| {
                let _guard = StopOnPanic(&queue);
                std::panic::resume_unwind(Box::new("a step"));
            });
            (waiting.join().unwrap(), panicking.join().is_err())
        });
        assert_eq!(ended, (None, true));
    }
}
