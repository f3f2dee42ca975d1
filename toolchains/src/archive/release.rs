//! What `InRelease` says: when a release was made, how long it is good, which indexes it has.

use std::collections::BTreeMap;

use repro_core::digest::Digest;

use super::{
    ArchiveError,
    control::{ControlError, Paragraph},
};
use crate::lock::ArchiveDate;

/// Longest list of indexes that is believed; Debian's has a thousand.
const MAX_INDEXES: usize = 100_000;

/// Size and digest of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Number of its bytes.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
}

/// Why a signed text is not a release that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Not fields.
    #[error("the release is malformed")]
    Control(#[from] ControlError),
    /// A field that is not there or says nothing.
    #[error("the release has no usable field {0}")]
    Field(&'static str),
    /// It is signed, and it is another suite's.
    #[error("the release is of {0}")]
    OtherSuite(String),
}

/// The signed text of `InRelease`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// `Date`.
    pub(crate) date: ArchiveDate,
    /// `Valid-Until`.
    pub(crate) valid_until: Option<ArchiveDate>,
    /// `Acquire-By-Hash`.
    pub(crate) by_hash: bool,
    /// `SHA256`, by path below the suite's directory. Digests of weaker kinds are not looked at.
    pub(crate) indexes: BTreeMap<String, IndexEntry>,
}

impl Release {
    /// Parses `text`, which must be the release of `suite`, by its name or codename.
    pub(crate) fn parse(text: &str, suite: &str) -> Result<Self, ReleaseError> {
        let fields = Paragraph::parse(text.trim_end())?;
        let names = ["Suite", "Codename"].map(|name| fields.field(name).unwrap_or_default());
        if !names.contains(&suite) {
            let found = names.map(|name| name.chars().take(80).collect::<String>());
            return Err(ReleaseError::OtherSuite(found.join(" or ")));
        }
        let date = |name| {
            let text = fields.field(name);
            text.map(|text| {
                text.parse::<ArchiveDate>()
                    .map_err(|_| ReleaseError::Field(name))
            })
            .transpose()
        };
        let list = fields
            .field("SHA256")
            .ok_or(ReleaseError::Field("SHA256"))?;
        let mut indexes = BTreeMap::new();
        for line in list.lines() {
            let mut words = line.split_whitespace();
            let entry = || {
                let sha256 = format!("sha256:{}", words.next()?).parse().ok()?;
                let size = words.next()?.parse().ok()?;
                let path = words.next()?.to_owned();
                words
                    .next()
                    .is_none()
                    .then_some((path, IndexEntry { size, sha256 }))
            };
            let (path, entry) = { entry }().ok_or(ReleaseError::Field("SHA256"))?;
            // Two lines for one path that disagree: which one is meant is anybody's guess.
            let old = indexes.insert(path, entry);
            if indexes.len() > MAX_INDEXES || old.is_some_and(|old| old != entry) {
                return Err(ReleaseError::Field("SHA256"));
            }
        }
        Ok(Self {
            date: date("Date")?.ok_or(ReleaseError::Field("Date"))?,
            valid_until: date("Valid-Until")?,
            by_hash: fields.field("Acquire-By-Hash") == Some("yes"),
            indexes,
        })
    }

    /// What the release says of the index at `path`.
    pub(crate) fn index(&self, suite: &str, path: &str) -> Result<IndexEntry, ArchiveError> {
        let found = self.indexes.get(path).copied();
        found.ok_or_else(|| ArchiveError::NoIndex {
            suite: suite.to_owned(),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

    fn text() -> String {
        format!(
            "Origin: Debian\r\nSuite: stable\r\nCodename: moon\r\n\
             Date: Sat, 11 Jul 2026 10:16:37 UTC\r\nAcquire-By-Hash: yes\r\nMD5Sum:\r\n 00 1 a\r\n\
             SHA256:\r\n {HEX}       12 main/binary-amd64/Packages\r\n {HEX} 3 main/source/Sources\r\n"
        )
    }

    #[test]
    fn a_release_is_read() {
        for suite in ["stable", "moon"] {
            let release = Release::parse(&text(), suite).unwrap();
            assert!(release.by_hash);
            assert_eq!(release.valid_until, None);
            let entry = release.index(suite, "main/binary-amd64/Packages").unwrap();
            assert_eq!((entry.size, entry.sha256.hex()), (12, HEX.to_owned()));
            assert!(release.index(suite, "a").is_err());
        }
    }

    #[test]
    fn what_is_no_release() {
        let doubled = text() + &format!(" {HEX} 4 main/source/Sources\r\n");
        for (text, error) in [
            (
                text().replace("Date: Sat", "Date: Day"),
                ReleaseError::Field("Date"),
            ),
            (
                text().replace("Date: ", "Day: "),
                ReleaseError::Field("Date"),
            ),
            (
                text().replace("SHA256", "SHA1"),
                ReleaseError::Field("SHA256"),
            ),
            (
                text().replace("  12 ", " -12 "),
                ReleaseError::Field("SHA256"),
            ),
            (text().replace("00ff", "00"), ReleaseError::Field("SHA256")),
            (doubled, ReleaseError::Field("SHA256")),
        ] {
            assert_eq!(Release::parse(&text, "moon"), Err(error), "{text}");
        }
        let other = Release::parse(&text(), "sun").unwrap_err();
        assert_eq!(other.to_string(), "the release is of stable or moon");
        assert!(Release::parse("<html>", "moon").is_err());
    }
}
