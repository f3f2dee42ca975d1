//! What the sandbox itself put into a tree (rule 8).

use std::collections::BTreeSet;

use repro_core::tree::TreePath;

use super::join;
use crate::tree::{Root, TreeError, node::Kind};

/// Paths that are in no layer, with everything below them.
#[derive(Debug, Default)]
pub(super) struct Provided(BTreeSet<TreePath>);

impl Provided {
    /// The root is never one: a layer would be nothing.
    pub(super) fn new(paths: &[TreePath]) -> Self {
        Self(
            paths
                .iter()
                .filter(|path| !path.is_root())
                .cloned()
                .collect(),
        )
    }

    /// Whether the path itself was provided.
    pub(super) fn contains(&self, path: &TreePath) -> bool {
        self.0.contains(path)
    }

    /// Whether a directory was made for provided paths only: all in it is provided, or leads
    /// there.
    pub(super) fn fill(&self, upper: Root<'_>, path: &TreePath) -> Result<bool, TreeError> {
        let mut directories = vec![path.clone()];
        while let Some(directory) = directories.pop() {
            let leads_there = self
                .0
                .range(&directory..)
                .next()
                .is_some_and(|provided| provided.starts_with(&directory));
            if !leads_there {
                return Ok(false);
            }
            for name in upper.names(&directory)? {
                let child = join(&directory, &name)?;
                if self.contains(&child) {
                    continue;
                }
                match upper.node(&child)? {
                    Some(node) if node.is_directory() => directories.push(child),
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Whether there is more at a provided path, or at a directory for such paths, than the
    /// sandbox's own empty file or directory.
    pub(super) fn was_written(&self, upper: Root<'_>, path: &TreePath) -> Result<bool, TreeError> {
        match upper.node(path)? {
            Some(node) if node.is_directory() => {
                Ok(!upper.names(path)?.is_empty() && !self.fill(upper, path)?)
            }
            Some(node) => Ok(node.kind != Kind::File || node.size != 0),
            None => Ok(false),
        }
    }
}
