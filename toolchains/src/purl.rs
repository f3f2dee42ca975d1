//! Inputs by package URL, as far as this version can fetch them.

use std::{fmt, str::FromStr};

use packageurl::PackageUrl;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not a usable input.
#[derive(Debug, thiserror::Error)]
pub enum PurlError {
    /// Not a package URL at all.
    #[error("{text:?} is not a package URL")]
    Syntax {
        /// The text.
        text: String,
        /// The parser's word.
        #[source]
        source: packageurl::Error,
    },
    /// A package URL of a kind that cannot be fetched.
    #[error(
        "{0:?} names no input that this version can fetch: \
         pkg:deb/debian/NAME@VERSION?arch=source is the one kind so far, with &distro=SUITE if \
         it is not in bookworm"
    )]
    Kind(String),
    /// A name or version that Debian's policy does not allow.
    #[error("{0:?} is not the name and version of a Debian source package")]
    Debian(String),
}

/// A Debian source package, `pkg:deb/debian/NAME@VERSION?arch=source`, with `&distro=SUITE` where
/// a lock is to find it in another suite than the usual one.
///
/// Keeps the text as it was written: it is the input's name in lock and provenance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePurl {
    text: String,
    name: String,
    version: String,
    suite: Option<String>,
}

impl SourcePurl {
    /// Name of the source package.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, with epoch and revision.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The suite that it is in, if it says.
    #[must_use]
    pub fn suite(&self) -> Option<&str> {
        self.suite.as_deref()
    }
}

impl FromStr for SourcePurl {
    type Err = PurlError;

    fn from_str(text: &str) -> Result<Self, PurlError> {
        let shown = || text.chars().take(200).collect::<String>();
        let purl = PackageUrl::from_str(text).map_err(|source| PurlError::Syntax {
            text: shown(),
            source,
        })?;
        let qualifier = |name| purl.qualifiers().get(name).map(AsRef::as_ref);
        let suite: Option<&str> = qualifier("distro");
        let source = purl.qualifiers().len() == 1 + usize::from(suite.is_some())
            && qualifier("arch") == Some("source");
        let debian = purl.ty() == "deb" && purl.namespace() == Some("debian");
        let (true, true, None, Some(version)) = (source, debian, purl.subpath(), purl.version())
        else {
            return Err(PurlError::Kind(shown()));
        };
        let known = suite.is_none_or(is_suite);
        if !is_package_name(purl.name()) || !is_version(version) || !known {
            return Err(PurlError::Debian(shown()));
        }
        Ok(Self {
            text: text.to_owned(),
            name: purl.name().to_owned(),
            version: version.to_owned(),
            suite: suite.map(ToOwned::to_owned),
        })
    }
}

/// Debian policy 5.6.1: at least two of lower-case letters, digits, `+ - .`, beginning with a
/// letter or digit.
pub(crate) fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// What suites and components are called: nothing that could lead elsewhere in a path.
pub(crate) fn is_suite(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
}

/// Debian policy 5.6.12, by its characters; which version is newer never matters here.
pub(crate) fn is_version(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(epoch, rest)| {
        if epoch.bytes().all(|b| b.is_ascii_digit()) && !epoch.is_empty() {
            rest
        } else {
            ""
        }
    });
    upstream.starts_with(|c: char| c.is_ascii_digit())
        && upstream
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+-~".contains(&b))
}

impl fmt::Display for SourcePurl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for SourcePurl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SourcePurl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_and_version_with_and_without_escapes() {
        for text in [
            "pkg:deb/debian/zlib@1:1.2.13.dfsg-1?arch=source",
            "pkg:deb/debian/zlib@1%3A1.2.13.dfsg-1?arch=source",
        ] {
            let purl: SourcePurl = text.parse().unwrap();
            assert_eq!((purl.name(), purl.version()), ("zlib", "1:1.2.13.dfsg-1"));
            assert_eq!(purl.to_string(), text);
            assert_eq!(purl.suite(), None);
        }
        let text = "pkg:deb/debian/zlib@1.3-1?arch=source&distro=trixie";
        let purl: SourcePurl = text.parse().unwrap();
        assert_eq!(purl.suite(), Some("trixie"));
    }

    #[test]
    fn refuses_what_it_cannot_fetch() {
        for text in [
            "zlib",
            "pkg:deb/debian/zlib?arch=source",
            "pkg:deb/debian/zlib@1.2?arch=amd64",
            "pkg:deb/debian/zlib@1.2",
            "pkg:deb/ubuntu/zlib@1.2?arch=source",
            "pkg:deb/debian/zlib@1.2?arch=source&distro=../x",
            "pkg:deb/debian/zlib@1.2?arch=source&vcs_url=x",
            "pkg:deb/debian/zlib@1.2?distro=sid",
            "pkg:npm/zlib@1.2?arch=source",
            "pkg:deb/debian/zlib@../..?arch=source",
            "pkg:deb/debian/zlib@a:1?arch=source",
            "pkg:deb/debian/zlib@1.2?arch=source#debian",
        ] {
            assert!(text.parse::<SourcePurl>().is_err(), "{text}");
        }
    }
}
