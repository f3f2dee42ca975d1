//! Ordinary directories in the place of overlay mounts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{CWD, StatVfsMountFlags, fstatvfs},
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount_remount, move_mount, open_tree},
};

use crate::protocol::{During, Failure};

/// Mounts `directory` at `name`, without devices.
pub(super) fn attach(
    directory: BorrowedFd<'_>,
    name: &str,
    flags: MountFlags,
) -> Result<(), Failure> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree: OwnedFd =
        open_tree(directory, c"", clone).during("open_tree(copy, OPEN_TREE_CLONE)")?;
    let kept = inherited(tree.as_fd())?;
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&tree, c"", CWD, name, empty).during(&format!("move_mount({name:?})"))?;
    let flags = MountFlags::BIND | MountFlags::NODEV | flags | kept;
    mount_remount(name, flags, c"").during(&format!("mount({name:?}, MS_REMOUNT|{flags:?})"))
}

/// What the mount below forbids already. The kernel takes no mount that allows more in a namespace of
/// less privilege.
pub(super) fn inherited(mounted: BorrowedFd<'_>) -> Result<MountFlags, Failure> {
    let given = fstatvfs(mounted).during("fstatvfs(store)")?.f_flag;
    let both = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = both
        .iter()
        .filter(|(given_flag, _)| given.contains(*given_flag));
    Ok(kept.fold(MountFlags::empty(), |flags, (_, flag)| flags | *flag))
}
