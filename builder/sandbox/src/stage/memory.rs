//! Files in memory that a step is given and cannot change.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{CWD, Mode, mkdirat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
        fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount,
        open_tree,
    },
};

use crate::protocol::{During, Failure};

/// Mounts a file system of at most `size` at the new directory `name` of the scratch space.
pub(super) fn mount(name: &str, size: &str) -> Result<(), Failure> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen(\"tmpfs\")")?;
    fsconfig_set_string(&context, c"size", size).during("fsconfig(\"size\")")?;
    fsconfig_set_string(&context, c"mode", c"0700").during("fsconfig(\"mode\")")?;
    fsconfig_create(&context).during("fsconfig(FSCONFIG_CMD_CREATE)")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree =
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).during("fsmount(tmpfs)")?;
    mkdirat(CWD, name, Mode::from_raw_mode(0o700)).during(&format!("mkdir({name:?})"))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&tree, c"", CWD, name, flags).during(&format!("move_mount({name:?})"))
}

/// Makes everything below `name` read-only.
pub(super) fn seal(name: &str) -> Result<(), Failure> {
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC;
    mount_remount(name, flags, c"")
        .during(&format!("mount({name:?}, MS_REMOUNT|MS_BIND|MS_RDONLY)"))
}

/// A mount of its own of the file or directory at `path`, which is nowhere yet.
pub(super) fn tree(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(CWD, path, flags).during(&format!("open_tree({path:?})"))
}
