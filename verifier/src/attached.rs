//! Evidence beside an image: the artifacts by which a registry or an OCI layout holds statements and
//! whole packs, each a manifest whose `subject` is the image (OCI 1.1). The image itself, and so its
//! digest, never changes.
//!
//! - A **statement** is one manifest with one layer, the Sigstore bundle, as cosign 3 writes and reads
//!   it.
//! - A **pack** is one manifest with every file of the pack as a layer, of an artifact type of our own:
//!   the signed index with everything it lists, also what no other tool has a place for, such as logs.
//! - The **legacy form** is one manifest under a tag, with an envelope a layer, as cosign 2 reads it.
//!
//! Equal evidence gives equal bytes: to attach it twice is to attach it once.

pub mod gather;
mod legacy;
mod manifest;
mod pack;
mod read;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

use repro_core::{
    digest::Digest,
    image::{Descriptor, ImageError, MediaType},
    json::CanonicalError,
    store::BlobError,
};

pub use legacy::{LEGACY_SUFFIX, extend_legacy, legacy_tag, merge_legacy};
pub use manifest::PREDICATE_TYPE;
pub use pack::MAX_PACK_BYTES;
pub use read::{Artifact, ArtifactError, PackArtifact};
pub use unpack::{UnpackError, unpack};
pub use write::{StatementFile, attach_pack, attach_statement};

use crate::{
    bundle::{BundleError, MEDIA_TYPE},
    statement::StatementError,
    strict_json::JsonError,
    verify::FilesError,
};

/// Artifact type of a statement, and media type of its one layer.
pub const STATEMENT_TYPE: &str = MEDIA_TYPE;
/// Artifact type of an evidence pack.
pub const PACK_TYPE: &str = "application/vnd.intelgraph.repro.evidence-pack.v1";

/// The annotation by which cosign knows the image of a layout from what is beside it.
pub const LAYOUT_IMAGE: (&str, &str) = ("kind", "dev.cosignproject.cosign/image");
/// The same for a list of images.
pub const LAYOUT_LIST: (&str, &str) = ("kind", "dev.cosignproject.cosign/imageIndex");

/// A manifest that was made for an image. It and its layers are in the store that it was made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The manifest, as an index lists it: with artifact type and annotations.
    pub descriptor: Descriptor,
    /// The image that it is about.
    pub subject: Digest,
    /// What it holds.
    pub content: Content,
    /// Its configuration and layers.
    pub parts: Vec<Digest>,
}

/// What an artifact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One statement.
    Statement {
        /// URI of the type of its predicate.
        predicate_type: String,
        /// SHA-256 of the bundle.
        bundle: Digest,
    },
    /// A whole pack.
    Pack {
        /// SHA-256 of its `index.json`.
        index: Digest,
    },
}

/// Why evidence cannot be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The directory cannot be read as a pack.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The index of the pack is none.
    #[error("index.json is not strict JSON")]
    Json(#[from] JsonError),
    /// The index of the pack is none.
    #[error("index.json is not the index of an evidence pack")]
    Index(#[source] Option<serde_json::Error>),
    /// The pack is not what its index lists.
    #[error("the pack is not what its index lists: {0}")]
    Changed(String),
    /// More than a registry takes.
    #[error("the pack has {files} files, which no manifest of {limit} bytes holds")]
    TooLarge {
        /// Files of the pack.
        files: usize,
        /// Most bytes of a manifest.
        limit: u64,
    },
    /// The pack is about a build that made no image.
    #[error("the pack is about a build that made no image")]
    NoImage,
    /// A bundle that is none.
    #[error("{name} is not a statement in a Sigstore bundle")]
    Bundle {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// What is signed is no statement.
    #[error("{name} holds no statement")]
    Statement {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: StatementError,
    },
    /// The evidence is about something else.
    #[error("{name} is about {}, not about {}", join(found), join(wanted))]
    OtherSubject {
        /// The file or pack.
        name: String,
        /// What it is about.
        found: Vec<Digest>,
        /// The image, and the images of a list.
        wanted: Vec<Digest>,
    },
    /// What lies under the legacy tag is no manifest of statements.
    #[error("the tag {0} means something that holds no statements")]
    NotLegacy(String),
    /// A value without canonical form.
    #[error("a manifest has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A document.
    #[error(transparent)]
    Image(#[from] ImageError),
}

fn join(digests: &[Digest]) -> String {
    let all: Vec<String> = digests.iter().map(Digest::to_string).collect();
    if all.is_empty() {
        "nothing".into()
    } else {
        all.join(", ")
    }
}

/// The images that evidence may be about: one, or a list and the images on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects(Vec<Descriptor>);

impl Subjects {
    /// `root`, and the images of the list that it is. Statements that lie in the list are none.
    #[must_use]
    pub fn new(root: Descriptor, listed: Vec<Descriptor>) -> Self {
        let images = listed
            .into_iter()
            .filter(|entry| entry.media_type.is_manifest())
            .filter(|entry| !gather::is_statement_of_a_list(entry));
        Self(std::iter::once(root).chain(images).collect())
    }

    /// All of them, the root first.
    #[must_use]
    pub fn all(&self) -> &[Descriptor] {
        &self.0
    }

    fn find(&self, digest: Digest) -> Option<Descriptor> {
        let found = self.0.iter().find(|entry| entry.digest == digest)?;
        // A subject is a plain pointer: platform and name belong to the list it was taken from.
        let media_type = MediaType::clone(&found.media_type);
        Some(Descriptor::new(media_type, found.digest, found.size))
    }

    fn digests(&self) -> Vec<Digest> {
        self.0.iter().map(|entry| entry.digest).collect()
    }
}
