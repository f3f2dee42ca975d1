//! A pack in the making, in a directory beside its place.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use repro_core::{
    digest::{Digest, HashingWriter},
    fs::sync_dir,
    store::{BlobError, BlobStore, StoredBlob},
};

use super::{PackError, holder::Holder, replace};

/// Dropped before [`Stage::put_in_place`] it leaves nothing.
#[derive(Debug)]
pub(super) struct Stage {
    holder: Holder,
    root: PathBuf,
    files: BTreeMap<String, StoredBlob>,
}

impl Stage {
    /// Begins a pack whose place is `dir`. Directories above it are made.
    pub(super) fn beside(dir: &Path) -> Result<Self, PackError> {
        let holder = Holder::take(dir)?;
        let stage = Self {
            root: holder.path().join(super::holder::NEW),
            holder,
            files: BTreeMap::new(),
        };
        make_dir(&stage.root)?;
        Ok(stage)
    }

    /// What was written so far, by path.
    pub(super) const fn files(&self) -> &BTreeMap<String, StoredBlob> {
        &self.files
    }

    /// Writes a file. `path` is one of ours: relative, with `/`, without dots.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), PackError> {
        let (full, file) = self.create(path)?;
        let mut writer = HashingWriter::new(file);
        writer
            .write_all(bytes)
            .map_err(PackError::io("write", &full))?;
        let (digest, size, file) = writer.finish();
        finish(&file).map_err(PackError::io("write", &full))?;
        self.files.insert(path.into(), StoredBlob { digest, size });
        Ok(())
    }

    /// Copies a blob into a file. The store verifies it while it is read.
    pub(super) fn blob(
        &mut self,
        path: &str,
        blobs: &dyn BlobStore,
        digest: Digest,
    ) -> Result<(), PackError> {
        let mut source = blobs.open(digest)?;
        let (full, file) = self.create(path)?;
        let mut writer = BufWriter::with_capacity(1 << 17, file);
        let size = io::copy(&mut source, &mut writer).map_err(|error| {
            match error.downcast::<BlobError>() {
                Ok(damage) => PackError::Blob(damage),
                Err(source) => PackError::io("copy a blob to", &full)(source),
            }
        })?;
        let file = writer
            .into_inner()
            .map_err(|error| PackError::io("write", &full)(error.into_error()))?;
        finish(&file).map_err(PackError::io("write", &full))?;
        self.files.insert(path.into(), StoredBlob { digest, size });
        Ok(())
    }

    fn create(&self, path: &str) -> Result<(PathBuf, File), PackError> {
        let full = self.root.join(path);
        let mut dir = self.root.clone();
        for part in Path::new(path).parent().into_iter().flatten() {
            dir.push(part);
            if !dir.is_dir() {
                make_dir(&dir)?;
            }
        }
        let file = File::create_new(&full).map_err(PackError::io("create", &full))?;
        Ok((full, file))
    }

    /// Makes everything durable and gives the pack its place.
    pub(super) fn put_in_place(self, dir: &Path) -> Result<(), PackError> {
        let mut dirs: Vec<&Path> = self
            .files
            .keys()
            .flat_map(|path| Path::new(path).ancestors().skip(1))
            .collect();
        dirs.sort_unstable();
        dirs.dedup();
        for below in dirs {
            let full = self.root.join(below);
            sync_dir(&full).map_err(PackError::io("sync", &full))?;
        }
        replace::put(&self.root, self.holder.path(), dir)?;
        self.holder.close()
    }
}

/// Modes are set, not left to the umask: evidence is for everyone to read.
fn make_dir(path: &Path) -> Result<(), PackError> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(PackError::io("create", path))
}

fn finish(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}
