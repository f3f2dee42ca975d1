//! Signals that ask the program to end.
//!
//! The first one asks whatever runs to stop in order: steps are killed, their trees removed, and
//! the program ends with 128+n. Where nothing runs that has to be stopped, as in a verification, or where a
//! passphrase is asked for, it ends the program at once, and so does a second one: what is left then is what
//! a `kill -9` leaves, which the store is made for.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

use crate::{ambient, exit::Signal};

/// What is done when the program is asked to end.
type Stop = Box<dyn FnMut() + Send>;

/// Watches for signals.
#[derive(Clone)]
pub(crate) struct Interrupts {
    received: Arc<AtomicI32>,
    stop: Arc<Mutex<Option<Stop>>>,
    /// Ends the program with this exit code.
    end: fn(i32),
}

impl std::fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupts")
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}

impl Interrupts {
    /// Starts to watch, in a thread of its own.
    pub(crate) fn watch() -> io::Result<Self> {
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds `again` unset, and sets it for the second.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
        }
        let interrupts = Self {
            received: Arc::new(AtomicI32::new(0)),
            stop: Arc::new(Mutex::new(None)),
            end: |code| std::process::exit(code),
        };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let watched = interrupts.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    watched.receive(signal);
                }
            })?;
        Ok(interrupts)
    }

    fn receive(&self, signal: i32) {
        self.received.store(signal, Ordering::SeqCst);
        if ambient::withdraw_question().is_some() {
            // Whoever is asked waits for nothing else, and would be asked on.
            (self.end)(128 + signal);
        }
        match &mut *self.stop.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(stop) => stop(),
            // Under the lock: nothing begins meanwhile that would have to be stopped.
            None => (self.end)(128 + signal),
        }
    }

    /// The signal that came, if one did.
    pub(crate) fn received(&self) -> Option<Signal> {
        match self.received.load(Ordering::SeqCst) {
            SIGHUP => Some(Signal::Hangup),
            SIGINT => Some(Signal::Interrupt),
            SIGTERM => Some(Signal::Terminate),
            _ => None,
        }
    }

    /// Calls `stop` when a signal comes, and at once if one came already.
    pub(crate) fn on_signal(&self, mut stop: impl FnMut() + Send + 'static) {
        let mut slot = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a signal in between is seen by one of the two.
        if self.received().is_some() {
            stop();
        }
        *slot = Some(Box::new(stop));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    static ENDED: AtomicI32 = AtomicI32::new(0);

    fn unwatched() -> Interrupts {
        Interrupts {
            received: Arc::default(),
            stop: Arc::default(),
            end: |code| ENDED.store(code, Ordering::SeqCst),
        }
    }

    #[test]
    fn a_signal_ends_what_has_nothing_to_stop() {
        unwatched().receive(SIGINT);
        assert_eq!(ENDED.load(Ordering::SeqCst), 130);
    }

    #[test]
    fn a_signal_stops_what_runs_and_what_begins_after_it() {
        let interrupts = unwatched();
        let stops = Arc::new(AtomicU32::new(0));
        let count = |stops: &Arc<AtomicU32>| {
            let stops = Arc::clone(stops);
            move || {
                stops.fetch_add(1, Ordering::SeqCst);
            }
        };
        interrupts.on_signal(count(&stops));
        assert_eq!(
            (interrupts.received(), stops.load(Ordering::SeqCst)),
            (None, 0)
        );
        interrupts.receive(SIGTERM);
        assert_eq!(interrupts.received(), Some(Signal::Terminate));
        assert_eq!(stops.load(Ordering::SeqCst), 1);
        interrupts.on_signal(count(&stops));
        assert_eq!(stops.load(Ordering::SeqCst), 2);
    }
}
