//! The arguments of `COPY`.

use super::{
    ast::ListSyntax,
    chmod::{self, ChmodError},
    template::{ExpandError, Scope, Template},
};

/// The arguments of `COPY` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyArgs {
    /// `--from`: a stage by name or number, or an image; variables are refused, as in Docker.
    pub from: Option<String>,
    /// `--chown`, `user[:group]`.
    pub chown: Option<Template>,
    /// `--chmod`.
    pub chmod: Option<Template>,
    /// How the words are written.
    pub syntax: ListSyntax,
    /// What to copy, at least one.
    pub sources: Vec<Template>,
    /// Whither.
    pub destination: Template,
}

/// The arguments of `COPY` with values put in place of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPaths {
    /// `user[:group]`.
    pub chown: Option<String>,
    /// At most 07777.
    pub mode: Option<u16>,
    /// Patterns as of Go's `filepath.Match`, none empty.
    pub sources: Vec<String>,
    /// Absolute, or relative to the working directory; a trailing slash or `.` makes it a
    /// directory.
    pub destination: String,
}

/// Why the arguments of a `COPY` make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A variable.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `--chmod`.
    #[error(transparent)]
    Chmod(#[from] ChmodError),
    /// An argument that is empty once expanded.
    #[error("{0} becomes empty")]
    Empty(String),
    /// Several sources and a destination that is a file.
    #[error("with more than one source the destination must end in /, found {0}")]
    NotADirectory(String),
}

impl CopyArgs {
    /// Expands the arguments and checks what then is known of them. That a pattern matches several
    /// files is known only with the tree: [`is_directory`](CopyPaths::is_directory) helps there.
    pub fn check(&self, scope: &dyn Scope) -> Result<CopyPaths, CopyError> {
        let some = |template: &Template| {
            let text = template.expand(scope)?;
            if text.is_empty() {
                return Err(CopyError::Empty(template.raw().to_owned()));
            }
            Ok(text)
        };
        let mode = self.chmod.as_ref().map(|mode| mode.expand(scope));
        let paths = CopyPaths {
            // An empty --chown is none: `--chown=$OWNER` with nothing given keeps the owner.
            chown: self
                .chown
                .as_ref()
                .map(|chown| chown.expand(scope))
                .transpose()?
                .filter(|chown| !chown.is_empty()),
            mode: match mode.transpose()?.as_deref() {
                None | Some("") => None,
                Some(mode) => Some(chmod::parse(mode)?),
            },
            sources: self.sources.iter().map(some).collect::<Result<_, _>>()?,
            destination: some(&self.destination)?,
        };
        if paths.sources.len() > 1 && !paths.is_directory() {
            return Err(CopyError::NotADirectory(paths.destination));
        }
        Ok(paths)
    }
}

impl CopyPaths {
    /// Whether the destination is written as a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.destination.as_str(), "." | "..")
            || self.destination.ends_with('/')
            || self.destination.ends_with("/.")
            || self.destination.ends_with("/..")
    }
}
