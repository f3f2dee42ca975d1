//! A store on disk.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{BlobError, LocalBlobs, MetaError, lock, meta::Meta};
use crate::{
    digest::Digest,
    fs::{sync_dir, write_durably},
    json::CanonicalError,
};

/// The file that says that a directory is an OCI image layout (image-spec, "oci-layout file").
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Only the owner may enter: snapshots hold set-id programs of images.
const ROOT_MODE: u32 = 0o700;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system's word.
    #[error("{what}")]
    Io {
        /// The operation and the file.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory holds a store of another kind.
    #[error("{} cannot be used as a store", root.display())]
    Meta {
        /// The store.
        root: PathBuf,
        /// Why.
        #[source]
        source: MetaError,
    },
    /// The directory holds other things.
    #[error("{} is neither empty nor a store: it has no meta.json", .0.display())]
    NotAStore(PathBuf),
    /// A document of the store does not have its shape.
    #[error("{} is damaged", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document that cannot be written.
    #[error("a document for the store has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// A reference with a digest was given an image of another.
    #[error("{reference} cannot name {found}")]
    TagDigest {
        /// The reference.
        reference: String,
        /// The digest of the image.
        found: Digest,
    },
    /// A run directory of that name is there.
    #[error("invocation {0} has a run directory already")]
    RunExists(String),
    /// A blob cannot be read or kept.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl StoreError {
    /// For `map_err`: the operation and the path.
    pub(super) fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

/// A store on disk, in use by this process until dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    blobs: LocalBlobs,
    /// Holds the shared lock that keeps [`Store::gc`] of other processes away.
    pub(super) in_use: File,
}

impl Store {
    /// Opens the store in `root`. A directory that is empty or not there becomes a new store.
    ///
    /// Waits while another process collects garbage in it.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let mut make = DirBuilder::new();
        make.recursive(true).mode(ROOT_MODE);
        make.create(root).map_err(StoreError::io("make", root))?;
        // Everything is made under a lock and `meta.json` last, so a half-made store is made
        // whole by the next process.
        let locks = root.join("locks");
        if !root.join("meta.json").exists() {
            refuse_foreign(root)?;
        }
        make.create(&locks)
            .map_err(StoreError::io("make", &locks))?;
        let path = locks.join("store");
        let in_use = lock::open(&path).map_err(StoreError::io("open", &path))?;
        in_use
            .lock_shared()
            .map_err(StoreError::io("lock", &path))?;
        for name in ["blobs/sha256", "snapshots", "cache", "runs", "tmp"] {
            let dir = root.join(name);
            make.create(&dir).map_err(StoreError::io("make", &dir))?;
        }
        let blobs = LocalBlobs::open(root).map_err(StoreError::io("make blobs in", root))?;
        let store = Self {
            root: root.to_owned(),
            blobs,
            in_use,
        };
        store.check_meta()?;
        Ok(store)
    }

    fn check_meta(&self) -> Result<(), StoreError> {
        let fail = |source| StoreError::Meta {
            root: self.root.clone(),
            source,
        };
        let path = self.root.join("meta.json");
        match fs::read(&path) {
            Ok(bytes) => Meta::parse(&bytes)
                .and_then(|meta| meta.check())
                .map_err(fail),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let layout = self.root.join("oci-layout");
                self.write(&layout, OCI_LAYOUT)?;
                sync_dir(&self.root).map_err(StoreError::io("sync", &self.root))?;
                self.write(&path, &crate::json::canonical(&Meta::current())?)
            }
            Err(source) => Err(StoreError::io("read", &path)(source)),
        }
    }

    /// Where the store lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its blobs.
    #[must_use]
    pub const fn blobs(&self) -> &LocalBlobs {
        &self.blobs
    }

    /// Unpacked trees. The executor alone knows what is inside.
    #[must_use]
    pub fn snapshots_dir(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Scratch of running builds; see [`Store::create_run`].
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Remembered results; see [`Store::cache_get`].
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub(super) fn locks_dir(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Durably replaces a document of the store.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        write_durably(path, self.blobs.tmp(), bytes, 0o644).map_err(StoreError::io("write", path))
    }
}

/// A directory with other things in it is not made into a store: `repro store gc` would one
/// day remove files that were never ours. What an interrupted [`Store::open`] leaves is ours.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    // `meta.json` too: another process may have finished making the store just now.
    const OURS: [&str; 8] = [
        "blobs",
        "cache",
        "locks",
        "meta.json",
        "oci-layout",
        "runs",
        "snapshots",
        "tmp",
    ];
    let names = crate::fs::sorted_names(root).map_err(StoreError::io("list", root))?;
    if names
        .iter()
        .all(|name| OURS.iter().any(|ours| name == ours))
    {
        Ok(())
    } else {
        Err(StoreError::NotAStore(root.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_store_is_an_oci_layout_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("deep/store");
        drop(Store::open(&root).unwrap());
        let again = Store::open(&root).unwrap();
        let layout: oci_spec::image::OciLayout =
            serde_json::from_slice(&fs::read(again.root().join("oci-layout")).unwrap()).unwrap();
        assert_eq!(layout.image_layout_version(), "1.0.0");
    }

    #[test]
    fn an_unknown_feature_and_a_foreign_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        let meta = dir.path().join("meta.json");
        fs::write(&meta, br#"{"version":1,"incompatible":["packs"]}"#).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("packs"), "{source}");

        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("thesis.txt"), b"x").unwrap();
        assert!(matches!(
            Store::open(foreign.path()),
            Err(StoreError::NotAStore(_))
        ));
    }

    /// Killed at any point of its first opening, a store opens the next time.
    #[test]
    fn a_half_made_store_is_made_whole() {
        let whole = tempfile::tempdir().unwrap();
        drop(Store::open(whole.path()).unwrap());
        for missing in ["meta.json", "oci-layout", "tmp", "runs", "blobs", "cache"] {
            let path = whole.path().join(missing);
            fs::remove_file(whole.path().join("meta.json")).unwrap();
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            } else if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            drop(Store::open(whole.path()).unwrap());
            assert!(path.exists(), "{missing}");
        }
    }
}
