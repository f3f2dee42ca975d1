//! Brings files of a Debian archive into the store, from any mirror that has them.
//!
//! A file is a pool path, a size and a digest. Mirrors are asked in turn; none is trusted, since
//! the digest decides. Transfers are resumed after an interruption, repeated after a failure,
//! and never longer than the lock says.

mod apt_sources;
mod mirror;
mod path;
#[cfg(test)]
mod tests;
mod text;
mod transfer;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use repro_core::{
    digest::Digest,
    epoch::Epoch,
    event::{EventSink, counted},
    store::{BlobError, BlobStore},
};

pub use apt_sources::{AptSourcesError, machine_mirrors};
pub use mirror::{Mirror, MirrorError, snapshot_archive};
pub use path::{ArchivePath, ArchivePathError};

pub(crate) use self::text::TextFailure;
use self::transfer::{Transfer, agent};
use crate::{lock::PoolFile, parallel, progress::Progress};

/// A file of an archive: of its pool, or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Where it is.
    pub path: ArchivePath,
    /// Number of its bytes.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
}

impl From<&PoolFile> for ArchiveFile {
    fn from(file: &PoolFile) -> Self {
        Self {
            path: ArchivePath::from(&file.path),
            size: file.size,
            sha256: file.sha256,
        }
    }
}

/// Transfers at one time: enough to hide round trips for small packages, few enough to be a
/// polite guest on a volunteer's mirror.
const PARALLEL: usize = 4;

/// How often a mirror that fails for a moment is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests for one file to one mirror, at least one.
    pub attempts: u32,
    /// Time before the second request; doubled for each further one.
    pub first_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
        }
    }
}

/// Where to look, and where to keep what is not whole yet.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Mirrors, in the order in which they are asked. The snapshot archive comes last by itself.
    pub mirrors: Vec<Mirror>,
    /// Directory for unfinished files, on the store's file system.
    pub partial: PathBuf,
    /// When to ask again.
    pub retry: RetryPolicy,
    /// Set by the caller to stop.
    pub cancelled: Arc<AtomicBool>,
}

/// What a mirror answered for a file, when it was not the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Another status than success.
    Status(u16),
    /// No connection, or one that broke.
    Connection(String),
    /// Fewer bytes than the lock says, though the server called it the end.
    Short(u64),
    /// More bytes than the lock says.
    Long,
    /// As many bytes as the lock says, but others.
    Digest(Digest),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Connection(why) => f.write_str(why),
            Self::Short(size) => write!(f, "only {size} bytes"),
            Self::Long => f.write_str("more bytes than the lock says"),
            Self::Digest(digest) => write!(f, "other bytes, with the digest {digest}"),
        }
    }
}

/// One mirror that was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The mirror, without credentials.
    pub mirror: String,
    /// What it answered last.
    pub answer: Answer,
}

/// Why files are not in the store.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Every mirror was asked, none had the file.
    #[error("no mirror has {path}: {}", list(tried))]
    Unavailable {
        /// The file.
        path: ArchivePath,
        /// Whom we asked.
        tried: Vec<Tried>,
    },
    /// A mirror gave other bytes than the lock says, and no mirror gave the right ones. Nothing
    /// was kept.
    #[error("{path} from {mirror} has the digest {found}, the lock says {expected}")]
    Digest {
        /// The file.
        path: ArchivePath,
        /// What the lock says.
        expected: Digest,
        /// What came.
        found: Digest,
        /// From where.
        mirror: String,
    },
    /// The store does not take the file.
    #[error("cannot keep {path}")]
    Store {
        /// The file.
        path: ArchivePath,
        /// Why.
        #[source]
        source: BlobError,
    },
    /// An unfinished file cannot be written.
    #[error("cannot write the unfinished download of {path}")]
    Partial {
        /// The file.
        path: ArchivePath,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

fn list(tried: &[Tried]) -> String {
    let lines = tried
        .iter()
        .map(|tried| format!("{} ({})", tried.mirror, tried.answer));
    lines.collect::<Vec<_>>().join(", ")
}

/// What a fetch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that were not in the store.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Downloads pool files.
#[derive(Debug)]
pub struct Fetcher {
    settings: FetchSettings,
    agent: ureq::Agent,
}

impl Fetcher {
    /// Downloads as `settings` say. Proxies (`http_proxy`, `no_proxy`) and certificates
    /// (`SSL_CERT_FILE`, `SSL_CERT_DIR`) are those of the machine, as for its other clients:
    /// they decide whether a file arrives, never what is in it.
    #[must_use]
    pub fn new(settings: FetchSettings) -> Self {
        Self {
            settings,
            agent: agent(),
        }
    }

    /// Sees to it that every file is in `store`; asks for none that is there already. `title`
    /// is what people read meanwhile. `published` is a time at which the archive had the files:
    /// the snapshot archive is asked for that state if no mirror has them any more.
    pub fn fetch(
        &self,
        title: &str,
        files: &[&PoolFile],
        published: Epoch,
        store: &dyn BlobStore,
        events: &dyn EventSink,
    ) -> Result<Fetched, FetchError> {
        let files: Vec<ArchiveFile> = files.iter().map(|file| (*file).into()).collect();
        let mut mirrors = self.settings.mirrors.clone();
        mirrors.push(snapshot_archive(published));
        self.fetch_from(&mirrors, title, &files, store, events)
    }

    /// As [`Self::fetch`], from `mirrors` alone.
    pub fn fetch_from(
        &self,
        mirrors: &[Mirror],
        title: &str,
        files: &[ArchiveFile],
        store: &dyn BlobStore,
        events: &dyn EventSink,
    ) -> Result<Fetched, FetchError> {
        let mut wanted: Vec<&ArchiveFile> = Vec::new();
        for file in files {
            let size = store
                .size(file.sha256)
                .map_err(|source| FetchError::Store {
                    path: file.path.clone(),
                    source,
                })?;
            if size.is_none() && !wanted.iter().any(|other| other.sha256 == file.sha256) {
                wanted.push(file);
            }
        }
        if wanted.is_empty() {
            return Ok(Fetched::default());
        }
        let bytes = wanted.iter().map(|file| file.size).sum();
        let progress = Progress::start(events, "fetch", title, bytes);
        let fetch = |file: &&ArchiveFile, stop: &(dyn Fn() -> bool + Sync)| {
            let transfer = Transfer {
                agent: &self.agent,
                file,
                partial: &self.settings.partial,
                retry: self.settings.retry,
                store,
                progress: &progress,
                stop,
            };
            transfer.run(mirrors)
        };
        let cancelled = |error: &FetchError| matches!(error, FetchError::Cancelled);
        let stop = &self.settings.cancelled;
        if let Err(error) = parallel::each(&wanted, PARALLEL, stop, fetch, cancelled) {
            progress.finish("failed");
            return Err(error);
        }
        progress.finish(&counted(wanted.len() as u64, "file", "files"));
        Ok(Fetched {
            files: wanted.len() as u64,
            bytes,
        })
    }

    /// Whether the caller asked to stop.
    pub(crate) fn cancelled(&self) -> bool {
        self.settings.cancelled.load(Ordering::Relaxed)
    }
}
