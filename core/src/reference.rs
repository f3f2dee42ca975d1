//! Image references, parsed as Docker's `distribution/reference` grammar has it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    digest::{Digest, DigestError},
    hosts::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_ALIAS},
};

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing where a repository name belongs.
    #[error("an image reference needs a name")]
    Empty,
    /// More than 255 characters of name.
    #[error("the name of an image has at most 255 characters")]
    TooLong,
    /// A character or form that the grammar does not allow.
    #[error(
        "{0:?} is not a repository name: lower-case letters and digits, separated by one of . _ __ \
         or dashes, with / between parts"
    )]
    Name(String),
    /// A host or port that is none.
    #[error("{0:?} is not a registry host")]
    Host(String),
    /// Not `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
    #[error(
        "{0:?} is not a tag: letters, digits, _ . and -, at most 128, not starting with . or -"
    )]
    Tag(String),
    /// The part behind `@`.
    #[error("the digest of the reference is not one")]
    Digest(#[from] DigestError),
}

/// A normalised image reference: registry, repository, and tag or digest or both.
///
/// `busybox` is `docker.io/library/busybox:latest`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Host and port of the registry.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path behind the host.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` only where a digest is given alone.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest behind `@`.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The image with this digest in the same repository, whatever the tag means.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// `registry/repository`, without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// As people write it: without the default registry and its `library/`.
    #[must_use]
    pub fn familiar(&self) -> String {
        let name = if self.registry == DEFAULT_REGISTRY {
            self.repository
                .strip_prefix("library/")
                .unwrap_or(&self.repository)
                .to_owned()
        } else {
            self.name()
        };
        self.with_suffix(name)
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon before the last slash is a port: `localhost:5000/x` has no tag.
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].find(':') {
            Some(colon) => {
                let (name, tag) = rest.split_at(slash + colon);
                (name, Some(parse_tag(&tag[1..])?))
            }
            None => (rest, None),
        };
        if name.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (parse_host(host)?, path.to_owned()),
            Some(_) => (DEFAULT_REGISTRY.to_owned(), name.to_owned()),
            None => (DEFAULT_REGISTRY.to_owned(), format!("library/{name}")),
        };
        let registry = if registry == DEFAULT_REGISTRY_ALIAS {
            DEFAULT_REGISTRY.to_owned()
        } else {
            registry
        };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        if repository.len() + registry.len() + 1 > 255 {
            return Err(ReferenceError::TooLong);
        }
        if !repository.split('/').all(is_component) {
            return Err(ReferenceError::Name(repository));
        }
        let tag = if tag.is_none() && digest.is_none() {
            Some("latest".into())
        } else {
            tag
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

/// Docker's rule: the part before the first slash is a host if it has a dot or a colon, is
/// `localhost`, or has an upper-case letter.
fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn parse_host(host: &str) -> Result<String, ReferenceError> {
    let refuse = || ReferenceError::Host(host.to_owned());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_good = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let name_good = match name
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    if port_good && name_good {
        Ok(host.to_owned())
    } else {
        Err(refuse())
    }
}

/// `[a-z0-9]+ ((. | _ | __ | -+) [a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alnum(first) || !alnum(last) {
        return false;
    }
    bytes.split(alnum).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn parse_tag(tag: &str) -> Result<String, ReferenceError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    if good {
        Ok(tag.to_owned())
    } else {
        Err(ReferenceError::Tag(tag.to_owned()))
    }
}

impl Serialize for ImageRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageRef {
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
    fn normalises_as_docker_does() {
        for (text, full, familiar) in [
            (
                "busybox",
                "docker.io/library/busybox:latest",
                "busybox:latest",
            ),
            ("acme/app:1", "docker.io/acme/app:1", "acme/app:1"),
            (
                "localhost:5000/x",
                "localhost:5000/x:latest",
                "localhost:5000/x:latest",
            ),
            ("localhost/x:y", "localhost/x:y", "localhost/x:y"),
            (
                "[::1]:5000/a/b",
                "[::1]:5000/a/b:latest",
                "[::1]:5000/a/b:latest",
            ),
            (
                "index.docker.io/a",
                "docker.io/library/a:latest",
                "a:latest",
            ),
        ] {
            let reference: ImageRef = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(full.parse::<ImageRef>().unwrap(), reference);
        }
    }

    #[test]
    fn a_digest_alone_has_no_tag() {
        let digest = Digest::of(b"x");
        let reference: ImageRef = format!("a@{digest}").parse().unwrap();
        assert_eq!((reference.tag(), reference.digest()), (None, Some(digest)));
    }

    #[test]
    fn refuses_what_the_grammar_does() {
        let long = "a".repeat(256);
        for text in [
            "",
            ":tag",
            "A",
            "a/B",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a//b",
            "a:",
            "a:.x",
            "a@sha256:0",
            "a b",
            "host:99999/x",
            "ho_st.x/y",
            &long,
            "/a",
            "a/",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }
}
