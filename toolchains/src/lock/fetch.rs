//! `[[step]]` and `[[fetch]]`: what the steps of a build asked servers for, and what they got.

use std::{collections::BTreeMap, fmt, ops::Range, str::FromStr};

use repro_core::{digest::Digest, platform::Platform};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest URL that is believed; servers take some eight thousand characters.
const MAX_URL: usize = 16 << 10;

/// Which `RUN` of a Dockerfile: its stage by name or number, and its place among the `RUN`s of that
/// stage, from 1. What stands before or between them can change without another name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepName {
    /// Name or number of the stage.
    pub stage: String,
    /// Place among the `RUN`s of the stage, from 1.
    pub ordinal: u32,
}

/// Not a stage and a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a step: STAGE/NUMBER")]
pub struct StepNameError(String);

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.ordinal)
    }
}

impl FromStr for StepName {
    type Err = StepNameError;

    fn from_str(text: &str) -> Result<Self, StepNameError> {
        let refuse = || StepNameError(text.chars().take(80).collect());
        let (stage, ordinal) = text.rsplit_once('/').ok_or_else(refuse)?;
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        // One spelling of each number.
        let ordinal = ordinal
            .parse()
            .ok()
            .filter(|number: &u32| *number > 0 && number.to_string() == ordinal)
            .ok_or_else(refuse)?;
        if stage.is_empty() || stage.len() > 200 || !stage.bytes().all(good) {
            return Err(refuse());
        }
        Ok(Self {
            stage: stage.to_owned(),
            ordinal,
        })
    }
}

impl Serialize for StepName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What a request asks for. Requests with equal keys are told apart by their turn alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchKey {
    /// The URL, without its secrets: `http` or `https`, never a fragment.
    pub url: String,
    /// The method, in capitals.
    pub method: String,
    /// Digest of the request's body, if it had one.
    pub body: Option<Digest>,
    /// What the client accepts, where the server says that its answer depends on it.
    pub accept: Option<String>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFetch {
    /// What was asked for.
    pub key: FetchKey,
    /// The how-manieth request of the step with this key it was, from 1.
    pub turn: u32,
    /// The status.
    pub status: u16,
    /// Number of the body's bytes. For `HEAD` the body is empty, and the length that the server named
    /// is among the headers.
    pub size: u64,
    /// Digest of the body.
    pub sha256: Digest,
    /// The headers that count, by their names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl LockedFetch {
    /// Whether a client cannot tell the two answers apart.
    #[must_use]
    pub fn same_answer(&self, other: &Self) -> bool {
        (self.status, self.size, self.sha256, &self.headers)
            == (other.status, other.size, other.sha256, &other.headers)
    }

    /// Whether asking the server again may give the same bytes: what no body was sent for, and no
    /// secret.
    #[must_use]
    pub fn can_be_fetched(&self) -> bool {
        self.key.method == "GET"
            && self.key.body.is_none()
            && self.status == 200
            && !self.key.url.contains(REDACTED)
    }
}

/// What stands where a secret was.
pub const REDACTED: &str = "REDACTED";

/// A step with everything that it fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedStep {
    /// The platform that it was captured for.
    pub platform: Platform,
    /// Which step.
    pub name: StepName,
    /// Digest of the instruction as the image's history shows it, with which a step is found again
    /// that has another place now.
    pub instruction: Digest,
    /// Its fetches, by key and turn.
    pub fetches: Vec<LockedFetch>,
}

/// `[[step]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) name: StepName,
    pub(super) platform: Platform,
    pub(super) instruction: Digest,
}

/// `[[fetch]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFetch {
    pub(super) step: StepName,
    pub(super) platform: Platform,
    method: String,
    url: String,
    body: Option<Digest>,
    accept: Option<String>,
    turn: Option<u32>,
    status: u16,
    size: u64,
    sha256: Digest,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl RawFetch {
    /// The entry, if it is one that a capture can have written.
    pub(super) fn parse(self) -> Result<LockedFetch, String> {
        let plain = |text: &str| !text.chars().any(char::is_control);
        let url = self.url;
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        if url.len() > MAX_URL
            || url.contains(['#', ' '])
            || !plain(&url)
            || rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return Err("the URL of a fetch begins with http:// or https:// and a host".to_owned());
        }
        if self.method.is_empty() || !self.method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(format!("{:?} is not a method", self.method));
        }
        if !(200..=599).contains(&self.status) {
            return Err(format!("{} is not the status of an answer", self.status));
        }
        let turn = self.turn.unwrap_or(1);
        if turn == 0 {
            return Err("turns are counted from 1".to_owned());
        }
        for (name, value) in &self.headers {
            let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            if name.is_empty() || !name.bytes().all(token) || !plain(value) {
                return Err(format!("{name:?} is not a header of an answer"));
            }
        }
        Ok(LockedFetch {
            key: FetchKey {
                url,
                method: self.method,
                body: self.body,
                accept: self.accept,
            },
            turn,
            status: self.status,
            size: self.size,
            sha256: self.sha256,
            headers: self.headers,
        })
    }
}

/// Puts the entries to their steps, each in the canonical order.
pub(super) fn assemble(
    steps: Vec<RawStep>,
    fetches: Vec<(RawFetchPlace, LockedFetch)>,
) -> Result<Vec<LockedStep>, (Range<usize>, String)> {
    let mut found: BTreeMap<(Platform, StepName), LockedStep> = steps
        .into_iter()
        .map(|step| {
            let locked = LockedStep {
                platform: step.platform.clone(),
                name: step.name.clone(),
                instruction: step.instruction,
                fetches: Vec::new(),
            };
            ((step.platform, step.name), locked)
        })
        .collect();
    for (place, fetch) in fetches {
        let key = (place.platform.clone(), place.step.clone());
        let Some(step) = found.get_mut(&key) else {
            let message = format!("there is no [[step]] {} for {}", place.step, place.platform);
            return Err((place.span, message));
        };
        let at = |other: &LockedFetch| (other.key.clone(), other.turn);
        match step.fetches.binary_search_by_key(&at(&fetch), at) {
            Ok(_) => {
                let message = format!("{} {} is listed twice", fetch.key.method, fetch.key.url);
                return Err((place.span, message));
            }
            Err(index) => step.fetches.insert(index, fetch),
        }
    }
    Ok(found.into_values().collect())
}

/// Where an entry belongs, and where it is in the file.
#[derive(Debug)]
pub(super) struct RawFetchPlace {
    pub(super) platform: Platform,
    pub(super) step: StepName,
    pub(super) span: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_spelling() {
        let name: StepName = "build/12".parse().unwrap();
        assert_eq!((name.stage.as_str(), name.ordinal), ("build", 12));
        assert_eq!(name.to_string(), "build/12");
        for bad in [
            "", "1", "/1", "a/", "a/0", "a/01", "a/+1", "a b/1", "a/b/1", "a/-1",
        ] {
            assert!(bad.parse::<StepName>().is_err(), "{bad}");
        }
    }
}
