//! Entries to a stored, compressed layer.

use std::{
    fmt,
    io::{self, Read},
};

use super::{GzipWriter, LayerWriter};
use crate::{
    digest::{DiffId, HashingWriter},
    image::{LayerDescriptor, MediaType},
    ruleset::Ruleset,
    store::{BlobError, BlobStore, BlobWriter, StoredBlob},
    tree::{Entry, EntryKind, EntrySink},
};

/// A layer that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLayer {
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// The compressed tar.
    pub blob: StoredBlob,
    /// Bytes of the tar.
    pub tar_size: u64,
    /// Entries.
    pub entries: u64,
    /// Newest time of any entry but whiteouts, seconds since 1970.
    pub newest_mtime: u64,
}

impl StoredLayer {
    /// The layer as an image refers to it.
    #[must_use]
    pub const fn descriptor(&self) -> LayerDescriptor {
        LayerDescriptor {
            media_type: MediaType::OciLayerGzip,
            digest: self.blob.digest,
            size: self.blob.size,
            diff_id: self.diff_id,
        }
    }
}

/// Why a layer was not kept.
#[derive(Debug, thiserror::Error)]
pub enum BuildLayerError {
    /// The end of the layer cannot be written.
    #[error("write the end of a layer")]
    Write(#[source] io::Error),
    /// The store does not take it.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Tar, hashed, into gzip, into the store.
type Pipeline<'a> = LayerWriter<HashingWriter<GzipWriter<Box<dyn BlobWriter + 'a>>>>;

/// Takes entries and keeps them as a canonical, compressed layer. Dropped before
/// [`LayerBuilder::finish`] it leaves nothing.
pub struct LayerBuilder<'a> {
    store: &'a dyn BlobStore,
    ruleset: Ruleset,
    /// Made by the first entry: a step that changes nothing makes no layer and no file.
    out: Option<Pipeline<'a>>,
    newest_mtime: u64,
}

impl fmt::Debug for LayerBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerBuilder").finish_non_exhaustive()
    }
}

impl<'a> LayerBuilder<'a> {
    /// Will write to `store` by the rules of `ruleset`.
    #[must_use]
    pub const fn new(store: &'a dyn BlobStore, ruleset: Ruleset) -> Self {
        Self {
            store,
            ruleset,
            out: None,
            newest_mtime: 0,
        }
    }

    /// Keeps the layer; `None` if there was no entry (rule 9).
    pub fn finish(self) -> Result<Option<StoredLayer>, BuildLayerError> {
        let Some(out) = self.out else {
            return Ok(None);
        };
        let entries = out.entries();
        let hashed = out.finish().map_err(BuildLayerError::Write)?;
        let (diff_id, tar_size, gzip) = hashed.finish();
        let blob = gzip.finish().map_err(BuildLayerError::Write)?.commit()?;
        Ok(Some(StoredLayer {
            diff_id: DiffId(diff_id),
            blob,
            tar_size,
            entries,
            newest_mtime: self.newest_mtime,
        }))
    }
}

impl EntrySink for LayerBuilder<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let out = if let Some(out) = &mut self.out {
            out
        } else {
            let blob = self.store.create().map_err(io::Error::from)?;
            let gzip = HashingWriter::new(GzipWriter::new(blob)?);
            self.out.insert(LayerWriter::new(gzip, self.ruleset))
        };
        out.entry(entry, content)?;
        // The time in a whiteout is none of the tree's.
        if !matches!(entry.kind, EntryKind::Whiteout) {
            self.newest_mtime = self.newest_mtime.max(entry.meta.mtime);
        }
        Ok(())
    }
}
