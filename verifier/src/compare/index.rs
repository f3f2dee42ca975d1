//! The entries of one layer by path.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use repro_core::{
    digest::{Digest, HashingWriter},
    image::LayerDescriptor,
    layer::{Limits, open_layer},
    store::BlobStore,
    tree::{Entry, EntryKind, EntrySource as _, Meta, TreePath},
};

use super::{
    CompareError,
    spool::{Spool, Spooled},
};

/// Where an entry is. The entry that hides what lies below a directory has the directory's
/// path and stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) path: TreePath,
    pub(super) opaque: bool,
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: EntryKind,
    pub(super) meta: Meta,
    /// Digest of the content of a file.
    pub(super) content: Option<Digest>,
}

pub(super) type LayerIndex = BTreeMap<Key, Item>;

/// The layers that a comparison reads.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) store: &'a dyn BlobStore,
    pub(super) limits: Limits,
}

impl Layers<'_> {
    /// Calls `take` with every entry of `layer` and its content.
    fn each(
        &self,
        layer: &LayerDescriptor,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), CompareError> {
        let mut reader = open_layer(self.store, layer, self.limits)?;
        let broken = |source| CompareError::Layer {
            digest: layer.digest,
            source,
        };
        while reader.next_entry(take).map_err(broken)? {}
        Ok(())
    }

    /// Number of entries.
    pub(super) fn count(&self, layer: &LayerDescriptor) -> Result<u64, CompareError> {
        let mut count = 0;
        self.each(layer, &mut |_, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Every entry, files with the digest of their content. Of two entries with one path the
    /// later counts, as it does when the layer is unpacked.
    pub(super) fn index(&self, layer: &LayerDescriptor) -> Result<LayerIndex, CompareError> {
        let mut index = LayerIndex::new();
        self.each(layer, &mut |entry, content| {
            let content = match entry.kind {
                EntryKind::File { .. } => {
                    let mut hash = HashingWriter::new(io::sink());
                    io::copy(content, &mut hash)?;
                    Some(hash.finish().0)
                }
                _ => None,
            };
            let item = Item {
                kind: entry.kind.clone(),
                meta: entry.meta.clone(),
                content,
            };
            index.insert(key(entry), item);
            Ok(())
        })?;
        Ok(index)
    }

    /// Keeps the contents of the files among `wanted`; those too large are left out.
    pub(super) fn spool(
        &self,
        layer: &LayerDescriptor,
        wanted: &dyn Fn(&Key) -> bool,
        spool: &mut Spool,
    ) -> Result<BTreeMap<Key, Spooled>, CompareError> {
        let mut kept = BTreeMap::new();
        self.each(layer, &mut |entry, content| {
            let key = key(entry);
            if wanted(&key)
                && let Some(spooled) = spool.keep(content, entry.content_size())?
            {
                kept.insert(key, spooled);
            }
            Ok(())
        })?;
        Ok(kept)
    }
}

fn key(entry: &Entry) -> Key {
    Key {
        path: entry.path.clone(),
        opaque: matches!(entry.kind, EntryKind::OpaqueWhiteout),
    }
}
