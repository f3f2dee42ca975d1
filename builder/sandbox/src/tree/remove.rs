//! Deleting a tree by directory descriptors.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use repro_core::tree::show_bytes;
use rustix::{
    fs::{
        AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, chmodat, fchmod, openat2, statx, unlinkat,
    },
    io::Errno,
};

use super::{
    node::{Inode, Node},
    root::sorted_names,
};

/// Why a tree cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The operating system refused.
    #[error("cannot delete {name:?}, {depth} levels down")]
    Io {
        /// The name, printable.
        name: String,
        /// Directories between it and where the deletion began.
        depth: usize,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// A directory was moved while its tree was deleted.
    #[error("a directory, {depth} levels down, was moved while its tree was deleted")]
    Moved {
        /// How deep it was.
        depth: usize,
    },
}

/// A directory on the way down.
struct Level {
    /// Its name in the directory above.
    name: Vec<u8>,
    /// Which directory it is, to be sure of it on the way up.
    inode: Inode,
    /// Directories in it that are still to be deleted.
    pending: Vec<Vec<u8>>,
}

/// Deletes `name` in `parent` with everything below it; nothing to delete is success.
///
/// Follows no link and enters no mount: a mount below makes it fail. Survives any depth: one
/// directory is open at a time, and the way back up is checked against the way down. A directory
/// that its owner may not read is made readable first. What else is in `parent` is left alone.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), RemoveError> {
    let Some((mut current, top)) = unlink_or_enter(parent, name, 0)? else {
        return Ok(());
    };
    let mut levels = vec![top];
    while let Some(mut level) = levels.pop() {
        let depth = levels.len();
        if let Some(child) = level.pending.pop() {
            levels.push(level);
            if let Some((fd, below)) = unlink_or_enter(current.as_fd(), &child, depth + 1)? {
                current = fd;
                levels.push(below);
            }
            continue;
        }
        let Some(above) = levels.last() else {
            return unlinkat(parent, OsStr::from_bytes(name), AtFlags::REMOVEDIR)
                .map_err(fault(name, depth));
        };
        current = open(current.as_fd(), OsStr::new(".."), ResolveFlags::NO_XDEV)
            .map_err(fault(&level.name, depth))?;
        if inode(current.as_fd()).map_err(fault(&level.name, depth))? != above.inode {
            return Err(RemoveError::Moved { depth });
        }
        unlinkat(&current, OsStr::from_bytes(&level.name), AtFlags::REMOVEDIR)
            .map_err(fault(&level.name, depth))?;
    }
    Ok(())
}

/// Deletes `name` if it is no directory, else opens it and deletes all in it that is none.
fn unlink_or_enter(
    parent: BorrowedFd<'_>,
    name: &[u8],
    depth: usize,
) -> Result<Option<(OwnedFd, Level)>, RemoveError> {
    if !unlink(parent, name).map_err(fault(name, depth))? {
        return Ok(None);
    }
    let path = OsStr::from_bytes(name);
    let beneath = ResolveFlags::BENEATH
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS;
    let fd = match open(parent, path, beneath) {
        Err(Errno::ACCESS) => {
            // It is a directory, as unlink said, so this follows no link.
            chmodat(parent, path, Mode::RWXU, AtFlags::empty()).map_err(fault(name, depth))?;
            open(parent, path, beneath)
        }
        other => other,
    }
    .map_err(fault(name, depth))?;
    let stat = stat(fd.as_fd()).map_err(fault(name, depth))?;
    if stat.mode & 0o700 != 0o700 {
        fchmod(&fd, Mode::RWXU).map_err(fault(name, depth))?;
    }
    let mut pending = Vec::new();
    for child in sorted_names(fd.as_fd()).map_err(fault(name, depth))? {
        if unlink(fd.as_fd(), &child).map_err(fault(&child, depth + 1))? {
            pending.push(child);
        }
    }
    let level = Level {
        name: name.to_vec(),
        inode: stat.inode,
        pending,
    };
    Ok(Some((fd, level)))
}

/// Removes a name that is no directory; gives whether it is one and still there.
fn unlink(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match unlinkat(parent, OsStr::from_bytes(name), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => Ok(true),
        Err(error) => Err(error),
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(parent, name, flags, Mode::empty(), resolve)
}

fn stat(fd: BorrowedFd<'_>) -> Result<Node, Errno> {
    statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|stat| Node::new(&stat))
}

fn inode(fd: BorrowedFd<'_>) -> Result<Inode, Errno> {
    stat(fd).map(|node| node.inode)
}

fn fault(name: &[u8], depth: usize) -> impl FnOnce(Errno) -> RemoveError {
    let name = show_bytes(name).into_owned();
    move |error| RemoveError::Io {
        name,
        depth,
        source: error.into(),
    }
}
