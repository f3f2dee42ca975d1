//! Hard links between the names of a step's tree, and how they stand to those below (rule 7).

use std::collections::{BTreeMap, BTreeSet};

use repro_core::tree::{Meta, TreePath};

use super::{join, provided::Provided};
use crate::tree::{
    Root, TreeError,
    node::{Inode, Kind, Node},
};

/// What became of a group of names.
#[derive(Debug, Clone)]
enum Fate {
    /// In the layer, with what its first name carries.
    Kept(Meta),
    /// Not in the layer: it equals what is below.
    Dropped,
}

/// The link groups of an upper tree.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Names of each file that has several, in canonical order.
    groups: BTreeMap<u64, Vec<TreePath>>,
    fates: BTreeMap<u64, Fate>,
    /// Names of each file below that has several; found when first needed.
    lower: Option<BTreeMap<Inode, Vec<TreePath>>>,
    /// Files below whose names are spoken for: another group keeps them.
    taken: BTreeSet<Inode>,
}

impl Links {
    /// Finds the groups of `upper`, without what lies in `provided`.
    pub(super) fn scan(upper: Root<'_>, provided: &Provided) -> Result<Self, TreeError> {
        let mut groups: BTreeMap<u64, Vec<TreePath>> = BTreeMap::new();
        walk(upper, provided, &mut |path, node| {
            groups.entry(node.inode.number).or_default().push(path);
        })?;
        for names in groups.values_mut() {
            names.sort_unstable();
        }
        Ok(Self {
            groups,
            ..Self::default()
        })
    }

    /// The first of all names of a file, if it has several and that is not `path`.
    pub(super) fn earlier(&self, node: &Node, path: &TreePath) -> Option<TreePath> {
        let first = self.groups.get(&node.inode.number)?.first()?;
        (first != path).then(|| first.clone())
    }

    /// All names in the layer of the file at `path`, in canonical order.
    pub(super) fn members(&self, node: &Node, path: &TreePath) -> Vec<TreePath> {
        self.groups
            .get(&node.inode.number)
            .cloned()
            .unwrap_or_else(|| vec![path.clone()])
    }

    pub(super) fn drop_group(&mut self, node: &Node) {
        if self.groups.contains_key(&node.inode.number) {
            self.fates.insert(node.inode.number, Fate::Dropped);
        }
    }

    /// The other names carry what the file does, but its attributes.
    pub(super) fn keep_group(&mut self, node: &Node, meta: &Meta) {
        if self.groups.contains_key(&node.inode.number) {
            let meta = Meta {
                xattrs: BTreeMap::new(),
                ..meta.clone()
            };
            self.fates.insert(node.inode.number, Fate::Kept(meta));
        }
    }

    pub(super) fn is_dropped(&self, node: &Node) -> bool {
        matches!(self.fates.get(&node.inode.number), Some(Fate::Dropped))
    }

    pub(super) fn meta(&self, node: &Node) -> Option<Meta> {
        match self.fates.get(&node.inode.number) {
            Some(Fate::Kept(meta)) => Some(meta.clone()),
            _ => None,
        }
    }

    /// Whether names that equal those of the file `below` may be left out, so that the file
    /// below shows again under them.
    ///
    /// One group of names may, and the names that the step never touched come first: left out,
    /// the copied-up names would join them again, which is not what the step left.
    pub(super) fn may_keep_below(
        &mut self,
        view: Root<'_>,
        upper: Root<'_>,
        provided: &Provided,
        below: &Node,
        members: &[TreePath],
    ) -> Result<bool, TreeError> {
        if usize::try_from(below.nlink).is_ok_and(|links| links <= members.len()) {
            return Ok(true);
        }
        if self.taken.contains(&below.inode) {
            return Ok(false);
        }
        let lower = match &mut self.lower {
            Some(lower) => lower,
            none => none.insert(lower_groups(view)?),
        };
        self.taken.insert(below.inode);
        for name in lower.get(&below.inode).into_iter().flatten() {
            if members.binary_search(name).is_err() && is_untouched(upper, provided, name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn lower_groups(view: Root<'_>) -> Result<BTreeMap<Inode, Vec<TreePath>>, TreeError> {
    let mut groups: BTreeMap<Inode, Vec<TreePath>> = BTreeMap::new();
    walk(view, &Provided::default(), &mut |path, node| {
        groups.entry(node.inode).or_default().push(path);
    })?;
    Ok(groups)
}

/// Whether a name of the tree below shows through `upper`.
fn is_untouched(upper: Root<'_>, provided: &Provided, path: &TreePath) -> Result<bool, TreeError> {
    let mut at = TreePath::root();
    for name in path.names() {
        at = join(&at, name)?;
        if provided.contains(&at) {
            return Ok(true);
        }
        match upper.node(&at)? {
            None => return Ok(true),
            Some(node) if node.is_directory() => {
                if upper.attributes(&at, node.kind)?.opaque {
                    return Ok(false);
                }
            }
            Some(_) => return Ok(false),
        }
    }
    Ok(false)
}

/// Calls `found` with every name of a file that has several, without what lies in `without`.
fn walk(
    root: Root<'_>,
    without: &Provided,
    found: &mut dyn FnMut(TreePath, &Node),
) -> Result<(), TreeError> {
    let mut directories = vec![TreePath::root()];
    while let Some(directory) = directories.pop() {
        for name in root.names(&directory)? {
            let path = join(&directory, &name)?;
            if without.contains(&path) {
                continue;
            }
            let Some(node) = root.node(&path)? else {
                continue;
            };
            match node.kind {
                Kind::Directory => directories.push(path),
                Kind::File | Kind::Symlink | Kind::Fifo if node.nlink > 1 => found(path, &node),
                _ => {}
            }
        }
    }
    Ok(())
}
