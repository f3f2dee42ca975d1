//! Looks up the names that a Dockerfile takes images and trees from, and makes them present as
//! snapshots of the executor.
//!
//! A name is, in this order: a stage (settled by the outline); a toolchain or input declared in
//! the project; an image. One that is pinned by its digest, in the lock or in the Dockerfile, is fetched
//! if the store does not have it; what a tag means is never asked while building.

use std::collections::BTreeMap;

use repro_core::{
    build::{
        Executor, ExecutorError, InputKind, InputRecord, LockMode, NamedContext, SnapshotInfo,
    },
    digest::{ChainId, DiffId, Digest},
    event::{Event, EventSink, Unit, counted},
    image::{ImageConfig, ImageError, LayerDescriptor, find_platform, load_image},
    layer::{Limits, OpenLayerError, open_layer},
    platform::Platform,
    reference::{ImageRef, ReferenceError},
    store::{BlobError, BlobStore, Store, StoreError},
};
use repro_toolchains::{SourceError, Sources};

use crate::plan::BaseImage;

/// Why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The name is no image reference, and nothing declared has it.
    #[error("{name:?} is neither a stage, nor declared in repro.toml, nor an image reference")]
    Name {
        /// The name.
        name: String,
        /// Why it is no reference.
        #[source]
        source: ReferenceError,
    },
    /// Nothing has the name.
    #[error("the image {0} is not in the store")]
    Missing(ImageRef),
    /// The image of this digest is not in the store, and cannot be fetched.
    #[error(
        "the image {name} is pinned to {digest}, which is not in the store and cannot be fetched"
    )]
    MissingPinned {
        /// The image.
        name: Box<ImageRef>,
        /// Its manifest, or the list that has it.
        digest: Digest,
        /// Why it cannot be fetched.
        #[source]
        source: Box<SourceError>,
    },
    /// The store cannot be read.
    #[error("cannot look for an image in the store")]
    Blob(#[from] BlobError),
    /// A lock is made, and the registry does not say what the name means.
    #[error("the image {name} cannot be looked up in its registry")]
    NotFound {
        /// The image.
        name: Box<ImageRef>,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
    /// The image is in the store by tag, and the caller wants every input locked.
    #[error("the image {0} is pinned by no lock")]
    Unlocked(ImageRef),
    /// The image is for another platform.
    #[error("the image {name} is for {found}, and {wanted} is built")]
    Platform {
        /// The image, as the Dockerfile names it.
        name: String,
        /// Its platform.
        found: String,
        /// The platform of the build.
        wanted: Platform,
    },
    /// A declared name cannot be made.
    #[error("cannot make {name}")]
    Declared {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
    /// The store cannot be read.
    #[error("cannot look up an image in the store")]
    Store(#[from] StoreError),
    /// The image in the store is damaged.
    #[error("the image {name} cannot be read")]
    Image {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: ImageError,
    },
}

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The layer cannot be read.
    #[error("layer {layer} cannot be read")]
    Layer {
        /// Its blob, as `repro store verify` names it.
        layer: Digest,
        /// Why.
        #[source]
        source: OpenLayerError,
    },
    /// The layer cannot be unpacked.
    #[error("layer {layer} cannot be unpacked")]
    Executor {
        /// Its blob, as `repro store verify` names it.
        layer: Digest,
        /// Why.
        #[source]
        source: ExecutorError,
    },
}

/// A name that was looked up.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// An image.
    Image {
        /// The image, as stages use it.
        image: Box<BaseImage>,
        /// The image itself and what it was made from.
        records: Vec<InputRecord>,
    },
    /// A tree of files.
    Tree {
        /// Its layer.
        layer: LayerDescriptor,
        /// The tree itself and what it was made from.
        records: Vec<InputRecord>,
    },
}

/// Looks names up.
pub(crate) struct Resolver<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sources: &'a Sources<'a>,
    /// What `--build-context` gives names to.
    pub(crate) contexts: &'a BTreeMap<String, NamedContext>,
    pub(crate) platform: &'a Platform,
    pub(crate) lock_mode: LockMode,
}

impl Resolver<'_> {
    /// Looks up `name`, which is no stage and no directory given as a context.
    pub(crate) fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        match self.contexts.get(name) {
            Some(NamedContext::Image(image)) => return self.stored(name, image.clone()),
            Some(NamedContext::Manifest(digest)) => {
                let uri = format!("pkg:oci/{name}@{}", digest.to_string().replace(':', "%3A"));
                return self.of_platform(name, *digest, uri, true);
            }
            Some(NamedContext::Directory { .. } | NamedContext::Archive(_)) | None => {}
        }
        let declared = |source| ResolveError::Declared {
            name: name.to_owned(),
            source: Box::new(source),
        };
        if let Some(toolchain) = self.sources.toolchain(name).map_err(declared)? {
            let image = Box::new(self.image(name, toolchain.manifest)?);
            self.check_platform(name, &image)?;
            return Ok(Resolved::Image {
                image,
                records: toolchain.records,
            });
        }
        if let Some(input) = self.sources.input(name).map_err(declared)? {
            return Ok(Resolved::Tree {
                layer: input.layer,
                records: input.records,
            });
        }
        let reference = name.parse().map_err(|source| ResolveError::Name {
            name: name.to_owned(),
            source,
        })?;
        self.stored(name, reference)
    }

    /// An image in the store. `name` is what the Dockerfile calls it.
    fn stored(&self, name: &str, reference: ImageRef) -> Result<Resolved, ResolveError> {
        let lock = self.sources.lock;
        // A tag may have moved since; what counts is what was pinned.
        let pinned = self
            .sources
            .pins
            .get(&(reference.clone(), self.platform.clone()))
            .copied()
            .or_else(|| lock.and_then(|lock| lock.base(&reference, self.platform)))
            .or(reference.digest());
        let locked = pinned.is_some();
        if !locked && self.lock_mode == LockMode::Locked {
            return Err(ResolveError::Unlocked(reference));
        }
        let root = match pinned {
            Some(digest) => {
                if !self.has(digest)? {
                    self.fetch(&reference, digest)?;
                }
                digest
            }
            None => self.by_name(&reference)?,
        };
        let manifest = find_platform(self.store.blobs(), root, self.platform);
        let manifest = manifest.map_err(|source| ResolveError::Image {
            name: name.to_owned(),
            source,
        })?;
        let uri = purl(&reference, self.platform);
        self.of_platform(name, manifest, uri, locked)
    }

    /// What a name that nothing pins means: in the store, or for a lock in its registry.
    fn by_name(&self, reference: &ImageRef) -> Result<Digest, ResolveError> {
        let known = match self.lock_mode {
            LockMode::Refresh => None,
            LockMode::Open | LockMode::Locked | LockMode::Pin => self.store.resolve(reference)?,
        };
        match (known, self.lock_mode) {
            (Some(root), _) => Ok(root.digest),
            (None, LockMode::Open | LockMode::Locked) => {
                Err(ResolveError::Missing(reference.clone()))
            }
            (None, LockMode::Pin | LockMode::Refresh) => {
                let found = self.sources.look_up_image(reference, self.platform);
                let digest = found.map_err(|source| ResolveError::NotFound {
                    name: Box::new(reference.clone()),
                    source: Box::new(source),
                })?;
                if !self.has(digest)? {
                    self.fetch(reference, digest)?;
                }
                Ok(digest)
            }
        }
    }

    /// Whether the store has what `root`, a manifest or a list, means for the platform.
    fn has(&self, root: Digest) -> Result<bool, ResolveError> {
        let blobs = self.store.blobs();
        if blobs.size(root)?.is_none() {
            return Ok(false);
        }
        Ok(!matches!(
            find_platform(blobs, root, self.platform),
            Err(ImageError::Absent(_))
        ))
    }

    fn fetch(&self, name: &ImageRef, digest: Digest) -> Result<(), ResolveError> {
        let fetched = self.sources.fetch_image(name, digest, self.platform);
        fetched.map_err(|source| ResolveError::MissingPinned {
            name: Box::new(name.clone()),
            digest,
            source: Box::new(source),
        })
    }

    /// An image by its manifest, which must be for the platform.
    fn of_platform(
        &self,
        name: &str,
        manifest: Digest,
        uri: String,
        locked: bool,
    ) -> Result<Resolved, ResolveError> {
        let image = Box::new(self.image(name, manifest)?);
        self.check_platform(name, &image)?;
        let record = InputRecord {
            uri,
            name: Some(name.to_owned()),
            digest: manifest,
            kind: InputKind::Image,
            step: None,
            locked,
        };
        Ok(Resolved::Image {
            image,
            records: vec![record],
        })
    }

    fn check_platform(&self, name: &str, image: &BaseImage) -> Result<(), ResolveError> {
        let found = image.config.platform();
        if found.as_ref() == Some(self.platform) {
            return Ok(());
        }
        Err(ResolveError::Platform {
            name: name.to_owned(),
            found: found.map_or_else(|| "no known platform".to_owned(), |p| p.to_string()),
            wanted: self.platform.clone(),
        })
    }

    fn image(&self, name: &str, manifest: Digest) -> Result<BaseImage, ResolveError> {
        let image =
            load_image(self.store.blobs(), manifest).map_err(|source| ResolveError::Image {
                name: name.to_owned(),
                source,
            })?;
        let diff_ids: Vec<DiffId> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let config: ImageConfig = image.config;
        Ok(BaseImage {
            config,
            layers: image.layers,
            chain: ChainId::chain(&diff_ids),
        })
    }
}

/// `pkg:docker/NAME@TAG-OR-DIGEST?platform=...`, the form that BuildKit's provenance uses.
fn purl(reference: &ImageRef, platform: &Platform) -> String {
    let version = match (reference.tag(), reference.digest()) {
        (_, Some(digest)) => digest.to_string().replace(':', "%3A"),
        (tag, None) => tag.unwrap_or("latest").to_owned(),
    };
    let name = match reference.registry() {
        repro_core::hosts::DEFAULT_REGISTRY => reference.repository().to_owned(),
        registry => format!(
            "{}/{}",
            registry.replace(':', "%3A"),
            reference.repository()
        ),
    };
    let platform = platform.to_string().replace('/', "%2F");
    format!("pkg:docker/{name}@{version}?platform={platform}")
}

/// Unpacks what is not unpacked yet; the newest time of all layers is what the epoch needs.
pub(crate) fn unpack(
    layers: &[LayerDescriptor],
    store: &Store,
    executor: &dyn Executor,
    events: &dyn EventSink,
) -> Result<u64, UnpackError> {
    let mut chain: Vec<ChainId> = Vec::new();
    let mut newest = 0;
    for layer in layers {
        let next = ChainId::child(chain.last().copied(), layer.diff_id);
        let executor_error = |source| UnpackError::Executor {
            layer: layer.digest,
            source,
        };
        let info = match executor.stored(next).map_err(executor_error)? {
            Some(info) => info,
            None => unpack_one(layer, &chain, next, store, executor, events)?,
        };
        newest = newest.max(info.newest_mtime);
        chain.push(next);
    }
    Ok(newest)
}

fn unpack_one(
    layer: &LayerDescriptor,
    parents: &[ChainId],
    chain: ChainId,
    store: &Store,
    executor: &dyn Executor,
    events: &dyn EventSink,
) -> Result<SnapshotInfo, UnpackError> {
    let id = format!("unpack-{}", layer.diff_id.0.short());
    events.event(Event::TaskStarted {
        id: id.clone(),
        title: format!("unpacking {}", layer.diff_id.0.short()),
        total: None,
        unit: Unit::Items,
    });
    let mut reader = open_layer(store.blobs(), layer, Limits::default()).map_err(|source| {
        UnpackError::Layer {
            layer: layer.digest,
            source,
        }
    })?;
    let info = executor
        .unpack(parents, chain, &mut reader)
        .map_err(|source| UnpackError::Executor {
            layer: layer.digest,
            source,
        })?;
    let summary = format!(
        "{}, {}",
        counted(info.entries, "entry", "entries"),
        counted(info.bytes, "byte", "bytes")
    );
    events.event(Event::TaskFinished { id, summary });
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_follow_buildkit() {
        let platform: Platform = "linux/amd64".parse().unwrap();
        for (reference, expected) in [
            (
                "busybox",
                "pkg:docker/library/busybox@latest?platform=linux%2Famd64",
            ),
            (
                "host.x:5000/a/b:1",
                "pkg:docker/host.x%3A5000/a/b@1?platform=linux%2Famd64",
            ),
        ] {
            assert_eq!(purl(&reference.parse().unwrap(), &platform), expected);
        }
    }
}
