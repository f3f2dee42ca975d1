//! Patterns of image names and of texts in a policy.

use std::{fmt, str::FromStr};

use repro_core::{digest::Digest, hosts::DEFAULT_REGISTRY, reference::ImageRef};

/// Why a text is no pattern of base images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagePatternError {
    /// Nothing.
    #[error("a pattern of base images is empty")]
    Empty,
    /// A wildcard where the registry is named.
    #[error(
        "{0:?} has a wildcard in the name of the registry, which would also allow registries of others"
    )]
    Host(String),
    /// A tag.
    #[error("{0:?} has a tag, which says nothing of the bytes; pin with @sha256:... instead")]
    Tag(String),
    /// `**` beside something else.
    #[error("{0:?}: ** stands for whole parts of a name, between slashes")]
    Doubled(String),
    /// A character that no name has.
    #[error(
        "{0:?} is not a pattern of image names: lower-case letters, digits, . _ - and *, with / between parts"
    )]
    Name(String),
    /// The part behind `@`.
    #[error("{0:?} has a digest that is none")]
    Digest(String),
}

/// Base images that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedBase {
    /// Images by their name, and by their digest where one is given.
    Named {
        /// Registry and repository.
        name: NamePattern,
        /// The manifest of the platform.
        digest: Option<Digest>,
    },
    /// An image by its digest alone, whatever it is called.
    Manifest(Digest),
    /// `toolchain:NAME`: an image that `repro` made of packages, by the name of its definition.
    Toolchain(String),
}

impl FromStr for AllowedBase {
    type Err = ImagePatternError;

    fn from_str(text: &str) -> Result<Self, ImagePatternError> {
        let shown = || text.chars().take(80).collect::<String>();
        if let Some(name) = text.strip_prefix("toolchain:") {
            if name.is_empty() || name.contains(['*', '/', '@']) {
                return Err(ImagePatternError::Name(shown()));
            }
            return Ok(Self::Toolchain(name.to_owned()));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Manifest(digest));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse();
                (
                    name,
                    Some(digest.map_err(|_| ImagePatternError::Digest(shown()))?),
                )
            }
            None => (text, None),
        };
        Ok(Self::Named {
            name: name.parse()?,
            digest,
        })
    }
}

impl fmt::Display for AllowedBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { name, digest: None } => name.fmt(f),
            Self::Named {
                name,
                digest: Some(digest),
            } => write!(f, "{name}@{digest}"),
            Self::Manifest(digest) => digest.fmt(f),
            Self::Toolchain(name) => write!(f, "toolchain:{name}"),
        }
    }
}

/// A pattern of names: the registry as it is, then parts in which `*` stands for any characters but
/// `/`, and `**` for one or more whole parts.
///
/// What is matched is a name that was parsed and normalised, part by part. Compared as text,
/// `registry.example*` would allow `registry.example.evil.example`, and `allowed/repo` would allow
/// `allowed/repo-evil`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    registry: String,
    parts: Vec<String>,
}

impl NamePattern {
    /// Whether the name of `reference`, without tag and digest, is meant.
    #[must_use]
    pub fn matches(&self, reference: &ImageRef) -> bool {
        let parts: Vec<&str> = reference.repository().split('/').collect();
        self.registry == reference.registry() && parts_match(&self.parts, &parts)
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The parts behind it.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.parts.join("/"))
    }
}

impl FromStr for NamePattern {
    type Err = ImagePatternError;

    fn from_str(text: &str) -> Result<Self, ImagePatternError> {
        let shown = || text.chars().take(80).collect::<String>();
        if text.is_empty() {
            return Err(ImagePatternError::Empty);
        }
        // As Docker decides it: the first part is a registry if it looks like a host.
        let (host, path) = match text.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            Some((host, _)) if host.contains('*') => return Err(ImagePatternError::Host(shown())),
            None if text.contains('*') => return Err(ImagePatternError::Host(shown())),
            Some(_) | None => (DEFAULT_REGISTRY, text),
        };
        if host.contains('*') {
            return Err(ImagePatternError::Host(shown()));
        }
        if path.contains(':') {
            return Err(ImagePatternError::Tag(shown()));
        }
        // A name of that registry says whether the host is one, and how it is spelt.
        let probe: ImageRef = format!("{host}/x/x")
            .parse()
            .map_err(|_| ImagePatternError::Name(shown()))?;
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        for part in &parts {
            if part.contains("**") && part != "**" {
                return Err(ImagePatternError::Doubled(shown()));
            }
            let good = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-*".contains(&byte)
            };
            if part.is_empty() || !part.bytes().all(good) {
                return Err(ImagePatternError::Name(shown()));
            }
        }
        if probe.registry() == DEFAULT_REGISTRY && parts.len() == 1 && parts[0] != "**" {
            parts.insert(0, "library".into());
        }
        Ok(Self {
            registry: probe.registry().to_owned(),
            parts,
        })
    }
}

fn parts_match(pattern: &[String], parts: &[&str]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return parts.is_empty();
    };
    if first == "**" {
        return (1..=parts.len()).any(|taken| parts_match(rest, &parts[taken..]));
    }
    match parts.split_first() {
        Some((part, others)) => glob(first, part) && parts_match(rest, others),
        None => false,
    }
}

/// Whether `text` is `pattern` with something for each `*`.
///
/// The first place that fits a piece is taken: if any choice leads to an end, this one does, so no
/// pattern takes longer than pattern times text.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut rest = rest;
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// The name of an image in a package URL of type `docker`, as provenance has it.
#[must_use]
pub fn of_purl(uri: &str) -> Option<ImageRef> {
    let rest = uri.strip_prefix("pkg:docker/")?;
    let rest = rest.split(['?', '#']).next()?;
    let name = rest.split('@').next()?;
    let mut decoded = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    let name = String::from_utf8(decoded).ok()?;
    // Tag and digest are written elsewhere; one inside the name would be another name.
    if name.contains('@') {
        return None;
    }
    let reference: ImageRef = name.parse().ok()?;
    let plain = !name.rsplit('/').next().unwrap_or_default().contains(':');
    plain.then_some(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_look_like_allowed_ones_are_others() {
        for (allowed, name, good) in [
            (
                "registry.example/base/**",
                "registry.example/base/a/b",
                true,
            ),
            ("registry.example/base/**", "registry.example/base", false),
            (
                "registry.example/base/**",
                "registry.example/based/a",
                false,
            ),
            (
                "registry.example/base/**",
                "registry.example.evil.example/base/a",
                false,
            ),
            (
                "registry.example/base/**",
                "evil.example/registry.example/base/a",
                false,
            ),
            (
                "registry.example/base/**",
                "registry.example:5000/base/a",
                false,
            ),
            ("registry.example/acme/*", "registry.example/acme/x", true),
            (
                "registry.example/acme/*",
                "registry.example/acme/x/y",
                false,
            ),
            (
                "registry.example/acme/*",
                "registry.example/acme-evil/x",
                false,
            ),
            (
                "registry.example/acme/repo",
                "registry.example/acme/repo-evil",
                false,
            ),
            (
                "registry.example/acme/repo",
                "registry.example/acme/repo/evil",
                false,
            ),
            (
                "registry.example/acme/app-*",
                "registry.example/acme/app-x",
                true,
            ),
            (
                "registry.example/acme/app-*",
                "registry.example/acme/app",
                false,
            ),
            ("debian", "docker.io/library/debian", true),
            ("debian", "debian", true),
            ("debian", "docker.io/evil/debian", false),
            ("docker.io/debian", "debian:12", true),
            ("index.docker.io/library/debian", "debian", true),
            ("docker.io/library/*", "library/debian", true),
            ("library/*", "acme/debian", false),
            ("docker.io/**", "acme/debian", true),
            ("localhost:5000/**", "localhost:5000/x", true),
            (
                "registry.example/**/base",
                "registry.example/a/b/base",
                true,
            ),
            ("registry.example/**/base", "registry.example/base", false),
        ] {
            let reference: ImageRef = name.parse().unwrap();
            assert_eq!(
                pattern(allowed).matches(&reference),
                good,
                "{allowed} {name}"
            );
        }
    }

    #[test]
    fn what_would_allow_more_than_it_seems_is_no_pattern() {
        for bad in [
            "",
            "*",
            "**",
            "*/x",
            "*.io/x",
            "registry.example*/x",
            "registry.example/acme/**x",
            "registry.example/ACME/x",
            "registry.example/acme/x:1",
            "registry.example/acme/x:*",
            "registry.example//x",
            "registry.example/",
            "registry.example/a?b",
            "registry.example/x@sha256:1",
            "registry.example/x@",
            "toolchain:",
            "toolchain:*",
            "a b",
        ] {
            assert!(bad.parse::<AllowedBase>().is_err(), "{bad:?}");
        }
        let digest = Digest::of(b"x");
        for good in [
            format!("docker.io/library/debian@{digest}"),
            digest.to_string(),
            "toolchain:debian-c".into(),
            "registry.example/acme/**".into(),
        ] {
            assert_eq!(good.parse::<AllowedBase>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, good) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcdef", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("s3://exports/*", "s3://exports/2026-11", true),
            ("s3://exports/*", "s3://exports-evil/x", false),
            ("x", "xy", false),
        ] {
            assert_eq!(glob(pattern, text), good, "{pattern} {text}");
        }
        let (pattern, text) = ("*a".repeat(2000), "a".repeat(4000) + "b");
        assert!(!glob(&pattern, &text));
    }

    #[test]
    fn package_urls_are_read_strictly() {
        for (purl, name) in [
            (
                "pkg:docker/library/busybox@1.36?platform=linux%2Famd64",
                Some("docker.io/library/busybox"),
            ),
            ("pkg:docker/host.x%3A5000/a/b@1", Some("host.x:5000/a/b")),
            (
                "pkg:docker/registry.example/acme/x@sha256%3Aab",
                Some("registry.example/acme/x"),
            ),
            ("pkg:docker/registry.example/acme/x%40evil", None),
            ("pkg:docker/registry.example/ACME/x", None),
            ("pkg:docker/registry.example/x%zz", None),
            ("pkg:docker/registry.example/x%3Alatest@1", None),
            ("pkg:docker/", None),
            ("pkg:oci/x@1", None),
        ] {
            let found = of_purl(purl).map(|reference| reference.name());
            assert_eq!(found.as_deref(), name, "{purl}");
        }
    }
}
