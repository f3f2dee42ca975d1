//! Blobs in a local directory.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{BlobError, BlobStore, BlobWriter, StoredBlob, VerifyingReader};
use crate::{
    digest::{Digest, HashingWriter},
    fs::{persist_durably, sync_dir},
};

/// Mode of a blob: its bytes never change, and a stray writer should notice.
const BLOB_MODE: u32 = 0o444;

/// Blobs as files `blobs/sha256/<hex>`, written by way of `tmp/`.
#[derive(Debug, Clone)]
pub struct LocalBlobs {
    dir: PathBuf,
    tmp: PathBuf,
}

impl LocalBlobs {
    /// Uses the directories `root/blobs/sha256` and `root/tmp`, made if they are not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        let blobs = Self {
            dir: root.join("blobs/sha256"),
            tmp: root.join("tmp"),
        };
        fs::create_dir_all(&blobs.dir)?;
        fs::create_dir_all(&blobs.tmp)?;
        Ok(blobs)
    }

    /// The directory of the blobs; the name of a file is its digest in hexadecimal.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where unfinished blobs lie, on the same file system as the blobs.
    #[must_use]
    pub fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// The file of a blob, whether it is there or not. For calls that need a path; reading it
    /// does not verify.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.hex())
    }

    /// Removes a blob. One that is not there is no error.
    pub(super) fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BlobError::Io {
                what: format!("remove blob {digest}"),
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Makes removals survive a crash.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_dir(&self.dir)
    }
}

impl BlobStore for LocalBlobs {
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match fs::symlink_metadata(self.path(digest)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BlobError::Io {
                what: format!("look up blob {digest}"),
                source,
            }),
        }
    }

    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError> {
        match File::open(self.path(digest)) {
            Ok(file) => Ok(Box::new(VerifyingReader::new(file, digest))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::Missing(digest))
            }
            Err(source) => Err(BlobError::Io {
                what: format!("open blob {digest}"),
                source,
            }),
        }
    }

    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError> {
        let file = NamedTempFile::new_in(&self.tmp).map_err(|source| BlobError::Io {
            what: format!("make a file in {}", self.tmp.display()),
            source,
        })?;
        Ok(Box::new(Staged {
            blobs: self,
            out: HashingWriter::new(file),
        }))
    }
}

/// A blob that has no name yet; dropped, its file is removed.
struct Staged<'a> {
    blobs: &'a LocalBlobs,
    out: HashingWriter<NamedTempFile>,
}

impl Staged<'_> {
    fn keep(self, expected: Option<Digest>) -> Result<StoredBlob, BlobError> {
        let (digest, size, file) = self.out.finish();
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(BlobError::Corrupt {
                expected,
                found: digest,
            });
        }
        // Also where a blob of that name is there: its bytes may be damaged, these are not.
        persist_durably(file, &self.blobs.path(digest), BLOB_MODE).map_err(|source| {
            BlobError::Io {
                what: format!("keep blob {digest}"),
                source,
            }
        })?;
        Ok(StoredBlob { digest, size })
    }
}

impl Write for Staged<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl BlobWriter for Staged<'_> {
    fn commit(self: Box<Self>) -> Result<StoredBlob, BlobError> {
        self.keep(None)
    }

    fn commit_as(self: Box<Self>, expected: Digest) -> Result<StoredBlob, BlobError> {
        self.keep(Some(expected))
    }
}
