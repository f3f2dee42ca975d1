//! The directory beside a pack's place in which the pack is made.
//!
//! Its name follows from the pack's, so that whoever reads the surroundings, such as the
//! context of a build, can leave it out, and so that the next run finds what a killed one left.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

use super::{PackError, replace::parent};

/// The pack in the making; after an exchange, the one that was replaced.
pub(super) const NEW: &str = "pack";
/// The pack that was replaced, where an exchange is not to be had.
pub(super) const OLD: &str = "replaced";

/// Holders that may vanish under a run's hands, each because another run just ended.
const ATTEMPTS: usize = 16;

/// Where the pack for `dir` is made: `.NAME.unfinished` beside it.
#[must_use]
pub fn unfinished(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    parent(dir).join(format!(".{name}.unfinished"))
}

/// A holder, locked while it lives: two runs cannot make the same pack at once.
#[derive(Debug)]
pub(super) struct Holder {
    path: PathBuf,
    /// Open for the lock alone.
    _lock: File,
}

impl Holder {
    /// Makes the holder for `dir`, or takes over the one that a killed run left.
    pub(super) fn take(dir: &Path) -> Result<Self, PackError> {
        let parent = parent(dir);
        fs::create_dir_all(parent).map_err(PackError::io("create", parent))?;
        let path = unfinished(dir);
        for _ in 0..ATTEMPTS {
            // 0700: in a directory that others write to, nobody else gets between us and the files.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(PackError::io("create", &path)(error));
                }
                _ => {}
            }
            let lock = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(PackError::io("open", &path))?,
            };
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Err(PackError::Busy(dir.to_owned())),
                other => other.map_err(|error| PackError::io("lock", &path)(error.into()))?,
            }
            if !is_still(&path, &lock)? {
                continue;
            }
            let holder = Self { path, _lock: lock };
            holder.put_back(dir)?;
            holder.clear()?;
            return Ok(holder);
        }
        Err(PackError::Busy(dir.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A run that died between moving a pack aside and putting the new one there.
    fn put_back(&self, dir: &Path) -> Result<(), PackError> {
        let old = self.path.join(OLD);
        if old.symlink_metadata().is_err() || dir.symlink_metadata().is_ok() {
            return Ok(());
        }
        fs::rename(&old, dir).map_err(PackError::io("move back", dir))
    }

    /// Removes what lies under the names that are ours, and nothing else.
    fn clear(&self) -> Result<(), PackError> {
        for name in [NEW, OLD] {
            let path = self.path.join(name);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PackError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the holder with what was replaced.
    pub(super) fn close(self) -> Result<(), PackError> {
        self.clear()?;
        fs::remove_dir(&self.path).map_err(PackError::io("remove", &self.path))
    }
}

impl Drop for Holder {
    /// A run that gives up leaves nothing. What cannot be removed is removed by the next one.
    fn drop(&mut self) {
        if self.clear().is_ok() {
            drop(fs::remove_dir(&self.path));
        }
    }
}

/// Whether `lock` is what lies at `path`, and a directory: another run may have removed the
/// holder between the open and the lock.
fn is_still(path: &Path, lock: &File) -> Result<bool, PackError> {
    let held = lock.metadata().map_err(PackError::io("look at", path))?;
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(PackError::NotOurs {
            path: path.to_owned(),
            what: "not a directory".into(),
        }),
        Ok(meta) if meta.uid() != geteuid().as_raw() || meta.mode() & 0o077 != 0 => {
            Err(PackError::NotOurs {
                path: path.to_owned(),
                what: "open to other users".into(),
            })
        }
        Ok(meta) => Ok((meta.dev(), meta.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PackError::io("look at", path)(error)),
    }
}
