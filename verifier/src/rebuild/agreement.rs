//! Which parts of an image that was built again are those of the image that was attested.

use std::io::Read;

use repro_core::{
    build::BuildRecord,
    digest::{DiffId, Digest},
    image::{ImageError, StoredImage, load_image},
    store::{BlobError, BlobStore, BlobWriter},
};
use serde::Serialize;

use super::Order;
use crate::{
    causes::Facts,
    compare::{CompareError, Options, View, compare_images},
    predicate::{provenance::StepEvidence, reproducibility::RebuildOutcome},
    report::PairReport,
    verify::VerifiedPack,
};

/// Whether a part is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// It is.
    Same,
    /// It is another one, or only one of the images has it.
    Different,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// The manifest, which names all others: where it is the same, they all are.
    Manifest,
    /// The configuration.
    Config,
    /// A layer: the files that it is made of.
    Layer,
    /// A layer as it is stored, compressed.
    Blob,
}

/// One part of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it is.
    pub part: PartKind,
    /// Which layer, from 0, of layers and blobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// The instruction that made the layer, where the provenance says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// Its line in the Dockerfile, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Its digest in the image that was attested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested: Option<Digest>,
    /// Its digest in the image that was built again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Digest>,
    /// Whether they are the same.
    pub likeness: Likeness,
}

/// What a rebuild says of the image that it was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// All in all.
    pub outcome: RebuildOutcome,
    /// Part by part; empty where no image was built.
    pub parts: Vec<Part>,
    /// Where they differ, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<PairReport>,
}

impl Agreement {
    /// Compares the image of `pack` with that of run A of `record`, whose parts are in `blobs`.
    pub(super) fn of(
        pack: &VerifiedPack,
        order: &Order,
        record: &BuildRecord,
        blobs: &dyn BlobStore,
        options: &Options,
    ) -> Result<Self, CompareError> {
        let image = record.runs.first().and_then(|run| run.image.as_ref());
        let rebuilt = image.map(|image| image.manifest);
        let outcome = RebuildOutcome::of(order.image, rebuilt);
        let Some(rebuilt) = rebuilt else {
            return Ok(Self {
                outcome,
                parts: Vec::new(),
                difference: None,
            });
        };
        let of_pack = pack.blobs();
        let steps = pack.provenance.as_ref().map_or(&[][..], |signed| {
            &signed.predicate.run_details.metadata.steps
        });
        let parts = parts(&load(&of_pack, order.image)?, &load(blobs, rebuilt)?, steps);
        let difference = match outcome {
            RebuildOutcome::Differs => {
                let both = Both(&of_pack, blobs);
                let (a, b) = (order.image, rebuilt);
                let found = compare_images(&both, a, b, View::Layers, &Facts::default(), options)?;
                Some(PairReport::new("attested".into(), "rebuilt".into(), found))
            }
            RebuildOutcome::Agrees | RebuildOutcome::NotBuilt => None,
        };
        Ok(Self {
            outcome,
            parts,
            difference,
        })
    }
}

fn load(blobs: &dyn BlobStore, manifest: Digest) -> Result<StoredImage, CompareError> {
    load_image(blobs, manifest).map_err(|source: ImageError| CompareError::Image {
        manifest,
        source: Box::new(source),
    })
}

fn parts(attested: &StoredImage, rebuilt: &StoredImage, steps: &[StepEvidence]) -> Vec<Part> {
    let part = |part, attested: Option<Digest>, rebuilt: Option<Digest>| Part {
        part,
        layer: None,
        instruction: None,
        line: None,
        attested,
        rebuilt,
        likeness: if attested == rebuilt {
            Likeness::Same
        } else {
            Likeness::Different
        },
    };
    let mut parts = vec![
        part(
            PartKind::Manifest,
            Some(attested.descriptor.digest),
            Some(rebuilt.descriptor.digest),
        ),
        part(
            PartKind::Config,
            Some(attested.manifest.config.digest),
            Some(rebuilt.manifest.config.digest),
        ),
    ];
    for layer in 0..attested.layers.len().max(rebuilt.layers.len()) {
        let (a, b) = (attested.layers.get(layer), rebuilt.layers.get(layer));
        let diff_id = a.map(|layer| layer.diff_id);
        let step = diff_id.and_then(|diff_id| step_of(steps, diff_id));
        let at = |part: Part| Part {
            layer: Some(layer),
            instruction: step.map(|step| step.instruction.clone()),
            line: step.map(|step| step.line),
            ..part
        };
        parts.push(at(part(
            PartKind::Layer,
            diff_id.map(|diff_id| diff_id.0),
            b.map(|layer| layer.diff_id.0),
        )));
        parts.push(at(part(
            PartKind::Blob,
            a.map(|layer| layer.digest),
            b.map(|layer| layer.digest),
        )));
    }
    parts
}

/// The step that made the layer. A base has none.
fn step_of(steps: &[StepEvidence], layer: DiffId) -> Option<&StepEvidence> {
    let mut of_image = steps.iter().filter(|step| step.in_image);
    of_image.find(|step| step.diff_id == Some(layer))
}

/// Blobs of two places, read-only.
struct Both<'a>(&'a dyn BlobStore, &'a dyn BlobStore);

impl BlobStore for Both<'_> {
    fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match self.0.size(digest)? {
            Some(size) => Ok(Some(size)),
            None => self.1.size(digest),
        }
    }

    fn open(&self, digest: Digest) -> Result<Box<dyn Read + Send>, BlobError> {
        match self.0.size(digest)? {
            Some(_) => self.0.open(digest),
            None => self.1.open(digest),
        }
    }

    fn create(&self) -> Result<Box<dyn BlobWriter + '_>, BlobError> {
        self.1.create()
    }
}
