//! One step and its requests.

use std::{
    fmt, io,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use repro_core::{
    build::{NetworkKit, RunId, StepListener, StepNetwork},
    digest::Digest,
    store::LocalBlobs,
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};

use super::{Mode, StepKey, authority::Authority, redact::Redactor, replay::Turns, server};

/// Refusals that are kept of one step: a program in a loop shall not fill memory.
const MAX_KEPT: usize = 100;

/// A request that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The URL, or as much of it as is known, without secrets.
    pub url: String,
    /// The method.
    pub method: String,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// The lock does not have it.
    NotLocked,
    /// The lock has it, but fewer times than it was asked for, with different answers.
    TooOften,
    /// The lock has different answers of different steps, none of which is this one.
    Ambiguous,
    /// The body in the store is not the one that the lock names, or is gone.
    Damaged(Digest),
    /// The host is not allowed.
    Host(String),
    /// The host has an address that is not allowed.
    Address(IpAddr),
    /// The request or its answer is longer than is taken.
    TooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.method, self.url)?;
        match &self.reason {
            RefusalReason::NotLocked => f.write_str("is not in the lock"),
            RefusalReason::TooOften => {
                f.write_str("was asked for more often than the lock has answers")
            }
            RefusalReason::Ambiguous => f.write_str(
                "has different answers in the lock, by steps that are none of this build",
            ),
            RefusalReason::Damaged(digest) => {
                write!(
                    f,
                    "is locked to {digest}, and the store does not have these bytes"
                )
            }
            RefusalReason::Host(host) => write!(f, "goes to {host}, which is not allowed"),
            RefusalReason::Address(address) => {
                write!(
                    f,
                    "goes to the address {address}, which is not of the internet and not allowed"
                )
            }
            RefusalReason::TooLarge => f.write_str("is larger than a capture takes"),
        }
    }
}

/// An answer that a step was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedFetch {
    /// The URL, without secrets.
    pub url: String,
    /// Digest of the body.
    pub sha256: Digest,
}

/// What a step asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were not; at most a hundred different ones.
    pub refused: Vec<Refusal>,
    /// Requests that a server did not answer, with what happened.
    pub failed: Vec<(String, String)>,
    /// Whole bodies that were given.
    pub used: Vec<UsedFetch>,
}

/// What the tasks of one step share.
pub(super) struct Shared {
    pub(super) mode: Arc<Mode>,
    pub(super) authority: Arc<Authority>,
    pub(super) blobs: Arc<LocalBlobs>,
    pub(super) redactor: Arc<Redactor>,
    pub(super) step: StepKey,
    turns: Mutex<Turns>,
    known_turns: Mutex<Turns>,
    seen: Mutex<Traffic>,
    closing: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    pub(super) fn new(
        mode: Arc<Mode>,
        authority: Arc<Authority>,
        blobs: Arc<LocalBlobs>,
        redactor: Arc<Redactor>,
        step: StepKey,
    ) -> Self {
        Self {
            mode,
            authority,
            blobs,
            redactor,
            step,
            turns: Mutex::default(),
            known_turns: Mutex::default(),
            seen: Mutex::default(),
            closing: AtomicBool::new(false),
            tasks: Mutex::default(),
        }
    }

    pub(super) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns in an older lock.
    pub(super) fn known_turns(&self) -> MutexGuard<'_, Turns> {
        self.known_turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Traffic> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the step has ended.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(super) fn answered(&self, used: Option<UsedFetch>) {
        let mut seen = self.seen();
        seen.answered += 1;
        seen.used.extend(used);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        let mut seen = self.seen();
        if seen.refused.len() < MAX_KEPT && !seen.refused.contains(&refusal) {
            seen.refused.push(refusal);
        }
    }

    pub(super) fn failed(&self, url: String, why: String) {
        let mut seen = self.seen();
        if seen.failed.len() < MAX_KEPT {
            seen.failed.push((url, why));
        }
    }

    /// Does something beside, until the step ends.
    pub(super) fn spawn(&self, handle: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closing() {
            return;
        }
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, handle);
    }
}

/// Held by whoever has something to write down yet.
pub(super) type Token = mpsc::Sender<()>;

/// The network of one step of one run.
pub struct StepSession {
    run: RunId,
    shared: Arc<Shared>,
    kit: NetworkKit,
    handle: Handle,
    /// Ends when every token is gone.
    pending: Mutex<Option<(Token, mpsc::Receiver<()>)>>,
}

impl fmt::Debug for StepSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepSession")
            .field("run", &self.run)
            .field("step", &self.shared.step)
            .finish_non_exhaustive()
    }
}

impl StepSession {
    pub(super) fn new(run: RunId, shared: Shared, kit: NetworkKit, handle: &Handle) -> Self {
        Self {
            run,
            shared: Arc::new(shared),
            kit,
            handle: handle.clone(),
            pending: Mutex::new(Some(mpsc::channel(1))),
        }
    }

    /// What was seen. Complete once the session is closed.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.seen().clone()
    }
}

impl StepNetwork for StepSession {
    fn kit(&self) -> &NetworkKit {
        &self.kit
    }

    fn serve(&self, listener: StepListener) -> io::Result<()> {
        let entered = self.handle.enter();
        let listener = server::Listener::new(listener)?;
        drop(entered);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((token, _)) = pending.as_ref() else {
            return Err(io::Error::other("the step's network is closed"));
        };
        let accepting = server::accept(
            Arc::clone(&self.shared),
            self.handle.clone(),
            listener,
            token.clone(),
        );
        self.shared.spawn(&self.handle, accepting);
        Ok(())
    }

    fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Its processes are gone, and with them every client.
        let tasks = &self.shared.tasks;
        drop(std::mem::take(
            &mut *tasks.lock().unwrap_or_else(PoisonError::into_inner),
        ));
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, mut receiver)) = pending.take() {
            drop(token);
            while receiver.blocking_recv().is_some() {}
        }
    }
}
