//! A signed archive: `InRelease`, checked by who signed it, and the indexes that it names,
//! checked by their digests.
//!
//! Nothing is read that is not covered: the text of a release is what was signed, an index has
//! the digest and size that the release says, compressed and not. Mirrors are as little trusted
//! as for packages; one with an old state, or with another archive, is passed over.

mod control;
mod index;
mod keyring;
mod release;
mod signature;

use std::{collections::BTreeSet, fmt, io};

use repro_core::{
    digest::Digest,
    event::EventSink,
    store::{BlobError, BlobStore, put_bytes},
};

pub use control::ControlError;
pub use index::{BinaryPackage, IndexError, PackageIndex, SourceIndex, SourcePackage};
pub use keyring::{KeyRefusal, Keyring, KeyringError, MAX_KEYRING};
pub use release::{IndexEntry, ReleaseError};
pub use signature::{Expiry, Refused, SignatureError, SignatureRefusal, Trust};

use self::{
    keyring::time,
    release::Release,
    signature::{AHEAD, SignedText},
};
use crate::{
    codec::Codec,
    fetch::{
        Answer, ArchiveFile, ArchivePath, ArchivePathError, FetchError, Fetcher, Mirror,
        TextFailure,
    },
    lock::{Archive, Fingerprint},
};

/// Largest `InRelease`; Debian's are below 300 KiB.
const MAX_RELEASE: u64 = 8 << 20;

/// Largest index, uncompressed; Debian's are below 64 MiB.
const MAX_INDEX: u64 = 512 << 20;

/// Why a release is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseRefusal {
    /// The mirror does not have it.
    #[error("{0}")]
    Answer(Answer),
    /// Nobody trusted signed it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It cannot be used.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// It was good until then.
    #[error("it was valid until {}", time(*.0))]
    Expired(i64),
    /// It is of tomorrow.
    #[error("it was made at {}, which is in the future", time(*.0))]
    Future(i64),
}

impl ReleaseRefusal {
    /// Whether it would be taken if time did not matter.
    #[must_use]
    pub fn is_expiry(&self) -> bool {
        match self {
            Self::Expired(_) => true,
            Self::Signature(error) => error.is_expiry(),
            Self::Answer(_) | Self::Release(_) | Self::Future(_) => false,
        }
    }
}

/// A mirror whose release was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRelease {
    /// The mirror, without credentials.
    pub mirror: String,
    /// Why.
    pub why: ReleaseRefusal,
}

impl fmt::Display for RefusedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mirror, self.why)
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A suite whose name cannot be part of a path.
    #[error("{0:?} is not the name of a suite")]
    Suite(String),
    /// There is nobody to ask.
    #[error("no mirror to ask for the release of {0}")]
    NoMirror(String),
    /// Nobody gave a release that is trusted.
    #[error(
        "no mirror gives a release of {suite} that is trusted: {}",
        list(refused)
    )]
    Release {
        /// The suite.
        suite: String,
        /// Whom we asked.
        refused: Vec<RefusedRelease>,
    },
    /// The release has no such index.
    #[error("the release of {suite} has no index {path}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The index.
        path: String,
    },
    /// An index is not to be had.
    #[error("cannot fetch {path}")]
    Fetch {
        /// The index.
        path: String,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// An index is not what the release says, or no index.
    #[error("cannot use {path}")]
    Index {
        /// The index.
        path: String,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// A path that the release names and that leads nowhere.
    #[error(transparent)]
    Path(#[from] ArchivePathError),
    /// The store cannot keep what was fetched.
    #[error("cannot keep the release of {suite}")]
    Store {
        /// The suite.
        suite: String,
        /// Why.
        #[source]
        source: BlobError,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

fn list(refused: &[RefusedRelease]) -> String {
    let all = refused.iter().map(ToString::to_string);
    all.collect::<Vec<_>>().join(", ")
}

/// Reads archives.
#[derive(Clone, Copy)]
pub struct ArchiveReader<'a> {
    /// Brings files.
    pub fetcher: &'a Fetcher,
    /// Who is believed.
    pub trust: &'a Trust,
    /// Who is asked for releases and indexes, in this order.
    pub mirrors: &'a [Mirror],
    /// Where everything is kept.
    pub blobs: &'a dyn BlobStore,
    /// Hears of progress.
    pub events: &'a dyn EventSink,
}

impl fmt::Debug for ArchiveReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader")
            .field("trust", self.trust)
            .field("mirrors", &self.mirrors)
            .finish_non_exhaustive()
    }
}

/// A release that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    suite: String,
    /// Digest of `InRelease`, signatures included.
    digest: Digest,
    text: String,
    release: Release,
    signed_by: BTreeSet<Fingerprint>,
    /// Where it came from: asked first for the indexes.
    mirror: Mirror,
}

impl SignedRelease {
    /// What was signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The suite that was asked for.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// When it was made.
    #[must_use]
    pub const fn date(&self) -> &crate::lock::ArchiveDate {
        &self.release.date
    }

    /// The chain from the keys to the index at `path`, for a lock.
    pub fn chain(&self, component: &str, path: &str) -> Result<Archive, ArchiveError> {
        Ok(Archive {
            suite: self.suite.clone(),
            component: component.to_owned(),
            date: self.release.date.clone(),
            in_release_sha256: self.digest,
            signed_by: self.signed_by.iter().cloned().collect(),
            index: path.to_owned(),
            index_sha256: self.release.index(&self.suite, path)?.sha256,
        })
    }
}

impl ArchiveReader<'_> {
    /// The release of `suite` of the first mirror that has one that is trusted. A mirror whose
    /// release is not taken is passed over, since any other may do; if none does, the error says
    /// of each why.
    pub fn release(&self, suite: &str) -> Result<SignedRelease, ArchiveError> {
        let path: ArchivePath = format!("dists/{suite}/InRelease")
            .parse()
            .map_err(|_| ArchiveError::Suite(suite.chars().take(80).collect()))?;
        if self.mirrors.is_empty() {
            return Err(ArchiveError::NoMirror(suite.to_owned()));
        }
        let mut refused = Vec::new();
        for mirror in self.mirrors {
            let bytes = match self.fetcher.text(mirror, &path, MAX_RELEASE) {
                Ok(bytes) => Ok(bytes),
                Err(TextFailure::Answer(answer)) => Err(ReleaseRefusal::Answer(answer)),
                Err(TextFailure::Cancelled) => return Err(ArchiveError::Cancelled),
            };
            let opened = bytes.and_then(|bytes| Ok((self.open(suite, &bytes)?, bytes)));
            match opened {
                Ok(((signed, release), bytes)) => {
                    let kept =
                        put_bytes(self.blobs, &bytes).map_err(|source| ArchiveError::Store {
                            suite: suite.to_owned(),
                            source,
                        })?;
                    return Ok(SignedRelease {
                        suite: suite.to_owned(),
                        digest: kept.digest,
                        text: signed.text,
                        release,
                        signed_by: signed.signed_by,
                        mirror: mirror.clone(),
                    });
                }
                Err(why) => refused.push(RefusedRelease {
                    mirror: mirror.to_string(),
                    why,
                }),
            }
        }
        Err(ArchiveError::Release {
            suite: suite.to_owned(),
            refused,
        })
    }

    fn open(&self, suite: &str, bytes: &[u8]) -> Result<(SignedText, Release), ReleaseRefusal> {
        let signed = self.trust.open(bytes)?;
        let release = Release::parse(&signed.text, suite)?;
        let seconds = |date: &crate::lock::ArchiveDate| {
            i64::try_from(date.epoch().seconds()).unwrap_or(i64::MAX)
        };
        let made = seconds(&release.date);
        if made > self.trust.now + AHEAD {
            return Err(ReleaseRefusal::Future(made));
        }
        match &release.valid_until {
            Some(until)
                if seconds(until) <= self.trust.now && self.trust.expiry == Expiry::Refuse =>
            {
                Err(ReleaseRefusal::Expired(seconds(until)))
            }
            _ => Ok((signed, release)),
        }
    }

    /// The packages of a component for an architecture.
    pub fn packages(
        &self,
        release: &SignedRelease,
        component: &str,
        architecture: &str,
    ) -> Result<PackageIndex, ArchiveError> {
        let path = PackageIndex::path(component, architecture);
        let text = self.index(release, &path)?;
        PackageIndex::parse(text).map_err(|source| ArchiveError::Index { path, source })
    }

    /// The source packages of a component.
    pub fn sources(
        &self,
        release: &SignedRelease,
        component: &str,
    ) -> Result<SourceIndex, ArchiveError> {
        let path = SourceIndex::path(component);
        let text = self.index(release, &path)?;
        SourceIndex::parse(text).map_err(|source| ArchiveError::Index { path, source })
    }

    /// The text of the index at `path`, from the smallest form that the release has.
    fn index(&self, release: &SignedRelease, path: &str) -> Result<String, ArchiveError> {
        // The uncompressed index is named also where no mirror has it as such.
        let plain = release.release.index(&release.suite, path)?;
        let in_index = |source| ArchiveError::Index {
            path: path.to_owned(),
            source,
        };
        if plain.size > MAX_INDEX {
            return Err(in_index(IndexError::Large(plain.size)));
        }
        let forms = [(".xz", Codec::Xz), (".gz", Codec::Gzip), ("", Codec::Plain)];
        let found = forms.into_iter().find_map(|(suffix, codec)| {
            let name = format!("{path}{suffix}");
            let entry = release.release.indexes.get(&name)?;
            Some((name, codec, *entry))
        });
        let (name, codec, entry) = found.unwrap_or((path.to_owned(), Codec::Plain, plain));
        let suite = &release.suite;
        let place = match name.rsplit_once('/') {
            // Under its digest an index stays what it is while the mirror gets a new release.
            Some((dir, _)) if release.release.by_hash => {
                format!("dists/{suite}/{dir}/by-hash/SHA256/{}", entry.sha256.hex())
            }
            _ => format!("dists/{suite}/{name}"),
        };
        let file = ArchiveFile {
            path: place.parse()?,
            size: entry.size,
            sha256: entry.sha256,
        };
        let mut mirrors = vec![release.mirror.clone()];
        mirrors.extend(
            self.mirrors
                .iter()
                .filter(|other| **other != release.mirror)
                .cloned(),
        );
        let title = format!("fetch {path} of {suite}");
        self.fetcher
            .fetch_from(&mirrors, &title, &[file], self.blobs, self.events)
            .map_err(|source| match source {
                FetchError::Cancelled => ArchiveError::Cancelled,
                source => ArchiveError::Fetch {
                    path: path.to_owned(),
                    source: Box::new(source),
                },
            })?;
        let read = || -> io::Result<Result<String, IndexError>> {
            let blob = self.blobs.open(entry.sha256)?;
            index::read_plain(codec.decode(blob)?, plain)
        };
        read().map_err(IndexError::Read).flatten().map_err(in_index)
    }
}
