//! What a tree is to hold, without the contents of its files.

use std::collections::BTreeMap;

use repro_core::tree::{Entry, TreePath};
use serde::{Deserialize, Serialize};

/// Where a container gets an entry from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The engine's image has it.
    Image,
    /// It is sent.
    Sent,
}

/// One name of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Name {
    /// The whole entry; a name of a file of several has the file itself here too.
    pub entry: Entry,
    /// The first name of that file, if it is another.
    pub first: Option<TreePath>,
    /// Whence.
    pub origin: Origin,
}

/// All names of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<TreePath, Name>);

impl Listing {
    /// Adds a name.
    pub fn insert(&mut self, name: Name) {
        self.0.insert(name.entry.path.clone(), name);
    }

    /// The name at `path`.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Name> {
        self.0.get(path)
    }

    /// All names in canonical order.
    #[must_use]
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &Name> {
        self.0.values()
    }
}
