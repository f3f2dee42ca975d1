//! The files of a pack from outside: listed and read without following a link, opening a
//! device or leaving the directory.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use walkdir::WalkDir;

/// Largest `index.json`, in bytes: room for some hundred thousand files.
pub(crate) const INDEX_MAX: usize = 32 << 20;
/// Most files and directories of a pack. A build with a thousand steps has some four thousand.
const FILES_MAX: usize = 100_000;
/// Deepest path of a pack. Ours have four levels.
const DEPTH_MAX: usize = 16;

/// Why a directory cannot be read as a pack.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Neither file nor directory: a link, a device, a pipe.
    #[error("{0:?} is neither a file nor a directory")]
    Special(String),
    /// A name that is not UTF-8, which no index can list.
    #[error("{0:?} is not UTF-8")]
    Name(PathBuf),
    /// More files than a pack has.
    #[error("more than {FILES_MAX} files and directories")]
    Many,
    /// Deeper than a pack is.
    #[error("{0:?} lies deeper than {DEPTH_MAX} levels")]
    Deep(String),
    /// More bytes than this file may have.
    #[error("{path:?} has more than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// What is allowed.
        limit: usize,
    },
    /// Not there.
    #[error("{0:?} is missing")]
    Missing(String),
    /// The operating system's word.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The files below a directory.
#[derive(Debug)]
pub struct PackFiles {
    root: PathBuf,
    dir: OwnedFd,
    paths: BTreeSet<String>,
}

impl PackFiles {
    /// Where they lie.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Lists `root`, which may itself be reached through a link: the caller named it.
    pub fn list(root: &Path) -> Result<Self, FilesError> {
        let failed = |what| {
            move |source: io::Error| FilesError::Io {
                what,
                path: root.to_owned(),
                source,
            }
        };
        let dir = openat(
            CWD,
            root,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| failed("open the directory")(error.into()))?;
        let mut paths = BTreeSet::new();
        let walk = WalkDir::new(root)
            .min_depth(1)
            .max_depth(DEPTH_MAX + 1)
            .sort_by_file_name();
        // Directories count too: empty ones cost nothing to make.
        for (number, entry) in walk.into_iter().enumerate() {
            if number >= FILES_MAX {
                return Err(FilesError::Many);
            }
            let entry = entry.map_err(|error| failed("list")(error.into()))?;
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let Some(path) = below.to_str() else {
                return Err(FilesError::Name(below.to_owned()));
            };
            if entry.depth() > DEPTH_MAX {
                return Err(FilesError::Deep(path.into()));
            }
            if entry.file_type().is_file() {
                paths.insert(path.to_owned());
            } else if !entry.file_type().is_dir() {
                return Err(FilesError::Special(path.into()));
            }
        }
        Ok(Self {
            root: root.to_owned(),
            dir,
            paths,
        })
    }

    /// Every file, relative to the directory, with `/`.
    #[must_use]
    pub const fn paths(&self) -> &BTreeSet<String> {
        &self.paths
    }

    /// Opens one of the listed files.
    ///
    /// The listing may be old when the file is opened, so each level is opened without following
    /// links, and what is no regular file is refused: a pipe would keep the reader waiting.
    pub fn open(&self, path: &str) -> Result<File, FilesError> {
        if !self.paths.contains(path) {
            return Err(FilesError::Missing(path.into()));
        }
        let failed = |source: rustix::io::Errno| FilesError::Io {
            what: "open",
            path: self.root.join(path),
            source: source.into(),
        };
        let base = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut dir: Option<OwnedFd> = None;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let flags = if last { base } else { base | OFlags::DIRECTORY };
            let at = dir.as_ref().unwrap_or(&self.dir);
            let next = openat(at, part, flags, Mode::empty()).map_err(failed)?;
            dir = Some(next);
        }
        let Some(file) = dir else {
            return Err(FilesError::Missing(path.into()));
        };
        let stat = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(FilesError::Special(path.into()));
        }
        Ok(File::from(file))
    }

    /// Reads one of the listed files, of at most `limit` bytes.
    pub fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, FilesError> {
        let mut bytes = Vec::new();
        self.open(path)?
            .take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| FilesError::Io {
                what: "read",
                path: self.root.join(path),
                source,
            })?;
        if bytes.len() > limit {
            return Err(FilesError::TooLarge {
                path: path.into(),
                limit,
            });
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_pipes_and_depth_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), "12345").unwrap();
        let files = PackFiles::list(dir.path()).unwrap();
        assert_eq!(files.read("a/b", 5).unwrap(), b"12345");
        assert!(matches!(
            files.read("a/b", 4),
            Err(FilesError::TooLarge { .. })
        ));
        for outside in ["/etc/passwd", "../x", "a/../a/b", "a", "", "a//b"] {
            assert!(
                matches!(files.read(outside, 9), Err(FilesError::Missing(_))),
                "{outside}"
            );
        }
        // Exchanged behind the listing's back.
        fs::remove_file(dir.path().join("a/b")).unwrap();
        symlink("/etc/passwd", dir.path().join("a/b")).unwrap();
        assert!(matches!(
            files.read("a/b", 1 << 20),
            Err(FilesError::Io { .. })
        ));
        assert!(matches!(
            PackFiles::list(dir.path()),
            Err(FilesError::Special(path)) if path == "a/b"
        ));
        fs::remove_file(dir.path().join("a/b")).unwrap();
        rustix::fs::mkfifoat(CWD, dir.path().join("a/b"), Mode::RUSR).unwrap();
        assert!(matches!(files.read("a/b", 9), Err(FilesError::Special(_))));
        assert!(PackFiles::list(dir.path()).is_err());
        fs::remove_file(dir.path().join("a/b")).unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH_MAX + 1))).unwrap();
        assert!(matches!(
            PackFiles::list(dir.path()),
            Err(FilesError::Deep(_))
        ));
    }

    #[test]
    fn directories_without_files_are_counted_too() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=FILES_MAX {
            fs::create_dir(dir.path().join(number.to_string())).unwrap();
        }
        assert!(matches!(PackFiles::list(dir.path()), Err(FilesError::Many)));
    }
}
