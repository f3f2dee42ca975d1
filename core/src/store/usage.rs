//! How much room the store takes.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::fs::sorted_names;

/// What one area of the store takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaUsage {
    /// Bytes on disk, by allocated blocks.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
    /// Directories that this user may not read, such as those of mapped ids; not in the sums.
    pub unreadable: u64,
}

/// What the areas take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// Blobs.
    pub blobs: AreaUsage,
    /// Unpacked trees.
    pub snapshots: AreaUsage,
    /// Remembered results.
    pub cache: AreaUsage,
    /// Scratch of builds.
    pub runs: AreaUsage,
    /// Unfinished files.
    pub tmp: AreaUsage,
}

impl Store {
    /// Counts what each area takes. Files that vanish meanwhile are not counted.
    pub fn usage(&self) -> Result<StoreUsage, StoreError> {
        let area = |name: &str| {
            let path = self.root().join(name);
            let mut usage = AreaUsage::default();
            count(&path, &mut usage).map_err(StoreError::io("count", &path))?;
            Ok::<_, StoreError>(usage)
        };
        Ok(StoreUsage {
            blobs: area("blobs")?,
            snapshots: area("snapshots")?,
            cache: area("cache")?,
            runs: area("runs")?,
            tmp: area("tmp")?,
        })
    }
}

fn count(root: &Path, usage: &mut AreaUsage) -> io::Result<()> {
    // A stack, not recursion: the depth of a tree that a step made is the step's choice.
    let mut stack = vec![root.to_owned()];
    while let Some(dir) = stack.pop() {
        let names = match sorted_names(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                usage.unreadable += 1;
                continue;
            }
            result => result?,
        };
        for name in names {
            let path = dir.join(name);
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            usage.bytes += meta.blocks() * 512;
            usage.entries += 1;
            if meta.is_dir() {
                stack.push(path);
            }
        }
    }
    Ok(())
}
