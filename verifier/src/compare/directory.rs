//! A directory of this machine, compared where it lies.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use repro_core::tree::{EntryKind, Meta, TreePath, TreePathError};
use rustix::fs::{OFlags, lgetxattr, llistxattr};

use super::index::{Item, Key, LayerIndex};
use crate::causes::ContentView;

/// Longest value of an attribute: the kernel's limit (`XATTR_SIZE_MAX`), and of their names.
const MAX_XATTR: usize = 64 << 10;
/// Bytes of two files that are held against each other at a time.
const CHUNK: usize = 256 << 10;

/// Why a directory cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Something below it cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that no layer can have.
    #[error("{} has a name that no layer can have", .path.display())]
    Name {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: TreePathError,
    },
    /// A socket or another thing that no layer holds.
    #[error("{} is neither file, directory, link, device nor named pipe", .0.display())]
    Type(PathBuf),
}

/// One entry of a directory.
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) item: Item,
    pub(super) names: Names,
}

/// How many names a file has, wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    One,
    Several,
}

/// What lies below a directory, which itself is not part of it, in the order of paths. Other file systems
/// below it are, links are not followed. No content is read.
pub(super) struct Walk {
    dir: PathBuf,
    entries: walkdir::IntoIter,
    /// The first name of each file with several, by device and inode.
    names: BTreeMap<(u64, u64), TreePath>,
    list: Vec<u8>,
}

impl Walk {
    pub(super) fn new(dir: &Path) -> Self {
        let entries = walkdir::WalkDir::new(dir)
            .min_depth(1)
            .follow_root_links(true)
            .sort_by_file_name();
        Self {
            dir: dir.to_owned(),
            entries: entries.into_iter(),
            names: BTreeMap::new(),
            list: vec![0; MAX_XATTR],
        }
    }

    fn look(
        &mut self,
        item: Result<walkdir::DirEntry, walkdir::Error>,
    ) -> Result<Listed, DirectoryError> {
        let item = item.map_err(|error| DirectoryError::Read {
            path: error.path().unwrap_or(&self.dir).to_owned(),
            source: error.into(),
        })?;
        let read = failed(item.path());
        let metadata = item.path().symlink_metadata().map_err(read)?;
        let relative = item.path().strip_prefix(&self.dir).unwrap_or(item.path());
        let path = TreePath::parse(relative.as_os_str().as_bytes()).map_err(|source| {
            DirectoryError::Name {
                path: item.path().to_owned(),
                source,
            }
        })?;
        let read = failed(item.path());
        let names = if metadata.is_dir() || metadata.nlink() == 1 {
            Names::One
        } else {
            Names::Several
        };
        let item = Item {
            kind: kind(&path, item.path(), &metadata, names, &mut self.names)?,
            meta: meta(item.path(), &metadata, &mut self.list).map_err(read)?,
            content: None,
            layer: 0,
            from: None,
        };
        Ok(Listed {
            key: Key::new(path),
            item,
            names,
        })
    }
}

impl Iterator for Walk {
    type Item = Result<Listed, DirectoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.entries.next()?;
        Some(self.look(item))
    }
}

/// All of what lies below `dir`.
pub(super) fn index(dir: &Path) -> Result<LayerIndex, DirectoryError> {
    Walk::new(dir)
        .map(|listed| listed.map(|listed| (listed.key, listed.item)))
        .collect()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Read { path, source }
}

fn kind(
    path: &TreePath,
    place: &Path,
    metadata: &Metadata,
    names: Names,
    first: &mut BTreeMap<(u64, u64), TreePath>,
) -> Result<EntryKind, DirectoryError> {
    let of = metadata.file_type();
    if names == Names::Several {
        let key = (metadata.dev(), metadata.ino());
        if let Some(target) = first.get(&key) {
            let target = target.clone();
            return Ok(EntryKind::Hardlink { target });
        }
        first.insert(key, path.clone());
    }
    let (major, minor) = (
        rustix::fs::major(metadata.rdev()),
        rustix::fs::minor(metadata.rdev()),
    );
    Ok(if of.is_dir() {
        EntryKind::Directory
    } else if of.is_file() {
        EntryKind::File {
            size: metadata.len(),
        }
    } else if of.is_symlink() {
        let target = place.read_link().map_err(failed(place))?;
        EntryKind::Symlink {
            target: target.as_os_str().as_bytes().to_vec(),
        }
    } else if of.is_fifo() {
        EntryKind::Fifo
    } else if of.is_char_device() {
        EntryKind::CharDevice { major, minor }
    } else if of.is_block_device() {
        EntryKind::BlockDevice { major, minor }
    } else {
        return Err(DirectoryError::Type(place.to_owned()));
    })
}

fn meta(place: &Path, metadata: &Metadata, list: &mut [u8]) -> io::Result<Meta> {
    let mut xattrs = BTreeMap::new();
    let length = match llistxattr(place, &mut *list) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    for name in list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; MAX_XATTR];
        let length = lgetxattr(place, OsStr::from_bytes(name), &mut value)?;
        value.truncate(length);
        xattrs.insert(name.to_vec(), value);
    }
    Ok(Meta {
        // Masked to twelve bits: the conversion cannot fail.
        mode: u16::try_from(metadata.mode() & 0o7777).unwrap_or(0),
        uid: metadata.uid(),
        gid: metadata.gid(),
        // Layers hold no time before 1970.
        mtime: u64::try_from(metadata.mtime()).unwrap_or(0),
        xattrs,
    })
}

/// A file of a directory, read in place.
#[derive(Debug)]
pub(super) struct FileView {
    file: File,
    length: u64,
    path: PathBuf,
}

impl FileView {
    /// Opens the file at `path` below `dir`, which must still be one.
    pub(super) fn open(dir: &Path, path: &TreePath) -> Result<Self, DirectoryError> {
        let path = dir.join(path.as_os_str());
        // Whatever took the file's place since it was listed: neither followed nor waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let open = || -> io::Result<(File, u64)> {
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(flags).open(&path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok((file, metadata.len()))
        };
        let (file, length) = open().map_err(failed(&path))?;
        Ok(Self { file, length, path })
    }

    /// Whether both hold the same bytes.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, DirectoryError> {
        if self.length != other.length {
            return Ok(false);
        }
        let length = usize::try_from(self.length).unwrap_or(CHUNK).min(CHUNK);
        let (mut one, mut two) = (vec![0; length], vec![0; length]);
        let mut offset = 0;
        while offset < self.length {
            let left = usize::try_from(self.length - offset).unwrap_or(CHUNK);
            let now = left.min(CHUNK);
            self.read_at(offset, &mut one[..now])
                .map_err(failed(&self.path))?;
            other
                .read_at(offset, &mut two[..now])
                .map_err(failed(&other.path))?;
            if one[..now] != two[..now] {
                return Ok(false);
            }
            offset += now as u64;
        }
        Ok(true)
    }

    /// The error of a read that failed.
    pub(super) fn failed(&self, source: io::Error) -> DirectoryError {
        failed(&self.path)(source)
    }
}

impl ContentView for FileView {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}
