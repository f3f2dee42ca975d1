//! The list of everything in an evidence pack.

use std::collections::BTreeMap;

use repro_core::{digest::Digest, store::StoredBlob};
use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::uris;

/// `index.json`: every file of the pack but itself and its own signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackIndex {
    /// [`uris::EVIDENCE_INDEX`].
    pub schema: String,
    /// Path below the pack, with `/`, to size and digest.
    pub files: BTreeMap<String, StoredBlob>,
}

impl PackIndex {
    /// The index of `files`.
    #[must_use]
    pub fn new(files: BTreeMap<String, StoredBlob>) -> Self {
        Self {
            schema: uris::EVIDENCE_INDEX.into(),
            files,
        }
    }
}

/// The signed word on `index.json`, which is the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceIndex {
    /// Number of files that the index lists.
    pub files: u64,
    /// The invocation that the pack is about.
    pub invocation_id: String,
    /// Manifest of the image in the pack, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
}

impl Predicate for EvidenceIndex {
    const TYPE: &'static str = uris::EVIDENCE_INDEX;
}
