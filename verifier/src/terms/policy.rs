//! What a verifier demands beyond that the evidence holds. `docs/policy.md` describes the file, and
//! `docs/policy-v1.schema.json` its form.

mod raw;

use std::{collections::BTreeMap, fmt, str::FromStr};

use repro_core::{build::Axis, digest::Digest};

use super::{
    DocumentError, document,
    kyverno::{self, KyvernoError},
    patterns::AllowedBase,
    trust::BuildLevel,
};
use crate::{predicate::reproducibility::Verdict, verify::CheckCode};

/// A policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// How summaries name it.
    pub uri: Option<String>,
    /// SHA-256 of its file.
    pub digest: Option<Digest>,
    /// Base images that are allowed; any where the policy does not say.
    pub base_images: Option<Vec<AllowedBase>>,
    /// Build types that are allowed.
    pub build_types: Option<Vec<String>>,
    /// Sources that are allowed.
    pub sources: Option<Vec<AllowedSource>>,
    /// Predicate types of which a verified statement must be there.
    pub predicates: Vec<String>,
    /// The verdict that is needed.
    pub verdict: Option<Verdict>,
    /// What of the network is accepted.
    pub hermetic: Option<Hermetic>,
    /// Whether every input must be pinned by a lock.
    pub inputs: Option<Inputs>,
    /// Least share of layers that must be equal, in percent.
    pub layers_equal: Option<Percent>,
    /// Least share of files that must be equal, in percent.
    pub files_equal: Option<Percent>,
    /// Axes that must have been varied.
    pub vary: Vec<Axis>,
    /// Least level of the builder.
    pub level: Option<BuildLevel>,
    /// The same, asked for beside the file, so that no waiver in it is for that.
    pub asked_level: Option<BuildLevel>,
    /// How many independent builders must agree.
    pub builders: Option<usize>,
    /// How old a build may be.
    pub max_age: Option<Age>,
    /// What must be said of the data, by key: a pattern of the value.
    pub lineage: BTreeMap<String, String>,
    /// What is not held against a build for a while.
    pub waivers: Vec<Waiver>,
}

/// Where a context may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedSource {
    /// A context by the digest of its tree.
    Tree(Digest),
    /// A context by its URI, a text with `*`.
    Uri(String),
}

impl FromStr for AllowedSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if let Ok(digest) = text.parse() {
            return Ok(Self::Tree(digest));
        }
        // Where the place itself has a wildcard, its owner can be anyone.
        let (scheme, rest) = text.split_once("://").ok_or(SourceError)?;
        let place = rest.split('/').next().unwrap_or_default();
        let bad = scheme.is_empty() || place.is_empty() || !rest.contains('/');
        if bad || scheme.contains('*') || place.contains('*') {
            return Err(SourceError);
        }
        Ok(Self::Uri(text.to_owned()))
    }
}

impl fmt::Display for AllowedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(digest) => digest.fmt(f),
            Self::Uri(pattern) => f.write_str(pattern),
        }
    }
}

/// A text that names no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a source is sha256:... of a context, or a URI such as git+https://host/path*, without * in its host"
)]
pub struct SourceError;

/// What of the network is accepted. Each demands what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hermetic {
    /// That every step was measured and none got out: what is demanded without a policy too.
    Measured,
    /// That no step was given answers out of a lock either.
    WithoutReplay,
    /// That no step so much as tried.
    WithoutAttempts,
}

impl Hermetic {
    const ALL: [Self; 3] = [Self::Measured, Self::WithoutReplay, Self::WithoutAttempts];
}

impl fmt::Display for Hermetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "measured",
            Self::WithoutReplay => "without-replay",
            Self::WithoutAttempts => "without-attempts",
        })
    }
}

impl FromStr for Hermetic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|one| one.to_string() == text);
        known.ok_or_else(|| {
            format!(
                "{text:?} is not one of {}",
                Self::ALL.map(|one| one.to_string()).join(", ")
            )
        })
    }
}

/// What of inputs is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// Every input but context and Dockerfile stands in a lock or is named by digest.
    Locked,
}

impl FromStr for Inputs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "locked" => Ok(Self::Locked),
            other => Err(format!("{other:?} is not \"locked\"")),
        }
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("locked"),
        }
    }
}

/// 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Whether `part` of `whole` is at least this share. Of nothing there is no share.
    #[must_use]
    pub fn holds(self, part: u64, whole: u64) -> bool {
        whole > 0 && u128::from(part) * 100 >= u128::from(whole) * u128::from(self.0)
    }
}

impl TryFrom<u64> for Percent {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(small @ 0..=100) => Ok(Self(small)),
            _ => Err(format!("{number} is no percentage, 0 to 100")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A span of time in seconds, written as a number with `s`, `m`, `h`, `d` or `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(i64);

impl Age {
    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no span of time: a number and one of s, m, h, d, w, such as 30d")]
pub struct AgeError(String);

impl FromStr for Age {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let refused = || AgeError(text.chars().take(40).collect());
        let unit = text.chars().last().ok_or_else(refused)?;
        let seconds: i64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(refused()),
        };
        let number = &text[..text.len() - 1];
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<i64> = digits.then(|| number.parse().ok()).flatten();
        let total = number.and_then(|number| number.checked_mul(seconds));
        total.map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let found = units.into_iter().find(|(size, _)| self.0 % size == 0);
        let (size, unit) = found.unwrap_or((1, "s"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// What is not held against a build for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The check that may fail by the policy.
    pub check: CheckCode,
    /// On what alone, as the finding names it; on anything where it is not said.
    pub on: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Until when, in seconds since 1970.
    pub expires: i64,
}

impl Waiver {
    /// Whether it is about a finding of `check` on `item`.
    #[must_use]
    pub fn covers(&self, check: CheckCode, item: &str) -> bool {
        self.check == check && self.on.as_deref().is_none_or(|on| on == item)
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub const fn is_expired(&self, now: i64) -> bool {
        self.expires < now
    }

    /// Who, why, until when, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{} until {}: {}",
            self.owner,
            document::rfc3339(self.expires),
            self.reason
        )
    }
}

impl Policy {
    /// What the policy asks that a waiver can be for. Signatures, digests and subjects are never
    /// waived: without them nothing is known.
    pub const WAIVABLE: &'static [CheckCode] = &[
        CheckCode::Builder,
        CheckCode::Parameters,
        CheckCode::Source,
        CheckCode::BaseImages,
        CheckCode::Hermetic,
        CheckCode::Custody,
        CheckCode::Times,
        CheckCode::SomethingVerified,
        CheckCode::Lineage,
        CheckCode::Demands,
    ];

    /// Reads a policy in TOML.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let mut policy = raw::parse(text)?;
        policy.digest = Some(Digest::of(text.as_bytes()));
        Ok(policy)
    }

    /// Reads the base images of a Kyverno `ClusterPolicy`; nothing else is demanded.
    pub fn parse_kyverno(text: &str) -> Result<Self, KyvernoError> {
        Ok(Self {
            base_images: Some(kyverno::parse(text)?),
            digest: Some(Digest::of(text.as_bytes())),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests;
