//! The few file-system habits that everything else relies on: listings in a stable order,
//! and files that are whole or not there.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use tempfile::NamedTempFile;

/// The names in a directory, sorted bytewise, without `.` and `..`.
///
/// The order in which a file system lists names is not stable; nothing else may list one.
pub fn sorted_names(dir: &Path) -> io::Result<Vec<OsString>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that sorts a listing"
    )]
    let listing = fs::read_dir(dir)?;
    let mut names = listing
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Replaces the file `path` by `bytes` with permissions `mode`, so that after a crash at any
/// moment it holds the old bytes or the new ones. `tmp` is a directory on the same file system.
pub fn write_durably(path: &Path, tmp: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(tmp)?;
    file.write_all(bytes)?;
    persist_durably(file, path, mode)
}

/// Gives a finished temporary file its name `path` and permissions `mode`: synced before the
/// rename, the directory synced after it.
///
/// Without the first sync a crash can leave the name on an empty file; without the second the
/// rename itself can be lost after the caller was told of success.
pub fn persist_durably(file: NamedTempFile, path: &Path, mode: u32) -> io::Result<()> {
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

/// Makes additions to and removals from `dir` survive a crash.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_bytewise() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "B", "é", "_"] {
            File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(sorted_names(dir.path()).unwrap(), ["B", "_", "a", "b", "é"]);
    }

    #[test]
    fn a_durable_write_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_durably(&path, dir.path(), b"old", 0o644).unwrap();
        write_durably(&path, dir.path(), b"new", 0o444).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o444
        );
        assert_eq!(sorted_names(dir.path()).unwrap(), ["x"]);
    }
}
