//! Images from a store to a registry.

use std::{collections::BTreeMap, io::Read};

use repro_core::{
    digest::Digest,
    event::{EventSink, counted},
    image::{Descriptor, Document, Manifest},
    reference::ImageRef,
    store::BlobStore,
};
use ureq::http::{Method, StatusCode, header};

use super::{
    RegistryError,
    client::{Call, Payload},
    document::{self, Fetched},
    place::Url,
    session::Session,
};
use crate::{parallel, progress::Progress};

/// Blobs at one time.
const PARALLEL: usize = 4;

/// Repositories of the registry that are known to have a blob, so that it need not be sent there
/// again. A repository that has it no more costs one question.
#[derive(Debug, Clone, Default)]
pub struct MountCandidates(pub BTreeMap<Digest, String>);

impl MountCandidates {
    pub(super) fn repositories(&self) -> Vec<String> {
        let mut all: Vec<String> = self.0.values().cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The image or index.
    pub digest: Digest,
    /// Blobs that were sent.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that another repository of the registry had.
    pub mounted: u64,
    /// Blobs that the repository had.
    pub present: u64,
}

/// How a blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Present,
    Mounted,
    Sent,
}

pub(super) fn push(
    session: &Session<'_>,
    root: &Descriptor,
    to: &ImageRef,
    mounts: &MountCandidates,
    store: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Pushed, RegistryError> {
    if to.digest().is_some_and(|digest| digest != root.digest) {
        return Err(RegistryError::OtherDigest {
            reference: Box::new(to.clone()),
            found: root.digest,
        });
    }
    let mut documents = Vec::new();
    let mut blobs = BTreeMap::new();
    collect(to, root.digest, store, &mut documents, &mut blobs)?;
    let title = format!("pushing {}", to.familiar());
    let mut pushed = send_blobs(session, &title, &blobs, mounts, store, events)?;
    pushed.digest = root.digest;
    for Fetched {
        descriptor, bytes, ..
    } in &documents
    {
        let is_root = descriptor.digest == root.digest;
        let name = match to.tag() {
            Some(tag) if is_root => tag.to_owned(),
            _ => descriptor.digest.to_string(),
        };
        document::put(session, &name, &descriptor.media_type, bytes)?;
    }
    Ok(pushed)
}

/// Documents, each after those that it lists, and blobs behind `digest`, all of which must be there.
fn collect(
    to: &ImageRef,
    digest: Digest,
    store: &dyn BlobStore,
    documents: &mut Vec<Fetched>,
    blobs: &mut BTreeMap<Digest, Descriptor>,
) -> Result<(), RegistryError> {
    if documents
        .iter()
        .any(|known| known.descriptor.digest == digest)
    {
        return Ok(());
    }
    let fetched = document::of_store(store, digest)?.ok_or_else(|| RegistryError::Incomplete {
        reference: Box::new(to.clone()),
        missing: digest,
    })?;
    match &fetched.document {
        Document::Index(list) => {
            for child in &list.manifests {
                collect(to, child.digest, store, documents, blobs)?;
            }
        }
        Document::Manifest(manifest) => add_blobs(manifest, blobs),
    }
    documents.push(fetched);
    Ok(())
}

fn add_blobs(manifest: &Manifest, blobs: &mut BTreeMap<Digest, Descriptor>) {
    for part in manifest.layers.iter().chain([&manifest.config]) {
        blobs.entry(part.digest).or_insert_with(|| part.clone());
    }
}

/// Sends the blobs of one artifact.
pub(super) fn send_parts(
    session: &Session<'_>,
    title: &str,
    manifest: &Manifest,
    store: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Pushed, RegistryError> {
    let mut blobs = BTreeMap::new();
    add_blobs(manifest, &mut blobs);
    send_blobs(
        session,
        title,
        &blobs,
        &MountCandidates::default(),
        store,
        events,
    )
}

fn send_blobs(
    session: &Session<'_>,
    title: &str,
    blobs: &BTreeMap<Digest, Descriptor>,
    mounts: &MountCandidates,
    store: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Pushed, RegistryError> {
    let mut all: Vec<&Descriptor> = blobs.values().collect();
    all.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let total = all
        .iter()
        .fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    let progress = Progress::start(events, "push", title, total);
    let arrivals = std::sync::Mutex::new(Vec::new());
    let work = |blob: &&Descriptor, stop: &(dyn Fn() -> bool + Sync)| {
        if stop() {
            return Err(RegistryError::Cancelled);
        }
        let arrival = send_blob(session, blob, mounts.0.get(&blob.digest), store, &progress)?;
        let mut arrivals = arrivals
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        arrivals.push((arrival, blob.size));
        Ok(())
    };
    let cancelled = |error: &RegistryError| matches!(error, RegistryError::Cancelled);
    if let Err(error) = parallel::each(&all, PARALLEL, session.client.cancelled(), work, cancelled)
    {
        progress.finish("failed");
        return Err(error);
    }
    let arrivals = arrivals
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = |wanted| {
        let of_kind = arrivals.iter().filter(|(arrival, _)| *arrival == wanted);
        of_kind.fold((0, 0_u64), |(count, bytes), (_, size)| {
            (count + 1, bytes.saturating_add(*size))
        })
    };
    let (sent, bytes) = count(Arrival::Sent);
    progress.finish(&format!("{} sent", counted(sent, "blob", "blobs")));
    Ok(Pushed {
        digest: Digest::of(b""),
        sent,
        bytes,
        mounted: count(Arrival::Mounted).0,
        present: count(Arrival::Present).0,
    })
}

fn send_blob(
    session: &Session<'_>,
    blob: &Descriptor,
    mount: Option<&String>,
    store: &dyn BlobStore,
    progress: &Progress<'_>,
) -> Result<Arrival, RegistryError> {
    let digest = blob.digest;
    let what = format!("blob {digest}");
    let look = session.call(Method::HEAD, &format!("blobs/{digest}"), &what);
    let found = session.send(&look)?;
    match found.status() {
        StatusCode::OK => {
            progress.advance(blob.size);
            return Ok(Arrival::Present);
        }
        StatusCode::NOT_FOUND => {}
        _ => return Err(session.bad(&look, found)),
    }
    let retry = session.client.settings.retry;
    let mut attempt = 1;
    loop {
        match upload(session, blob, mount, store) {
            // Of a broken upload the registry knows only itself how much it has.
            Err(RegistryError::Unreachable { .. }) if attempt < retry.attempts => attempt += 1,
            result => {
                progress.advance(blob.size);
                return result;
            }
        }
    }
}

fn upload(
    session: &Session<'_>,
    blob: &Descriptor,
    mount: Option<&String>,
    store: &dyn BlobStore,
) -> Result<Arrival, RegistryError> {
    let digest = blob.digest;
    let what = format!("blob {digest}");
    let query = mount.map_or_else(String::new, |from| format!("?mount={digest}&from={from}"));
    let ask = session.call(Method::POST, &format!("blobs/uploads/{query}"), &what);
    let begun = session.expect(&ask, &[StatusCode::ACCEPTED, StatusCode::CREATED])?;
    if begun.status() == StatusCode::CREATED {
        return Ok(Arrival::Mounted);
    }
    let to = location(session, &ask, &begun)?.with_query("digest", &digest.to_string());
    let open = || -> Result<Box<dyn Read + '_>, RegistryError> { Ok(store.open(digest)?) };
    let call = Call::new(Method::PUT, to, ask.what.clone())
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .payload(Payload::Stream {
            size: blob.size,
            open: &open,
        });
    session.expect(&call, &[StatusCode::CREATED, StatusCode::NO_CONTENT])?;
    Ok(Arrival::Sent)
}

/// Where an upload goes.
fn location<T>(
    session: &Session<'_>,
    call: &Call<'_>,
    response: &ureq::http::Response<T>,
) -> Result<Url, RegistryError> {
    let value = response.headers().get(header::LOCATION);
    let url = value
        .and_then(|value| value.to_str().ok())
        .and_then(|text| call.url.join(text))
        .ok_or_else(|| RegistryError::Status {
            host: session.host().to_owned(),
            what: call.what.clone(),
            status: response.status().as_u16(),
            message: "without a place for the upload".into(),
        })?;
    session.client.check_way(call, &url)?;
    Ok(url)
}
