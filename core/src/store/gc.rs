//! Removing what nothing refers to.

use std::{collections::BTreeSet, fs};

use super::{BlobError, BlobStore as _, Store, StoreError, lock};
use crate::{
    digest::{ChainId, Digest},
    fs::sorted_names,
    image::{Reach, reach},
};

/// Why garbage was not collected.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// Another process, or another `Store` of this one, has the store open.
    #[error("the store is in use by another process")]
    InUse,
    /// The store's own trouble. Nothing was removed that is referred to.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was removed, and what must stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs removed.
    pub blobs: u64,
    /// Bytes of the blobs and unfinished files removed.
    pub bytes: u64,
    /// Unfinished files removed.
    pub leftovers: u64,
    /// Remembered results removed because a blob that they need is gone.
    pub forgotten: u64,
    /// Blobs kept.
    pub kept: u64,
    /// The layer chains of every image kept, prefixes included: the executor may drop the
    /// snapshots of all others.
    pub chains: BTreeSet<ChainId>,
}

impl Store {
    /// Removes every blob that no tag and no remembered result reaches, and every unfinished
    /// file. `&mut`: nothing else in this process may be writing to the store.
    ///
    /// `on_locked` runs after the blobs are gone, still under the exclusive lock: the place to
    /// drop snapshots and stale runs.
    pub fn gc<E: From<GcError>>(
        &mut self,
        on_locked: impl FnOnce(&Self, &GcReport) -> Result<(), E>,
    ) -> Result<GcReport, E> {
        let in_store = |error| E::from(GcError::Store(error));
        let locked = lock::try_exclusive(&self.in_use)
            .map_err(StoreError::io("lock", self.root()))
            .map_err(in_store)?;
        let result = match locked {
            None => Err(GcError::InUse.into()),
            Some(()) => self
                .collect()
                .map_err(in_store)
                .and_then(|report| on_locked(self, &report).map(|()| report)),
        };
        // Turning a lock into another gives up the old one even where it fails.
        self.in_use
            .lock_shared()
            .map_err(StoreError::io("lock", self.root()))
            .map_err(in_store)?;
        result
    }

    fn collect(&self) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        let mut keep = Reach::default();
        for image in self.tags()?.into_values() {
            reach(self.blobs(), image.digest, &mut keep)?;
        }
        for (path, document) in self.cache_documents()? {
            let document = document.map_err(|source| StoreError::Document {
                path: path.clone(),
                source,
            })?;
            let mut needed = Reach::default();
            for root in document.roots {
                reach(self.blobs(), root, &mut needed)?;
            }
            if needed.missing.is_empty() {
                keep.merge(needed);
            } else {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                report.forgotten += 1;
            }
        }
        // What a damaged manifest refers to cannot be known, so nothing may be removed.
        if let Some((expected, found)) = keep.corrupt.pop_first() {
            return Err(BlobError::Corrupt { expected, found }.into());
        }
        self.remove_blobs(&keep.blobs, &mut report)?;
        self.remove_leftovers(&mut report)?;
        report.chains = keep.chains;
        Ok(report)
    }

    fn remove_blobs(
        &self,
        keep: &BTreeSet<Digest>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let dir = self.blobs().dir();
        for name in sorted_names(dir).map_err(StoreError::io("list", dir))? {
            // Files that are no blobs are not ours to remove; `verify` names them.
            let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(hex).ok()) else {
                continue;
            };
            if keep.contains(&digest) {
                report.kept += 1;
                continue;
            }
            let size = self.blobs().size(digest)?.unwrap_or(0);
            self.blobs().remove(digest)?;
            report.blobs += 1;
            report.bytes += size;
        }
        self.blobs().sync().map_err(StoreError::io("sync", dir))
    }

    fn remove_leftovers(&self, report: &mut GcReport) -> Result<(), StoreError> {
        let tmp = self.blobs().tmp();
        for name in sorted_names(tmp).map_err(StoreError::io("list", tmp))? {
            let path = tmp.join(name);
            let meta = fs::symlink_metadata(&path).map_err(StoreError::io("look up", &path))?;
            let removed = if meta.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(StoreError::io("remove", &path))?;
            report.leftovers += 1;
            report.bytes += meta.len();
        }
        Ok(())
    }
}
