//! What a step changed in the tree of a container, brought into the form of an overlay's upper
//! directory.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::tree::TreePath;
use rustix::io::Errno;

use super::{
    Detour, Listing, Merged, Root, TreeError,
    diff::join,
    make::{facts_of, make_directory, transfer},
    node::{Inode, Time},
};

/// Fills the empty directory `upper` with what differs from `marks`, as links to the files themselves
/// where they are on one file system, and with whiteouts for what is gone: the upper directory of an
/// overlay, to be given to [`super::diff()`].
///
/// Gives the names that the tree below has to be asked for: with them and with the other names of their
/// files the difference is the same as with the whole tree.
pub(crate) fn capture(
    live: Root<'_>,
    detour: Detour<'_>,
    marks: &Merged,
    listing: &Listing,
    upper: Root<'_>,
) -> Result<BTreeSet<TreePath>, TreeError> {
    let changes = Changes::find(live, detour, marks, listing)?;
    changes.place(live, upper)?;
    let wanted = changes.touched.iter().chain(&changes.gone);
    let wanted = wanted.filter(|path| listing.get(path).is_some());
    Ok(wanted.cloned().collect())
}

/// The names of `upper` that the tree below has too.
pub(crate) fn names_in(
    upper: Root<'_>,
    listing: &Listing,
) -> Result<BTreeSet<TreePath>, TreeError> {
    let mut wanted = BTreeSet::from([TreePath::root()]);
    let mut pending = vec![TreePath::root()];
    while let Some(directory) = pending.pop() {
        for name in upper.names(&directory)? {
            let path = join(&directory, &name)?;
            if upper.node(&path)?.is_some_and(|node| node.is_directory()) {
                pending.push(path.clone());
            }
            wanted.insert(path);
        }
    }
    wanted.retain(|path| listing.get(path).is_some());
    Ok(wanted)
}

#[derive(Default)]
struct Changes {
    /// What is new or was touched, with the directories above.
    touched: BTreeSet<TreePath>,
    /// What is gone from a directory that is there.
    gone: BTreeSet<TreePath>,
}

impl Changes {
    fn find(
        live: Root<'_>,
        detour: Detour<'_>,
        marks: &Merged,
        listing: &Listing,
    ) -> Result<Self, TreeError> {
        let mut changes = Self::default();
        let root = TreePath::root();
        let mut seen = BTreeSet::new();
        let mut directories = BTreeSet::from([root.clone()]);
        let mut pending = vec![root];
        while let Some(directory) = pending.pop() {
            for name in live.names(&directory)? {
                let path = join(&directory, &name)?;
                let Some(node) = live.node(&path)? else {
                    continue;
                };
                if !marks.is_untouched(&path, &node) {
                    changes.note(&path);
                }
                if node.is_directory() {
                    pending.push(path.clone());
                    directories.insert(path.clone());
                }
                seen.insert(path);
            }
        }
        for name in listing.names() {
            let path = &name.entry.path;
            let is_there = path.is_root() || seen.contains(path) || detour.hides(path);
            let parent = path.parent().unwrap_or_else(TreePath::root);
            if !is_there && directories.contains(&parent) {
                changes.gone.insert(path.clone());
                changes.note(&parent);
            }
        }
        changes.touched.insert(TreePath::root());
        Ok(changes)
    }

    fn note(&mut self, path: &TreePath) {
        let mut at = Some(path.clone());
        while let Some(place) = at {
            at = place.parent();
            if !self.touched.insert(place) {
                return;
            }
        }
    }

    fn place(&self, live: Root<'_>, upper: Root<'_>) -> Result<(), TreeError> {
        let mut times: Vec<(&TreePath, Time)> = Vec::new();
        let mut copies: BTreeMap<Inode, &TreePath> = BTreeMap::new();
        for path in &self.touched {
            let node = live.node(path)?.ok_or(TreeError::RootEntry)?;
            if node.is_directory() {
                let facts = facts_of(live, path, &node)?;
                make_directory(upper, path, &facts)?;
                times.push((path, node.mtime));
                continue;
            }
            match upper.link_from(path, live, path) {
                Ok(()) => continue,
                Err(Errno::XDEV | Errno::MLINK) => {}
                Err(error) => return Err(TreeError::io("make the hard link", path)(error)),
            }
            if let Some(first) = copies.get(&node.inode) {
                upper.make_link(path, first)?;
                continue;
            }
            let facts = facts_of(live, path, &node)?;
            transfer((live, path, &node), upper, path, &facts)?;
            copies.insert(node.inode, path);
        }
        for path in &self.gone {
            upper.make_whiteout(path)?;
        }
        for (path, mtime) in times.into_iter().rev() {
            upper.set_time(path, mtime)?;
        }
        Ok(())
    }
}
