//! What a step changed in a merged copy, brought into the form that overlayfs leaves it in.

use std::collections::BTreeSet;

use repro_core::tree::TreePath;

use super::{
    Merged, Root, TreeError,
    diff::join,
    make::{facts_of, same_content, transfer},
    node::{Kind, Node, Time},
};

/// Name of a copy before it takes its place. A step cannot leave one like it: names of this prefix
/// are reserved in layers.
const COPY: &[u8] = b".wh.repro-copy";

/// Takes from the directory `work`, which [`super::merge()`] filled, everything that nobody touched,
/// and puts whiteouts where a name of `lower` is gone: the upper directory of an overlay over
/// `lower`, to be given to [`super::diff()`].
///
/// Where a file of several names was changed, each of its names that was there before gets a file of
/// its own, as overlayfs does it for names that are written to (rule 7). Which of them were is not
/// known here: with overlayfs the others would have kept what they had.
pub fn distill(lower: Option<Root<'_>>, work: Root<'_>, merged: &Merged) -> Result<(), TreeError> {
    let mut distiller = Distiller {
        lower,
        work,
        merged,
        directories: Vec::new(),
    };
    distiller.run()
}

struct Distiller<'a> {
    lower: Option<Root<'a>>,
    work: Root<'a>,
    merged: &'a Merged,
    /// In the order in which they were met, with the times that they keep.
    directories: Vec<Directory>,
}

struct Directory {
    path: TreePath,
    mtime: Time,
    is_untouched: bool,
    /// Whether `lower` has a directory there.
    in_lower: bool,
}

impl Distiller<'_> {
    fn run(&mut self) -> Result<(), TreeError> {
        let root = TreePath::root();
        let node = self.work.node(&root)?.ok_or(TreeError::RootEntry)?;
        self.directories.push(Directory {
            path: root,
            mtime: node.mtime,
            is_untouched: false,
            in_lower: self.lower.is_some(),
        });
        let mut next = 0;
        while next < self.directories.len() {
            self.contents(next)?;
            next += 1;
        }
        for directory in self.directories.iter().rev() {
            if directory.is_untouched && self.work.names(&directory.path)?.is_empty() {
                self.work.remove_directory(&directory.path)?;
            } else {
                // Names went from it and came into it here.
                self.work.set_time(&directory.path, directory.mtime)?;
            }
        }
        Ok(())
    }

    fn contents(&mut self, index: usize) -> Result<(), TreeError> {
        let path = self.directories[index].path.clone();
        let in_lower = self.directories[index].in_lower;
        let names = self.work.names(&path)?;
        for name in &names {
            let child = join(&path, name)?;
            let Some(node) = self.work.node(&child)? else {
                continue;
            };
            if node.is_directory() {
                let below = match self.lower {
                    Some(lower) if in_lower => lower.node(&child)?,
                    _ => None,
                };
                self.directories.push(Directory {
                    mtime: node.mtime,
                    is_untouched: self.merged.is_untouched(&child, &node),
                    in_lower: below.is_some_and(|below| below.is_directory()),
                    path: child,
                });
            } else {
                self.file(&child, &node)?;
            }
        }
        if let Some(lower) = self.lower.filter(|_| in_lower) {
            let names: BTreeSet<_> = names.into_iter().collect();
            for name in lower.names(&path)? {
                if !names.contains(&name) {
                    self.work.make_whiteout(&join(&path, &name)?)?;
                }
            }
        }
        Ok(())
    }

    fn file(&self, path: &TreePath, node: &Node) -> Result<(), TreeError> {
        if self.merged.is_untouched(path, node) {
            return self.work.unlink(path);
        }
        if self.merged.was_shared(path, node) {
            // A name that came or went changed the file too, which overlayfs does not call a change.
            if self.equals_lower(path, node)? {
                return self.work.unlink(path);
            }
            return self.part(path, node);
        }
        Ok(())
    }

    /// Whether a file of several names, of which one may have come or gone, is otherwise as it was.
    fn equals_lower(&self, path: &TreePath, node: &Node) -> Result<bool, TreeError> {
        let Some(lower) = self.lower else {
            return Ok(false);
        };
        let Some(below) = lower.node(path)? else {
            return Ok(false);
        };
        if (below.kind, below.mode, below.uid, below.gid, below.size)
            != (node.kind, node.mode, node.uid, node.gid, node.size)
            || below.mtime != node.mtime
        {
            return Ok(false);
        }
        let one = facts_of(lower, path, &below)?;
        let other = facts_of(self.work, path, node)?;
        if one.xattrs != other.xattrs {
            return Ok(false);
        }
        match node.kind {
            Kind::File => same_content((lower, path), (self.work, path)),
            Kind::Symlink => Ok(lower.read_link(path)? == self.work.read_link(path)?),
            _ => Ok(true),
        }
    }

    /// Gives a name a file of its own.
    fn part(&self, path: &TreePath, node: &Node) -> Result<(), TreeError> {
        let parent = path.parent().unwrap_or_else(TreePath::root);
        let copy = join(&parent, COPY)?;
        let facts = facts_of(self.work, path, node)?;
        transfer((self.work, path, node), self.work, &copy, &facts)?;
        self.work.rename(&copy, path)
    }
}
