//! Symbolic links, followed inside a tree as a program whose root is the tree would.

use std::collections::VecDeque;

use repro_core::tree::TreePath;

use super::{Root, TreeError, node::Kind};

/// Links followed for one path before it counts as a loop (the kernel's own limit).
const MAX_LINKS: usize = 40;

/// Resolves `path`, which may be absolute and have `..`, to where it leads inside the tree:
/// every link is followed, an absolute target begins at the root, `..` stays at the root, and
/// names that are not there are taken as written.
pub fn resolve(root: Root<'_>, path: &[u8]) -> Result<TreePath, TreeError> {
    let mut at = TreePath::root();
    let mut links = 0;
    let mut left: VecDeque<Vec<u8>> = split(path);
    while let Some(name) = left.pop_front() {
        if name == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&name)?;
        let is_link = root
            .node(&next)?
            .is_some_and(|node| node.kind == Kind::Symlink);
        if !is_link {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(TreeError::Links(next));
        }
        let target = root.read_link(&next)?;
        if target.first() == Some(&b'/') {
            at = TreePath::root();
        }
        for name in split(&target).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(at)
}

/// As [`resolve`] for all names but the last: where the name itself is.
pub(super) fn resolve_parent(root: Root<'_>, path: &TreePath) -> Result<TreePath, TreeError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(resolve(root, parent.as_bytes())?.join(name)?),
        _ => Ok(TreePath::root()),
    }
}

fn split(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect()
}
