//! Policies that are read from files.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_verifier::terms::Policy;

use crate::{
    error::{self, CommandError},
    files::{self, Limit},
};

/// Where a policy is, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PolicyFile {
    /// TOML, as `docs/policy.md` describes it.
    Toml(PathBuf),
    /// `kyverno:FILE`.
    Kyverno(PathBuf),
}

impl FromStr for PolicyFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("kyverno:") {
            Some(path) => Self::Kyverno(path.into()),
            None => Self::Toml(text.into()),
        })
    }
}

impl PolicyFile {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Toml(path) | Self::Kyverno(path) => path,
        }
    }

    /// Reads it.
    pub(crate) fn load(&self) -> Result<Policy, CommandError> {
        let path = self.path();
        let text = files::read_text(path, Limit::Terms)?;
        let policy = match self {
            Self::Toml(_) => {
                Policy::parse(&text).map_err(|error| error::in_document(&error, path, &text))
            }
            Self::Kyverno(_) => Policy::parse_kyverno(&text).map_err(CommandError::from),
        };
        policy.map_err(|error| error.context(format!("cannot use the policy {}", path.display())))
    }
}
