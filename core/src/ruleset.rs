//! The number of the rules that decide the bytes of an image.

use serde::{Deserialize, Serialize};

/// A frozen set of byte-producing rules. Written as its number, in lock and provenance.
///
/// A change of any such rule is a new variant; the old one stays available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub enum Ruleset {
    /// Ruleset 1: see `docs/ruleset-1.md`.
    #[default]
    V1,
}

/// A ruleset number that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ruleset {0} is unknown, this version of repro knows ruleset 1")]
pub struct UnknownRuleset(u32);

impl From<Ruleset> for u32 {
    fn from(ruleset: Ruleset) -> Self {
        match ruleset {
            Ruleset::V1 => 1,
        }
    }
}

impl TryFrom<u32> for Ruleset {
    type Error = UnknownRuleset;

    fn try_from(number: u32) -> Result<Self, UnknownRuleset> {
        match number {
            1 => Ok(Self::V1),
            other => Err(UnknownRuleset(other)),
        }
    }
}
