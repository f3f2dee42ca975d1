//! The blobs of an image layout in a pack, read-only.

use std::io::{self, Read};

use repro_core::{
    digest::Digest,
    store::{BlobError, BlobStore, BlobWriter, VerifyingReader},
};

use super::files::{FilesError, PackFiles};
use crate::pack::layout::IMAGE;

/// Blobs that are read through the guards of [`PackFiles`] and held to their digests.
pub(super) struct PackBlobs<'a>(pub(super) &'a PackFiles);

/// Where the blobs of the image lie.
pub(super) fn prefix() -> String {
    format!("{IMAGE}/blobs/sha256/")
}

impl PackBlobs<'_> {
    fn file(&self, digest: Digest) -> Result<std::fs::File, BlobError> {
        let path = format!("{}{}", prefix(), digest.hex());
        self.0.open(&path).map_err(|error| match error {
            FilesError::Missing(_) => BlobError::Missing(digest),
            FilesError::Io { what, source, .. } => BlobError::Io {
                what: format!("{what} blob {digest}"),
                source,
            },
            other => BlobError::Io {
                what: format!("open blob {digest}"),
                source: io::Error::new(io::ErrorKind::InvalidData, other),
            },
        })
    }
}

impl BlobStore for PackBlobs<'_> {
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        let file = match self.file(digest) {
            Err(BlobError::Missing(_)) => return Ok(None),
            other => other?,
        };
        let meta = file.metadata().map_err(|source| BlobError::Io {
            what: format!("look at blob {digest}"),
            source,
        })?;
        Ok(Some(meta.len()))
    }

    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError> {
        let file = self.file(digest)?;
        Ok(Box::new(VerifyingReader::new(file, digest)))
    }

    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError> {
        Err(BlobError::Io {
            what: "write to an evidence pack".into(),
            source: io::ErrorKind::ReadOnlyFilesystem.into(),
        })
    }
}
