//! One file from the first mirror that has it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use repro_core::store::{BlobError, BlobStore};
use ureq::http::{Response, StatusCode, header};

use super::{Answer, ArchiveFile, FetchError, Mirror, RetryPolicy, Tried, progress::Progress};

/// Time for a name to be found and a connection to be made.
pub(crate) const CONNECT: Duration = Duration::from_secs(20);
/// Time for an answer to begin, and between two reads of its body.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// A transfer slower than this, on average and after [`CONNECT`], is given up: a server that
/// sends a byte now and then would otherwise hold the build for days.
const SLOWEST: u64 = 8 << 10;
/// Redirects followed; mirror networks need two.
const REDIRECTS: u32 = 5;

/// Certificates that the machine trusts.
pub(crate) fn tls() -> ureq::tls::TlsConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .build()
}

pub(super) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .user_agent(concat!("repro/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .tls_config(tls())
        .build()
        .new_agent()
}

pub(super) struct Transfer<'a> {
    pub(super) agent: &'a ureq::Agent,
    pub(super) file: &'a ArchiveFile,
    pub(super) partial: &'a Path,
    pub(super) retry: RetryPolicy,
    pub(super) store: &'a dyn BlobStore,
    pub(super) progress: &'a Progress<'a>,
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// How one request ended, if not with the file.
enum Failure {
    /// Another mirror must be asked.
    Other(Answer),
    /// The same mirror can be asked again.
    Again(Answer),
    /// Nothing helps.
    Fatal(FetchError),
}

impl Transfer<'_> {
    /// Asks the mirrors in turn until one gives the bytes that the lock has.
    pub(super) fn run(&self, mirrors: &[Mirror]) -> Result<(), FetchError> {
        let (mut part, path) = self.open_partial().map_err(|source| self.partial(source))?;
        let mut tried = Vec::new();
        for mirror in mirrors {
            match self.ask(mirror, &mut part) {
                Ok(()) => {
                    if let Some(path) = path {
                        // Left behind, it would only be bytes that are in the store already.
                        std::fs::remove_file(path).map_err(|source| self.partial(source))?;
                    }
                    return Ok(());
                }
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Other(answer) | Failure::Again(answer)) => tried.push(Tried {
                    mirror: mirror.to_string(),
                    answer,
                }),
            }
        }
        let wrong = tried.iter().find_map(|tried| match tried.answer {
            Answer::Digest(found) => Some((found, tried.mirror.clone())),
            _ => None,
        });
        let path = self.file.path.clone();
        Err(match wrong {
            Some((found, mirror)) => FetchError::Digest {
                path,
                expected: self.file.sha256,
                found,
                mirror,
            },
            None => FetchError::Unavailable { path, tried },
        })
    }

    /// The unfinished file of an earlier try, locked; or, where another process is at the same
    /// file, one without a name.
    fn open_partial(&self) -> io::Result<(File, Option<std::path::PathBuf>)> {
        let name = format!("fetch-{}.part", self.file.sha256.hex());
        let path = self.partial.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok((file, Some(path))),
            Err(TryLockError::WouldBlock) => Ok((tempfile::tempfile_in(self.partial)?, None)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn partial(&self, source: io::Error) -> FetchError {
        FetchError::Partial {
            path: self.file.path.clone(),
            source,
        }
    }

    fn ask(&self, mirror: &Mirror, part: &mut File) -> Result<(), Failure> {
        let mut wait = self.retry.first_wait;
        let mut attempt = 1;
        loop {
            if (self.stop)() {
                return Err(Failure::Fatal(FetchError::Cancelled));
            }
            match self.request(mirror, part) {
                Err(Failure::Again(_)) if attempt < self.retry.attempts => {
                    thread::sleep(wait);
                    wait *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// One request for what is missing, and the check of the whole.
    fn request(&self, mirror: &Mirror, part: &mut File) -> Result<(), Failure> {
        let fatal = |source| Failure::Fatal(self.partial(source));
        let mut have = part.seek(SeekFrom::End(0)).map_err(fatal)?;
        if have > self.file.size {
            part.set_len(0).map_err(fatal)?;
            have = 0;
        }
        let resumed = have > 0;
        self.progress.advance(have);
        let result = if have < self.file.size {
            self.receive(mirror, part, &mut have)
        } else {
            Ok(())
        };
        let result = result.and_then(|()| self.keep(part));
        if result.is_err() {
            self.progress.take_back(have);
        }
        if let Err(Failure::Other(Answer::Digest(_) | Answer::Long)) = &result {
            part.set_len(0).map_err(fatal)?;
            if resumed {
                // The bytes of the earlier try may be the wrong ones: this mirror gets a chance
                // to give all of them.
                return self.request(mirror, part);
            }
        }
        result
    }

    /// Appends the rest of the file to `part`; `have` follows its length.
    fn receive(&self, mirror: &Mirror, part: &mut File, have: &mut u64) -> Result<(), Failure> {
        let broken =
            |error: &dyn std::fmt::Display| Failure::Again(Answer::Connection(error.to_string()));
        let longest = CONNECT + Duration::from_secs(60 + self.file.size / SLOWEST);
        let mut request = self
            .agent
            .get(mirror.url(&self.file.path))
            .config()
            .timeout_global(Some(longest))
            .build();
        if *have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        if let Some(value) = mirror.authorization() {
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.call().map_err(|error| broken(&error))?;
        let fatal = |source| Failure::Fatal(self.partial(source));
        let status = response.status();
        let fits = status == StatusCode::PARTIAL_CONTENT && continues_at(&response, *have);
        let useless = [
            StatusCode::OK,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::RANGE_NOT_SATISFIABLE,
        ];
        if *have > 0 && !fits && useless.contains(&status) {
            // The server has no use for our half: it sends everything, or other bytes.
            part.set_len(0).map_err(fatal)?;
            self.progress.take_back(*have);
            *have = 0;
        }
        let answer = Answer::Status(status.as_u16());
        match status {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if fits => {}
            StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::TOO_MANY_REQUESTS => return Err(Failure::Again(answer)),
            status if status.is_server_error() => return Err(Failure::Again(answer)),
            _ => return Err(Failure::Other(answer)),
        }
        part.seek(SeekFrom::Start(*have)).map_err(fatal)?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if (self.stop)() {
                return Err(Failure::Fatal(FetchError::Cancelled));
            }
            let read = body.read(&mut buffer).map_err(|error| broken(&error))?;
            if read == 0 {
                break;
            }
            if *have + read as u64 > self.file.size {
                return Err(Failure::Other(Answer::Long));
            }
            part.write_all(&buffer[..read]).map_err(fatal)?;
            *have += read as u64;
            self.progress.advance(read as u64);
        }
        if *have < self.file.size {
            return Err(Failure::Again(Answer::Short(*have)));
        }
        Ok(())
    }

    /// Puts a file of the right length into the store, if it is the right file.
    fn keep(&self, part: &mut File) -> Result<(), Failure> {
        let store = |source| {
            Failure::Fatal(FetchError::Store {
                path: self.file.path.clone(),
                source,
            })
        };
        part.rewind()
            .map_err(|source| Failure::Fatal(self.partial(source)))?;
        let mut writer = self.store.create().map_err(store)?;
        io::copy(part, &mut writer).map_err(|source| {
            store(BlobError::Io {
                what: format!("write blob {}", self.file.sha256),
                source,
            })
        })?;
        match writer.commit_as(self.file.sha256) {
            Ok(_) => Ok(()),
            Err(BlobError::Corrupt { found, .. }) => Err(Failure::Other(Answer::Digest(found))),
            Err(error) => Err(store(error)),
        }
    }
}

/// Whether a partial answer begins where our bytes end.
fn continues_at<T>(response: &Response<T>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}
