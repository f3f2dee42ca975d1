//! in-toto's simple verification result (`svr/v0.2`): the properties that a verifier found to hold,
//! for control catalogues that name them.

use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::statement::ResourceDescriptor;

/// The predicate. What is not among the properties was not found to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Svr {
    /// Who verified.
    pub verifier: SvrVerifier,
    /// When, in RFC 3339.
    pub time_created: String,
    /// What holds.
    pub properties: Vec<String>,
}

/// Who verified, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SvrVerifier {
    /// URI of the verifier.
    pub id: String,
    /// Policies that were held against the artifact; may be none.
    pub policies: Vec<ResourceDescriptor>,
}

impl Predicate for Svr {
    const TYPE: &'static str = "https://in-toto.io/attestation/svr/v0.2";
}
