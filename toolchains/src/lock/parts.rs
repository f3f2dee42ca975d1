//! What locks of all kinds are made of.

use std::{fmt, str::FromStr};

use repro_core::{digest::Digest, epoch::Epoch, platform::Platform};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest pool path; Debian's own stay below 200.
const MAX_POOL_PATH: usize = 512;

/// Implements serde by `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            }
        }
    };
}

/// The version of a format that has had one so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version1;

/// A version that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {0} is unknown, this version of repro reads version 1")]
pub struct UnknownVersion(u32);

impl TryFrom<u32> for Version1 {
    type Error = UnknownVersion;

    fn try_from(number: u32) -> Result<Self, UnknownVersion> {
        if number == 1 {
            Ok(Self)
        } else {
            Err(UnknownVersion(number))
        }
    }
}

impl From<Version1> for u32 {
    fn from(Version1: Version1) -> Self {
        1
    }
}

/// Not a path below `pool/`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pool path: pool/ and names of letters, digits and . _ + ~ : % -")]
pub struct PoolPathError(String);

/// A path in a Debian archive, relative to the archive's root: the same on every mirror.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolPath(String);

impl PoolPath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// What follows the last dot of the last name.
    #[must_use]
    pub fn extension(&self) -> &str {
        let name = self.file_name().rsplit_once('.');
        name.map_or("", |(_, last)| last)
    }
}

impl FromStr for PoolPath {
    type Err = PoolPathError;

    /// The characters are those that stand for themselves in a URL, so that a path needs no
    /// escaping and two spellings of one path do not exist.
    fn from_str(text: &str) -> Result<Self, PoolPathError> {
        let name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._+~:%-".contains(&b))
        };
        let mut names = text.split('/');
        let good = text.len() <= MAX_POOL_PATH
            && names.next() == Some("pool")
            && names.clone().count() > 0
            && names.all(name);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(PoolPathError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for PoolPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(PoolPath);

/// A file of a Debian archive: where it is on any mirror, and which bytes it has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolFile {
    /// Where.
    pub path: PoolPath,
    /// Number of its bytes.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
}

/// Not the fingerprint of an OpenPGP key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fingerprint: 40 or 64 upper-case hexadecimal digits")]
pub struct FingerprintError(String);

/// Fingerprint of an OpenPGP key, version 4 or 6.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        if matches!(text.len(), 40 | 64) && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FingerprintError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Fingerprint);

/// The field `Date` of a release: RFC 2822 with the zone `UTC`, kept as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveDate {
    text: String,
    epoch: Epoch,
}

impl ArchiveDate {
    /// Seconds since 1970.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl FromStr for ArchiveDate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is not the date of a release");
        // RFC 2822 knows GMT and numbers; Debian writes UTC.
        let parsable = text.strip_suffix("UTC").map(|rest| format!("{rest}GMT"));
        let seconds = parsable
            .and_then(|text| jiff::fmt::rfc2822::parse(&text).ok())
            .and_then(|time| u64::try_from(time.timestamp().as_second()).ok())
            .ok_or_else(refuse)?;
        Ok(Self {
            text: text.to_owned(),
            epoch: Epoch::new(seconds).map_err(|error| error.to_string())?,
        })
    }
}

impl fmt::Display for ArchiveDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serde_as_text!(ArchiveDate);

/// The chain of trust by which a package was found when its lock was written: a key signed
/// `InRelease`, which has the digest of an index, which has that of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// Suite.
    pub suite: String,
    /// Component.
    pub component: String,
    /// When the release was made.
    pub date: ArchiveDate,
    /// Digest of `InRelease`.
    pub in_release_sha256: Digest,
    /// Primary keys that signed it; at least one.
    #[serde(deserialize_with = "not_empty")]
    pub signed_by: Vec<Fingerprint>,
    /// Path of the index below the suite's directory.
    pub index: String,
    /// Digest of the index, uncompressed.
    pub index_sha256: Digest,
}

fn not_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("a release is signed by at least one key"));
    }
    Ok(list)
}

/// Debian's architectures that have a platform of the same kind of machine.
const ARCHITECTURES: [(&str, &str); 7] = [
    ("amd64", "linux/amd64"),
    ("arm64", "linux/arm64"),
    ("armhf", "linux/arm/v7"),
    ("i386", "linux/386"),
    ("ppc64el", "linux/ppc64le"),
    ("riscv64", "linux/riscv64"),
    ("s390x", "linux/s390x"),
];

/// Debian's name of the architecture of a platform; `None` if Debian has none.
#[must_use]
pub fn debian_architecture(platform: &Platform) -> Option<&'static str> {
    let text = platform.to_string();
    let found = ARCHITECTURES.iter().find(|(_, known)| *known == text);
    found.map(|(name, _)| *name)
}

/// The platform of one of Debian's architectures; `None` if it is not known.
#[must_use]
pub fn platform_of(architecture: &str) -> Option<Platform> {
    let found = ARCHITECTURES
        .iter()
        .find(|(name, _)| *name == architecture)?;
    found.1.parse().ok()
}

/// The platform that an entry is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryPlatform {
    /// Every platform: source.
    Any,
    /// One.
    One(Platform),
}

impl EntryPlatform {
    /// Whether the entry is for `platform`.
    #[must_use]
    pub fn covers(&self, platform: &Platform) -> bool {
        match self {
            Self::Any => true,
            Self::One(own) => own == platform,
        }
    }
}

impl FromStr for EntryPlatform {
    type Err = repro_core::platform::PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self::Any),
            text => text.parse().map(Self::One),
        }
    }
}

impl fmt::Display for EntryPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::One(platform) => platform.fmt(f),
        }
    }
}

serde_as_text!(EntryPlatform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_path_cannot_leave_the_archive_or_change_the_url() {
        for bad in [
            "",
            "pool",
            "pool/",
            "/pool/a",
            "pool//a",
            "pool/../a",
            "pool/./a",
            "pool/a?b",
            "pool/a#b",
            "pool/a b",
            "dists/a",
            "http://x/pool/a",
        ] {
            assert!(bad.parse::<PoolPath>().is_err(), "{bad}");
        }
        let path: PoolPath = "pool/main/z/zlib/zlib_1.2~x+y-1.dsc".parse().unwrap();
        assert_eq!(path.file_name(), "zlib_1.2~x+y-1.dsc");
    }

    #[test]
    fn a_release_date_is_a_time() {
        let date: ArchiveDate = "Sat, 11 Jul 2026 10:16:37 UTC".parse().unwrap();
        assert_eq!(date.epoch().seconds(), 1_783_764_997);
        for bad in [
            "",
            "Sat, 11 Jul 2026 10:16:37",
            "2026-07-11",
            "Sat, 11 Jul 1960 10:16:37 UTC",
        ] {
            assert!(bad.parse::<ArchiveDate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn architectures_have_platforms_and_back() {
        for (name, _) in ARCHITECTURES {
            let platform = platform_of(name).unwrap();
            assert_eq!(debian_architecture(&platform), Some(name));
        }
        assert_eq!(platform_of("source"), None);
        assert!(debian_architecture(&Platform::host()).is_some());
    }

    #[test]
    fn fingerprints() {
        assert!("A".repeat(40).parse::<Fingerprint>().is_ok());
        for bad in ["a".repeat(40), "A".repeat(39), "G".repeat(40)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
