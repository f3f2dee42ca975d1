//! Source policies of BuildKit: a lock as one, and one as pins of a lock.
//!
//! The format is that of `sourcepolicy/pb/policy.proto` as JSON. Rules that convert an identifier to
//! one with a digest say what a lock says; all others are about what BuildKit may do.

use std::collections::BTreeMap;

use repro_core::{digest::Digest, reference::ImageRef};
use serde::{Deserialize, Serialize};

use super::ProjectLock;

const IMAGE: &str = "docker-image://";
const CHECKSUM: &str = "http.checksum";

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePolicy {
    version: u32,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    action: String,
    selector: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updates: Option<Updates>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    identifier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    match_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Updates {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identifier: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attrs: BTreeMap<String, String>,
}

/// Why a policy gives no pins.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No JSON of this kind.
    #[error("not a source policy of BuildKit")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("version {0} of source policies is unknown, there is 1")]
    Version(u32),
    /// A rule that pins, in words that mean nothing here.
    #[error("the rule for {identifier} cannot be taken over: {why}")]
    Rule {
        /// What it is for.
        identifier: String,
        /// Why not.
        why: String,
    },
}

/// What a policy pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Images, by reference without digest.
    pub images: BTreeMap<ImageRef, Digest>,
    /// Files, by URL.
    pub files: BTreeMap<String, Digest>,
    /// Rules that pin nothing, by what they are for.
    pub ignored: Vec<String>,
}

impl SourcePolicy {
    /// The policy that lets BuildKit take what the lock has: bases by digest, and files for `ADD` by
    /// checksum. What steps fetch, BuildKit checks only where its proxy for steps is on.
    #[must_use]
    pub fn of_lock(lock: &ProjectLock) -> Self {
        let convert = |identifier: String, updates| Rule {
            action: "CONVERT".to_owned(),
            selector: Selector {
                identifier,
                // Patterns are the default, and a URL can have signs that mean something in one.
                match_type: Some("EXACT".to_owned()),
            },
            updates: Some(updates),
        };
        let bases = lock
            .bases
            .values()
            .filter(|base| base.reference.digest().is_none());
        let mut rules: Vec<Rule> = bases
            .map(|base| {
                let from = format!("{IMAGE}{}", base.reference);
                let updates = Updates {
                    identifier: Some(format!("{from}@{}", base.digest)),
                    attrs: BTreeMap::new(),
                };
                convert(from, updates)
            })
            .collect();
        let fetches = lock.steps.iter().flat_map(|step| &step.fetches);
        let files: BTreeMap<&str, Digest> = fetches
            .filter(|fetch| fetch.can_be_fetched())
            .map(|fetch| (fetch.key.url.as_str(), fetch.sha256))
            .collect();
        rules.extend(files.into_iter().map(|(url, digest)| {
            let updates = Updates {
                identifier: Some(url.to_owned()),
                attrs: BTreeMap::from([(CHECKSUM.to_owned(), digest.to_string())]),
            };
            convert(url.to_owned(), updates)
        }));
        Self { version: 1, rules }
    }

    /// Reads a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let policy: Self = serde_json::from_slice(bytes)?;
        if policy.version > 1 {
            return Err(PolicyError::Version(policy.version));
        }
        Ok(policy)
    }

    /// What it pins. A rule that pins by a pattern is refused, since a lock has names.
    pub fn pins(&self) -> Result<Pins, PolicyError> {
        let mut pins = Pins::default();
        for rule in &self.rules {
            let from = &rule.selector.identifier;
            let refuse = |why: String| PolicyError::Rule {
                identifier: from.clone(),
                why,
            };
            let updates = rule.updates.as_ref().filter(|_| rule.action == "CONVERT");
            let Some(updates) = updates else {
                pins.ignored.push(from.clone());
                continue;
            };
            let exact = rule.selector.match_type.as_deref() == Some("EXACT");
            if !exact && from.contains(['*', '?', '[', '{']) {
                return Err(refuse("it is a pattern, and a lock has names".to_owned()));
            }
            let checksum = updates.attrs.get(CHECKSUM);
            let to = updates.identifier.as_deref().unwrap_or(from);
            if let (Some(name), Some(to)) = (from.strip_prefix(IMAGE), to.strip_prefix(IMAGE)) {
                let name: ImageRef = name.parse().map_err(|error| refuse(format!("{error}")))?;
                let to: ImageRef = to.parse().map_err(|error| refuse(format!("{error}")))?;
                let digest = to
                    .digest()
                    .ok_or_else(|| refuse("it leads to an image without a digest".to_owned()))?;
                if to.name() != name.name() {
                    let why = format!("it leads to another image, {}", to.name());
                    return Err(refuse(why));
                }
                pins.images.insert(name, digest);
            } else if let (true, Some(checksum)) = (to == from, checksum) {
                let digest = checksum
                    .parse()
                    .map_err(|error| refuse(format!("{error}")))?;
                pins.files.insert(from.clone(), digest);
            } else {
                pins.ignored.push(from.clone());
            }
        }
        Ok(pins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_and_its_policy_pin_the_same() {
        let digest = Digest::of(b"x");
        let text = format!(
            "version = 1\nruleset = 1\nchecksum = \"{digest}\"\n[[base]]\n\
             reference = \"docker.io/library/debian:12\"\ndigest = \"{digest}\"\n\
             platform = \"linux/amd64\"\n[[step]]\nname = \"0/1\"\nplatform = \"linux/amd64\"\n\
             instruction = \"{digest}\"\n[[fetch]]\nstep = \"0/1\"\nplatform = \"linux/amd64\"\n\
             method = \"GET\"\nurl = \"https://h/a?b=*\"\nstatus = 200\nsize = 1\nsha256 = \"{digest}\"\n"
        );
        let lock = ProjectLock::parse("repro.lock", &text).unwrap();
        let json = serde_json::to_vec(&SourcePolicy::of_lock(&lock)).unwrap();
        let pins = SourcePolicy::parse(&json).unwrap().pins().unwrap();
        let name = "docker.io/library/debian:12".parse().unwrap();
        assert_eq!(pins.images, BTreeMap::from([(name, digest)]));
        assert_eq!(
            pins.files,
            BTreeMap::from([("https://h/a?b=*".to_owned(), digest)])
        );
    }

    #[test]
    fn rules_that_a_lock_cannot_have_are_refused_and_others_told() {
        let pins = |rule: &str| {
            let text = format!("{{\"version\":1,\"rules\":[{rule}]}}");
            SourcePolicy::parse(text.as_bytes()).and_then(|policy| policy.pins())
        };
        for (rule, word) in [
            (
                r#"{"action":"CONVERT","selector":{"identifier":"docker-image://a/*"},
                   "updates":{"identifier":"docker-image://a/b"}}"#,
                "pattern",
            ),
            (
                r#"{"action":"CONVERT","selector":{"identifier":"docker-image://a"},
                   "updates":{"identifier":"docker-image://a:2"}}"#,
                "without a digest",
            ),
        ] {
            let error = pins(rule).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let denied = pins(r#"{"action":"DENY","selector":{"identifier":"*"}}"#).unwrap();
        assert_eq!(denied.ignored, ["*"]);
        assert!(SourcePolicy::parse(b"{\"version\":2}").is_err());
        assert!(SourcePolicy::parse(b"[]").is_err());
    }
}
