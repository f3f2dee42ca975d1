//! Locks: which bytes a name means.
//!
//! `toolchains/defs/NAME.lock` lists the packages of a shipped toolchain with the signed chain
//! that they were found by. A project's `repro.lock` refers to such a lock by its digest and
//! lists bases, inputs and fetches of its own, as `repro lock` writes them. Both are read here
//! strictly: an unknown key, a digest of the wrong form or a doubled name is an error with its
//! line, because a lock that is half understood pins nothing.

mod basis;
mod changes;
mod draft;
mod fetch;
mod package;
mod parts;
mod policy;
mod project;
mod spdx;
mod toolchain;

use std::io;

pub use basis::LockBasis;
pub use changes::{Change, changes};
pub use draft::LockDraft;
pub use fetch::{FetchKey, LockedFetch, LockedStep, REDACTED, StepName, StepNameError};
pub use package::{Ecosystem, Package, generic_purl};
pub use parts::{
    Archive, ArchiveDate, EntryPlatform, Fingerprint, FingerprintError, PoolFile, PoolPath,
    PoolPathError, UnknownVersion, Version1, debian_architecture, platform_of,
};
pub use policy::{Pins, PolicyError, SourcePolicy};
pub use project::{
    LockedBase, LockedInput, LockedSource, LockedSourceFile, LockedToolchain, ProjectLock,
    file_name,
};
pub use spdx::spdx;
pub use toolchain::{LockedPackage, PackageChange, Phase, ToolchainLock};

use crate::diagnostic::Diagnostic;

/// What to do about a lock that does not fit, for messages.
pub const RELOCK_HINT: &str = "write the lock again: `repro lock`";

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Io {
        /// The file.
        file: String,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Invalid(#[from] Diagnostic),
    /// It was made from other names than the project has now.
    #[error(transparent)]
    Stale(Diagnostic),
    /// It is the lock of another definition than the one beside it.
    #[error(transparent)]
    OtherDefinition(Diagnostic),
    /// It names a shipped toolchain that this program has in another state, or not at all.
    #[error(transparent)]
    OtherToolchain(Diagnostic),
}

impl LockError {
    /// The next step.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "a lock is a regular text file that the build can read",
            Self::OtherDefinition(_) => "write the lock again: repro toolchain lock FILE.toml",
            Self::Invalid(_) | Self::Stale(_) | Self::OtherToolchain(_) => RELOCK_HINT,
        }
    }
}
