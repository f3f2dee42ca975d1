//! Scratch directories of running builds, recognisable once their process is gone.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{Store, StoreError, lock};
use crate::{build::InvocationId, fs::sorted_names};

/// Name of the lock inside a run directory.
const LOCK: &str = "lock";

/// The scratch directory of one invocation, locked while the value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The lock under which run directories come and go.
    runs_lock: PathBuf,
    _lock: File,
}

impl RunDir {
    /// The directory. Everything in it but the file `lock` is the caller's.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory, which the caller has emptied but for the lock. (Files of mapped
    /// ids can only be removed inside the mapping, so this does not try.)
    pub fn remove(self) -> Result<(), StoreError> {
        // Otherwise a process that looks for stale runs could put a new lock into the directory
        // between the two removals.
        let _guard =
            lock::exclusive(&self.runs_lock).map_err(StoreError::io("lock", &self.runs_lock))?;
        fs::remove_file(self.path.join(LOCK))
            .map_err(StoreError::io("remove the lock in", &self.path))?;
        fs::remove_dir(&self.path).map_err(StoreError::io("remove", &self.path))
    }
}

/// What a process left that was killed. Locked while the value lives, so that two processes do
/// not clear the same one.
#[derive(Debug)]
pub struct StaleRun {
    invocation: InvocationId,
    dir: RunDir,
}

impl StaleRun {
    /// The invocation whose process is gone.
    #[must_use]
    pub const fn invocation(&self) -> &InvocationId {
        &self.invocation
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// As [`RunDir::remove`].
    pub fn remove(self) -> Result<(), StoreError> {
        self.dir.remove()
    }
}

impl Store {
    /// Makes the scratch directory `runs/<invocation>` and locks it.
    pub fn create_run(&self, invocation: &InvocationId) -> Result<RunDir, StoreError> {
        // Without this lock another process could see the directory before it is locked, and
        // take it for stale.
        let _guard = self.lock_runs()?;
        let path = self.runs_dir().join(invocation.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::RunExists(invocation.to_string()));
            }
            result => result.map_err(StoreError::io("make", &path))?,
        }
        let lock = lock::exclusive(&path.join(LOCK)).map_err(StoreError::io("lock", &path))?;
        Ok(RunDir {
            path,
            runs_lock: self.runs_lock(),
            _lock: lock,
        })
    }

    /// The run directories whose process is gone, sorted by name.
    pub fn stale_runs(&self) -> Result<Vec<StaleRun>, StoreError> {
        let _guard = self.lock_runs()?;
        let dir = self.runs_dir();
        let mut stale = Vec::new();
        for name in sorted_names(&dir).map_err(StoreError::io("list", &dir))? {
            let path = dir.join(&name);
            let name = name.into_string().ok();
            let Some(invocation) = name.and_then(|name| InvocationId::try_from(name).ok()) else {
                continue; // not made by this program
            };
            let lock = lock::open(&path.join(LOCK)).map_err(StoreError::io("open", &path))?;
            if lock::try_exclusive(&lock)
                .map_err(StoreError::io("lock", &path))?
                .is_some()
            {
                stale.push(StaleRun {
                    invocation,
                    dir: RunDir {
                        path,
                        runs_lock: self.runs_lock(),
                        _lock: lock,
                    },
                });
            }
        }
        Ok(stale)
    }

    /// The invocations that have a run directory, whether their process lives or not.
    pub fn runs(&self) -> Result<BTreeSet<InvocationId>, StoreError> {
        let dir = self.runs_dir();
        let names = sorted_names(&dir).map_err(StoreError::io("list", &dir))?;
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names
            .filter_map(|name| InvocationId::try_from(name).ok())
            .collect())
    }

    fn runs_lock(&self) -> PathBuf {
        self.locks_dir().join("runs")
    }

    fn lock_runs(&self) -> Result<File, StoreError> {
        let path = self.runs_lock();
        lock::exclusive(&path).map_err(StoreError::io("lock", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> InvocationId {
        InvocationId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_run_is_stale_only_when_its_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let other = Store::open(dir.path()).unwrap();
        let alive = store.create_run(&id("alive")).unwrap();
        drop(store.create_run(&id("killed")).unwrap());
        assert!(matches!(
            store.create_run(&id("killed")),
            Err(StoreError::RunExists(_))
        ));

        let stale = other.stale_runs().unwrap();
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].invocation(), &id("killed"));
        assert!(
            store.stale_runs().unwrap().is_empty(),
            "the other process clears it"
        );

        for run in stale {
            run.remove().unwrap();
        }
        alive.remove().unwrap();
        assert!(sorted_names(&store.runs_dir()).unwrap().is_empty());
    }
}
