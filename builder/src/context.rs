//! The context: the files of the project that a build may copy.

mod archive;
mod sources;
mod take;

pub use archive::{ArchiveSpec, take_archive};
pub use repro_core::tree::{IgnoreError, IgnoreFile, Ignored, MAX_IGNORE_BYTES, MAX_PATTERNS};
pub use sources::MissingSource;
pub use take::{Context, ContextError, ContextKind, ContextSpec, take};

pub(crate) use sources::check as check_source;
