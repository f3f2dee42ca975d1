//! Layers on top of each other, without their contents (image-spec, "Whiteouts").

use std::collections::{BTreeMap, BTreeSet};

use repro_core::tree::{EntryKind, Meta, TreePath};

use super::index::{Item, Key, LayerIndex};

/// Mode of a directory that no layer has though something lies in it: what every unpacker makes.
const IMPLIED_MODE: u16 = 0o755;

/// A name, and which file it is.
struct Name {
    item: Item,
    /// Names with one number share a file, whatever became of the first.
    file: usize,
}

/// A file system made of layers, put on from the lowest.
#[derive(Default)]
pub(super) struct Tree {
    names: BTreeMap<TreePath, Name>,
    files: usize,
    /// Files that a link was made to.
    linked: BTreeSet<usize>,
}

impl Tree {
    /// Puts a layer on top. Its removals hide what is below it only, wherever they stand.
    pub(super) fn put(&mut self, layer: LayerIndex) {
        for (key, item) in &layer {
            match item.kind {
                EntryKind::Whiteout => {
                    self.remove_below(&key.path);
                    self.names.remove(&key.path);
                }
                EntryKind::OpaqueWhiteout => self.remove_below(&key.path),
                _ => {}
            }
        }
        // Links last: their target can come behind them by path.
        let (links, others): (LayerIndex, LayerIndex) = layer
            .into_iter()
            .filter(|(_, item)| !item.is_removal())
            .partition(|(_, item)| matches!(item.kind, EntryKind::Hardlink { .. }));
        for (key, item) in others {
            let file = self.files;
            self.files += 1;
            self.insert(key.path, Name { item, file });
        }
        // A link to a link that stands behind it needs another pass; each resolves one at least.
        let mut left: Vec<(TreePath, Item)> = links
            .into_iter()
            .map(|(key, item)| (key.path, item))
            .collect();
        loop {
            let before = left.len();
            left = left
                .into_iter()
                .filter_map(|(path, item)| self.link(path, item))
                .collect();
            if left.len() == before {
                break;
            }
        }
        for (path, item) in left {
            // A link to nothing: it is said as it stands.
            let file = self.files;
            self.files += 1;
            self.insert(path, Name { item, file });
        }
    }

    /// Makes `path` another name of its target; gives it back if that is not there.
    fn link(&mut self, path: TreePath, item: Item) -> Option<(TreePath, Item)> {
        let EntryKind::Hardlink { target } = &item.kind else {
            return Some((path, item));
        };
        let Some(found) = self.names.get(target) else {
            return Some((path, item));
        };
        let file = found.file;
        let mut shared = found.item.clone();
        shared.from.get_or_insert_with(|| target.clone());
        self.linked.insert(file);
        self.insert(path, Name { item: shared, file });
        None
    }

    fn insert(&mut self, path: TreePath, name: Name) {
        let mut parent = path.parent();
        while let Some(dir) = parent.filter(|dir| !dir.is_root()) {
            parent = dir.parent();
            if self.names.contains_key(&dir) {
                break;
            }
            let file = self.files;
            self.files += 1;
            let implied = Item {
                kind: EntryKind::Directory,
                meta: Meta {
                    mode: IMPLIED_MODE,
                    ..Meta::default()
                },
                content: None,
                layer: name.item.layer,
                from: None,
            };
            self.names.insert(
                dir,
                Name {
                    item: implied,
                    file,
                },
            );
        }
        if name.item.kind != EntryKind::Directory {
            self.remove_below(&path);
        }
        self.names.insert(path, name);
    }

    fn remove_below(&mut self, path: &TreePath) {
        use std::ops::Bound;
        let range = (Bound::Excluded(path.clone()), Bound::Unbounded);
        let below = self.names.range(range).map(|(found, _)| found);
        let below: Vec<_> = below
            .take_while(|found| found.starts_with(path))
            .cloned()
            .collect();
        for found in below {
            self.names.remove(&found);
        }
    }

    /// The whole tree. Of the names that share a file the first is the file, the others are links.
    pub(super) fn finish(self) -> LayerIndex {
        let mut first: BTreeMap<usize, TreePath> = BTreeMap::new();
        let mut index = LayerIndex::new();
        for (path, mut name) in self.names {
            if self.linked.contains(&name.file) {
                match first.get(&name.file) {
                    Some(target) => {
                        name.item.kind = EntryKind::Hardlink {
                            target: target.clone(),
                        };
                        name.item.content = None;
                    }
                    None => {
                        first.insert(name.file, path.clone());
                    }
                }
            }
            index.insert(Key::new(path), name.item);
        }
        index
    }
}
