//! Places below the root of an archive.

use std::{fmt, str::FromStr};

use crate::lock::PoolPath;

/// Longest path; those by hash have 150 characters.
const MAX: usize = 512;

/// Not a place of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a path of an archive: names of letters, digits and . _ + ~ : % -")]
pub struct ArchivePathError(String);

/// A path below the root of an archive, `pool/...` or `dists/...`, that needs no escaping but
/// for `%` and `+` and leads nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchivePath(String);

impl ArchivePath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArchivePath {
    type Err = ArchivePathError;

    fn from_str(text: &str) -> Result<Self, ArchivePathError> {
        let name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._+~:%-".contains(&b))
        };
        let root = text.starts_with("pool/") || text.starts_with("dists/");
        if root && text.len() <= MAX && text.split('/').all(name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArchivePathError(text.chars().take(80).collect()))
        }
    }
}

impl From<&PoolPath> for ArchivePath {
    fn from(path: &PoolPath) -> Self {
        Self(path.as_str().to_owned())
    }
}

impl fmt::Display for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_archive() {
        for good in [
            "dists/bookworm/InRelease",
            "dists/bookworm-security/updates/x",
            "pool/a",
        ] {
            assert_eq!(good.parse::<ArchivePath>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "dists",
            "dists/",
            "/dists/a",
            "dists/../a",
            "dists//a",
            "dists/a?b",
            "a/b",
        ] {
            assert!(bad.parse::<ArchivePath>().is_err(), "{bad}");
        }
    }
}
