//! Why a build comes to no record.

use repro_core::build::ExecutorError;
use repro_toolchains::lock::LockError;

use crate::{
    context::{ContextError, IgnoreError, MissingSource},
    dockerfile::{AskedError, Diagnostic, ParseErrors, SecretSign},
    plan::{OutlineError, PlanError},
    schedule::RunError,
    source::{ResolveError, UnpackError},
};

/// Why a build comes to no record.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile is wrong.
    #[error(transparent)]
    Dockerfile(#[from] ParseErrors),
    /// A build argument that stands for a directive is wrong.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// Its stages do not fit together.
    #[error(transparent)]
    Outline(#[from] OutlineError),
    /// An instruction cannot be carried out as written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// `# check=error=true`, and rules that the Dockerfile breaks.
    #[error("the Dockerfile breaks rules, and its first lines ask that this be an error")]
    Checks(Vec<Diagnostic>),
    /// A build argument holds a secret, and its value would stand in the evidence.
    #[error("the build argument {name} looks like a secret, by its {}", match sign {
        SecretSign::Name => "name",
        SecretSign::Value => "value",
    })]
    SecretArg {
        /// Its name.
        name: String,
        /// What gives it away.
        sign: SecretSign,
    },
    /// The ignore file is wrong.
    #[error("cannot read {file}")]
    Ignore {
        /// Its name.
        file: String,
        /// Why.
        #[source]
        source: IgnoreError,
    },
    /// The lock does not fit the project.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The context cannot be taken.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A `COPY` names something that the context does not have.
    #[error("{diagnostic}")]
    MissingSource {
        /// Where and what.
        diagnostic: Box<Diagnostic>,
        /// What is missing.
        missing: MissingSource,
    },
    /// A `FROM` or `--from` names something that cannot be had.
    #[error("{diagnostic}")]
    Resolve {
        /// Where and what.
        diagnostic: Box<Diagnostic>,
        /// Why.
        source: Box<ResolveError>,
    },
    /// A base, an input or the context cannot be unpacked.
    #[error("cannot unpack an input")]
    Unpack(#[from] UnpackError),
    /// What earlier runs left cannot be removed, or the build was stopped.
    #[error("cannot run the build again")]
    Again(#[source] ExecutorError),
    /// A run cannot go on.
    #[error(transparent)]
    Run(#[from] RunError),
}
