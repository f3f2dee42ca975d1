//! cosign's form before OCI 1.1: one manifest under a tag that is made of the image's digest, with an
//! envelope a layer (`ATTESTATION_SPEC.md` of cosign).

use repro_core::{
    digest::Digest,
    image::{Descriptor, MAX_DOCUMENT, Manifest, MediaType},
    json::canonical,
    store::{BlobStore, put_bytes, read_small},
};
use serde_json::{Value, json};

use super::{AttachError, Attached, Content, manifest::array};
use crate::{attestation::Attestation, bundle::BUNDLE_MAX};

/// What the tag of the statements on an image ends with.
pub const LEGACY_SUFFIX: &str = ".att";
/// Media type of a layer.
pub(super) const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Readers refuse a layer without this annotation; in an envelope the signature is inside.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// URI of the type of the predicate.
pub(super) const PREDICATE: &str = "predicateType";

/// The tag of the statements on `subject`.
#[must_use]
pub fn legacy_tag(subject: Digest) -> String {
    format!("sha256-{}{LEGACY_SUFFIX}", subject.hex())
}

/// Makes the manifest that the tag is to mean: what `existing` has, and behind that those statements of
/// `made` about `subject` that it does not have. `None` where it has all of them.
///
/// What others put there stays as it is, also fields that are not known here.
pub fn extend_legacy(
    subject: Digest,
    existing: Option<Digest>,
    made: &[Attached],
    blobs: &dyn BlobStore,
) -> Result<Option<Descriptor>, AttachError> {
    let mut layers = Vec::new();
    for (bundle, predicate_type) in made.iter().filter_map(|one| match &one.content {
        Content::Statement {
            predicate_type,
            bundle,
        } if one.subject == subject => Some((*bundle, predicate_type)),
        _ => None,
    }) {
        let bytes = read_small(blobs, bundle, BUNDLE_MAX as u64)?;
        let attestation = Attestation::parse(&bytes).map_err(|source| AttachError::Bundle {
            name: bundle.to_string(),
            source,
        })?;
        let stored = put_bytes(blobs, &attestation.envelope_bytes()?)?;
        layers.push(json!({
            "mediaType": ENVELOPE_TYPE,
            "digest": stored.digest,
            "size": stored.size,
            "annotations": {SIGNATURE: "", PREDICATE: predicate_type},
        }));
    }
    with_layers(subject, existing, layers, blobs)
}

/// The same with the statements of `other`, a manifest that such a tag means elsewhere.
pub fn merge_legacy(
    subject: Digest,
    existing: Option<Digest>,
    other: Digest,
    blobs: &dyn BlobStore,
) -> Result<Option<Descriptor>, AttachError> {
    let mut other = parse(subject, &read_small(blobs, other, MAX_DOCUMENT)?)?;
    let layers = array(&mut other, "layers");
    let layers = layers.ok_or_else(|| AttachError::NotLegacy(legacy_tag(subject)))?;
    with_layers(subject, existing, std::mem::take(layers), blobs)
}

fn with_layers(
    subject: Digest,
    existing: Option<Digest>,
    more: Vec<Value>,
    blobs: &dyn BlobStore,
) -> Result<Option<Descriptor>, AttachError> {
    let mut document = match existing {
        Some(digest) => parse(subject, &read_small(blobs, digest, MAX_DOCUMENT)?)?,
        None => json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest.as_str(),
            "config": null,
            "layers": [],
        }),
    };
    let layers = array(&mut document, "layers");
    let layers = layers.ok_or_else(|| AttachError::NotLegacy(legacy_tag(subject)))?;
    let before = layers.len();
    for layer in more {
        if !layers.iter().any(|one| one["digest"] == layer["digest"]) {
            layers.push(layer);
        }
    }
    if layers.len() == before && existing.is_some() {
        return Ok(None);
    }
    // An image without a system, since readers take it for one; cosign writes the same.
    let config = canonical(&json!({
        "architecture": "", "os": "", "config": {}, "created": "0001-01-01T00:00:00Z",
        "history": layers.iter().map(|_| json!({"created": "0001-01-01T00:00:00Z"})).collect::<Vec<_>>(),
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| layer["digest"].clone()).collect::<Vec<_>>(),
        },
    }))?;
    let config = put_bytes(blobs, &config)?;
    document["config"] = json!({
        "mediaType": MediaType::OciConfig.as_str(),
        "digest": config.digest,
        "size": config.size,
    });
    let stored = put_bytes(blobs, &canonical(&document)?)?;
    Ok(Some(Descriptor::new(
        MediaType::OciManifest,
        stored.digest,
        stored.size,
    )))
}

/// A manifest that other statements can be put beside.
fn parse(subject: Digest, bytes: &[u8]) -> Result<Value, AttachError> {
    let manifest = Manifest::parse(bytes, None)?;
    let media_type = manifest.media_type.unwrap_or(MediaType::OciManifest);
    if media_type != MediaType::OciManifest {
        return Err(AttachError::NotLegacy(legacy_tag(subject)));
    }
    let mut value: Value = serde_json::from_slice(bytes)
        .map_err(|error| AttachError::Image(repro_core::image::ImageError::Json(error)))?;
    value["mediaType"] = MediaType::OciManifest.as_str().into();
    Ok(value)
}
