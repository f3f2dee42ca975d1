//! The report on two images, layers or directories of which nothing else is known.

use repro_core::json::{CanonicalError, canonical};
use serde::{Deserialize, Serialize};

use super::{CauseSummary, build::causes};
use crate::{
    compare::{AttestationPair, Comparison, Difference, NotListed, Ratio},
    uris,
};

/// Whether two things are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equality {
    /// Bit for bit.
    Equal,
    /// In something at least.
    Different,
}

/// The report on a comparison (`diff/v1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairReport {
    /// [`crate::uris::DIFF`].
    pub schema: String,
    /// What came out.
    pub verdict: Equality,
    /// What the first one is, as the user named it.
    pub a: String,
    /// What the second one is, as the user named it.
    pub b: String,
    /// Every difference, one row for each cause.
    pub differences: Vec<Difference>,
    /// Differences that are not listed, because they are too many.
    pub not_listed: NotListed,
    /// The causes, most important first.
    pub causes: Vec<CauseSummary>,
    /// How much is equal.
    pub ratio: Ratio,
    /// Attestations, which are no part of the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<AttestationPair>,
    /// What diffoscope says of the first contents that differ, where it was asked. Never part of the
    /// verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diffoscope: Option<String>,
}

impl PairReport {
    /// The report on what `found` says of `a` and `b`.
    #[must_use]
    pub fn new(a: String, b: String, found: Comparison) -> Self {
        Self {
            schema: uris::DIFF.into(),
            verdict: if found.image_is_equal() {
                Equality::Equal
            } else {
                Equality::Different
            },
            a,
            b,
            causes: causes(&found.differences, &found.not_listed_by_cause),
            differences: found.differences,
            not_listed: found.not_listed,
            ratio: found.ratio,
            attestations: found.attestations,
            diffoscope: None,
        }
    }

    /// The bytes of the document: canonical JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical(self)
    }
}
