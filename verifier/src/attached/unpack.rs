//! From the blobs of a pack back to its directory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use repro_core::{
    digest::Digest,
    store::{BlobError, BlobStore as _, LocalBlobs},
};

use super::PackArtifact;

/// Why a pack is not in its directory.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The operating system's word.
    #[error("cannot write {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Lays the files of a pack, whose blobs are in `blobs`, below `dir`, which is empty.
///
/// Where that is possible a file is another name of its blob: it is only to be read, and whoever
/// verifies the pack computes every digest anew.
pub fn unpack(pack: &PackArtifact, blobs: &LocalBlobs, dir: &Path) -> Result<(), UnpackError> {
    for (path, blob) in pack.files() {
        let to = dir.join(path);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| UnpackError::Io { path, source }
        };
        if let Some(above) = to.parent() {
            fs::create_dir_all(above).map_err(io(above))?;
        }
        if blobs.size(blob.digest)?.is_none() {
            return Err(BlobError::Missing(blob.digest).into());
        }
        if fs::hard_link(blobs.path(blob.digest), &to).is_err() {
            copy(blobs, blob.digest, &to).map_err(io(&to))?;
        }
    }
    Ok(())
}

fn copy(blobs: &LocalBlobs, digest: Digest, to: &Path) -> io::Result<()> {
    let mut from = blobs.open(digest)?;
    let mut file = File::create_new(to)?;
    io::copy(&mut from, &mut file).map(drop)
}
