//! Everything that an image in a store refers to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Document, ImageConfig, MAX_DOCUMENT};
use crate::{
    digest::{ChainId, Digest},
    store::{BlobError, BlobStore, read_small},
};

/// What was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Blobs that are there.
    pub blobs: BTreeSet<Digest>,
    /// Blobs that are not, but are referred to.
    pub missing: BTreeSet<Digest>,
    /// Documents whose bytes have another digest, which is given: what lies behind them is not
    /// known.
    pub corrupt: BTreeMap<Digest, Digest>,
    /// Chains of the layers of every image, prefixes included.
    pub chains: BTreeSet<ChainId>,
}

impl Reach {
    /// Adds what `other` reached.
    pub fn merge(&mut self, mut other: Self) {
        self.blobs.append(&mut other.blobs);
        self.missing.append(&mut other.missing);
        self.corrupt.append(&mut other.corrupt);
        self.chains.append(&mut other.chains);
    }
}

/// Adds `root` and everything behind it: an index's manifests, a manifest's configuration,
/// layers and subject. A blob that is no such document stands for itself.
///
/// An index may list images that were never fetched: manifests that are not there are missing
/// only if `root` is one of them.
pub fn reach(store: &dyn BlobStore, root: Digest, into: &mut Reach) -> Result<(), BlobError> {
    let mut waiting = vec![root];
    while let Some(digest) = waiting.pop() {
        if into.blobs.contains(&digest) {
            continue;
        }
        let Some(size) = store.size(digest)? else {
            into.missing.insert(digest);
            continue;
        };
        into.blobs.insert(digest);
        if size > MAX_DOCUMENT {
            continue;
        }
        let bytes = match read_small(store, digest, MAX_DOCUMENT) {
            Err(BlobError::Corrupt { expected, found }) => {
                into.corrupt.insert(expected, found);
                continue;
            }
            result => result?,
        };
        match Document::parse(&bytes, None) {
            Err(_) => {}
            Ok(Document::Index(index)) => {
                for manifest in index.manifests {
                    if store.size(manifest.digest)?.is_some() {
                        waiting.push(manifest.digest);
                    }
                }
            }
            Ok(Document::Manifest(manifest)) => {
                waiting.extend(manifest.layers.iter().map(|layer| layer.digest));
                waiting.push(manifest.config.digest);
                if let Some(subject) = manifest.subject
                    && store.size(subject.digest)?.is_some()
                {
                    waiting.push(subject.digest);
                }
                if manifest.config.media_type.is_config() {
                    add_chains(store, manifest.config.digest, into)?;
                }
            }
        }
    }
    Ok(())
}

fn add_chains(store: &dyn BlobStore, config: Digest, into: &mut Reach) -> Result<(), BlobError> {
    let bytes = match read_small(store, config, MAX_DOCUMENT) {
        // The caller's loop names it as missing; an oversized one has no readable layers.
        Err(BlobError::Missing(_) | BlobError::TooLarge { .. }) => return Ok(()),
        Err(BlobError::Corrupt { expected, found }) => {
            into.corrupt.insert(expected, found);
            return Ok(());
        }
        result => result?,
    };
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(&bytes) {
        into.chains.extend(ChainId::chain(&config.rootfs.diff_ids));
    }
    Ok(())
}
