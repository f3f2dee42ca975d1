//! Images from a registry into a store.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use repro_core::{
    digest::Digest,
    event::{EventSink, counted},
    image::{
        Descriptor, Document, ImageConfig, Index, MAX_DOCUMENT, Manifest, MediaType, pick_platform,
    },
    platform::Platform,
    reference::ImageRef,
    store::{BlobStore, LocalBlobs, put_bytes},
};
use ureq::http::{Method, StatusCode, header};

use super::{
    RegistryError, Resolved,
    client::read_body,
    document::{self, Fetched},
    session::Session,
};
use crate::{
    http::pause,
    parallel,
    part::{PartFile, Trouble},
    progress::Progress,
};

/// Blobs at one time: Docker has three.
const PARALLEL: usize = 4;
/// Indexes that may lie above an image.
const MAX_DEPTH: usize = 4;
/// Most images of one list; those of Docker's own images have thirty.
const MAX_IMAGES: usize = 1000;

/// Which images of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// One. Its manifest is then what the reference means in the store, not the list, unless the list
    /// was asked for by its digest.
    One(Platform),
    /// Several.
    Several(BTreeSet<Platform>),
    /// All that the list has, also what is no image.
    All,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// What to give a name: an index, or a manifest with its platform.
    pub root: Descriptor,
    /// The manifests, in the order of the list.
    pub manifests: Vec<Descriptor>,
    /// Blobs and documents that were not in the store.
    pub fetched: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The name by which a reference is asked for.
pub(super) fn asked_name(reference: &ImageRef) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}

/// The root of a reference. One that is asked for by its digest is not fetched if it is there.
pub(super) fn root(
    session: &Session<'_>,
    reference: &ImageRef,
    store: Option<&dyn BlobStore>,
) -> Result<Fetched, RegistryError> {
    if let (Some(digest), Some(store)) = (reference.digest(), store)
        && let Some(fetched) = document::of_store(store, digest)?
    {
        return Ok(fetched);
    }
    document::by_name(session, &asked_name(reference))
}

pub(super) fn resolve(
    session: &Session<'_>,
    reference: &ImageRef,
    platform: &Platform,
) -> Result<Resolved, RegistryError> {
    let mut fetched = root(session, reference, None)?;
    let mut index = None;
    for _ in 0..MAX_DEPTH {
        match fetched.document {
            Document::Index(list) => {
                index.get_or_insert(fetched.descriptor.digest);
                let chosen = pick(session, &fetched.descriptor, &list, platform)?;
                fetched = document::by_descriptor(session, &chosen, None)?;
            }
            Document::Manifest(manifest) => {
                let config = small(session, &manifest.config)?;
                let found = check_platform(reference, &config, platform, index)?;
                return Ok(Resolved {
                    index,
                    manifest: fetched.descriptor.with_platform(found.clone()),
                    platform: found,
                });
            }
        }
    }
    Err(too_deep(session, reference))
}

fn too_deep(session: &Session<'_>, reference: &ImageRef) -> RegistryError {
    RegistryError::Document {
        host: session.host().to_owned(),
        what: reference.to_string(),
        source: Box::new(repro_core::image::ImageError::TooDeep(MAX_DEPTH)),
    }
}

fn pick(
    session: &Session<'_>,
    list: &Descriptor,
    index: &Index,
    platform: &Platform,
) -> Result<Descriptor, RegistryError> {
    let chosen = pick_platform(index, platform).map_err(|source| RegistryError::Document {
        host: session.host().to_owned(),
        what: format!("index {} of {}", list.digest, session.place.repository),
        source: Box::new(source),
    })?;
    Ok(chosen.clone())
}

/// The platform of an image that is not on a list must be the one that is wanted; on a list, the list
/// said so.
fn check_platform(
    reference: &ImageRef,
    config: &[u8],
    wanted: &Platform,
    index: Option<Digest>,
) -> Result<Platform, RegistryError> {
    let config: Option<ImageConfig> = serde_json::from_slice(config).ok();
    let found = config.and_then(|config| config.platform());
    let fits = |found: &Platform| {
        found == wanted
            || (wanted.variant().is_none()
                && (found.os(), found.architecture()) == (wanted.os(), wanted.architecture()))
    };
    match found {
        Some(found) if index.is_some() || fits(&found) => Ok(found),
        found => Err(RegistryError::Platform {
            reference: Box::new(reference.clone()),
            found: found.map_or_else(|| "no known platform".into(), |found| found.to_string()),
            wanted: wanted.clone(),
        }),
    }
}

/// What is to be fetched.
#[derive(Default)]
struct Wanted {
    /// Indexes and manifests, children before what lists them.
    documents: Vec<Fetched>,
    /// Configurations and layers by digest.
    blobs: BTreeMap<Digest, Descriptor>,
    manifests: Vec<Descriptor>,
}

pub(super) fn pull(
    session: &Session<'_>,
    reference: &ImageRef,
    platforms: &Platforms,
    store: &LocalBlobs,
    events: &dyn EventSink,
) -> Result<Pulled, RegistryError> {
    let top = root(session, reference, Some(store))?;
    let mut wanted = Wanted::default();
    let root = match (&top.document, platforms) {
        (Document::Index(list), Platforms::One(platform)) if reference.digest().is_none() => {
            let chosen = pick(session, &top.descriptor, list, platform)?;
            let fetched = document::by_descriptor(session, &chosen, Some(store))?;
            let root = fetched.descriptor.clone();
            add(
                session,
                reference,
                fetched,
                platforms,
                store,
                &mut wanted,
                1,
            )?;
            root
        }
        _ => {
            let root = top.descriptor.clone();
            add(session, reference, top, platforms, store, &mut wanted, 0)?;
            root
        }
    };
    let (fetched, bytes) = fetch_blobs(session, reference, &wanted.blobs, store, events)?;
    let mut pulled = Pulled {
        root,
        manifests: wanted.manifests,
        fetched,
        bytes,
    };
    // Last, and what lists others after them: what is in the store is whole.
    for Fetched {
        descriptor, bytes, ..
    } in &wanted.documents
    {
        if store.size(descriptor.digest)? != Some(descriptor.size) {
            put_bytes(store, bytes)?;
            pulled.fetched += 1;
            pulled.bytes += bytes.len() as u64;
        }
    }
    if let [only] = &pulled.manifests[..]
        && only.digest == pulled.root.digest
    {
        pulled.root = only.clone();
    }
    Ok(pulled)
}

/// Adds a document with everything that is wanted of it.
fn add(
    session: &Session<'_>,
    reference: &ImageRef,
    fetched: Fetched,
    platforms: &Platforms,
    store: &LocalBlobs,
    wanted: &mut Wanted,
    depth: usize,
) -> Result<(), RegistryError> {
    if depth > MAX_DEPTH {
        return Err(too_deep(session, reference));
    }
    match &fetched.document {
        Document::Index(list) => {
            let chosen = match platforms {
                Platforms::One(platform) => {
                    vec![pick(session, &fetched.descriptor, list, platform)?]
                }
                Platforms::Several(platforms) => {
                    let all = platforms.iter();
                    all.map(|platform| pick(session, &fetched.descriptor, list, platform))
                        .collect::<Result<_, _>>()?
                }
                Platforms::All => list.manifests.clone(),
            };
            for child in chosen {
                if wanted.documents.len() >= MAX_IMAGES {
                    return Err(RegistryError::TooLong {
                        host: session.host().to_owned(),
                        what: format!("the list {reference}"),
                        limit: MAX_IMAGES as u64,
                    });
                }
                let known = |found: &Fetched| found.descriptor.digest == child.digest;
                if wanted.documents.iter().any(known) {
                    continue;
                }
                let child = document::by_descriptor(session, &child, Some(store))?;
                add(
                    session,
                    reference,
                    child,
                    platforms,
                    store,
                    wanted,
                    depth + 1,
                )?;
            }
        }
        Document::Manifest(manifest) => {
            let mut descriptor = fetched.descriptor.clone();
            add_parts(reference, manifest, &mut wanted.blobs)?;
            if manifest.config.media_type.is_config() {
                let config = config(session, &manifest.config, store)?;
                if depth == 0
                    && let Some(platform) = only(platforms)
                {
                    let found = check_platform(reference, &config, platform, None)?;
                    descriptor.platform = Some(found);
                }
            }
            wanted.manifests.push(descriptor);
        }
    }
    wanted.documents.push(fetched);
    Ok(())
}

const fn only(platforms: &Platforms) -> Option<&Platform> {
    match platforms {
        Platforms::One(platform) => Some(platform),
        Platforms::Several(_) | Platforms::All => None,
    }
}

/// Configuration and layers of an image, which the registry itself must have.
fn add_parts(
    reference: &ImageRef,
    manifest: &Manifest,
    blobs: &mut BTreeMap<Digest, Descriptor>,
) -> Result<(), RegistryError> {
    for part in manifest.layers.iter().chain([&manifest.config]) {
        if !part.urls.is_empty() || is_foreign(&part.media_type) {
            return Err(RegistryError::Foreign {
                what: reference.to_string(),
                layer: part.digest,
            });
        }
        blobs.entry(part.digest).or_insert_with(|| part.clone());
    }
    Ok(())
}

/// Media types of layers that may not be kept in other registries than their maker's.
fn is_foreign(media_type: &MediaType) -> bool {
    let name = media_type.as_str();
    name.contains(".foreign.") || name.contains(".nondistributable.")
}

/// A configuration, which is in the store afterwards.
fn config(
    session: &Session<'_>,
    config: &Descriptor,
    store: &LocalBlobs,
) -> Result<Vec<u8>, RegistryError> {
    if let Some(bytes) = document::stored(store, config.digest)? {
        return Ok(bytes);
    }
    let bytes = small(session, config)?;
    put_bytes(store, &bytes)?;
    Ok(bytes)
}

/// A blob that is small, into memory.
fn small(session: &Session<'_>, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let what = format!("blob {}", blob.digest);
    let call = session.call(Method::GET, &format!("blobs/{}", blob.digest), &what);
    let host = session.host();
    if blob.size > MAX_DOCUMENT {
        return Err(RegistryError::TooLong {
            host: host.to_owned(),
            what: call.what,
            limit: MAX_DOCUMENT,
        });
    }
    let mut response = session.expect(&call, &[StatusCode::OK])?;
    let bytes = read_body(&mut response, host, &call.what, blob.size)?;
    let found = Digest::of(&bytes);
    if bytes.len() as u64 != blob.size {
        return Err(RegistryError::Short {
            host: host.to_owned(),
            what: call.what,
            expected: blob.size,
            found: bytes.len() as u64,
        });
    }
    if found != blob.digest {
        return Err(RegistryError::Digest {
            host: host.to_owned(),
            what: call.what,
            expected: blob.digest,
            found,
        });
    }
    Ok(bytes)
}

/// Fetches the blobs that are not in the store; how many they were, and their bytes.
pub(super) fn fetch_blobs(
    session: &Session<'_>,
    reference: &ImageRef,
    blobs: &BTreeMap<Digest, Descriptor>,
    store: &LocalBlobs,
    events: &dyn EventSink,
) -> Result<(u64, u64), RegistryError> {
    let mut missing = Vec::new();
    for blob in blobs.values() {
        // One of another length is damaged, and mended.
        if store.size(blob.digest)? != Some(blob.size) {
            missing.push(blob);
        }
    }
    if missing.is_empty() {
        return Ok((0, 0));
    }
    let needed = missing
        .iter()
        .fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    check_room(store, missing[0].digest, needed)?;
    // The largest first: the last to end is then a small one.
    missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let title = format!("pulling {}", reference.familiar());
    let progress = Progress::start(events, "pull", &title, needed);
    let cancelled = |error: &RegistryError| matches!(error, RegistryError::Cancelled);
    let work = |blob: &&Descriptor, stop: &(dyn Fn() -> bool + Sync)| {
        Download {
            session,
            blob,
            store,
            progress: &progress,
            stop,
        }
        .run()
    };
    if let Err(error) = parallel::each(
        &missing,
        PARALLEL,
        session.client.cancelled(),
        work,
        cancelled,
    ) {
        progress.finish("failed");
        return Err(error);
    }
    let count = missing.len() as u64;
    progress.finish(&counted(count, "blob", "blobs"));
    Ok((count, needed))
}

/// A manifest can claim any size: what the disk has no room for is not begun.
fn check_room(store: &LocalBlobs, digest: Digest, needed: u64) -> Result<(), RegistryError> {
    let fs = rustix::fs::statvfs(store.tmp()).map_err(|errno| RegistryError::Partial {
        digest,
        source: io::Error::from(errno),
    })?;
    let free = fs.f_bavail.saturating_mul(fs.f_frsize);
    if needed > free {
        return Err(RegistryError::NoRoom { needed, free });
    }
    Ok(())
}

/// One blob on its way.
struct Download<'a> {
    session: &'a Session<'a>,
    blob: &'a Descriptor,
    store: &'a LocalBlobs,
    progress: &'a Progress<'a>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Download<'_> {
    fn run(&self) -> Result<(), RegistryError> {
        let partial = &self.session.client.settings.partial;
        let retry = self.session.client.settings.retry;
        let part = PartFile::open(partial, self.blob.digest, self.blob.size);
        let mut part = part.map_err(|source| self.file(source))?;
        let mut wait = retry.first_wait;
        let mut attempt = 1;
        loop {
            let resumed = part.have() > 0;
            self.progress.advance(part.have());
            let result = self.request(&mut part);
            let Err(error) = result else { return Ok(()) };
            self.progress.take_back(part.have());
            let again = match &error {
                // What broke off is gone on with.
                RegistryError::Unreachable { .. } | RegistryError::Short { .. } => {
                    pause(wait, self.stop);
                    wait *= 2;
                    true
                }
                RegistryError::Digest { .. } | RegistryError::TooLong { .. } => {
                    part.restart().map_err(|source| self.file(source))?;
                    // The bytes of the earlier try may be the wrong ones.
                    resumed
                }
                _ => false,
            };
            if !again || attempt >= retry.attempts || (self.stop)() {
                return Err(error);
            }
            attempt += 1;
        }
    }

    fn file(&self, source: io::Error) -> RegistryError {
        RegistryError::Partial {
            digest: self.blob.digest,
            source,
        }
    }

    /// One request for what is missing, and the check of the whole.
    fn request(&self, part: &mut PartFile) -> Result<(), RegistryError> {
        let digest = self.blob.digest;
        let what = format!("blob {digest}");
        let call = self
            .session
            .call(Method::GET, &format!("blobs/{digest}"), &what);
        let mut call = call.expecting(self.blob.size);
        if part.have() > 0 {
            call = call.header(header::RANGE, format!("bytes={}-", part.have()));
        }
        if (self.stop)() {
            return Err(RegistryError::Cancelled);
        }
        let host = || self.session.host().to_owned();
        if !part.is_full() {
            let response = self.session.send(&call)?;
            let status = response.status();
            let useful = [
                StatusCode::OK,
                StatusCode::PARTIAL_CONTENT,
                StatusCode::RANGE_NOT_SATISFIABLE,
            ];
            if !useful.contains(&status) {
                return Err(self.session.bad(&call, response));
            }
            part.receive(response, self.progress, self.stop)
                .map_err(|trouble| self.trouble(trouble, host(), &call.what))?;
        }
        part.keep(self.store)
            .map_err(|trouble| self.trouble(trouble, host(), &call.what))
    }

    fn trouble(&self, trouble: Trouble, host: String, what: &str) -> RegistryError {
        let what = what.to_owned();
        match trouble {
            // Only answers to a range that is not ours: the next one asks for everything.
            Trouble::Status(status) => RegistryError::Unreachable {
                host,
                why: format!("status {status} to a request for a range"),
            },
            Trouble::Broken(why) => RegistryError::Unreachable { host, why },
            Trouble::Short(found) => RegistryError::Short {
                host,
                what,
                expected: self.blob.size,
                found,
            },
            Trouble::Long => RegistryError::TooLong {
                host,
                what,
                limit: self.blob.size,
            },
            Trouble::Digest(found) => RegistryError::Digest {
                host,
                what,
                expected: self.blob.digest,
                found,
            },
            Trouble::Store(error) => error.into(),
            Trouble::File(source) => self.file(source),
            Trouble::Stopped => RegistryError::Cancelled,
        }
    }
}
