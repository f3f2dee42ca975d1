//! Manifests and indexes, parsed so that none can be taken for the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, ImageError, MediaType, keys};

/// Most bytes of a manifest, index or configuration. Registries refuse more than 4 MiB
/// (distribution-spec, "Pushing Manifests"); configurations of real images stay below 100 KiB.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// A manifest of one image (image-spec, "Image Manifest").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Optional in OCI; always written by `repro`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// For an artifact that is no image: its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free texts by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "super::config::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests (image-spec, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Optional in OCI; always written by `repro`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The manifests. Docker 25 writes null where it saves an image without a name.
    #[serde(deserialize_with = "super::config::null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// Free texts by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "super::config::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The fields that tell manifests and indexes apart, whatever else a document has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<serde_json::Value>,
    media_type: Option<MediaType>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    /// Null is a list too.
    #[serde(default, deserialize_with = "present")]
    manifests: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

fn present<'de, D>(value: D) -> Result<Option<serde::de::IgnoredAny>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    serde::de::IgnoredAny::deserialize(value).map(Some)
}

/// Either kind of document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image or artifact.
    Manifest(Box<Manifest>),
    /// A list.
    Index(Index),
}

impl Document {
    /// Parses a document that came under the media type `announced`.
    ///
    /// One that could be read as both kinds, or names another type inside than it came under, is
    /// refused: readers that disagree on the kind verify one image and run another
    /// (CVE-2021-41190). So is one with keys that readers take for different fields.
    pub fn parse(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, ImageError> {
        let shape: Shape = serde_json::from_slice(bytes).map_err(ImageError::Json)?;
        keys::refuse_folded(bytes, keys::DOCUMENT)?;
        if shape.schema_version != Some(2.into()) || shape.fs_layers.is_some() {
            return Err(ImageError::SchemaVersion);
        }
        let manifest = shape.layers.is_some() || shape.config.is_some();
        if manifest == shape.manifests.is_some() {
            return Err(ImageError::AmbiguousDocument);
        }
        for name in [announced, shape.media_type.as_ref()].into_iter().flatten() {
            let agrees = if manifest {
                name.is_manifest()
            } else {
                name.is_index()
            };
            if !agrees {
                return Err(ImageError::MediaType(name.to_string()));
            }
        }
        if let (Some(announced), Some(inside)) = (announced, &shape.media_type)
            && announced != inside
        {
            return Err(ImageError::MediaType(format!("{inside} under {announced}")));
        }
        if manifest {
            serde_json::from_slice(bytes).map(|manifest| Self::Manifest(Box::new(manifest)))
        } else {
            serde_json::from_slice(bytes).map(Self::Index)
        }
        .map_err(ImageError::Json)
    }
}

impl From<&Document> for MediaType {
    /// What the document says it is, or what its shape is where it says nothing.
    fn from(document: &Document) -> Self {
        let (named, shape) = match document {
            Document::Manifest(manifest) => (&manifest.media_type, Self::OciManifest),
            Document::Index(index) => (&index.media_type, Self::OciIndex),
        };
        named.clone().unwrap_or(shape)
    }
}

impl Manifest {
    /// Parses a manifest; `announced` is the media type it came under, if any.
    pub fn parse(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, ImageError> {
        match Document::parse(bytes, announced)? {
            Document::Manifest(manifest) => Ok(*manifest),
            Document::Index(_) => Err(ImageError::NotAManifest),
        }
    }
}

impl Index {
    /// An index of `manifests`.
    #[must_use]
    pub const fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OciIndex),
            manifests,
            annotations: BTreeMap::new(),
        }
    }

    /// Parses an index; `announced` is the media type it came under, if any.
    pub fn parse(bytes: &[u8], announced: Option<&MediaType>) -> Result<Self, ImageError> {
        match Document::parse(bytes, announced)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(ImageError::NotAnIndex),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn manifest(extra: &str) -> String {
        format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[]{extra}}}"#)
    }

    #[test]
    fn a_document_is_one_kind_only() {
        let parse = |text: &str| Document::parse(text.as_bytes(), None);
        assert!(matches!(parse(&manifest("")), Ok(Document::Manifest(_))));
        assert!(matches!(
            parse(r#"{"schemaVersion":2,"manifests":null}"#),
            Ok(Document::Index(_))
        ));
        assert!(matches!(
            parse(&manifest(r#","manifests":[]"#)),
            Err(ImageError::AmbiguousDocument)
        ));
        assert!(matches!(
            parse(r#"{"schemaVersion":2}"#),
            Err(ImageError::AmbiguousDocument)
        ));
        assert!(matches!(
            parse(r#"{"schemaVersion":1,"fsLayers":[]}"#),
            Err(ImageError::SchemaVersion)
        ));
    }

    #[test]
    fn media_types_must_agree_with_the_shape_and_with_each_other() {
        let index = r#","mediaType":"application/vnd.oci.image.index.v1+json""#;
        let text = manifest(index);
        assert!(matches!(
            Document::parse(text.as_bytes(), None),
            Err(ImageError::MediaType(_))
        ));
        let text = manifest("");
        assert!(matches!(
            Document::parse(text.as_bytes(), Some(&MediaType::OciIndex)),
            Err(ImageError::MediaType(_))
        ));
        let text = manifest(r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#);
        assert!(Document::parse(text.as_bytes(), Some(&MediaType::OciManifest)).is_ok());
        assert!(matches!(
            Document::parse(text.as_bytes(), Some(&MediaType::DockerManifest)),
            Err(ImageError::MediaType(_))
        ));
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let entry = CONFIG.replace(r#""size":0"#, r#""size":0,"size":1"#);
        let platform = CONFIG.replace(
            r#""size":0"#,
            r#""size":0,"platform":{"os":"linux","architecture":"amd64","os":"linux"}"#,
        );
        for text in [
            manifest(r#","layers":[]"#),
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#.into(),
            format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#),
            format!(r#"{{"schemaVersion":2,"manifests":[{platform}]}}"#),
        ] {
            let parsed = Document::parse(text.as_bytes(), None);
            assert!(matches!(parsed, Err(ImageError::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_key_that_other_programs_take_for_a_field_is_refused() {
        let evil = CONFIG.replace(r#""size":0"#, r#""size":0,"Digest":"sha256:x""#);
        for (text, folded) in [
            (manifest(r#","Layers":[]"#), "Layers"),
            (manifest(r#","Manifests":[]"#), "Manifests"),
            (manifest(r#","FSLayers":[]"#), "FSLayers"),
            (
                r#"{"schemaVersion":2,"manifests":[],"manife\u017fts":[]}"#.into(),
                "manife\u{17f}ts",
            ),
            (
                format!(r#"{{"schemaVersion":2,"manifests":[{evil}]}}"#),
                "Digest",
            ),
        ] {
            assert!(
                matches!(
                    Document::parse(text.as_bytes(), None),
                    Err(ImageError::FoldedKey { key, .. }) if key == folded
                ),
                "{text}"
            );
        }
        let text = manifest(r#","annotations":{"Name":"a","name":"b"}"#);
        assert!(Document::parse(text.as_bytes(), None).is_ok());
    }
}
