//! In what two images are the same whose bytes cannot be: one builder writes layers otherwise than another,
//! and the files in them are the same all the same.

use repro_core::{
    digest::{DiffId, Digest},
    image::{StoredImage, load_image},
    store::BlobStore,
};
use serde::Serialize;

use super::Likeness;
use crate::{
    causes::Facts,
    compare::{
        CompareError, Comparison, Difference, DifferenceKind, Options, View, compare_images,
    },
    report::PairReport,
};

/// What of an image is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Which files there are, of which type, and what is in them.
    Files,
    /// Permissions, owners and attributes of files.
    Metadata,
    /// What a container is started with.
    Settings,
    /// Times of files.
    Times,
    /// Everything else in the documents: the history, when it was made.
    History,
    /// The layers as they are stored.
    Layers,
    /// The manifest, and so the last bit.
    Manifest,
}

impl Aspect {
    /// Whether another builder must come to the same. How layers are divided and written, and the times
    /// that a builder notes, are its own.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Files | Self::Metadata | Self::Settings)
    }
}

/// One aspect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AspectRow {
    /// Which.
    pub aspect: Aspect,
    /// Whether it is the same.
    pub likeness: Likeness,
    /// Places that differ, or layers that only one of them has.
    pub different: u64,
}

/// In what an image is the same as another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resemblance {
    /// Aspect by aspect.
    pub aspects: Vec<AspectRow>,
    /// Where they differ, and why.
    pub difference: PairReport,
}

impl Resemblance {
    /// Compares the file systems and documents of two images in `blobs`, by their manifests.
    pub fn of(
        blobs: &dyn BlobStore,
        (a, b): (Digest, Digest),
        options: &Options,
    ) -> Result<Self, CompareError> {
        let facts = Facts::default();
        let found = compare_images(blobs, a, b, View::FileSystem, &facts, options)?;
        let load = |manifest| {
            load_image(blobs, manifest).map_err(|source| CompareError::Image {
                manifest,
                source: Box::new(source),
            })
        };
        let layers = other_layers(&load(a)?, &load(b)?);
        let mut aspects = of_differences(&found);
        aspects.push(row(Aspect::Layers, layers));
        aspects.push(row(Aspect::Manifest, u64::from(a != b)));
        Ok(Self {
            aspects,
            difference: PairReport::new("attested".into(), "rebuilt".into(), found),
        })
    }

    /// Whether everything that must be is the same.
    #[must_use]
    pub fn likeness(&self) -> Likeness {
        let other = |row: &AspectRow| row.aspect.counts() && row.likeness == Likeness::Different;
        if self.aspects.iter().any(other) {
            Likeness::Different
        } else {
            Likeness::Same
        }
    }
}

fn row(aspect: Aspect, different: u64) -> AspectRow {
    AspectRow {
        aspect,
        likeness: match different {
            0 => Likeness::Same,
            _ => Likeness::Different,
        },
        different,
    }
}

fn of_differences(found: &Comparison) -> Vec<AspectRow> {
    let of = |aspect| {
        let rows = found.differences.iter();
        let listed = rows.filter(|row| aspect_of(row) == Some(aspect)).count() as u64;
        // What is not listed may be anything, so it is taken for the worst.
        let unlisted = match aspect {
            Aspect::Files => found.not_listed.total(),
            _ => 0,
        };
        row(aspect, listed.saturating_add(unlisted))
    };
    [
        Aspect::Files,
        Aspect::Metadata,
        Aspect::Settings,
        Aspect::Times,
        Aspect::History,
    ]
    .map(of)
    .into()
}

/// The aspect that a difference belongs to; none for how files are divided into layers.
fn aspect_of(difference: &Difference) -> Option<Aspect> {
    Some(match difference.kind {
        DifferenceKind::Missing
        | DifferenceKind::Type
        | DifferenceKind::Content
        | DifferenceKind::Link => Aspect::Files,
        DifferenceKind::Mode | DifferenceKind::Owner | DifferenceKind::Xattr => Aspect::Metadata,
        DifferenceKind::Mtime => Aspect::Times,
        DifferenceKind::Config => {
            let path = difference.path.as_str();
            let below = |top: &str| {
                let rest = path.strip_prefix(top);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if below("/rootfs") {
                return None;
            }
            let settings = ["/config", "/os", "/architecture", "/variant"];
            if settings.into_iter().any(below) {
                Aspect::Settings
            } else {
                Aspect::History
            }
        }
    })
}

/// Layers that only one of them has, by their files.
fn other_layers(a: &StoredImage, b: &StoredImage) -> u64 {
    let only = |one: &StoredImage, other: &StoredImage| {
        let others: Vec<DiffId> = other.layers.iter().map(|layer| layer.diff_id).collect();
        let own = one.layers.iter();
        own.filter(|layer| !others.contains(&layer.diff_id)).count() as u64
    };
    only(a, b).max(only(b, a))
}
