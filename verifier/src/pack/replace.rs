//! The moment in which a pack gets its place.

use std::{fs, io, path::Path};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{PackError, layout};
use crate::{
    predicate::evidence_index::PackIndex,
    strict_json, uris,
    verify::files::{self, PackFiles},
};

/// The directory in which `dir` lies.
pub(super) fn parent(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether `dir` may be replaced by [`super::write`]: nothing is there, an empty directory, or an evidence
/// pack to which nobody added anything.
pub fn check_replaceable(dir: &Path) -> Result<(), PackError> {
    let refuse = |what: String| PackError::NotOurs {
        path: dir.to_owned(),
        what,
    };
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PackError::io("look at", dir)(error)),
        Ok(meta) if !meta.is_dir() => return Err(refuse("not a directory".into())),
        Ok(_) => {}
    }
    let found = PackFiles::list(dir).map_err(|error| match error {
        files::FilesError::Io { source, path, .. } => PackError::io("look at", &path)(source),
        other => refuse(format!("no evidence pack ({other})")),
    })?;
    if found.paths().is_empty() {
        return Ok(());
    }
    let index = found
        .read(layout::INDEX, files::INDEX_MAX)
        .ok()
        .and_then(|bytes| strict_json::parse(&bytes, files::INDEX_MAX).ok())
        .and_then(|value| serde_json::from_value::<PackIndex>(value).ok())
        .filter(|index| index.schema == uris::EVIDENCE_INDEX)
        .ok_or_else(|| refuse("a directory without the index of an evidence pack".into()))?;
    let known = |path: &str| {
        index.files.contains_key(path) || [layout::INDEX, layout::INDEX_BUNDLE].contains(&path)
    };
    match found.paths().iter().find(|path| !known(path)) {
        Some(path) => Err(refuse(format!(
            "an evidence pack to which {path:?} was added"
        ))),
        None => Ok(()),
    }
}

/// Renames `new` to `dir`. What was there ends up in `holder`, which lies on the same file
/// system.
pub(super) fn put(new: &Path, holder: &Path, dir: &Path) -> Result<(), PackError> {
    match renameat_with(CWD, new, CWD, dir, RenameFlags::NOREPLACE) {
        Ok(()) => return sync_parent(dir),
        // A file system without the flag; nothing was there when it was looked at.
        Err(Errno::INVAL | Errno::NOSYS) if !dir.exists() => {
            fs::rename(new, dir).map_err(PackError::io("put the pack at", dir))?;
            return sync_parent(dir);
        }
        Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {}
        Err(error) => return Err(PackError::io("put the pack at", dir)(error.into())),
    }
    // Looked at again: it may have come into being while the pack was made.
    check_replaceable(dir)?;
    match renameat_with(CWD, new, CWD, dir, RenameFlags::EXCHANGE) {
        Ok(()) => sync_parent(dir),
        Err(Errno::INVAL | Errno::NOSYS) => put_aside(new, holder, dir),
        Err(error) => Err(PackError::io("replace the pack at", dir)(error.into())),
    }
}

/// Without an atomic exchange there is a moment without a pack. If this process dies in it, the
/// old pack lies in the holder beside its place, and the next run puts it back.
fn put_aside(new: &Path, holder: &Path, dir: &Path) -> Result<(), PackError> {
    let old = holder.join(super::holder::OLD);
    fs::rename(dir, &old).map_err(PackError::io("move aside", dir))?;
    if let Err(error) = fs::rename(new, dir) {
        fs::rename(&old, dir).map_err(PackError::io("move back", dir))?;
        return Err(PackError::io("put the pack at", dir)(error));
    }
    sync_parent(dir)
}

fn sync_parent(dir: &Path) -> Result<(), PackError> {
    repro_core::fs::sync_dir(parent(dir)).map_err(PackError::io("sync the directory of", dir))
}
