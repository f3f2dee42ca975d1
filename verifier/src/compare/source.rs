//! What is compared: a layer, layers put together, or a directory of this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::Path,
};

use repro_core::{
    digest::{Digest, HashingWriter},
    image::LayerDescriptor,
    layer::{Limits, Xattrs, open_layer},
    store::BlobStore,
    tree::{Entry, EntryKind, EntrySource as _, TreePath},
};

use super::{
    CompareError, directory, flatten,
    index::{Item, Key, LayerIndex, Spot},
    spool::{Spool, Spooled},
    standing::OWN,
};

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A step that made no layer made an empty one.
    Nothing,
    /// The entries of one layer, removals included.
    Layer(&'a LayerDescriptor),
    /// The file system that layers make together, lowest first.
    Tree(&'a [LayerDescriptor]),
    /// What lies below a directory.
    Directory(&'a Path),
}

impl<'a> From<Option<&'a LayerDescriptor>> for Source<'a> {
    fn from(layer: Option<&'a LayerDescriptor>) -> Self {
        layer.map_or(Self::Nothing, Self::Layer)
    }
}

impl<'a> Source<'a> {
    fn layers(self) -> &'a [LayerDescriptor] {
        match self {
            Self::Layer(layer) => std::slice::from_ref(layer),
            Self::Tree(layers) => layers,
            Self::Nothing | Self::Directory(_) => &[],
        }
    }
}

/// The layers that a comparison reads.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) store: &'a dyn BlobStore,
    pub(super) limits: Limits,
}

impl Layers<'_> {
    /// Calls `take` with every entry of `layer` and its content.
    pub(super) fn each(
        &self,
        layer: &LayerDescriptor,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), CompareError> {
        let reader = open_layer(self.store, layer, self.limits)?;
        let mut reader = reader.taking(Xattrs::All);
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

    /// Every entry of `source`, files of layers with the digest of their content.
    pub(super) fn index(&self, source: Source<'_>) -> Result<LayerIndex, CompareError> {
        match source {
            Source::Nothing => Ok(LayerIndex::new()),
            Source::Layer(layer) => self.layer(layer, OWN),
            Source::Tree(layers) => {
                let mut tree = flatten::Tree::default();
                for (number, layer) in layers.iter().enumerate() {
                    tree.put(self.layer(layer, number)?);
                }
                Ok(tree.finish())
            }
            Source::Directory(dir) => Ok(directory::index(dir)?),
        }
    }

    /// Every entry of one layer. Of two entries with one path the later counts, as it does when the
    /// layer is unpacked.
    pub(super) fn layer(
        &self,
        layer: &LayerDescriptor,
        number: usize,
    ) -> Result<LayerIndex, CompareError> {
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
                layer: number,
                from: None,
            };
            let key = Key {
                path: entry.path.clone(),
                opaque: matches!(entry.kind, EntryKind::OpaqueWhiteout),
            };
            index.insert(key, item);
            Ok(())
        })?;
        Ok(index)
    }

    /// The paths that layers make together, lowest first.
    pub(super) fn paths(
        &self,
        layers: &[LayerDescriptor],
    ) -> Result<BTreeSet<TreePath>, CompareError> {
        let mut tree = flatten::Tree::default();
        for (number, layer) in layers.iter().enumerate() {
            let mut index = LayerIndex::new();
            self.each(layer, &mut |entry, _| {
                let item = Item {
                    kind: entry.kind.clone(),
                    meta: repro_core::tree::Meta::default(),
                    content: None,
                    layer: number,
                    from: None,
                };
                let key = Key {
                    path: entry.path.clone(),
                    opaque: matches!(entry.kind, EntryKind::OpaqueWhiteout),
                };
                index.insert(key, item);
                Ok(())
            })?;
            tree.put(index);
        }
        Ok(tree.finish().into_keys().map(|key| key.path).collect())
    }

    /// Keeps the contents at `wanted`, of `source` and of layers below it; those too large are left out.
    pub(super) fn spool(
        &self,
        (source, below): (Source<'_>, &[LayerDescriptor]),
        wanted: &BTreeSet<Spot>,
        spool: &mut Spool,
    ) -> Result<BTreeMap<Spot, Spooled>, CompareError> {
        let mut kept = BTreeMap::new();
        let below = (OWN + 1..).zip(below);
        for (number, layer) in source.layers().iter().enumerate().chain(below) {
            if !wanted.iter().any(|spot| spot.layer == number) {
                continue;
            }
            self.each(layer, &mut |entry, content| {
                let spot = Spot {
                    layer: number,
                    path: entry.path.clone(),
                };
                if matches!(entry.kind, EntryKind::File { .. })
                    && wanted.contains(&spot)
                    && let Some(spooled) = spool.keep(content, entry.content_size())?
                {
                    kept.insert(spot, spooled);
                }
                Ok(())
            })?;
        }
        Ok(kept)
    }
}

/// The digest of what `content` gives.
pub(super) fn digest(mut content: impl Read) -> io::Result<Digest> {
    let mut hash = HashingWriter::new(io::sink());
    io::copy(&mut content, &mut hash)?;
    Ok(hash.finish().0)
}
