//! A tree as a value, so that two can be compared.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Dir, Mode, OFlags, lgetxattr, llistxattr};

/// Everything that shows of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    /// Content of a file, target of a link.
    pub(crate) data: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name of the same file.
    pub(crate) same_as: PathBuf,
}

pub(crate) type View = BTreeMap<PathBuf, Seen>;

/// Reads a whole tree.
pub(crate) fn view(root: &Path) -> Result<View, Box<dyn std::error::Error>> {
    let mut seen = View::new();
    let mut left = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if fs::symlink_metadata(&path)?.is_dir() {
            for name in names(&path)? {
                left.push(path.join(OsStr::from_bytes(&name)));
            }
        }
        found.push(path);
    }
    found.sort();
    let mut firsts = BTreeMap::new();
    for path in found {
        let meta = fs::symlink_metadata(&path)?;
        let data = if meta.is_file() {
            fs::read(&path)?
        } else if meta.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_vec()
        } else {
            Vec::new()
        };
        let relative = path.strip_prefix(root)?.to_owned();
        let first = firsts
            .entry((meta.dev(), meta.ino()))
            .or_insert_with(|| relative.clone())
            .clone();
        // A whiteout on disk: overlayfs links them to each other, and only the name counts.
        let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
        let one = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: if whiteout {
                (0, 0)
            } else {
                (meta.mtime(), meta.mtime_nsec())
            },
            data,
            xattrs: xattrs(&path)?,
            same_as: if meta.is_dir() || whiteout {
                relative.clone()
            } else {
                first
            },
        };
        seen.insert(relative, one);
    }
    Ok(seen)
}

/// The same without times.
pub(crate) fn timeless(view: &View) -> View {
    let mut view = view.clone();
    for seen in view.values_mut() {
        seen.mtime = (0, 0);
    }
    view
}

pub(crate) fn names(directory: &Path) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let fd = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(fd)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn xattrs(
    path: &Path,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Box<dyn std::error::Error>> {
    let mut buffer = vec![0; 65_536];
    let size = llistxattr(path, &mut buffer[..])?;
    let mut found = BTreeMap::new();
    for name in buffer[..size].split(|byte| *byte == 0) {
        if !name.is_empty() && !name.starts_with(b"security.selinux") {
            let mut value = vec![0; 65_536];
            let size = lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
            found.insert(name.to_vec(), value[..size].to_vec());
        }
    }
    Ok(found)
}
