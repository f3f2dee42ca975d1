//! Exit code and next step of what goes wrong with the project's files, its lock, and what is
//! made from packages.

use repro_toolchains::{
    SourceError,
    diagnostic::Diagnostic,
    fetch::FetchError,
    inputs::InputError,
    lock::{LockError, RELOCK_HINT},
    materialise::MaterialiseError,
    project::ProjectError,
};

use super::{CommandError, ErrorKind, Excerpt, from::DAMAGED, io_kind};
use crate::exit::Signal;

impl From<Diagnostic> for CommandError {
    fn from(diagnostic: Diagnostic) -> Self {
        placed(ErrorKind::Usage, &diagnostic)
    }
}

fn placed(kind: ErrorKind, diagnostic: &Diagnostic) -> CommandError {
    let message = format!(
        "{}:{}: {}",
        diagnostic.file(),
        diagnostic.line(),
        diagnostic.message()
    );
    CommandError::message(kind, message).at(Excerpt {
        file: diagnostic.file().to_owned(),
        line: diagnostic.line(),
        column: diagnostic.column(),
        length: 0,
        text: diagnostic.text().to_owned(),
        label: None,
    })
}

impl From<ProjectError> for CommandError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Invalid(diagnostic) => diagnostic.into(),
            ProjectError::Io { ref source, .. } => Self::new(io_kind(source), &error),
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let hint = error.hint();
        let located = match &error {
            LockError::Invalid(diagnostic) => placed(ErrorKind::Input, diagnostic),
            LockError::Io { source, .. } => Self::new(io_kind(source), &error),
            LockError::Stale { .. }
            | LockError::OtherToolchain { .. }
            | LockError::NoToolchain { .. } => Self::new(ErrorKind::Input, &error),
        };
        located.hint(hint)
    }
}

impl From<SourceError> for CommandError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Lock(error) => error.into(),
            SourceError::NotLocked(_) | SourceError::OtherThing { .. } => {
                Self::new(ErrorKind::Input, &error).hint(RELOCK_HINT)
            }
            SourceError::Platform { .. } => Self::new(ErrorKind::Input, &error),
            SourceError::Toolchain(error) => error.into(),
            SourceError::Input(error) => error.into(),
        }
    }
}

impl From<FetchError> for CommandError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unavailable { .. } => Self::new(ErrorKind::Input, &error)
                .hint("name a mirror that has it: --mirror URL, or REPRO_MIRROR"),
            FetchError::Digest { .. } => Self::new(ErrorKind::Input, &error)
                .hint("nothing of it was kept; either the mirror or the lock is wrong"),
            FetchError::Store { source, .. } => source.into(),
            FetchError::Partial { ref source, .. } => Self::new(io_kind(source), &error),
            FetchError::Cancelled => Self::new(ErrorKind::Interrupted(Signal::Interrupt), &error),
        }
    }
}

impl From<MaterialiseError> for CommandError {
    fn from(error: MaterialiseError) -> Self {
        match error {
            MaterialiseError::Fetch { name, source } => {
                Self::from(source).context(format!("cannot fetch the packages of {name}"))
            }
            MaterialiseError::Executor { program, source } => {
                Self::from(source).context(format!("cannot run {program} in the sandbox"))
            }
            MaterialiseError::Store(error) => error.into(),
            MaterialiseError::Package { ref source, .. }
            | MaterialiseError::Tree { ref source, .. } => Self::new(io_kind(source), &error),
            MaterialiseError::Image { .. } => Self::new(ErrorKind::Input, &error).hint(DAMAGED),
            MaterialiseError::Failed { .. } => Self::new(ErrorKind::StepFailed, &error),
            MaterialiseError::Steps(_) | MaterialiseError::Layer { .. } => {
                Self::new(ErrorKind::Internal, &error)
            }
        }
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Fetch { purl, source } => {
                Self::from(source).context(format!("cannot fetch the files of {purl}"))
            }
            InputError::Store(error) => error.into(),
            InputError::Unpack { ref source, .. } => Self::new(io_kind(source), &error),
            InputError::Dsc { .. } => Self::new(ErrorKind::Input, &error),
            InputError::Layer { .. } => Self::new(ErrorKind::Internal, &error),
        }
    }
}
