//! Names that share one file. Which of them a tar has as the file, and which as links to it, depends on
//! who wrote it; that they share one does not.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::tree::{EntryKind, TreePath};

use super::index::{Item, Key, LayerIndex};

/// Links to links that are followed. A tar can make a circle of them.
const MAX_STEPS: usize = 16;

/// The files of one side that have several names.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The entry with the content, by every name.
    file: BTreeMap<TreePath, TreePath>,
    /// All names, by the entry with the content.
    names: BTreeMap<TreePath, BTreeSet<TreePath>>,
}

impl Groups {
    pub(super) fn of(index: &LayerIndex) -> Self {
        let mut groups = Self::default();
        for (key, item) in index {
            let EntryKind::Hardlink { target } = &item.kind else {
                continue;
            };
            let mut file = target.clone();
            for _ in 0..MAX_STEPS {
                match index.get(&Key::new(file.clone())).map(|item| &item.kind) {
                    Some(EntryKind::Hardlink { target }) => file = target.clone(),
                    _ => break,
                }
            }
            groups.file.insert(key.path.clone(), file.clone());
            groups.file.insert(file.clone(), file.clone());
            let names = groups.names.entry(file.clone()).or_default();
            names.extend([key.path.clone(), file]);
        }
        groups
    }

    /// All names of the file at `path`, if there are several.
    pub(super) fn names(&self, path: &TreePath) -> Option<&BTreeSet<TreePath>> {
        self.names.get(self.file.get(path)?)
    }

    /// The entry with the content of `path`: itself, unless it is a link.
    pub(super) fn file<'a>(&'a self, path: &'a TreePath) -> &'a TreePath {
        self.file.get(path).unwrap_or(path)
    }

    /// The item with the content of `path`, if `index` has it.
    pub(super) fn item<'a>(&self, index: &'a LayerIndex, path: &TreePath) -> Option<&'a Item> {
        index.get(&Key::new(self.file(path).clone()))
    }
}
