//! SCAI's attribute report with the one attribute `REPRODUCIBLE`, for those who ask for attributes.
//! It is written only where the verdict is that; what it stands on is the verdict's own statement.

use std::collections::BTreeSet;

use repro_core::{build::Axis, digest::Digest};
use serde::{Deserialize, Serialize};

use super::{
    Predicate,
    reproducibility::{Reproducibility, Verdict},
};
use crate::{
    bundle,
    pack::layout,
    statement::{ResourceDescriptor, Subject},
};

/// The name of the attribute, as the specification has it.
const REPRODUCIBLE: &str = "REPRODUCIBLE";

/// The predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributeReport {
    /// What holds of the subjects.
    pub attributes: Vec<Attribute>,
    /// The builder, by its id.
    pub producer: ResourceDescriptor,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// Its name.
    pub attribute: String,
    /// Under what it was seen.
    pub conditions: Conditions,
    /// The statement that shows it.
    pub evidence: ResourceDescriptor,
}

/// Under what an attribute was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// The axes on which the runs differed, sorted.
    pub varied_axes: BTreeSet<Axis>,
}

impl Predicate for AttributeReport {
    const TYPE: &'static str = "https://in-toto.io/attestation/scai/v0.3";
}

impl AttributeReport {
    /// The report on `verdict`, whose bundle has the digest `bundle`, with its subject; `None` where
    /// the image is not reproducible.
    #[must_use]
    pub fn new(
        verdict: &Reproducibility,
        bundle: Digest,
        builder: &str,
    ) -> Option<(Self, Vec<Subject>)> {
        if verdict.verdict != Verdict::Reproducible {
            return None;
        }
        let mut evidence = ResourceDescriptor::named(layout::REPRODUCIBILITY, bundle);
        evidence.media_type = Some(bundle::MEDIA_TYPE.into());
        let report = Self {
            attributes: vec![Attribute {
                attribute: REPRODUCIBLE.into(),
                conditions: Conditions {
                    varied_axes: verdict.axes.keys().copied().collect(),
                },
                evidence,
            }],
            producer: ResourceDescriptor {
                uri: builder.into(),
                ..ResourceDescriptor::default()
            },
        };
        Some((report, verdict.subjects()))
    }
}
