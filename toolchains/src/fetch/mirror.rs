//! Where archives are.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use repro_core::{epoch::Epoch, hosts::SNAPSHOT_ARCHIVE};

use super::ArchivePath;

/// Seconds after the date of a release at which the snapshot archive is sure to have taken it
/// in; it answers with the last state before the time asked for.
const SNAPSHOT_DELAY: i64 = 12 * 3600;

/// Why a text is not a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Another scheme.
    #[error("a mirror is an http:// or https:// URL")]
    Scheme,
    /// No host, or characters that a URL does not have.
    #[error("the URL of the mirror is malformed")]
    Malformed,
    /// A query or fragment, to which no path can be added.
    #[error("the URL of a mirror has no ? and no #")]
    Query,
}

/// The root of a Debian archive: what stands before `pool/` in its URLs.
///
/// A user name and password in the URL are sent to that host alone and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Without credentials and trailing slash.
    url: String,
    /// `Authorization` header.
    authorization: Option<String>,
}

impl Mirror {
    /// The address of a file.
    pub(super) fn url(&self, path: &ArchivePath) -> String {
        // The two characters of pool paths that some servers read as something else.
        let path = path.as_str().replace('%', "%25").replace('+', "%2B");
        format!("{}/{path}", self.url)
    }

    /// The `Authorization` header that the mirror wants.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let (scheme, rest) = match () {
            () if lower.starts_with("https://") => ("https", &text[8..]),
            () if lower.starts_with("http://") => ("http", &text[7..]),
            () => return Err(MirrorError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(MirrorError::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || host.starts_with(':') || !printable {
            return Err(MirrorError::Malformed);
        }
        let basic = |user: &str| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut pair: Vec<u8> = percent_decode_str(name).collect();
            pair.push(b':');
            pair.extend(percent_decode_str(password));
            format!("Basic {}", STANDARD.encode(pair))
        };
        Ok(Self {
            url: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
            authorization: user.map(basic),
        })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state of the snapshot archive that has what a release of `published` names.
#[must_use]
pub fn snapshot_archive(published: Epoch) -> Mirror {
    let seconds = i64::try_from(published.seconds()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds.saturating_add(SNAPSHOT_DELAY))
        .unwrap_or(jiff::Timestamp::MAX);
    Mirror {
        url: format!("{SNAPSHOT_ARCHIVE}/{}", time.strftime("%Y%m%dT%H%M%SZ")),
        authorization: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let mirror: Mirror = "https://user:s%65cret@m.example/debian/".parse().unwrap();
        assert_eq!(mirror.to_string(), "https://m.example/debian");
        assert_eq!(format!("{mirror:?}"), "https://m.example/debian");
        assert_eq!(mirror.authorization(), Some("Basic dXNlcjpzZWNyZXQ="));
        let path = "pool/main/g/g++_1+b_all.deb".parse().unwrap();
        let url = "https://m.example/debian/pool/main/g/g%2B%2B_1%2Bb_all.deb";
        assert_eq!(mirror.url(&path), url);
    }

    #[test]
    fn what_is_no_mirror() {
        for (text, error) in [
            ("ftp://m.example", MirrorError::Scheme),
            ("m.example", MirrorError::Scheme),
            ("http://", MirrorError::Malformed),
            ("http:///x", MirrorError::Malformed),
            ("http://:80/x", MirrorError::Malformed),
            ("http://m.example/a b", MirrorError::Malformed),
            ("http://m.example/?x", MirrorError::Query),
        ] {
            assert_eq!(text.parse::<Mirror>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_snapshot_is_taken_after_the_release() {
        let mirror = snapshot_archive(Epoch::new(1_783_764_997).unwrap());
        assert!(
            mirror.to_string().ends_with("/20260711T221637Z"),
            "{mirror}"
        );
    }
}
