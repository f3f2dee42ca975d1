//! Blobs by digest: the trait, and what callers need on top of it.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Why a blob cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No blob has this digest.
    #[error("blob {0} is not in the store")]
    Missing(Digest),
    /// The bytes have another digest than their name says.
    #[error("blob {expected} is damaged: its bytes have the digest {found}")]
    Corrupt {
        /// The name.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// Larger than the caller takes.
    #[error("blob {digest} has more than the {limit} bytes allowed here")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// The caller's limit.
        limit: u64,
    },
    /// The operating system's word.
    #[error("{what}")]
    Io {
        /// The operation and the blob.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A blob that is in the store: whole, synced and under its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlob {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Number of its bytes.
    pub size: u64,
}

/// A blob being written. Dropped without [`BlobWriter::commit`] it leaves nothing.
pub trait BlobWriter: Write + Send {
    /// Keeps what was written, under its digest.
    fn commit(self: Box<Self>) -> Result<StoredBlob, BlobError>;

    /// As [`BlobWriter::commit`], but only if the bytes have the digest `expected`; otherwise
    /// nothing is kept and the error is [`BlobError::Corrupt`].
    fn commit_as(self: Box<Self>, expected: Digest) -> Result<StoredBlob, BlobError>;
}

/// Keeps blobs by digest.
pub trait BlobStore: Send + Sync {
    /// The size of a blob, or `None` if it is not there. Reads no content.
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError>;

    /// Opens a blob. The bytes are hashed as they are read: the read that reaches the end
    /// fails with [`io::ErrorKind::InvalidData`] wrapping [`BlobError::Corrupt`] if they do not
    /// have the digest asked for. A caller that acts on bytes before the end must be able to
    /// take it back.
    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError>;

    /// Begins a blob.
    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError>;
}

/// Reads a whole blob of at most `limit` bytes.
pub fn read_small(store: &dyn BlobStore, digest: Digest, limit: u64) -> Result<Vec<u8>, BlobError> {
    let mut bytes = Vec::new();
    match store
        .open(digest)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
    {
        Ok(_) if bytes.len() as u64 > limit => Err(BlobError::TooLarge { digest, limit }),
        Ok(_) => Ok(bytes),
        Err(error) => Err(from_read(digest, error)),
    }
}

impl From<BlobError> for io::Error {
    /// Keeps the kind of an error of the operating system, so that a full disk is still one.
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::Io { source, .. } => source.kind(),
            BlobError::Missing(_) => io::ErrorKind::NotFound,
            BlobError::Corrupt { .. } | BlobError::TooLarge { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Keeps `bytes`.
pub fn put_bytes(store: &dyn BlobStore, bytes: &[u8]) -> Result<StoredBlob, BlobError> {
    let mut writer = store.create()?;
    writer.write_all(bytes).map_err(|source| BlobError::Io {
        what: "write a blob to the store".into(),
        source,
    })?;
    writer.commit()
}

/// The [`BlobError`] inside a read error, so that callers can tell damage from a bad disk.
pub(crate) fn from_read(digest: Digest, error: io::Error) -> BlobError {
    match error.downcast::<BlobError>() {
        Ok(inner) => inner,
        Err(source) => BlobError::Io {
            what: format!("read blob {digest}"),
            source,
        },
    }
}

/// A reader that fails at the end of `inner` if the bytes do not have the digest they should.
///
/// The read that would report the end fails with [`io::ErrorKind::InvalidData`] wrapping
/// [`BlobError::Corrupt`], and so does every read after it.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    expected: Digest,
    hash: Sha256,
    found: Option<Digest>,
}

impl<R: Read> VerifyingReader<R> {
    /// Holds the bytes of `inner` to `expected`.
    pub fn new(inner: R, expected: Digest) -> Self {
        Self {
            inner,
            expected,
            hash: Sha256::new(),
            found: None,
        }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.found.is_none() {
            let read = self.inner.read(buf)?;
            if read > 0 {
                self.hash.update(&buf[..read]);
                return Ok(read);
            }
            let hash = std::mem::take(&mut self.hash);
            self.found = Some(Digest::from_raw(hash.finalize().into()));
        }
        match self.found {
            Some(found) if found != self.expected => Err(BlobError::Corrupt {
                expected: self.expected,
                found,
            }
            .into()),
            _ => Ok(0),
        }
    }
}
