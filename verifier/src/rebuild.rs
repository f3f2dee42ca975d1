//! Building again what somebody says was built, and comparing.
//!
//! The verifier builds nothing: who does is handed in as a [`Rebuild`]. What it is told to build follows
//! from provenance alone that was verified, as an [`Order`]; what it comes back with is compared with the
//! image of the pack, part by part.

mod agreement;
pub mod buildkit;
mod order;
pub mod resemblance;

use repro_core::{build::BuildRecord, store::BlobStore};

pub use agreement::{Agreement, Likeness, Part, PartKind};
pub use order::{Order, OrderError, OrderedContext, OtherInput};

use crate::{
    compare::{CompareError, Options},
    report::Report,
    verify::VerifiedPack,
};

/// Somebody who can build.
pub trait Rebuild {
    /// Why it was not built.
    type Error: From<OrderError> + From<CompareError>;

    /// Builds what the order says, from inputs with the digests that it says. A step that fails is a
    /// record with that outcome; inputs that cannot be had are an error.
    fn rebuild(&self, pack: &VerifiedPack, order: &Order) -> Result<Rebuilt, Self::Error>;

    /// Where the images are that it builds.
    fn blobs(&self) -> &dyn BlobStore;
}

/// What was built.
#[derive(Debug)]
pub struct Rebuilt {
    /// Everything that was seen.
    pub record: BuildRecord,
    /// The comparison of its own runs.
    pub report: Report,
}

/// Has the build of `pack` done again by `by`, and compares.
pub fn rebuild<R: Rebuild>(
    pack: &VerifiedPack,
    order: &Order,
    by: &R,
    options: &Options,
) -> Result<(Rebuilt, Agreement), R::Error> {
    let rebuilt = by.rebuild(pack, order)?;
    let agreement = Agreement::of(pack, order, &rebuilt.record, by.blobs(), options)?;
    Ok((rebuilt, agreement))
}

#[cfg(test)]
mod tests;
