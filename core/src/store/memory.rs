//! Blobs in memory, stricter than a disk: reads are always short.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{BlobError, BlobStore, BlobWriter, StoredBlob, VerifyingReader};
use crate::digest::{Digest, HashingWriter};

/// Most bytes that one read gives: callers that take a short read for the end fail at once.
const LONGEST_READ: usize = 4093;

/// A store that lives as long as the value. For comparisons that keep nothing, and for tests.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<Digest, Arc<[u8]>>>,
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The digests of all blobs, sorted.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<[u8]>>> {
        // The map is whole between any two statements, so a panic elsewhere does not harm it.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryBlobs {
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        Ok(self.lock().get(&digest).map(|bytes| bytes.len() as u64))
    }

    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError> {
        let bytes = self.lock().get(&digest).cloned();
        let bytes = bytes.ok_or(BlobError::Missing(digest))?;
        Ok(Box::new(VerifyingReader::new(
            ShortReads { bytes, at: 0 },
            digest,
        )))
    }

    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError> {
        Ok(Box::new(Staged {
            store: self,
            out: HashingWriter::new(Vec::new()),
        }))
    }
}

struct ShortReads {
    bytes: Arc<[u8]>,
    at: usize,
}

impl Read for ShortReads {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len().min(LONGEST_READ);
        let read = (&self.bytes[self.at..]).read(&mut buf[..room])?;
        self.at += read;
        Ok(read)
    }
}

struct Staged<'a> {
    store: &'a MemoryBlobs,
    out: HashingWriter<Vec<u8>>,
}

impl Staged<'_> {
    fn keep(self, expected: Option<Digest>) -> Result<StoredBlob, BlobError> {
        let (digest, size, bytes) = self.out.finish();
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(BlobError::Corrupt {
                expected,
                found: digest,
            });
        }
        self.store.lock().insert(digest, bytes.into());
        Ok(StoredBlob { digest, size })
    }
}

impl Write for Staged<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
