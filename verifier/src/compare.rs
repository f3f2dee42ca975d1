//! Compares what two runs made, or two images: configuration, layers, entries, contents.
//!
//! A layer whose digests are equal is never opened but to count its entries. Of layers that
//! differ, the entries are held in memory and the contents of differing files on disk, in a
//! file without a name. Of two directories of this machine, only what differs is held.

mod capability;
mod config;
mod difference;
mod directory;
mod entries;
mod flatten;
mod headers;
mod images;
mod index;
mod indexes;
#[cfg(test)]
mod known_defects;
mod layers;
mod links;
mod metadata;
mod names;
mod parallel;
#[cfg(test)]
pub(crate) mod planted;
mod removals;
mod rows;
mod runs;
mod samples;
mod source;
mod spool;
mod standing;
mod sums;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    io,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use repro_core::{
    build::RunId,
    digest::Digest,
    image::ImageError,
    layer::{Limits, OpenLayerError},
    store::BlobError,
};

use crate::causes::FactsError;

pub(crate) use difference::{ABSENT, origins};
pub use difference::{
    AttestationPair, Comparison, Difference, DifferenceKind, Evidence, MAX_AROUND, NotListed,
    Origin, Ratio,
};
pub use directory::DirectoryError;
pub use images::{Tree, View, compare_images, compare_trees};
pub use indexes::compare_indexes;
pub use runs::{compare_run, compare_runs, first_divergence};
pub use samples::Samples;

/// Most differences that are kept one by one unless [`Options::most`] says otherwise; the rest is
/// counted. A report with more rows says nothing that its causes do not say.
pub const MAX_DIFFERENCES: usize = 20_000;

/// How to compare.
#[derive(Debug)]
pub struct Options {
    /// A directory on the disk of the store, for contents that differ.
    pub scratch: PathBuf,
    /// Number of CPUs that a run without restriction had, where the caller knows it.
    pub host_cpus: Option<NonZeroU32>,
    /// Limits on layers.
    pub limits: Limits,
    /// Threads that read and compare side by side. What is found does not depend on it.
    pub threads: NonZeroUsize,
    /// Most differences that are kept one by one, of the image and of stages each; of one cause half as
    /// many.
    pub most: usize,
    /// Where contents that differ are put aside for another program to look at.
    pub samples: Option<Samples>,
}

impl Options {
    /// The defaults, with `scratch` for contents that differ.
    #[must_use]
    pub fn new(scratch: PathBuf) -> Self {
        Self {
            scratch,
            host_cpus: None,
            limits: Limits::default(),
            threads: NonZeroUsize::MIN,
            most: MAX_DIFFERENCES,
            samples: None,
        }
    }
}

/// Why two images or runs could not be compared. Never said of images that merely differ.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The record lacks one of the runs.
    #[error("the record has no run {0}, so there is nothing to compare")]
    NoRun(RunId),
    /// A time in the record cannot be read.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The record names a layer without its blob.
    #[error("run {run}, step {step}: the record names a layer without its blob")]
    NoBlob {
        /// The run.
        run: RunId,
        /// Index of the step.
        step: u32,
    },
    /// The record contradicts itself about the layers of the image.
    #[error("run {0}: the image has fewer layers than its steps made")]
    LayerCount(RunId),
    /// An image cannot be read.
    #[error("image {manifest} cannot be read")]
    Image {
        /// Digest of the manifest.
        manifest: Digest,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// A blob cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A configuration is not JSON.
    #[error("configuration {digest} is not JSON")]
    Config {
        /// Digest of the configuration.
        digest: Digest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A layer cannot be opened.
    #[error(transparent)]
    OpenLayer(#[from] OpenLayerError),
    /// A layer cannot be read to its end, or its contents cannot be kept.
    #[error("layer {digest} cannot be read")]
    Layer {
        /// Digest of its blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An index has no image for the platform that was asked for.
    #[error("{digest} has no image for {wanted}, only for: {}", .found.join(", "))]
    NoPlatform {
        /// Digest of the index or manifest.
        digest: Digest,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// An index lists an image that is not there, and the other index another one.
    #[error("the image for {platform} is listed and not there, so it cannot be compared")]
    NotHeld {
        /// The platform.
        platform: String,
    },
    /// An index beyond what any image needs.
    #[error("index {digest} has more than {limit}")]
    IndexLimit {
        /// Digest of the index.
        digest: Digest,
        /// The limit.
        limit: String,
    },
    /// The scratch file cannot be made or read.
    #[error("contents that differ cannot be kept in {}", .scratch.display())]
    Scratch {
        /// The directory.
        scratch: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
