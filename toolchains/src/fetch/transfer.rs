//! One file from the first mirror that has it.

use std::{io, path::Path};

use repro_core::store::BlobStore;
use ureq::{
    http::{StatusCode, header},
    tls::RootCerts,
};

use super::{Answer, ArchiveFile, FetchError, Mirror, RetryPolicy, Tried};
use crate::{
    http::{self, pause},
    part::{PartFile, Trouble},
    progress::Progress,
};

/// Redirects followed; mirror networks need two.
const REDIRECTS: u32 = 5;

pub(super) fn agent() -> ureq::Agent {
    http::config(RootCerts::PlatformVerifier)
        .max_redirects(REDIRECTS)
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
        let part = PartFile::open(self.partial, self.file.sha256, self.file.size);
        let mut part = part.map_err(|source| self.partial(source))?;
        let mut tried = Vec::new();
        for mirror in mirrors {
            match self.ask(mirror, &mut part) {
                Ok(()) => return Ok(()),
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

    fn partial(&self, source: io::Error) -> FetchError {
        FetchError::Partial {
            path: self.file.path.clone(),
            source,
        }
    }

    fn ask(&self, mirror: &Mirror, part: &mut PartFile) -> Result<(), Failure> {
        let mut wait = self.retry.first_wait;
        let mut attempt = 1;
        loop {
            if (self.stop)() {
                return Err(Failure::Fatal(FetchError::Cancelled));
            }
            match self.request(mirror, part) {
                Err(Failure::Again(_)) if attempt < self.retry.attempts => {
                    pause(wait, self.stop);
                    wait *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// One request for what is missing, and the check of the whole.
    fn request(&self, mirror: &Mirror, part: &mut PartFile) -> Result<(), Failure> {
        let resumed = part.have() > 0;
        self.progress.advance(part.have());
        let result = if part.is_full() {
            Ok(())
        } else {
            self.receive(mirror, part)
        };
        let result = result.and_then(|()| part.keep(self.store).map_err(|t| self.failure(t)));
        if result.is_err() {
            self.progress.take_back(part.have());
        }
        if let Err(Failure::Other(Answer::Digest(_) | Answer::Long)) = &result {
            part.restart()
                .map_err(|source| Failure::Fatal(self.partial(source)))?;
            if resumed {
                // The bytes of the earlier try may be the wrong ones: this mirror gets a chance
                // to give all of them.
                return self.request(mirror, part);
            }
        }
        result
    }

    /// Appends the rest of the file to `part`.
    fn receive(&self, mirror: &Mirror, part: &mut PartFile) -> Result<(), Failure> {
        let mut request = self
            .agent
            .get(mirror.url(&self.file.path))
            .config()
            .timeout_global(Some(http::longest(self.file.size)))
            .build();
        if part.have() > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", part.have()));
        }
        if let Some(value) = mirror.authorization() {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = request
            .call()
            .map_err(|error| Failure::Again(Answer::Connection(error.to_string())))?;
        part.receive(response, self.progress, self.stop)
            .map_err(|trouble| self.failure(trouble))
    }

    /// What to do about it.
    fn failure(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Status(status) => {
                let answer = Answer::Status(status.as_u16());
                let again = [
                    StatusCode::PARTIAL_CONTENT,
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    StatusCode::TOO_MANY_REQUESTS,
                ];
                if again.contains(&status) || status.is_server_error() {
                    Failure::Again(answer)
                } else {
                    Failure::Other(answer)
                }
            }
            Trouble::Broken(why) => Failure::Again(Answer::Connection(why)),
            Trouble::Short(size) => Failure::Again(Answer::Short(size)),
            Trouble::Long => Failure::Other(Answer::Long),
            Trouble::Digest(found) => Failure::Other(Answer::Digest(found)),
            Trouble::Store(source) => Failure::Fatal(FetchError::Store {
                path: self.file.path.clone(),
                source,
            }),
            Trouble::File(source) => Failure::Fatal(self.partial(source)),
            Trouble::Stopped => Failure::Fatal(FetchError::Cancelled),
        }
    }
}
