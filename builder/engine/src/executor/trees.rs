//! The trees of a step, put together from layers without touching their contents.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use repro_core::{
    layer::FlatTree,
    tree::{Entry, EntryKind, EntrySink, EntrySource, TreePath},
};
use repro_sandbox::{
    guest::{self, Filling},
    tree::{Name, Origin},
};

use super::{
    RunKey,
    layers::{Layer, Layers},
};

/// Bytes of a ticket.
const TICKET: usize = 8;

/// Stands for the content of a file while trees are put together: the layer, and the item in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    layer: u32,
    item: u32,
}

impl Ticket {
    fn bytes(self) -> [u8; TICKET] {
        let mut bytes = [0; TICKET];
        bytes[..4].copy_from_slice(&self.layer.to_le_bytes());
        bytes[4..].copy_from_slice(&self.item.to_le_bytes());
        bytes
    }

    fn read(content: &mut dyn Read) -> io::Result<Self> {
        let (mut layer, mut item) = ([0; 4], [0; 4]);
        content.read_exact(&mut layer)?;
        content.read_exact(&mut item)?;
        Ok(Self {
            layer: u32::from_le_bytes(layer),
            item: u32::from_le_bytes(item),
        })
    }
}

/// Gives the entries of a layer, with tickets for contents.
struct Tickets<'a> {
    layer: &'a Layer,
    number: u32,
    next: usize,
}

impl EntrySource for Tickets<'_> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Some(item) = self.layer.items.get(self.next) else {
            return Ok(false);
        };
        let ticket = Ticket {
            layer: self.number,
            item: u32::try_from(self.next).map_err(io::Error::other)?,
        };
        self.next += 1;
        match item.entry.kind {
            EntryKind::File { .. } => {
                let entry = Entry {
                    kind: EntryKind::File {
                        size: TICKET as u64,
                    },
                    ..item.entry.clone()
                };
                take(&entry, &mut &ticket.bytes()[..])?;
            }
            _ => take(&item.entry, &mut io::empty())?,
        }
        Ok(true)
    }
}

/// A name of a tree.
#[derive(Debug, Clone)]
struct FlatName {
    entry: Entry,
    first: Option<TreePath>,
    /// For a file.
    ticket: Option<Ticket>,
}

/// A tree made of layers.
#[derive(Debug, Default)]
pub(super) struct Tree {
    names: Vec<FlatName>,
    layers: Vec<Arc<Layer>>,
}

impl Tree {
    /// Puts `layers` together, lowest first. `tmp` is for tickets.
    pub(super) fn new(layers: Vec<Arc<Layer>>, tmp: &Path) -> io::Result<Self> {
        let mut flat = FlatTree::new(tmp)?;
        for (number, layer) in (0..).zip(&layers) {
            flat.apply(&mut Tickets {
                layer,
                number,
                next: 0,
            })?;
        }
        let mut names = Vec::new();
        flat.write_names_to(&mut |entry, first, content| {
            let mut entry = entry.clone();
            let mut found = None;
            if let EntryKind::File { size } = &mut entry.kind {
                let ticket = Ticket::read(content)?;
                *size = layers[ticket.layer as usize].items[ticket.item as usize]
                    .entry
                    .content_size();
                found = Some(ticket);
            }
            names.push(FlatName {
                entry,
                first: first.cloned(),
                ticket: found,
            });
            Ok(())
        })?;
        Ok(Self { names, layers })
    }

    /// Gives the whole tree as a layer on nothing.
    pub(super) fn write_to(&self, sink: &mut dyn EntrySink) -> io::Result<()> {
        self.write_some(sink, |_| true)
    }

    /// Gives the names that `is_wanted` picks as a layer on nothing. Of the names of one file the first
    /// that is given is the file.
    fn write_some(
        &self,
        sink: &mut dyn EntrySink,
        is_wanted: impl Fn(&TreePath) -> bool,
    ) -> io::Result<()> {
        let mut given: BTreeMap<&TreePath, &TreePath> = BTreeMap::new();
        for name in self.names.iter().filter(|name| is_wanted(&name.entry.path)) {
            let path = &name.entry.path;
            let group = name.first.as_ref().unwrap_or(path);
            let first = *given.entry(group).or_insert(path);
            self.emit(name, Some(first).filter(|first| *first != path), sink)?;
        }
        Ok(())
    }

    fn kind(&self, path: &TreePath) -> Option<&EntryKind> {
        let found = self
            .names
            .binary_search_by(|name| name.entry.path.cmp(path))
            .ok()?;
        Some(&self.names[found].entry.kind)
    }

    /// Where a copy by `patterns` looks: at and below these. `None` where a link could lead it anywhere.
    fn reached(&self, patterns: &[String]) -> Option<Vec<TreePath>> {
        patterns
            .iter()
            .map(|pattern| self.reached_by(pattern))
            .collect()
    }

    fn reached_by(&self, pattern: &str) -> Option<TreePath> {
        let mut at = TreePath::root();
        for part in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                return None;
            }
            if part.contains(['*', '?', '[', '\\']) {
                // What matches may be a link, and those of a source are followed.
                let mut below = self.names.iter();
                let has_link = below.any(|name| {
                    matches!(name.entry.kind, EntryKind::Symlink { .. })
                        && name.entry.path.starts_with(&at)
                });
                return Some(at).filter(|_| !has_link);
            }
            at = at.join(part.as_bytes()).ok()?;
            if let Some(EntryKind::Symlink { .. }) = self.kind(&at) {
                return None;
            }
        }
        Some(at)
    }

    fn emit(
        &self,
        name: &FlatName,
        first: Option<&TreePath>,
        sink: &mut dyn EntrySink,
    ) -> io::Result<()> {
        if let Some(first) = first {
            let mut link = name.entry.clone();
            link.kind = EntryKind::Hardlink {
                target: first.clone(),
            };
            return sink.entry(&link, &mut io::empty());
        }
        match name.ticket {
            None => sink.entry(&name.entry, &mut io::empty()),
            Some(ticket) => {
                let layer = &self.layers[ticket.layer as usize];
                let item = &layer.items[ticket.item as usize];
                sink.entry(&name.entry, &mut layer.content(item))
            }
        }
    }
}

/// A tree of which only what some paths reach is of use.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) tree: Tree,
    /// Patterns of paths in it.
    pub(super) patterns: Vec<String>,
}

impl Source {
    fn write_to(&self, sink: &mut dyn EntrySink) -> io::Result<()> {
        match self.tree.reached(&self.patterns) {
            None => self.tree.write_to(sink),
            Some(reached) => self.tree.write_some(sink, |path| {
                let mut reached = reached.iter();
                reached.any(|place| path.starts_with(place) || place.starts_with(path))
            }),
        }
    }
}

/// A mount with what it is filled with.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) filling: Filling,
    pub(super) source: Source,
}

/// What a step starts from, and what of it an engine's image has.
#[derive(Debug)]
pub(super) struct StepTrees<'a> {
    tree: Arc<Tree>,
    /// For each name, whence.
    origins: Vec<Origin>,
    source: Source,
    mounts: Vec<Mount>,
    /// Where caches are kept.
    layers: &'a Layers,
    run: &'a RunKey,
}

impl<'a> StepTrees<'a> {
    /// A step on `tree`; the image has `image`, whose layers are the lowest ones of `tree`.
    pub(super) fn new(
        tree: Arc<Tree>,
        image: &Tree,
        (source, mounts): (Source, Vec<Mount>),
        (layers, run): (&'a Layers, &'a RunKey),
    ) -> Self {
        let there: BTreeMap<&TreePath, &FlatName> = image
            .names
            .iter()
            .map(|name| (&name.entry.path, name))
            .collect();
        let origins = tree.names.iter().map(|name| {
            let same = there.get(&name.entry.path).is_some_and(|image| {
                image.entry.kind == name.entry.kind && image.ticket == name.ticket
            });
            if same { Origin::Image } else { Origin::Sent }
        });
        Self {
            origins: origins.collect(),
            tree,
            source,
            mounts,
            layers,
            run,
        }
    }
}

impl guest::Trees for StepTrees<'_> {
    fn names(&mut self, take: &mut dyn FnMut(Name) -> io::Result<()>) -> io::Result<()> {
        for (name, origin) in self.tree.names.iter().zip(&self.origins) {
            take(Name {
                entry: name.entry.clone(),
                first: name.first.clone(),
                origin: *origin,
            })?;
        }
        Ok(())
    }

    fn sent(&mut self, points: &BTreeSet<TreePath>, sink: &mut dyn EntrySink) -> io::Result<()> {
        for (name, origin) in self.tree.names.iter().zip(&self.origins) {
            let path = &name.entry.path;
            let is_covered = || points.iter().any(|point| path.starts_with(point));
            if *origin == Origin::Sent || is_covered() {
                self.tree.emit(name, name.first.as_ref(), sink)?;
            }
        }
        Ok(())
    }

    fn below(&mut self, paths: &BTreeSet<TreePath>, sink: &mut dyn EntrySink) -> io::Result<()> {
        // All names of a file, or a link could seem to be the only one.
        let group = |name: &FlatName| name.first.as_ref().unwrap_or(&name.entry.path).clone();
        let names = self.tree.names.iter();
        let groups: BTreeSet<TreePath> = names
            .filter(|name| paths.contains(&name.entry.path))
            .map(group)
            .collect();
        let is_wanted = |name: &FlatName| groups.contains(&group(name));
        let mut wanted: BTreeSet<&TreePath> = BTreeSet::new();
        let mut above: BTreeSet<TreePath> = BTreeSet::new();
        for name in self.tree.names.iter().filter(|name| is_wanted(name)) {
            wanted.insert(&name.entry.path);
            let mut parent = name.entry.path.parent();
            while let Some(path) = parent {
                parent = path.parent();
                if !above.insert(path) {
                    break;
                }
            }
        }
        for name in &self.tree.names {
            if wanted.contains(&name.entry.path) || above.contains(&name.entry.path) {
                self.tree.emit(name, name.first.as_ref(), sink)?;
            }
        }
        Ok(())
    }

    fn source(&mut self, sink: &mut dyn EntrySink) -> io::Result<()> {
        self.source.write_to(sink)
    }

    fn fillings(&self) -> Vec<Filling> {
        let mounts = self.mounts.iter();
        mounts.map(|mount| mount.filling.clone()).collect()
    }

    fn mount(&mut self, index: usize, sink: &mut dyn EntrySink) -> io::Result<()> {
        self.mounts[index].source.write_to(sink)
    }

    fn keep_cache(&mut self, key: &str, entries: &mut dyn EntrySource) -> io::Result<()> {
        self.layers.keep_cache(self.run, key, entries)
    }
}

#[cfg(test)]
mod tests {
    use repro_core::tree::Meta;

    use super::*;

    fn tree(names: &[(&str, EntryKind)]) -> Tree {
        let names = names.iter().map(|(path, kind)| FlatName {
            entry: Entry {
                path: TreePath::parse(path.as_bytes()).unwrap(),
                kind: kind.clone(),
                meta: Meta::default(),
            },
            first: None,
            ticket: None,
        });
        Tree {
            names: names.collect(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn a_copy_reaches_what_its_pattern_names_unless_a_link_is_on_the_way() {
        let link = EntryKind::Symlink {
            target: b"usr".to_vec(),
        };
        let tree = tree(&[
            ("lib", link),
            ("src", EntryKind::Directory),
            ("src/a", EntryKind::Fifo),
        ]);
        let reached = |pattern: &str| tree.reached_by(pattern).map(|path| path.to_string());
        assert_eq!(reached("/src/a").as_deref(), Some("src/a"));
        assert_eq!(reached("./src/*").as_deref(), Some("src"));
        assert_eq!(reached("/src/./a/../b"), None);
        assert_eq!(reached("/lib/x"), None);
        assert_eq!(reached("/*"), None);
        assert!(tree.reached_by(".").unwrap().is_root());
    }
}
