//! What a comparison gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use repro_core::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::causes::{Around, Cause, Confidence};

/// Differences of one cause whose surrounding bytes are kept, so that a report of thousands stays
/// small.
pub const MAX_AROUND: usize = 12;

/// In what two entries, or two configurations, differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// In one of them only.
    Missing,
    /// Another type of entry, or another device.
    Type,
    /// Other bytes.
    Content,
    /// Another target of a symbolic or hard link.
    Link,
    /// Other permission bits.
    Mode,
    /// Another owner or group.
    Owner,
    /// Other extended attributes.
    Xattr,
    /// Another modification time.
    Mtime,
    /// A field of the image's configuration or manifest.
    Config,
}

impl DifferenceKind {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Type => "type",
            Self::Content => "content",
            Self::Link => "link",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Xattr => "xattr",
            Self::Mtime => "mtime",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands on both sides. Texts are printable: hostile bytes are escaped by
/// [`repro_core::tree::show_bytes`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Byte offset in run A's content, for contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The part of the content in which it lies, as names from the outermost archive on, divided
    /// by `!`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Run A's value; a digest where no excerpt is taken.
    pub a: String,
    /// Run B's value; a digest where no excerpt is taken.
    pub b: String,
    /// The bytes around, where an excerpt is taken and [`MAX_AROUND`] is not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
}

/// An earlier difference that this one follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Index of its step in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Its path, printable.
    pub path: String,
}

impl Origin {
    /// Step and path.
    #[must_use]
    pub fn spot(&self) -> (Option<u32>, &str) {
        (self.step, &self.path)
    }
}

/// What [`Evidence`] says of an entry that one side has not.
pub(crate) const ABSENT: &str = "absent";

/// One difference with one cause. A file with several causes has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Path in the layer, or JSON pointer in the configuration; printable.
    pub path: String,
    /// The platform, where images for several are compared; as the indexes write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Index of the layer in the image; absent for steps whose layer is not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// Index of the step in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// In what they differ.
    pub kind: DifferenceKind,
    /// Why.
    pub cause: Cause,
    /// How sure that is.
    pub confidence: Confidence,
    /// The earlier difference that this one follows from; `null` for a primary one.
    #[serde(default)]
    pub derived_from: Option<Origin>,
    /// What stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Difference {
    /// Whether it is one of the image, and not of a layer that only a stage has.
    #[must_use]
    pub const fn in_image(&self) -> bool {
        self.layer.is_some() || self.step.is_none()
    }

    /// Step and path: what an [`Origin`] of another one names.
    #[must_use]
    pub fn spot(&self) -> (Option<u32>, &str) {
        (self.step, &self.path)
    }
}

/// Step and path of everything from which one of `rows` follows.
pub(crate) fn origins<'a>(
    rows: impl Iterator<Item = &'a Difference>,
) -> BTreeSet<(Option<u32>, &'a str)> {
    let origins = rows.filter_map(|row| row.derived_from.as_ref());
    origins.map(Origin::spot).collect()
}

/// How many differences a list leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotListed {
    /// Of the image.
    pub image: u64,
    /// Of layers that only a stage has.
    pub elsewhere: u64,
}

impl NotListed {
    /// Both together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.image.saturating_add(self.elsewhere)
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.total() == 0
    }
}

/// How much was compared, and how much of it is equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// Layers of the image that are equal.
    pub layers_equal: u64,
    /// Layers of the image, base layers included.
    pub layers: u64,
    /// Entries that are equal.
    pub files_equal: u64,
    /// Entries of the layers that the build made; those of base layers are an input.
    pub files: u64,
}

/// Attestations on the image of one platform. They say when and how it was built, so they differ always
/// and are no part of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationPair {
    /// The platform of what they are about.
    pub platform: String,
    /// Digests of the manifests that the first index lists.
    pub a: Vec<Digest>,
    /// Digests of the manifests that the second index lists.
    pub b: Vec<Digest>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The differences: by step, then by path.
    pub differences: Vec<Difference>,
    /// Differences beyond [`super::MAX_DIFFERENCES`], which are not listed.
    pub not_listed: NotListed,
    /// The same by cause.
    pub not_listed_by_cause: BTreeMap<Cause, u64>,
    /// How much is equal.
    pub ratio: Ratio,
    /// Attestations of the indexes that were compared.
    pub attestations: Vec<AttestationPair>,
}

impl Comparison {
    /// Whether the images are equal. Steps of stages that they were made with may still differ.
    #[must_use]
    pub fn image_is_equal(&self) -> bool {
        self.not_listed.image == 0 && !self.differences.iter().any(Difference::in_image)
    }
}
