//! A pack of which everything was verified.

use std::{fs::File, path::Path};

use repro_core::{
    build::RunId,
    digest::{DiffId, Digest},
    store::BlobStore,
};

use super::{
    Evidence, Signed,
    blobs::PackBlobs,
    files::{FilesError, PackFiles},
};
use crate::{
    pack::layout,
    predicate::{provenance::Provenance, reproducibility::Reproducibility},
};

/// A pack that nothing was refused of, by keys of the caller. There is no other way to one than through
/// the checks.
#[derive(Debug)]
pub struct VerifiedPack {
    files: PackFiles,
    /// What was done and from what, by the run whose image is in the pack; none where it made no image.
    pub provenance: Option<Signed<Provenance>>,
    /// What its builder says of it.
    pub verdict: Signed<Reproducibility>,
}

impl VerifiedPack {
    pub(super) fn of(files: PackFiles, evidence: Evidence) -> Option<Self> {
        let mut provenance = evidence.provenance.into_iter();
        Some(Self {
            files,
            provenance: provenance
                .find(|(run, _)| *run == RunId::A)
                .map(|(_, signed)| signed),
            verdict: evidence.verdict?,
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.files.root()
    }

    /// A text of the project that lies in the pack, as it was built; `None` if the pack has none.
    pub fn input(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, FilesError> {
        if !self.files.paths().contains(path) {
            return Ok(None);
        }
        self.files.read(path, limit).map(Some)
    }

    /// Whether the pack has what a build is made of, its contexts apart.
    #[must_use]
    pub fn has_inputs(&self) -> bool {
        self.files.paths().contains(layout::DOCKERFILE)
    }

    /// A context that lies in the pack, compressed.
    pub fn context(&self, tar: DiffId) -> Result<Option<File>, FilesError> {
        let path = layout::context(tar);
        if !self.files.paths().contains(&path) {
            return Ok(None);
        }
        self.files.open(&path).map(Some)
    }

    /// The parts of the image.
    #[must_use]
    pub fn blobs(&self) -> impl BlobStore + '_ {
        PackBlobs(&self.files)
    }

    /// The manifest of the image.
    #[must_use]
    pub fn image(&self) -> Option<Digest> {
        super::runs::image_of_a(&self.verdict)
    }
}
