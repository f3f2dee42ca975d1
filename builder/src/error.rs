//! Why a build comes to no record.

use repro_core::build::ExecutorError;

use crate::{
    context::{ContextError, IgnoreError, MissingSource},
    dockerfile::ParseErrors,
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
    /// Its stages do not fit together.
    #[error(transparent)]
    Outline(#[from] OutlineError),
    /// An instruction cannot be carried out as written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The ignore file is wrong.
    #[error("cannot read {file}")]
    Ignore {
        /// Its name.
        file: String,
        /// Why.
        #[source]
        source: IgnoreError,
    },
    /// The context cannot be taken.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A `COPY` names something that the context does not have.
    #[error("{file}:{line}: cannot copy")]
    MissingSource {
        /// The Dockerfile.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What is missing.
        #[source]
        source: MissingSource,
    },
    /// A `FROM` or `--from` names something that cannot be had.
    #[error("{file}:{line}: cannot use this name")]
    Resolve {
        /// The Dockerfile.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Why.
        #[source]
        source: ResolveError,
    },
    /// A base, an input or the context cannot be unpacked.
    #[error("cannot unpack an input")]
    Unpack(#[from] UnpackError),
    /// A run cannot go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What steps left cannot be removed.
    #[error("cannot remove what the steps left")]
    Discard(#[source] ExecutorError),
}
