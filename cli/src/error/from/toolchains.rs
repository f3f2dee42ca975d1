//! Errors of `repro.toml`, `repro.lock` and what is made from them.

use repro_toolchains::{
    SourceError,
    archive::{ArchiveError, IndexError, KeyringError, ReleaseRefusal},
    capture::{Absence, NetworkError, RestoreError},
    diagnostic::Diagnostic,
    fetch::{AptSourcesError, FetchError},
    inputs::InputError,
    lock::LockError,
    locking::LockingError,
    materialise::MaterialiseError,
    project::ProjectError,
};

use super::io_kind;
use crate::{
    error::{CommandError, ErrorKind, Excerpt},
    exit::Signal,
};

/// What brings lock and project together again.
const RELOCK: &str = "write the lock again: repro lock";

impl From<Diagnostic> for CommandError {
    fn from(diagnostic: Diagnostic) -> Self {
        let place = Excerpt {
            file: diagnostic.file().to_owned(),
            line: diagnostic.line(),
            column: diagnostic.column(),
            length: 1,
            text: diagnostic.text().to_owned(),
            label: None,
        };
        Self::message(ErrorKind::Usage, diagnostic.message()).at(place)
    }
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
        match error {
            // A lock that is not one is an input that cannot be told, not a wrong option.
            LockError::Invalid(diagnostic) => Self {
                kind: ErrorKind::Input,
                ..diagnostic.into()
            },
            LockError::OtherDefinition(ref diagnostic) => {
                let hint = error.hint();
                Self {
                    kind: ErrorKind::Input,
                    ..diagnostic.clone().into()
                }
                .hint(hint)
            }
            LockError::Io { ref source, .. } => Self::new(io_kind(source), &error),
            LockError::Stale(diagnostic) | LockError::OtherToolchain(diagnostic) => Self {
                kind: ErrorKind::Input,
                ..diagnostic.into()
            }
            .hint(RELOCK),
        }
    }
}

impl From<NetworkError> for CommandError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Start(_) => Self::new(ErrorKind::Inconclusive, &error),
            NetworkError::Authority(_) => Self::new(ErrorKind::Internal, &error),
            NetworkError::Store(error) => error.into(),
        }
    }
}

impl From<RestoreError> for CommandError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Missing(ref missing) => {
                let found = Self::new(ErrorKind::Input, &error);
                if missing
                    .iter()
                    .any(|missing| missing.why == Absence::OnlyCaptured)
                {
                    found.hint("capture them again: repro lock --update")
                } else {
                    found.hint(
                        "connect this machine, or copy the store of one that has them; where a server \
                         has something else now: repro lock --update",
                    )
                }
            }
            RestoreError::Store(error) => {
                Self::from(error).context("cannot keep a captured answer")
            }
            RestoreError::Cancelled => Self::new(ErrorKind::Interrupted(Signal::Interrupt), &error),
        }
    }
}

impl From<AptSourcesError> for CommandError {
    fn from(error: AptSourcesError) -> Self {
        Self::new(ErrorKind::Machine, &error)
            .hint("name a mirror that is used in its place: --mirror URL")
    }
}

impl From<FetchError> for CommandError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store { path, source } => {
                Self::from(source).context(format!("cannot keep {path}"))
            }
            FetchError::Unavailable { .. } => {
                Self::new(ErrorKind::Input, &error).hint("name a mirror that has it: --mirror URL")
            }
            FetchError::Digest { .. } => Self::new(ErrorKind::Input, &error)
                .hint("nothing of it was kept; another mirror may have the right file"),
            FetchError::Partial { ref source, .. } => {
                let kind = match io_kind(source) {
                    ErrorKind::Input => ErrorKind::Machine,
                    kind => kind,
                };
                Self::new(kind, &error)
            }
            FetchError::Cancelled => Self::new(ErrorKind::Interrupted(Signal::Interrupt), &error),
        }
    }
}

impl From<MaterialiseError> for CommandError {
    fn from(error: MaterialiseError) -> Self {
        match error {
            MaterialiseError::Fetch { name, source } => {
                Self::from(*source).context(format!("cannot fetch the packages of {name}"))
            }
            MaterialiseError::Executor { program, source } => {
                Self::from(source).context(format!("cannot run {program} in the sandbox"))
            }
            MaterialiseError::Layer { name, source } => {
                Self::from(source).context(format!("cannot keep the layer of {name}"))
            }
            MaterialiseError::Image { name, source } => {
                Self::from(*source).context(format!("cannot keep the image of {name}"))
            }
            MaterialiseError::Store(error) => error.into(),
            MaterialiseError::Package { ref source, .. }
            | MaterialiseError::Tree { ref source, .. } => Self::new(io_kind(source), &error),
            // Its packages are pinned and its programs ran alone: the next run gives the same.
            MaterialiseError::Failed { .. } => Self::new(ErrorKind::StepFailed, &error),
            MaterialiseError::Steps(_) => Self::new(ErrorKind::Internal, &error),
        }
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Fetch { purl, source } => {
                Self::from(*source).context(format!("cannot fetch the files of {purl}"))
            }
            InputError::Layer { purl, source } => {
                Self::from(source).context(format!("cannot keep the tree of {purl}"))
            }
            InputError::Store(error) => error.into(),
            InputError::Unpack { ref source, .. } => Self::new(io_kind(source), &error),
            InputError::Dsc { .. } => Self::new(ErrorKind::Input, &error),
        }
    }
}

impl From<KeyringError> for CommandError {
    fn from(error: KeyringError) -> Self {
        Self::new(ErrorKind::Usage, &error)
            .hint("a keyring is a file of OpenPGP keys, as /usr/share/keyrings has them")
    }
}

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Release { ref refused, .. } => {
                let result = Self::new(ErrorKind::Refused, &error);
                if refused.iter().any(|one| one.why.is_expiry()) {
                    result.hint(
                        "a newer state may be on another mirror (--mirror URL); --allow-expired \
                         takes this one, without the updates since",
                    )
                } else if refused
                    .iter()
                    .all(|one| matches!(one.why, ReleaseRefusal::Answer(_)))
                {
                    Self {
                        kind: ErrorKind::Input,
                        ..result
                    }
                    .hint("name a mirror that has it: --mirror URL")
                } else {
                    result.hint(
                        "the keys that are believed are those of --keyring FILE; a release in \
                         the future means that the clock of this machine is wrong",
                    )
                }
            }
            ArchiveError::NoMirror(_) => Self::new(ErrorKind::Machine, &error)
                .hint("name a mirror of the archive: --mirror URL"),
            ArchiveError::Fetch { path, source } => {
                Self::from(*source).context(format!("cannot fetch {path}"))
            }
            ArchiveError::Store { suite, source } => {
                Self::from(source).context(format!("cannot keep the release of {suite}"))
            }
            ArchiveError::Index {
                ref path,
                ref source,
            } => Self::new(index_kind(source), &error)
                .hint(format!("another mirror may have the right {path}")),
            ArchiveError::Suite(_) => Self::new(ErrorKind::Usage, &error),
            ArchiveError::NoIndex { .. } | ArchiveError::Path(_) => {
                Self::new(ErrorKind::Input, &error)
            }
            ArchiveError::Cancelled => Self::new(ErrorKind::Interrupted(Signal::Interrupt), &error),
        }
    }
}

/// An index that is not what was signed is refused; one that cannot be read is the machine's.
fn index_kind(error: &IndexError) -> ErrorKind {
    match error {
        IndexError::Read(source) => io_kind(source),
        IndexError::Differs => ErrorKind::Refused,
        IndexError::Large(_)
        | IndexError::Text
        | IndexError::Control { .. }
        | IndexError::Field { .. } => ErrorKind::Input,
    }
}

impl From<LockingError> for CommandError {
    fn from(error: LockingError) -> Self {
        match error {
            LockingError::Archive(error) => error.into(),
            LockingError::Resolve { name, source } => {
                // The archive has no such set: nothing was built yet that could have failed.
                let unresolvable = matches!(*source, MaterialiseError::Failed { .. });
                let mut result =
                    Self::from(*source).context(format!("cannot resolve the packages of {name}"));
                if unresolvable {
                    result.kind = ErrorKind::Input;
                }
                result
            }
            LockingError::Index { ref source, .. } => Self::new(index_kind(source), &error),
            LockingError::NoPackage { .. }
            | LockingError::NoSource { .. }
            | LockingError::Platform(_) => Self::new(ErrorKind::Input, &error),
            LockingError::Answer { .. } => Self::new(ErrorKind::Internal, &error),
        }
    }
}

impl From<SourceError> for CommandError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Lock(error) => error.into(),
            SourceError::Toolchain(error) => error.into(),
            SourceError::Input(error) => error.into(),
            SourceError::Registry(error) => error.into(),
            SourceError::Store(error) => error.into(),
            SourceError::NotLocked(_) | SourceError::OtherThing { .. } => {
                Self::new(ErrorKind::Input, &error).hint(RELOCK)
            }
            SourceError::Platform { .. } => Self::new(ErrorKind::Input, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use repro_toolchains::project::Project;

    use super::*;

    #[test]
    fn a_mistake_in_repro_toml_is_shown_with_its_line() {
        let diagnostic = Project::parse("repro.toml", "[build]\ndockerfil = 'x'\n").unwrap_err();
        let error = CommandError::from(ProjectError::from(diagnostic));
        assert_eq!(error.kind(), ErrorKind::Usage);
        let place = error.excerpts()[0].render().join("\n");
        assert!(place.contains("repro.toml:2:1"), "{place}");
        assert!(place.ends_with("2 | dockerfil = 'x'\n  | ^"), "{place}");
    }
}
