//! Patterns of hosts and of image names.

use std::{fmt, str::FromStr};

use repro_core::{
    reference::ImageRef,
    tree::{DeepPattern, PatternError, TreePath},
};

/// Not a host or `*.` and a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name, or *. and a host name")]
pub struct HostPatternError(String);

/// A host name, or all hosts below one (`*.example`): never the name itself, never a suffix
/// inside a label. Without port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern(String);

impl HostPattern {
    /// Whether `host` is meant; letter case does not matter.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(HostPatternError(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// A pattern of image names, registry included: `*` within a part, `**` for any number of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePattern {
    text: String,
    pattern: DeepPattern,
}

impl ImagePattern {
    /// Whether the reference's name, without tag and digest, is meant.
    #[must_use]
    pub fn matches(&self, reference: &ImageRef) -> bool {
        TreePath::parse(reference.name().as_bytes()).is_ok_and(|path| self.pattern.matches(&path))
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ImagePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Ok(Self {
            text: text.to_owned(),
            pattern: DeepPattern::parse(text.as_bytes())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_whole_labels_and_never_for_none() {
        let below: HostPattern = "*.mirror.example".parse().unwrap();
        for (host, good) in [
            ("a.mirror.example", true),
            ("A.B.Mirror.Example", true),
            ("mirror.example", false),
            (".mirror.example", false),
            ("evilmirror.example", false),
            ("a.mirror.example.evil", false),
        ] {
            assert_eq!(below.matches(host), good, "{host}");
        }
        assert!(
            "mirror.example"
                .parse::<HostPattern>()
                .unwrap()
                .matches("MIRROR.example")
        );
        for bad in [
            "", "*", "a..b", "http://a", "a:80", "a/b", "*.*.a", "-a", "a*",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn image_patterns_stay_within_a_part_unless_doubled() {
        let one: ImagePattern = "images.example/acme/*".parse().unwrap();
        assert!(one.matches(&"images.example/acme/x".parse().unwrap()));
        assert!(!one.matches(&"images.example/acme/x/y".parse().unwrap()));
        let deep: ImagePattern = "registry.example/base/**".parse().unwrap();
        assert!(deep.matches(&"registry.example/base/x/y:1".parse().unwrap()));
        assert!(!deep.matches(&"registry.example/other/x".parse().unwrap()));
    }
}
