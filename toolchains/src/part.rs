//! A download that is not whole yet: a file that an interrupted process leaves and the next one
//! goes on with.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use repro_core::{
    digest::Digest,
    store::{BlobError, BlobStore},
};
use ureq::{
    Body,
    http::{Response, StatusCode},
};

use crate::{http::continues_at, progress::Progress};

/// Why an answer did not make the download whole.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another status than success, or bytes that do not continue ours.
    Status(StatusCode),
    /// The connection broke.
    Broken(String),
    /// Fewer bytes than there should be, though the server called it the end.
    Short(u64),
    /// More bytes than there should be.
    Long,
    /// As many bytes as there should be, but others.
    Digest(Digest),
    /// The store does not take it.
    Store(BlobError),
    /// The unfinished file cannot be read or written.
    File(io::Error),
    /// The caller asked to stop.
    Stopped,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Bytes of a blob whose size and digest are known, as many as arrived.
#[derive(Debug)]
pub(crate) struct PartFile {
    file: File,
    /// `None` where another process is at the same blob: then the file has no name.
    path: Option<PathBuf>,
    size: u64,
    sha256: Digest,
    have: u64,
}

impl PartFile {
    /// The unfinished file of an earlier try in `dir`, locked; or, where another process has it, one
    /// without a name.
    pub(crate) fn open(dir: &Path, sha256: Digest, size: u64) -> io::Result<Self> {
        let path = dir.join(format!("fetch-{}.part", sha256.hex()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path)?;
        let (file, path) = match file.try_lock() {
            Ok(()) => (file, Some(path)),
            Err(TryLockError::WouldBlock) => (tempfile::tempfile_in(dir)?, None),
            Err(TryLockError::Error(error)) => return Err(error),
        };
        let mut part = Self {
            file,
            path,
            size,
            sha256,
            have: 0,
        };
        part.have = part.file.seek(SeekFrom::End(0))?;
        if part.have > size {
            part.restart()?;
        }
        Ok(part)
    }

    /// Bytes that are there.
    pub(crate) const fn have(&self) -> u64 {
        self.have
    }

    /// Whether as many bytes are there as the blob has.
    pub(crate) const fn is_full(&self) -> bool {
        self.have == self.size
    }

    /// Forgets all bytes.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.have = 0;
        self.file.set_len(0)
    }

    /// Appends what `response` has, which is the answer to a request for the rest.
    pub(crate) fn receive(
        &mut self,
        mut response: Response<Body>,
        progress: &Progress<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Trouble> {
        let status = response.status();
        let fits = status == StatusCode::PARTIAL_CONTENT && continues_at(&response, self.have);
        let useless = [
            StatusCode::OK,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::RANGE_NOT_SATISFIABLE,
        ];
        if self.have > 0 && !fits && useless.contains(&status) {
            // The server has no use for our half: it sends everything, or other bytes.
            progress.take_back(self.have);
            self.restart()?;
        }
        if status != StatusCode::OK && !fits {
            return Err(Trouble::Status(status));
        }
        let announced = response.body().content_length();
        if announced.is_some_and(|length| length > self.size - self.have) {
            return Err(Trouble::Long);
        }
        self.file.seek(SeekFrom::Start(self.have))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if stop() {
                return Err(Trouble::Stopped);
            }
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(Trouble::Broken(error.to_string())),
            };
            if read as u64 > self.size - self.have {
                return Err(Trouble::Long);
            }
            self.file.write_all(&buffer[..read])?;
            self.have += read as u64;
            progress.advance(read as u64);
        }
        if self.is_full() {
            Ok(())
        } else {
            Err(Trouble::Short(self.have))
        }
    }

    /// Puts the bytes into the store, if they are the right ones, and removes the file.
    pub(crate) fn keep(&mut self, store: &dyn BlobStore) -> Result<(), Trouble> {
        self.file.rewind()?;
        let mut writer = store.create().map_err(Trouble::Store)?;
        io::copy(&mut self.file, &mut writer).map_err(|source| {
            Trouble::Store(BlobError::Io {
                what: format!("write blob {}", self.sha256),
                source,
            })
        })?;
        match writer.commit_as(self.sha256) {
            Ok(_) => {}
            Err(BlobError::Corrupt { found, .. }) => return Err(Trouble::Digest(found)),
            Err(error) => return Err(Trouble::Store(error)),
        }
        if let Some(path) = self.path.take() {
            // Left behind, it would only be bytes that are in the store already.
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}
