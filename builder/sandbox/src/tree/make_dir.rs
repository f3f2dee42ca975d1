//! Directories that instructions make: `WORKDIR`, and what a copy's destination lacks.

use repro_core::{build::LayerPolicy, tree::TreePath};

use super::{
    Root, TreeError,
    make::{facts_of, implicit_directory, make_directory},
    node::{Kind, Time},
    resolve::resolve,
    root::Facts,
};
use crate::users::resolve_owner;

/// Mode of a directory that an instruction makes.
const MADE_MODE: u16 = 0o755;

/// Makes the directory `path` in the mounted tree `dest` as `WORKDIR` does: links are followed
/// inside the tree, missing parents are made, all 0755 and of `owner` (`user[:group]`, empty for
/// root), a directory that is there is left as it is. Gives where it is, links followed.
pub fn make_dir(
    dest: Root<'_>,
    path: &str,
    owner: &str,
    policy: LayerPolicy,
) -> Result<TreePath, TreeError> {
    let (uid, gid) = resolve_owner(dest.fd(), owner)?;
    let path = resolve(dest, path.as_bytes())?;
    let facts = made(&path, uid, gid, policy)?;
    let made = make_missing(dest, &path, &facts)?;
    for path in made.iter().rev() {
        dest.set_time(path, facts.mtime)?;
    }
    Ok(path)
}

/// The facts of a directory that an instruction makes. Its time is that of the tick at once, so
/// that no clock shows, not even one that is behind the epoch.
pub(super) fn made(
    path: &TreePath,
    uid: u32,
    gid: u32,
    policy: LayerPolicy,
) -> Result<Facts, TreeError> {
    Ok(Facts {
        mode: MADE_MODE,
        uid,
        gid,
        mtime: Time::whole(path, policy.tick.time(policy.epoch))?,
        xattrs: std::collections::BTreeMap::new(),
    })
}

/// Makes what is missing of `path`; gives what was made, outermost first.
pub(super) fn make_missing(
    root: Root<'_>,
    path: &TreePath,
    facts: &Facts,
) -> Result<Vec<TreePath>, TreeError> {
    let mut made = Vec::new();
    let mut at = TreePath::root();
    for name in path.names() {
        at = at.join(name)?;
        match root.node(&at)?.map(|node| node.kind) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(TreeError::NotADirectory(at)),
            None => {
                make_directory(root, &at, facts)?;
                made.push(at.clone());
            }
        }
    }
    Ok(made)
}

/// Gives an empty upper directory the root of the tree below it. Overlayfs shows the upper's
/// root as that of the whole, so without this every step would seem to change `/`.
pub fn prepare_upper(upper: Root<'_>, lower: Option<Root<'_>>) -> Result<(), TreeError> {
    let path = TreePath::root();
    let facts = match lower {
        None => implicit_directory(),
        Some(lower) => {
            let node = lower.node(&path)?.ok_or(TreeError::RootEntry)?;
            facts_of(lower, &path, &node)?
        }
    };
    make_directory(upper, &path, &facts)
}
