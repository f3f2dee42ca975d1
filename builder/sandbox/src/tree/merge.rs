//! The merged tree of several ones as ordinary files, for where overlayfs cannot be had.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::tree::TreePath;
use rustix::io::Errno;

use super::{
    Root, TreeError,
    diff::join,
    make::{facts_of, make_directory, transfer},
    node::{Inode, Kind, Node, Time},
};

/// How a file gets into the merged tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// As a copy, with which a program may do as it likes.
    Copied,
    /// As another name of the stored file, where nothing writes into files that are there.
    Linked,
}

/// How an entry was when the merged tree was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    inode: u64,
    ctime: Time,
}

/// What was made, so that it can be told from what came later.
#[derive(Debug)]
pub struct Merged {
    content: Content,
    marks: BTreeMap<TreePath, Mark>,
    /// Files that were put there under several names.
    shared: BTreeSet<u64>,
}

impl Merged {
    /// A tree as it is, before a program may change it.
    pub fn taken(tree: Root<'_>) -> Result<Self, TreeError> {
        let mut marks = BTreeMap::new();
        let mut directories = vec![TreePath::root()];
        while let Some(directory) = directories.pop() {
            for name in tree.names(&directory)? {
                let path = join(&directory, &name)?;
                let Some(node) = tree.node(&path)? else {
                    continue;
                };
                let (inode, ctime) = (node.inode.number, node.ctime);
                marks.insert(path.clone(), Mark { inode, ctime });
                if node.is_directory() {
                    directories.push(path);
                }
            }
        }
        Ok(Self {
            content: Content::Copied,
            marks,
            shared: BTreeSet::new(),
        })
    }

    /// Whether what is at `path` is what was put there, as it was. A program can set every time but
    /// that of the last change.
    pub(super) fn is_untouched(&self, path: &TreePath, node: &Node) -> bool {
        let Some(mark) = self.marks.get(path) else {
            return false;
        };
        // Each new name of a stored file, in whatever step, is a change of it.
        let counts = self.content == Content::Copied || node.is_directory();
        mark.inode == node.inode.number && !(counts && mark.ctime != node.ctime)
    }

    /// Whether the file behind `path` is one that was put there under this name and others, whatever
    /// became of it.
    pub(super) fn was_shared(&self, path: &TreePath, node: &Node) -> bool {
        let inode = node.inode.number;
        let mark = self.marks.get(path);
        self.shared.contains(&inode) && mark.is_some_and(|mark| mark.inode == inode)
    }
}

/// Makes in the directory `dest` what overlayfs would show of `trees`, lowest first. The root of
/// `dest` keeps the owner, mode, time and attributes that it has.
///
/// Names of one file in one tree are names of one file in `dest`. Unlike with overlayfs, a write
/// through one of them is then seen through the others; [`super::distill()`] takes them apart again.
/// Rejected: a copy for each name, since programs that read trees (tar, cp, rsync) would make other
/// trees of them.
pub fn merge(trees: &[Root<'_>], dest: Root<'_>, content: Content) -> Result<Merged, TreeError> {
    let mut merger = Merger {
        // Highest first.
        trees: trees.iter().rev().copied().collect(),
        dest,
        content,
        links: BTreeMap::new(),
        directories: Vec::new(),
    };
    merger.run()?;
    let marks = merger.marks()?;
    let mut inodes = BTreeSet::new();
    let files = marks.values().map(|mark| mark.inode);
    let shared = files.filter(|inode| !inodes.insert(*inode)).collect();
    Ok(Merged {
        content,
        marks,
        shared,
    })
}

struct Merger<'a> {
    trees: Vec<Root<'a>>,
    dest: Root<'a>,
    content: Content,
    /// Where each file of several names was put.
    links: BTreeMap<(usize, Inode), TreePath>,
    /// In the order in which they were made, with the times that they get in the end.
    directories: Vec<(TreePath, Time)>,
}

impl Merger<'_> {
    fn run(&mut self) -> Result<(), TreeError> {
        let root = TreePath::root();
        let node = self.dest.node(&root)?.ok_or(TreeError::RootEntry)?;
        let seen = self.down_to_opaque(&root, (0..self.trees.len()).collect())?;
        self.directories.push((root.clone(), node.mtime));
        let mut pending = vec![(root, seen)];
        while let Some((path, seen)) = pending.pop() {
            self.directory(&path, &seen, &mut pending)?;
        }
        // Each name made in a directory changes its time.
        for (path, mtime) in self.directories.iter().rev() {
            self.dest.set_time(path, *mtime)?;
        }
        Ok(())
    }

    /// Fills the directory at `path`, of which the trees in `seen` have a part.
    fn directory(
        &mut self,
        path: &TreePath,
        seen: &[usize],
        pending: &mut Vec<(TreePath, Vec<usize>)>,
    ) -> Result<(), TreeError> {
        let mut names = BTreeSet::new();
        for (place, &index) in seen.iter().enumerate() {
            let tree = self.trees[index];
            for name in tree.names(path)? {
                let child = join(path, &name)?;
                if !names.insert(name) {
                    continue;
                }
                let Some(node) = tree.visible(&child)? else {
                    continue;
                };
                if !node.is_directory() {
                    self.file(index, &child, &node)?;
                    continue;
                }
                let facts = facts_of(tree, &child, &node)?;
                make_directory(self.dest, &child, &facts)?;
                self.directories.push((child.clone(), facts.mtime));
                let below = self.parts(&child, &seen[place..])?;
                pending.push((child, below));
            }
        }
        Ok(())
    }

    /// Of the trees in `seen`, highest first, those that show through the directory at `path`.
    fn parts(&self, path: &TreePath, seen: &[usize]) -> Result<Vec<usize>, TreeError> {
        let mut parts = Vec::with_capacity(1);
        for &index in seen {
            match self.trees[index].node(path)? {
                None => {}
                Some(node) if node.is_directory() => parts.push(index),
                Some(_) => break,
            }
        }
        self.down_to_opaque(path, parts)
    }

    /// Of directories at `path`, those down to the first that hides what is below.
    fn down_to_opaque(
        &self,
        path: &TreePath,
        mut parts: Vec<usize>,
    ) -> Result<Vec<usize>, TreeError> {
        for place in 0..parts.len() {
            let tree = self.trees[parts[place]];
            if tree.attributes(path, Kind::Directory)?.opaque {
                parts.truncate(place + 1);
                break;
            }
        }
        Ok(parts)
    }

    fn file(&mut self, index: usize, path: &TreePath, node: &Node) -> Result<(), TreeError> {
        let tree = self.trees[index];
        if self.content == Content::Linked {
            match self.dest.link_from(path, tree, path) {
                // Another file system, or as many names as a file can have: a copy is the same.
                Err(Errno::XDEV | Errno::MLINK) => {}
                linked => return linked.map_err(TreeError::io("make the hard link", path)),
            }
        }
        if node.nlink > 1 {
            let key = (index, node.inode);
            if let Some(first) = self.links.get(&key) {
                return self.dest.make_link(path, first);
            }
            self.links.insert(key, path.clone());
        }
        let facts = facts_of(tree, path, node)?;
        transfer((tree, path, node), self.dest, path, &facts)
    }

    /// How everything is now.
    fn marks(&self) -> Result<BTreeMap<TreePath, Mark>, TreeError> {
        let mut marks = BTreeMap::new();
        let mut mark = |path: TreePath| -> Result<(), TreeError> {
            if let Some(node) = self.dest.node(&path)? {
                let (inode, ctime) = (node.inode.number, node.ctime);
                marks.insert(path, Mark { inode, ctime });
            }
            Ok(())
        };
        for (directory, _) in &self.directories {
            for name in self.dest.names(directory)? {
                mark(join(directory, &name)?)?;
            }
        }
        Ok(marks)
    }
}
