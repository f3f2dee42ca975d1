//! SLSA's verification summary (`verification_summary/v1`): what a verifier found of an artifact, for
//! those who take its word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::statement::ResourceDescriptor;

/// The property of an image that independent builders made: SLSA's verified properties. It stands in
/// a summary of its own, since readers of levels refuse what is none.
pub const REPRODUCED: &str = "SLSA_BUILD_REPRODUCED";

/// The predicate. A reader ignores fields that it does not know, as the specification demands:
/// leaving one out never turns a refusal into an acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vsa {
    /// Who verified.
    pub verifier: VerifierName,
    /// When, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_verified: Option<String>,
    /// Where consumers get the artifact.
    pub resource_uri: String,
    /// What it was held against.
    pub policy: ResourceDescriptor,
    /// Every statement that was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_attestations: Vec<ResourceDescriptor>,
    /// `PASSED` or `FAILED`.
    pub verification_result: VerificationResult,
    /// `SLSA_BUILD_LEVEL_n`, or `FAILED`.
    pub verified_levels: Vec<String>,
    /// Levels of the dependencies, and how many have each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency_levels: Option<BTreeMap<String, u64>>,
    /// Version of SLSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slsa_version: Option<String>,
}

/// Who verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifierName {
    /// URI of the verifier.
    pub id: String,
    /// Versions of its parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// How a verification ended. Nothing but these two texts is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerificationResult {
    /// Everything that was demanded holds.
    Passed,
    /// Something does not.
    Failed,
}

impl Predicate for Vsa {
    const TYPE: &'static str = "https://slsa.dev/verification_summary/v1";
}
