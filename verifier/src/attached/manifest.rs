//! The manifests themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repro_core::{
    image::{Descriptor, MAX_DOCUMENT, Manifest, MediaType},
    json::canonical,
    store::{BlobStore, put_bytes},
};
use serde_json::Value;

use super::{AttachError, Attached, Content};
use crate::statement::Statement;

/// Media type of the configuration of an artifact that has none (image-spec, "Guidance for an Empty
/// Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of that configuration.
const EMPTY_BYTES: &[u8] = b"{}";

/// Annotation: when what it holds was said (image-spec, "Pre-Defined Annotation Keys").
pub(super) const CREATED: &str = "org.opencontainers.image.created";
/// Annotation: the path of a file.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of cosign: what kind of content a bundle has.
pub(super) const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// Its value for statements.
pub(super) const ENVELOPE: &str = "dsse-envelope";
/// Annotation of cosign: URI of the type of the predicate.
pub const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// Annotation: SHA-256 of the `index.json` of a pack.
pub(super) const INDEX: &str = "io.intelgraph.repro.evidence.index";

/// Writes a manifest of this artifact type into `blobs`, where its layers are.
pub(super) fn write(
    blobs: &dyn BlobStore,
    artifact_type: &str,
    layers: Vec<Descriptor>,
    subject: &Descriptor,
    annotations: BTreeMap<String, String>,
    content: Content,
) -> Result<Attached, AttachError> {
    let empty = put_bytes(blobs, EMPTY_BYTES)?;
    let mut config = Descriptor::new(MediaType::Other(EMPTY.into()), empty.digest, empty.size);
    config.artifact_type = Some(artifact_type.into());
    let mut parts: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    parts.push(config.digest);
    let files = layers.len();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        artifact_type: Some(artifact_type.into()),
        config,
        layers,
        subject: Some(subject.clone()),
        annotations: annotations.clone(),
    };
    let bytes = canonical(&manifest)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(AttachError::TooLarge {
            files,
            limit: MAX_DOCUMENT,
        });
    }
    let stored = put_bytes(blobs, &bytes)?;
    let mut descriptor = Descriptor::new(MediaType::OciManifest, stored.digest, stored.size);
    descriptor.artifact_type = Some(artifact_type.into());
    descriptor.annotations = annotations;
    Ok(Attached {
        descriptor,
        subject: subject.digest,
        content,
        parts,
    })
}

/// Where predicates say when they were made.
const PLACES: [&[&str]; 5] = [
    &["runDetails", "metadata", "finishedOn"],
    &["timeVerified"],
    &["timeCreated"],
    &["metadata", "buildFinishedOn"],
    &["creationInfo", "created"],
];

/// When a statement was made, as far as its predicate says so: the clock is not asked, so that the same
/// statement always gives the same manifest.
pub(super) fn time_of(statement: &Statement) -> Option<Timestamp> {
    let text = |path: &[&str]| {
        let mut fields = path.iter();
        let mut value = statement.predicate.get(*fields.next()?)?;
        for field in fields {
            value = value.get(field)?;
        }
        value.as_str()?.parse().ok()
    };
    PLACES.iter().find_map(|place| text(place))
}

/// The annotation of a time.
pub(super) fn created(time: Option<Timestamp>) -> BTreeMap<String, String> {
    let text = time.map(|time| (CREATED.to_owned(), time.to_string()));
    text.into_iter().collect()
}

/// An array of a document, in place.
pub(super) fn array<'a>(document: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    document.get_mut(field)?.as_array_mut()
}
