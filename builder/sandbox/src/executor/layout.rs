//! Where trees lie in the store.
//!
//! ```text
//! snapshots/<mapping>/<chain>/fs          a stored tree, as ids of the mapping
//! snapshots/<mapping>/<chain>/info.json   facts on it
//! runs/<invocation>/trees/<run>/<index>/fs   what a step changed
//! ```
//!
//! `<mapping>` and `trees` belong to the root of the mapping and to nobody else: what is below
//! is made, read and removed by stages only.

use std::{
    fs::{self, DirBuilder},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, chown},
    },
    path::{Path, PathBuf},
};

use repro_core::{
    build::{ExecutorError, InvocationId, RunId, SnapshotName},
    digest::ChainId,
    fs::sorted_names,
};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::{
    mapping::IdMapping,
    stage::job::{INFO_FILE, TREE_DIR},
};

const SNAPSHOTS: &str = "snapshots";
const RUNS: &str = "runs";
/// The directory of an invocation holds the store's lock as well.
const TREES: &str = "trees";
/// Only the owner.
const PRIVATE: u32 = 0o700;

/// The store's directory, as far as trees are concerned.
#[derive(Debug)]
pub(super) struct Layout {
    path: PathBuf,
    root: OwnedFd,
    mapping: String,
}

impl Layout {
    /// Makes what is missing below `path`.
    pub(super) fn create(path: &Path, mapping: &IdMapping) -> Result<Self, ExecutorError> {
        let root = openat(
            CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| failed("open", path)(errno.into()))?;
        let layout = Self {
            path: path.to_owned(),
            root,
            mapping: mapping.key(),
        };
        make(&path.join(SNAPSHOTS))?;
        make(&path.join(RUNS))?;
        give(&path.join(layout.snapshots()), mapping)?;
        Ok(layout)
    }

    /// The store's directory.
    pub(super) const fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The directory of stored trees.
    pub(super) fn snapshots(&self) -> String {
        format!("{SNAPSHOTS}/{}", self.mapping)
    }

    /// The names of stored trees, and of what unpacking left unfinished.
    pub(super) fn stored_names(&self) -> Result<Vec<String>, ExecutorError> {
        let path = self.path.join(self.snapshots());
        let names = sorted_names(&path).map_err(failed("list", &path))?;
        // All names there are this program's own: digests in hex.
        Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    /// The facts on a stored tree.
    pub(super) fn info(&self, chain: ChainId) -> PathBuf {
        self.path
            .join(self.snapshots())
            .join(chain.0.hex())
            .join(INFO_FILE)
    }

    /// The tree `name`.
    pub(super) fn tree(&self, name: &SnapshotName) -> String {
        match name {
            SnapshotName::Stored(chain) => {
                format!("{}/{}/{TREE_DIR}", self.snapshots(), chain.0.hex())
            }
            SnapshotName::Step {
                invocation,
                run,
                index,
            } => format!("{RUNS}/{invocation}/{TREES}/{run}/{index}/{TREE_DIR}"),
        }
    }

    /// The directory of an invocation, made if it is not there.
    pub(super) fn invocation(
        &self,
        invocation: &InvocationId,
        mapping: &IdMapping,
    ) -> Result<String, ExecutorError> {
        make(&self.path.join(RUNS).join(invocation.to_string()))?;
        let relative = format!("{RUNS}/{invocation}/{TREES}");
        give(&self.path.join(&relative), mapping)?;
        Ok(relative)
    }

    /// The same, if it is there.
    pub(super) fn existing_invocation(
        &self,
        invocation: &InvocationId,
    ) -> Result<Option<String>, ExecutorError> {
        let relative = format!("{RUNS}/{invocation}/{TREES}");
        let path = self.path.join(&relative);
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(Some(relative)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    /// Where the trees of an invocation are, if it has any.
    pub(super) fn trees_of(root: &Path, invocation: &InvocationId) -> PathBuf {
        root.join(RUNS).join(invocation.to_string()).join(TREES)
    }

    /// What can be in the directory of an invocation.
    pub(super) fn run_names() -> Vec<String> {
        // Each has a directory.
        RunId::ALL.iter().map(ToString::to_string).collect()
    }

    /// Removes the directory of an invocation, once a stage has emptied it.
    pub(super) fn remove_invocation(&self, relative: &str) -> Result<(), ExecutorError> {
        let path = self.path.join(relative);
        fs::remove_dir(&path).map_err(failed("remove", &path))?;
        let parent = path.parent().unwrap_or(&path);
        match fs::remove_dir(parent) {
            // The store's lock is in it: the store removes both when the invocation is over.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            result => result.map_err(failed("remove", parent)),
        }
    }
}

fn make(path: &Path) -> Result<(), ExecutorError> {
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a directory that belongs to the mapped root.
fn give(path: &Path, mapping: &IdMapping) -> Result<(), ExecutorError> {
    make(path)?;
    let (uid, gid) = mapping.root();
    chown(path, Some(uid), Some(gid)).map_err(failed("give to the step's root", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExecutorError {
    let what = format!("cannot {action} {}", path.display());
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ExecutorError::Exhausted {
            what,
            source: Some(error),
        },
        _ => ExecutorError::Machine {
            what,
            hint: "the store must be a directory of this user: see REPRO_STORE".to_owned(),
            source: Some(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tree_of_an_invocation_is_below_a_known_run() {
        let directory = tempfile::tempdir().unwrap();
        let mapping = IdMapping::detect().unwrap();
        let layout = Layout::create(directory.path(), &mapping).unwrap();
        let step = SnapshotName::Step {
            invocation: "x".to_owned().try_into().unwrap(),
            run: RunId::BRepeat,
            index: 7,
        };
        assert_eq!(layout.tree(&step), "runs/x/trees/b-repeat/7/fs");
        let names = Layout::run_names();
        assert!(names.contains(&RunId::BRepeat.to_string()));
    }
}
