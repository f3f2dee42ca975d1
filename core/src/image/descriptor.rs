//! Pointers to blobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MediaType;
use crate::{
    digest::{DiffId, Digest},
    platform::Platform,
};

/// The annotation that names a manifest inside a layout (image-spec, "Pre-Defined Annotation
/// Keys").
pub const REF_NAME: &str = oci_spec::image::ANNOTATION_REF_NAME;

/// A pointer to a blob (image-spec, "Content Descriptors"). Fields that nothing here acts on
/// are not kept: documents from outside are carried over as bytes, never written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Number of its bytes.
    pub size: u64,
    /// For an entry of an index: where the image runs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "platform_object"
    )]
    pub platform: Option<Platform>,
    /// For an artifact: its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Other places that have the blob. Nothing is taken from there: they are how an image makes its
    /// reader connect to hosts of its choice.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::config::null_is_default"
    )]
    pub urls: Vec<String>,
    /// Free texts by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "super::config::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A pointer without platform and annotations.
    #[must_use]
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            platform: None,
            artifact_type: None,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// The same pointer, with the platform of the image.
    #[must_use]
    pub fn with_platform(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }
}

/// A layer of an image: where its bytes are, and what they unpack to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerDescriptor {
    /// How the tar is wrapped.
    pub media_type: MediaType,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// SHA-256 of the tar inside.
    pub diff_id: DiffId,
}

/// The platform as image-spec writes it: an object, not `os/architecture`.
mod platform_object {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::platform::Platform;

    #[derive(Serialize, Deserialize)]
    struct Object {
        architecture: String,
        os: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
    }

    #[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        platform: &Option<Platform>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        platform
            .as_ref()
            .map(|platform| Object {
                architecture: platform.architecture().to_owned(),
                os: platform.os().to_owned(),
                variant: platform.variant().map(ToOwned::to_owned),
            })
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Platform>, D::Error> {
        let object = Option::<Object>::deserialize(deserializer)?;
        Ok(object.and_then(|object| {
            let variant = object.variant.filter(|variant| !variant.is_empty());
            let suffix = variant.map(|variant| format!("/{variant}"));
            // A platform that is none, such as an attestation's `unknown/unknown` with odd
            // fields, is never picked; it must not make the whole index unreadable.
            format!(
                "{}/{}{}",
                object.os,
                object.architecture,
                suffix.unwrap_or_default()
            )
            .parse()
            .ok()
        }))
    }
}
