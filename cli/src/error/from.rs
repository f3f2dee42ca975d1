//! Which kind of trouble each error of the libraries is, and its next step. In one file, so
//! that equal troubles get equal exit codes.

mod build;
mod engine;
mod evidence;
mod registry;
mod terms;
mod toolchains;

pub(crate) use terms::in_document;

use std::io;

use repro_core::{
    build::ExecutorError,
    image::{ImageError, transport::TransportError},
    layer::OpenLayerError,
    store::{BlobError, GcError, StoreError},
};
use repro_verifier::{
    compare::{CompareError, DirectoryError},
    keys::{KeyError, SignError},
    pack::PackError,
    rebuild::{OrderError, buildkit::BuildkitError},
    report::ReportError,
    sbom::SbomError,
    verify::FilesError,
};

use super::{CommandError, ErrorKind};
use crate::{ambient::InvocationError, exit::Signal};

/// The next step where something of the store cannot be read.
pub(crate) const DAMAGED: &str = "`repro store verify` says what is damaged";

/// The next step where the machine lacks something that has no hint of its own.
const DOCTOR: &str = "`repro doctor` says what this machine can do";

/// Trouble with a file that the user named: to read what is not there is wrong input, a full
/// disk is worth a retry, and so on.
pub(crate) fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ErrorKind::Interrupted(Signal::Pipe),
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted => ErrorKind::Inconclusive,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Machine,
        _ => ErrorKind::Input,
    }
}

impl From<OrderError> for CommandError {
    fn from(error: OrderError) -> Self {
        match &error {
            OrderError::NoImage => Self::new(ErrorKind::Input, &error),
            OrderError::Ruleset { version, .. } => {
                let hint = match version {
                    Some(version) => format!("build it again with repro {version}, which built it"),
                    None => "build it again with a newer version of repro".to_owned(),
                };
                Self::new(ErrorKind::Input, &error).hint(hint)
            }
            OrderError::Value { .. } => Self::new(ErrorKind::Refused, &error),
        }
    }
}

impl From<BuildkitError> for CommandError {
    fn from(error: BuildkitError) -> Self {
        let result = Self::new(ErrorKind::Refused, &error);
        match error {
            BuildkitError::Predicate(_) => {
                result.hint("BuildKit writes it so: --attest type=provenance,mode=max,version=v1")
            }
            _ => result,
        }
    }
}

impl From<InvocationError> for CommandError {
    fn from(error: InvocationError) -> Self {
        let kind = match error {
            InvocationError::Random(_) => ErrorKind::Machine,
            InvocationError::Name(_) => ErrorKind::Internal,
        };
        Self::new(kind, &error)
    }
}

impl From<ExecutorError> for CommandError {
    fn from(error: ExecutorError) -> Self {
        let (kind, hint) = match &error {
            ExecutorError::Machine { hint, .. } => (ErrorKind::Machine, Some(hint.clone())),
            ExecutorError::Exhausted { .. } => (
                ErrorKind::Inconclusive,
                Some("the same again may succeed".to_owned()),
            ),
            ExecutorError::Refused(_) => (ErrorKind::StepFailed, None),
            ExecutorError::Input { .. } => (
                ErrorKind::Input,
                Some("`repro store verify` says whether the store is damaged".to_owned()),
            ),
            ExecutorError::Cancelled => (ErrorKind::Interrupted(Signal::Interrupt), None),
            ExecutorError::Internal { .. } => (ErrorKind::Internal, None),
        };
        let result = Self::new(kind, &error);
        match hint {
            Some(hint) => result.hint(hint),
            None => result,
        }
    }
}

impl From<BlobError> for CommandError {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Io { source, .. } => Self::new(io_kind(source), &error),
            BlobError::Missing(_) | BlobError::Corrupt { .. } | BlobError::TooLarge { .. } => {
                Self::new(ErrorKind::Input, &error).hint(DAMAGED)
            }
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Blob(error) => error.into(),
            StoreError::Io { ref source, .. } => {
                // The store is the machine's: what cannot be read or written there is no input.
                let kind = match io_kind(source) {
                    ErrorKind::Input => ErrorKind::Machine,
                    kind => kind,
                };
                Self::new(kind, &error)
            }
            StoreError::NotAStore(_) => {
                Self::new(ErrorKind::Usage, &error).hint("name an empty directory: --store DIR")
            }
            StoreError::Meta { .. } => Self::new(ErrorKind::Machine, &error)
                .hint("use the version of repro that made it, or another one: --store DIR"),
            StoreError::Document { .. } => Self::new(ErrorKind::Input, &error).hint(DAMAGED),
            StoreError::TagDigest { .. } => Self::new(ErrorKind::Usage, &error),
            StoreError::Canonical(_) | StoreError::RunExists(_) => {
                Self::new(ErrorKind::Internal, &error)
            }
        }
    }
}

impl From<GcError> for CommandError {
    fn from(error: GcError) -> Self {
        match error {
            GcError::Store(error) => error.into(),
            GcError::InUse => Self::new(ErrorKind::Inconclusive, &error)
                .hint("wait until no build uses the store"),
        }
    }
}

impl From<OpenLayerError> for CommandError {
    fn from(error: OpenLayerError) -> Self {
        Self::new(ErrorKind::Input, &error)
    }
}

impl From<ImageError> for CommandError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Blob(error) => error.into(),
            ImageError::NoPlatform { ref found, .. } if found.is_empty() => {
                Self::message(ErrorKind::Input, "its index lists no image")
            }
            ImageError::NoPlatform { .. } => {
                Self::new(ErrorKind::Input, &error).hint("choose one: --platform OS/ARCH")
            }
            ImageError::Absent(ref platform) => {
                let hint = format!("bring it in: `repro pull --platform {platform} REF`");
                Self::new(ErrorKind::Input, &error).hint(hint)
            }
            ImageError::Layer { ref source, .. } => match io_kind(source) {
                kind @ ErrorKind::Inconclusive => Self::new(kind, &error),
                _ => Self::new(ErrorKind::Input, &error),
            },
            _ => Self::new(ErrorKind::Input, &error),
        }
    }
}

impl From<TransportError> for CommandError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Image(error) => error.into(),
            TransportError::Blob(error) => error.into(),
            TransportError::Io { ref source, .. } => Self::new(io_kind(source), &error),
            TransportError::SeveralImages { .. }
            | TransportError::NotAStream
            | TransportError::NotEmpty(_) => Self::new(ErrorKind::Usage, &error),
            _ => Self::new(ErrorKind::Input, &error),
        }
    }
}

impl From<KeyError> for CommandError {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Entropy(_) | KeyError::BrokenEntropy(_) => {
                Self::new(ErrorKind::Machine, &error)
            }
            KeyError::Passphrase | KeyError::Encrypted | KeyError::EmptyPassphrase => {
                Self::new(ErrorKind::Usage, &error)
                    .hint("set REPRO_KEY_PASSPHRASE, or name a file: --key-passphrase-file FILE")
            }
            _ => Self::new(ErrorKind::Usage, &error).hint("`repro keygen` makes a pair of keys"),
        }
    }
}

impl From<FilesError> for CommandError {
    fn from(error: FilesError) -> Self {
        // A pack that cannot be looked at verifies nothing, and that is a refusal.
        Self::new(ErrorKind::Refused, &error)
    }
}

impl From<PackError> for CommandError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Blob(error) => error.into(),
            PackError::Io { ref source, .. } => {
                let kind = match io_kind(source) {
                    ErrorKind::Input => ErrorKind::Machine,
                    kind => kind,
                };
                Self::new(kind, &error)
            }
            PackError::Busy(_) => Self::new(ErrorKind::Inconclusive, &error)
                .hint("wait for the other build, or name another directory: --evidence DIR"),
            PackError::NotOurs { .. } => {
                Self::new(ErrorKind::Usage, &error).hint("name another one: --evidence DIR")
            }
            PackError::Image(_) => Self::new(ErrorKind::Input, &error).hint(DAMAGED),
            PackError::Sign(error) => error.into(),
            PackError::Sbom(SbomError::TooLarge { .. }) => Self::new(ErrorKind::Usage, &error)
                .hint("leave the list of packages out: --sbom=false"),
            PackError::Sbom(SbomError::Image(_)) => {
                Self::new(ErrorKind::Input, &error).hint(DAMAGED)
            }
            PackError::NoReport
            | PackError::Provenance { .. }
            | PackError::Canonical(_)
            | PackError::Sbom(SbomError::Canonical(_) | SbomError::Epoch(_)) => {
                Self::new(ErrorKind::Internal, &error)
            }
        }
    }
}

impl From<SignError> for CommandError {
    fn from(error: SignError) -> Self {
        let kind = match error {
            SignError::Canonical(_) => ErrorKind::Internal,
            SignError::Signer(_) | SignError::Wrong(_) => ErrorKind::Machine,
        };
        Self::new(kind, &error)
    }
}

impl From<CompareError> for CommandError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Blob(error) => error.into(),
            CompareError::OpenLayer(error) => error.into(),
            CompareError::Layer { ref source, .. } | CompareError::Scratch { ref source, .. } => {
                Self::new(io_kind(source), &error)
            }
            CompareError::Directory(ref directory) => {
                let kind = match directory {
                    DirectoryError::Read { source, .. } => io_kind(source),
                    DirectoryError::Name { .. } | DirectoryError::Type(_) => ErrorKind::Input,
                };
                Self::new(kind, &error)
            }
            CompareError::NoPlatform { .. }
            | CompareError::NotHeld { .. }
            | CompareError::IndexLimit { .. } => Self::new(ErrorKind::Input, &error),
            CompareError::Image { .. } | CompareError::Config { .. } => {
                Self::new(ErrorKind::Input, &error).hint(DAMAGED)
            }
            _ => Self::new(ErrorKind::Internal, &error),
        }
    }
}

impl From<ReportError> for CommandError {
    fn from(error: ReportError) -> Self {
        Self::new(ErrorKind::Internal, &error)
    }
}
