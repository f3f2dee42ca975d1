//! The files of an image in a directory of the caller.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, mkdirat, mknodat,
        open, openat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::TransportError;
use crate::{
    image::{ImageError, StoredImage},
    layer::{FlatTree, Limits, open_layer},
    store::LocalBlobs,
    tree::{Entry, EntryKind, EntrySink, Meta, TreePath},
};

/// What a directory cannot be given. Wrapped in [`io::Error`] of kind `Unsupported`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// A device node: only root makes them, and outside a container they are the machine's.
    #[error("{0} is a device node, which is not made in a directory; a tar can hold it")]
    Device(TreePath),
    /// A directory is in the way of a file.
    #[error("{0} is a directory already, and the image has something else there")]
    Occupied(TreePath),
}

impl From<LocalError> for io::Error {
    fn from(error: LocalError) -> Self {
        Self::new(io::ErrorKind::Unsupported, error)
    }
}

/// Permission bits that are kept. The files belong to the caller, whoever owned them in the image:
/// set-id bits would lend other rights than they did there.
const KEPT_BITS: u16 = 0o1777;

/// Writes the tree that the image unpacks to into `dir`, on top of what is there, as files of the
/// caller. Links that are there are replaced and never followed: nothing outside `dir` is written.
pub fn export_local(
    blobs: &LocalBlobs,
    image: &StoredImage,
    dir: &Path,
) -> Result<(), TransportError> {
    let fail = |source| TransportError::io("write to", dir)(source);
    let mut tree = FlatTree::new(blobs.tmp()).map_err(fail)?;
    for layer in &image.layers {
        let mut entries =
            open_layer(blobs, layer, Limits::default()).map_err(ImageError::OpenLayer)?;
        tree.apply(&mut entries)
            .map_err(|source| ImageError::Layer {
                digest: layer.digest,
                source,
            })?;
    }
    std::fs::create_dir_all(dir).map_err(fail)?;
    let mut writing = Writing {
        root: open_root(dir).map_err(fail)?,
        open: Vec::new(),
    };
    // Names that share a file become files of their own: links would be made by path.
    let mut take =
        |entry: &Entry, _: Option<&TreePath>, content: &mut dyn Read| writing.entry(entry, content);
    tree.write_names_to(&mut take).map_err(fail)?;
    writing.leave(&TreePath::root()).map_err(fail)
}

fn open_root(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(dir, flags, Mode::empty())?)
}

/// A directory that is being filled.
struct Filling {
    path: TreePath,
    fd: OwnedFd,
    meta: Meta,
}

struct Writing {
    root: OwnedFd,
    /// From the outermost to the one that is filled now.
    open: Vec<Filling>,
}

impl Writing {
    /// Finishes the directories that `path` does not lie in. Only now: a directory that nobody may
    /// write to has its files by then, and its time stays.
    fn leave(&mut self, path: &TreePath) -> io::Result<()> {
        while let Some(last) = self.open.last()
            && (path.is_root() || !path.starts_with(&last.path))
        {
            fchmod(&last.fd, bits(&last.meta))?;
            futimens(&last.fd, &times(&last.meta))?;
            self.open.pop();
        }
        Ok(())
    }
}

fn bits(meta: &Meta) -> Mode {
    Mode::from_raw_mode(u32::from(meta.mode & KEPT_BITS))
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(meta.mtime).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Makes room for something that is no directory.
fn clear(dir: &OwnedFd, name: &[u8], path: &TreePath) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Err(LocalError::Occupied(path.clone()).into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a directory, or takes one that is there.
fn directory(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => {}
        Ok(_) => {
            unlinkat(dir, name, AtFlags::empty())?;
            mkdirat(dir, name, Mode::RWXU)?;
        }
        Err(Errno::NOENT) => mkdirat(dir, name, Mode::RWXU)?,
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

impl EntrySink for Writing {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let path = &entry.path;
        // What the image says of its root is not said of the caller's directory.
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        self.leave(path)?;
        let dir = self.open.last().map_or(&self.root, |last| &last.fd);
        match &entry.kind {
            EntryKind::Directory => {
                let fd = directory(dir, name)?;
                fchmod(&fd, Mode::RWXU)?;
                self.open.push(Filling {
                    path: path.clone(),
                    fd,
                    meta: entry.meta.clone(),
                });
                return Ok(());
            }
            EntryKind::File { .. } => {
                clear(dir, name, path)?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let mut file = File::from(openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
                io::copy(content, &mut file)?;
                fchmod(&file, bits(&entry.meta))?;
                futimens(file.as_fd(), &times(&entry.meta))?;
                return Ok(());
            }
            EntryKind::Symlink { target } => {
                clear(dir, name, path)?;
                symlinkat(target.as_slice(), dir, name)?;
            }
            EntryKind::Fifo => {
                clear(dir, name, path)?;
                mknodat(dir, name, FileType::Fifo, bits(&entry.meta), 0)?;
            }
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
                return Err(LocalError::Device(path.clone()).into());
            }
            // A whole tree has none of them.
            EntryKind::Hardlink { .. } | EntryKind::Whiteout | EntryKind::OpaqueWhiteout => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        utimensat(dir, name, &times(&entry.meta), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }
}
