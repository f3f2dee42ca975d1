//! From the manifest of an artifact to what it holds.

use std::collections::BTreeMap;

use repro_core::{
    digest::Digest,
    image::{Descriptor, ImageError, Manifest},
};

use super::{
    PACK_TYPE,
    legacy::{ENVELOPE_TYPE, PREDICATE},
    pack,
};
use crate::bundle::BUNDLE_MAX;

/// What every media type of a bundle begins with, whatever its version.
const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";

/// What an artifact holds, by its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// A bundle: its one layer.
    Statement(Descriptor),
    /// A pack of ours.
    Pack(PackArtifact),
    /// Something else, by its artifact type.
    Other(String),
}

/// The files of a pack by their paths, which lead nowhere else than below the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackArtifact {
    pub(super) files: BTreeMap<String, Descriptor>,
}

impl PackArtifact {
    /// Path to blob.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Descriptor> {
        &self.files
    }
}

/// Why an artifact is passed over.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Not a manifest.
    #[error("it is no manifest")]
    Document(#[from] ImageError),
    /// It is listed as referring to an image and refers to none.
    #[error("it has no subject")]
    NoSubject,
    /// It is listed under an image that it is not about.
    #[error("its subject is {0}, another image")]
    OtherSubject(Digest),
    /// A bundle has one layer.
    #[error("it has {0} layers, a statement has one")]
    Layers(usize),
    /// More than is read.
    #[error("it has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// What its manifest says.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A path that leads out of the pack, or is none.
    #[error("{0:?} is no path of a file in a pack")]
    Path(String),
    /// One path for two files.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// The image in the pack has a blob that the image does not have.
    #[error("the pack has {0}, which is no part of the image")]
    OtherImage(Digest),
}

impl Artifact {
    /// Parses the manifest of something that is listed as referring to `subject`. `image` has the parts
    /// of that image with their sizes.
    pub fn parse(
        bytes: &[u8],
        subject: Digest,
        image: &BTreeMap<Digest, u64>,
    ) -> Result<Self, ArtifactError> {
        let manifest = Manifest::parse(bytes, None)?;
        match &manifest.subject {
            None => return Err(ArtifactError::NoSubject),
            Some(other) if other.digest != subject => {
                return Err(ArtifactError::OtherSubject(other.digest));
            }
            Some(_) => {}
        }
        let kind = artifact_type(&manifest);
        if kind == PACK_TYPE {
            return Ok(Self::Pack(pack::files(&manifest, image)?));
        }
        if !is_bundle(&kind) {
            return Ok(Self::Other(kind));
        }
        let [layer] = &manifest.layers[..] else {
            return Err(ArtifactError::Layers(manifest.layers.len()));
        };
        check_size(layer)?;
        Ok(Self::Statement(layer.clone()))
    }
}

/// Whether an artifact type is that of a bundle.
pub(super) fn is_bundle(artifact_type: &str) -> bool {
    artifact_type.starts_with(BUNDLES)
}

/// The type of an artifact, as image-spec has it where none is given.
pub(super) fn artifact_type(manifest: &Manifest) -> String {
    let own = manifest.artifact_type.clone();
    own.unwrap_or_else(|| manifest.config.media_type.to_string())
}

fn check_size(layer: &Descriptor) -> Result<(), ArtifactError> {
    let limit = BUNDLE_MAX as u64;
    if layer.size > limit {
        return Err(ArtifactError::TooLarge {
            found: layer.size,
            limit,
        });
    }
    Ok(())
}

/// A statement in the legacy form.
pub(super) struct LegacyStatement {
    pub(super) layer: Descriptor,
    /// The type that the annotation claims.
    pub(super) predicate_type: String,
}

/// The statements of a manifest in the legacy form, and how many of its layers are none.
pub(super) fn legacy(bytes: &[u8]) -> Result<(Vec<LegacyStatement>, usize), ArtifactError> {
    let manifest = Manifest::parse(bytes, None)?;
    let layers = manifest.layers.len();
    let mut found = Vec::new();
    for layer in manifest.layers {
        if layer.media_type.as_str() != ENVELOPE_TYPE {
            continue;
        }
        check_size(&layer)?;
        found.push(LegacyStatement {
            predicate_type: layer
                .annotations
                .get(PREDICATE)
                .cloned()
                .unwrap_or_default(),
            layer,
        });
    }
    let others = layers - found.len();
    Ok((found, others))
}
