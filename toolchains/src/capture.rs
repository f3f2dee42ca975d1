//! What steps ask servers for: captured once, replayed ever after.
//!
//! A step has no interface but loopback. While its program runs, a proxy answers at one port there,
//! from outside (see [`repro_core::build::StepNetwork`]). When a lock is made, it asks the servers that
//! the user allows, and writes down what they answered; when a build replays, it has nobody to ask, and
//! answers with what the lock has or not at all.
//!
//! Both answer alike. What a client could see and a replay could not give again is left out when
//! captured too: a step that works with one works with the other.
//!
//! - The body comes whole and uncompressed from the server, whatever part or coding the client asked
//!   for: parts are cut here, so one entry serves all of them, and servers that compress anew for each
//!   client give one digest.
//! - "Not modified" is said here, by comparing what the client knows with the headers of the entry.
//! - Requests with one key (method, URL, body, and what is accepted where the server says that it
//!   matters) are told apart by their turn in the step. A step that asks once more than before gets
//!   the same again if all answers were equal, since then it cannot matter which one it gets.

mod authority;
mod body;
mod headers;
mod hosts;
mod java;
mod kit;
mod record;
mod redact;
mod replay;
mod restore;
mod server;
mod session;
mod stream;
mod upstream;

use std::{collections::BTreeSet, fmt, io, sync::Arc};

use repro_core::{
    build::RunId,
    digest::Digest,
    platform::Platform,
    store::{BlobError, LocalBlobs},
};
use tokio::runtime::{Builder, Runtime};

use self::{
    authority::Authority, record::Recorder, replay::Book, session::Shared, upstream::Upstream,
};
pub use self::{
    authority::AuthorityError,
    hosts::{Allowed, is_public},
    redact::Redactor,
    restore::{Absence, Missing, RestoreError, restore},
    session::{Refusal, RefusalReason, StepSession, Traffic, UsedFetch},
};
use crate::lock::{LockedStep, StepName};

/// Threads that pass bytes on; reading and writing of files has threads of its own.
const THREADS: usize = 2;

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The system gives no threads or sockets.
    #[error("cannot start the proxy of the steps")]
    Start(#[source] io::Error),
    /// No certificate authority.
    #[error("cannot make the certificates of the proxy")]
    Authority(#[from] AuthorityError),
    /// What was captured cannot be kept.
    #[error("cannot keep what was captured")]
    Store(#[from] BlobError),
}

/// A step, as the lock finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepKey {
    /// Which one.
    pub name: StepName,
    /// Digest of its instruction.
    pub instruction: Digest,
}

/// The network of all steps of one invocation.
pub struct Network {
    mode: Arc<Mode>,
    authority: Arc<Authority>,
    blobs: Arc<LocalBlobs>,
    redactor: Arc<Redactor>,
    platform: Platform,
    runtime: Runtime,
}

/// Whom the proxy asks.
enum Mode {
    /// The servers that are allowed.
    Capture {
        upstream: Upstream,
        recorder: Recorder,
        /// What an older lock has: it is asked first, so that a lock changes where it has to.
        known: Option<Book>,
    },
    /// Nobody.
    Replay(Book),
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// A network that asks the `allowed` servers and keeps what they answer in `blobs`. Proxies and
    /// certificates are those of the machine. What `known` has is not asked for again.
    pub fn capture(
        allowed: Allowed,
        known: &[LockedStep],
        platform: &Platform,
        blobs: &LocalBlobs,
        redactor: Redactor,
    ) -> Result<Self, NetworkError> {
        let mode = Mode::Capture {
            upstream: Upstream::new(allowed),
            recorder: Recorder::default(),
            known: Book::new(known, platform),
        };
        Self::start(mode, platform, blobs, redactor)
    }

    /// A network that answers with what `steps` have for the platform; `None` where they have
    /// nothing: the steps of such a build are given no network at all.
    pub fn replay(
        steps: &[LockedStep],
        platform: &Platform,
        blobs: &LocalBlobs,
        redactor: Redactor,
    ) -> Result<Option<Self>, NetworkError> {
        match Book::new(steps, platform) {
            Some(book) => Self::start(Mode::Replay(book), platform, blobs, redactor).map(Some),
            None => Ok(None),
        }
    }

    fn start(
        mode: Mode,
        platform: &Platform,
        blobs: &LocalBlobs,
        redactor: Redactor,
    ) -> Result<Self, NetworkError> {
        Ok(Self {
            mode: Arc::new(mode),
            authority: Arc::new(Authority::generate()?),
            blobs: Arc::new(blobs.clone()),
            redactor: Arc::new(redactor),
            platform: platform.clone(),
            runtime: Builder::new_multi_thread()
                .worker_threads(THREADS)
                .thread_name("repro-proxy")
                .enable_io()
                .enable_time()
                .build()
                .map_err(NetworkError::Start)?,
        })
    }

    /// The network of one step of one run. Turns are counted anew.
    #[must_use]
    pub fn step(&self, run: RunId, key: &StepKey) -> StepSession {
        let shared = Shared::new(
            Arc::clone(&self.mode),
            Arc::clone(&self.authority),
            Arc::clone(&self.blobs),
            Arc::clone(&self.redactor),
            key.clone(),
        );
        StepSession::new(
            run,
            shared,
            kit::kit(&self.authority),
            self.runtime.handle(),
        )
    }

    /// What was captured so far, for a lock.
    #[must_use]
    pub fn captured(&self) -> Vec<LockedStep> {
        match self.mode.as_ref() {
            Mode::Capture { recorder, .. } => recorder.steps(&self.platform),
            Mode::Replay(_) => Vec::new(),
        }
    }

    /// Digests of every body that the network has an answer with.
    #[must_use]
    pub fn bodies(&self) -> BTreeSet<Digest> {
        match self.mode.as_ref() {
            Mode::Capture { recorder, .. } => recorder
                .steps(&self.platform)
                .iter()
                .flat_map(|step| step.fetches.iter().map(|fetch| fetch.sha256))
                .collect(),
            Mode::Replay(book) => book.bodies(),
        }
    }
}
