//! What a name stands for, as the kernel tells it.

use repro_core::tree::TreePath;
use rustix::fs::{FileType, Statx, Timespec, Timestamps, UTIME_OMIT};

use super::{DeviceKind, TreeError};

/// Type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink,
    Fifo,
    Socket,
    /// A character device 0:0: how overlayfs writes a removed name.
    Whiteout,
    Device(DeviceKind),
}

/// A time as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl Time {
    /// A whole second, which layers have.
    pub(super) fn whole(path: &TreePath, mtime: u64) -> Result<Self, TreeError> {
        let seconds = i64::try_from(mtime).map_err(|_| TreeError::Time {
            path: path.clone(),
            mtime,
        })?;
        Ok(Self {
            seconds,
            nanoseconds: 0,
        })
    }

    /// For `utimensat`: this as the time of modification, that of access left alone.
    pub(super) fn stamps(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.seconds,
                tv_nsec: self.nanoseconds.into(),
            },
        }
    }
}

/// The file behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inode {
    pub(super) device: (u32, u32),
    pub(super) number: u64,
}

/// What `statx` says of a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    /// When anything of it changed last: nobody can set it.
    pub(super) ctime: Time,
    pub(super) size: u64,
    pub(super) inode: Inode,
    pub(super) nlink: u32,
    pub(super) rdev: (u32, u32),
}

impl Node {
    pub(super) fn new(stat: &Statx) -> Self {
        let rdev = (stat.stx_rdev_major, stat.stx_rdev_minor);
        let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice if rdev == (0, 0) => Kind::Whiteout,
            FileType::CharacterDevice => Kind::Device(DeviceKind::Character),
            FileType::BlockDevice => Kind::Device(DeviceKind::Block),
            FileType::RegularFile | FileType::Unknown => Kind::File,
        };
        Self {
            kind,
            mode: stat.stx_mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: Time {
                seconds: stat.stx_mtime.tv_sec,
                nanoseconds: stat.stx_mtime.tv_nsec,
            },
            ctime: Time {
                seconds: stat.stx_ctime.tv_sec,
                nanoseconds: stat.stx_ctime.tv_nsec,
            },
            size: stat.stx_size,
            inode: Inode {
                device: (stat.stx_dev_major, stat.stx_dev_minor),
                number: stat.stx_ino,
            },
            nlink: stat.stx_nlink,
            rdev,
        }
    }

    /// Whether it stands for a removed name: overlayfs's own form, or that of
    /// [`Root::make_whiteout`](super::Root) where a file system refuses it. No tree holds sockets
    /// otherwise, and those that a step leaves go from it.
    pub(super) fn is_whiteout(&self) -> bool {
        self.kind == Kind::Whiteout || (self.kind == Kind::Socket && self.mode == 0)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// The error for a device node at `path`.
    pub(super) fn device_error(&self, kind: DeviceKind, path: &TreePath) -> TreeError {
        TreeError::Device {
            path: path.clone(),
            kind,
            major: self.rdev.0,
            minor: self.rdev.1,
        }
    }
}
