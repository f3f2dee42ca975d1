//! Hands the steps of one run to the threads that carry them out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use repro_core::build::Scheduling;

use super::order::Order;

/// The steps of one run that are still to be done.
///
/// Of those that wait for nothing, the first of the Dockerfile is handed out first, or the last: with
/// one thread, steps run in its order as far as they do not have to, or in the reverse of it.
#[derive(Debug)]
pub(super) struct Queue {
    scheduling: Scheduling,
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
    pub(super) fn new(order: Order, scheduling: Scheduling) -> Self {
        let mut state = State::default();
        for (index, waits_for) in (0..).zip(order) {
            if waits_for.is_empty() {
                state.ready.insert(index);
            } else {
                state.waiting.insert(index, waits_for);
            }
        }
        Self {
            scheduling,
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
            let next = match self.scheduling {
                Scheduling::InOrder => state.ready.pop_first(),
                Scheduling::Reversed => state.ready.pop_last(),
            };
            if next.is_some() {
                return next;
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
        let order = vec![BTreeSet::new(), BTreeSet::new(), BTreeSet::from([0, 1])];
        Queue::new(order, Scheduling::InOrder)
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

    /// The order in which one thread carries out steps that depend on each other like this: two of
    /// one stage, one of another, and one that waits for both.
    fn one_thread(scheduling: Scheduling) -> Vec<u32> {
        let order = vec![
            BTreeSet::new(),
            BTreeSet::from([0]),
            BTreeSet::new(),
            BTreeSet::from([1, 2]),
        ];
        let queue = Queue::new(order, scheduling);
        let mut done = Vec::new();
        while let Some(index) = queue.next() {
            done.push(index);
            queue.done(index);
        }
        done
    }

    #[test]
    fn one_thread_keeps_the_order_of_the_file() {
        assert_eq!(one_thread(Scheduling::InOrder), [0, 1, 2, 3]);
    }

    #[test]
    fn what_waits_for_nothing_comes_in_reverse_where_that_is_varied() {
        assert_eq!(one_thread(Scheduling::Reversed), [2, 0, 1, 3]);
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
