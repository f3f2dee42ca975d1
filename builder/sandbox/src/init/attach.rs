//! Attaching the mounts that a step asked for.
//!
//! A mount is made by the stage, where it is nowhere; here it gets its place. Places are walked
//! from the tree's root without following a link: the stage has resolved the image's links, and
//! links of other mounts are not followed.

use std::{
    ffi::{CStr, CString},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2},
    io::Errno,
    mount::{MoveMountFlags, move_mount},
};

/// What a mount can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointKind {
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// A mount and its place.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// The mount.
    pub(crate) tree: OwnedFd,
    /// What it is put on.
    pub(crate) kind: PointKind,
    /// A place that is there, relative to the tree's root, without links.
    pub(crate) start: CString,
    /// Names from there, made where they are missing: they lie in another mount.
    pub(crate) names: Vec<CString>,
    /// The target as the step has it, for messages.
    pub(crate) target: String,
}

impl Attachment {
    /// Does it. System calls only: the caller is a forked process, whose working directory is the
    /// tree's root.
    pub(super) fn perform(&self) -> Result<(), Errno> {
        let mut place = open(CWD, &self.start)?;
        for (index, name) in self.names.iter().enumerate() {
            let is_last = index + 1 == self.names.len();
            place = match open(&place, name) {
                Err(Errno::NOENT) => {
                    if is_last && self.kind == PointKind::File {
                        make_file(&place, name)?;
                    } else {
                        mkdirat(&place, name.as_c_str(), Mode::from_raw_mode(0o755))?;
                    }
                    open(&place, name)?
                }
                opened => opened?,
            };
        }
        let found = FileType::from_raw_mode(fstat(&place)?.st_mode);
        if (found == FileType::Directory) != (self.kind == PointKind::Directory) {
            return Err(Errno::NOTDIR);
        }
        move_mount(
            &self.tree,
            c"",
            &place,
            c"",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
        )
    }
}

fn open(directory: impl std::os::fd::AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    openat2(
        directory,
        name,
        // Not NOFOLLOW: that would open a last link itself, where NO_SYMLINKS refuses it.
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
}

fn make_file(directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::from_raw_mode(0o644)).map(drop)
}
