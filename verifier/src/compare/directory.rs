//! A directory of this machine as a layer, so that it can be compared like one.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use repro_core::{
    layer::{BuildLayerError, LayerBuilder, StoredLayer, is_kept_xattr},
    ruleset::Ruleset,
    store::BlobStore,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath, TreePathError},
};
use rustix::fs::{lgetxattr, llistxattr};

/// Longest value of an attribute: the kernel's limit (`XATTR_SIZE_MAX`), and of their names.
const MAX_XATTR: usize = 64 << 10;

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
    /// The layer cannot be kept.
    #[error(transparent)]
    Layer(#[from] BuildLayerError),
}

/// Stores what lies below `dir` as a canonical layer; `None` if there is nothing. The directory
/// itself is not part of it. Other file systems below it are, links are not followed.
pub fn store_directory(
    store: &dyn BlobStore,
    dir: &Path,
    ruleset: Ruleset,
) -> Result<Option<StoredLayer>, DirectoryError> {
    let mut found: BTreeMap<TreePath, (PathBuf, Metadata)> = BTreeMap::new();
    for item in walkdir::WalkDir::new(dir)
        .min_depth(1)
        .follow_root_links(true)
    {
        let item = item.map_err(|error| DirectoryError::Read {
            path: error.path().unwrap_or(dir).to_owned(),
            source: error.into(),
        })?;
        let read = failed(item.path());
        let metadata = item.path().symlink_metadata().map_err(read)?;
        let relative = item.path().strip_prefix(dir).unwrap_or(item.path());
        let path = TreePath::parse(relative.as_os_str().as_bytes()).map_err(|source| {
            DirectoryError::Name {
                path: item.path().to_owned(),
                source,
            }
        })?;
        found.insert(path, (item.path().to_owned(), metadata));
    }
    let mut builder = LayerBuilder::new(store, ruleset);
    // The first name of each file with several, by device and inode.
    let mut names: BTreeMap<(u64, u64), TreePath> = BTreeMap::new();
    for (path, (place, metadata)) in found {
        let kind = kind(&path, &place, &metadata, &mut names)?;
        let read = failed(&place);
        let entry = Entry {
            kind,
            meta: meta(&place, &metadata).map_err(read)?,
            path,
        };
        let read = failed(&place);
        let mut content: Box<dyn Read> = match entry.kind {
            EntryKind::File { size } => Box::new(File::open(&place).map_err(read)?.take(size)),
            _ => Box::new(io::empty()),
        };
        builder
            .entry(&entry, &mut content)
            .map_err(failed(&place))?;
    }
    Ok(builder.finish()?)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Read { path, source }
}

fn kind(
    path: &TreePath,
    place: &Path,
    metadata: &Metadata,
    names: &mut BTreeMap<(u64, u64), TreePath>,
) -> Result<EntryKind, DirectoryError> {
    let of = metadata.file_type();
    if !of.is_dir() && metadata.nlink() > 1 {
        let key = (metadata.dev(), metadata.ino());
        if let Some(target) = names.get(&key) {
            let target = target.clone();
            return Ok(EntryKind::Hardlink { target });
        }
        names.insert(key, path.clone());
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

fn meta(place: &Path, metadata: &Metadata) -> io::Result<Meta> {
    let mut xattrs = BTreeMap::new();
    let mut list = vec![0; MAX_XATTR];
    let length = match llistxattr(place, &mut list) {
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
        if is_kept_xattr(name, &value) {
            xattrs.insert(name.to_vec(), value);
        }
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
