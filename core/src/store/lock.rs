//! Advisory locks between processes. The kernel drops them when a process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// Opens the file of a lock, made if it is not there. Lock files are never removed: a process
/// could hold the lock of a removed file while another locks a new one of the same name.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Waits for the exclusive lock, held until the file is dropped.
pub(super) fn exclusive(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    file.lock()?;
    Ok(file)
}

/// Takes the exclusive lock of `file` if nobody holds it; `None` if somebody does.
pub(super) fn try_exclusive(file: &File) -> io::Result<Option<()>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
