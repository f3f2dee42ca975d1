//! Bodies that a lock names and the store does not have: fetched again by URL, held to their digest.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::{self, Read as _, Write as _},
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use hyper::{HeaderMap, Method, header};
use repro_core::{
    digest::Digest,
    event::{EventSink, counted},
    platform::Platform,
    store::{BlobError, BlobStore, put_bytes},
};

use super::{
    hosts::Allowed,
    upstream::{Upstream, UpstreamError},
};
use crate::{
    lock::{LockedFetch, LockedStep},
    progress::Progress,
};

/// Transfers at one time.
const PARALLEL: usize = 4;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// A body that is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Where it came from.
    pub url: String,
    /// Its digest.
    pub sha256: Digest,
    /// Why it is not there.
    pub why: Absence,
}

/// Why a body is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absence {
    /// Only the request of a step can bring it: one with a body, or a secret in its URL, or one whose
    /// answer was no plain success.
    OnlyCaptured,
    /// The server says something else.
    Status(u16),
    /// No server.
    Connection(String),
    /// Other bytes.
    Digest(Digest),
    /// The host has an address that is not of the internet.
    Address(std::net::IpAddr),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.url, self.sha256)?;
        match &self.why {
            Absence::OnlyCaptured => f.write_str("it cannot be fetched again, only captured"),
            Absence::Status(status) => write!(f, "status {status}"),
            Absence::Connection(why) => f.write_str(why),
            Absence::Digest(found) => write!(f, "the server has other bytes now, {found}"),
            Absence::Address(address) => {
                write!(
                    f,
                    "its host has the address {address}, which is not allowed"
                )
            }
        }
    }
}

/// Why a lock cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Answers are not in the store, and not to be had.
    #[error("{} that the lock names cannot be had:{}", counted(.0.len() as u64, "answer", "answers"), list(.0))]
    Missing(Vec<Missing>),
    /// The store cannot be read or written.
    #[error("cannot keep a captured answer")]
    Store(#[from] BlobError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// The first of them, a line each.
fn list(missing: &[Missing]) -> String {
    const SHOWN: usize = 10;
    let mut text = String::new();
    for missing in missing.iter().take(SHOWN) {
        // A String takes everything.
        let _ = write!(text, "\n  {missing}");
    }
    if missing.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", missing.len() - SHOWN);
    }
    text
}

/// Sees to it that the bodies of all `steps` for the platform are in the store. Hosts need not be
/// allowed, since the digest decides; addresses that are not of the internet do.
pub fn restore(
    steps: &[LockedStep],
    platform: &Platform,
    allowed: &Allowed,
    blobs: &dyn BlobStore,
    events: &dyn EventSink,
    cancelled: &AtomicBool,
) -> Result<u64, RestoreError> {
    let mut wanted: BTreeMap<Digest, &LockedFetch> = BTreeMap::new();
    for fetch in steps
        .iter()
        .filter(|step| step.platform == *platform)
        .flat_map(|step| &step.fetches)
    {
        if fetch.size == 0 && fetch.sha256 == Digest::of(b"") {
            put_bytes(blobs, b"")?;
        }
        if blobs.size(fetch.sha256)?.is_none() {
            let known = wanted.entry(fetch.sha256).or_insert(fetch);
            if !known.can_be_fetched() {
                *known = fetch;
            }
        }
    }
    if wanted.is_empty() {
        return Ok(0);
    }
    let wanted: Vec<&LockedFetch> = wanted.into_values().collect();
    let bytes = wanted.iter().map(|fetch| fetch.size).sum();
    let progress = Progress::start(events, "fetch-locked", "fetch what the lock names", bytes);
    let upstream = Upstream::new(allowed.clone());
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<Missing>, RestoreError> {
        let mut missing = Vec::new();
        while let Some(fetch) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = one(fetch, &upstream, blobs, &progress, cancelled)? {
                missing.push(Missing {
                    url: fetch.key.url.clone(),
                    sha256: fetch.sha256,
                    why,
                });
            }
        }
        Ok(missing)
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL.min(wanted.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let mut missing = Vec::new();
    for result in results {
        missing.extend(result?);
    }
    missing.sort();
    if missing.is_empty() {
        progress.finish(&counted(wanted.len() as u64, "answer", "answers"));
        Ok(wanted.len() as u64)
    } else {
        progress.finish("not all of it is to be had");
        Err(RestoreError::Missing(missing))
    }
}

/// Fetches one body. Nothing is kept of one that is not what the lock says.
fn one(
    fetch: &LockedFetch,
    upstream: &Upstream,
    blobs: &dyn BlobStore,
    progress: &Progress<'_>,
    cancelled: &AtomicBool,
) -> Result<Result<(), Absence>, RestoreError> {
    if !fetch.can_be_fetched() {
        return Ok(Err(Absence::OnlyCaptured));
    }
    let mut headers = HeaderMap::new();
    let agent = header::HeaderValue::from_static(concat!("repro/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    if let Some(accept) = &fetch.key.accept
        && let Ok(accept) = header::HeaderValue::from_str(accept)
    {
        headers.insert(header::ACCEPT, accept);
    }
    let answer = match upstream.send(&Method::GET, &fetch.key.url, &headers, &[]) {
        Ok(answer) => answer,
        Err(UpstreamError::Address(address)) => return Ok(Err(Absence::Address(address))),
        Err(UpstreamError::Connection(why)) => return Ok(Err(Absence::Connection(why))),
    };
    if answer.status().as_u16() != fetch.status {
        return Ok(Err(Absence::Status(answer.status().as_u16())));
    }
    let mut body = answer.into_body();
    // One byte more shows that there is more.
    let mut body = body.as_reader().take(fetch.size.saturating_add(1));
    let mut writer = blobs.create()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(RestoreError::Cancelled);
        }
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(Absence::Connection(error.to_string()))),
        };
        writer.write_all(&buffer[..read]).map_err(|source| {
            RestoreError::Store(BlobError::Io {
                what: format!("write blob {}", fetch.sha256),
                source,
            })
        })?;
        progress.advance(read as u64);
    }
    match writer.commit_as(fetch.sha256) {
        Ok(_) => Ok(Ok(())),
        Err(BlobError::Corrupt { found, .. }) => Ok(Err(Absence::Digest(found))),
        Err(error) => Err(error.into()),
    }
}
