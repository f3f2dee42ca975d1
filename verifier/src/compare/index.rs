//! The entries of one side by path.

use std::collections::BTreeMap;

use repro_core::{
    digest::Digest,
    tree::{EntryKind, Meta, TreePath},
};

/// Where an entry is. The entry that hides what lies below a directory has the directory's
/// path and stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) path: TreePath,
    pub(super) opaque: bool,
}

impl Key {
    pub(super) const fn new(path: TreePath) -> Self {
        Self {
            path,
            opaque: false,
        }
    }
}

/// Where the content of a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// Number of the layer on its side.
    pub(super) layer: usize,
    /// The path there.
    pub(super) path: TreePath,
}

/// An entry without its content.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) kind: EntryKind,
    pub(super) meta: Meta,
    /// Digest of the content of a file. What lies in a directory of this machine has none: it is read
    /// only where sizes are equal.
    pub(super) content: Option<Digest>,
    /// Number of the layer that has it.
    pub(super) layer: usize,
    /// The path there, if it is another one: names can outlive the first name of their file.
    pub(super) from: Option<TreePath>,
}

impl Item {
    /// Where the content of the entry at `path` is.
    pub(super) fn spot(&self, path: &TreePath) -> Spot {
        Spot {
            layer: self.layer,
            path: self.from.as_ref().unwrap_or(path).clone(),
        }
    }

    pub(super) const fn is_removal(&self) -> bool {
        matches!(self.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout)
    }
}

/// Entries by path.
pub(super) type LayerIndex = BTreeMap<Key, Item>;
