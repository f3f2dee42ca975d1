//! What is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Annotations, Axis, RunSettings};
use crate::{
    digest::Digest, epoch::Epoch, platform::Platform, reference::ImageRef, ruleset::Ruleset,
};

/// Name of one invocation of a build, chosen by the caller; 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InvocationId(String);

/// A text that cannot name an invocation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an invocation id has 1 to 64 of A-Z a-z 0-9 _ -, found {0:?}")]
pub struct InvocationIdError(String);

impl TryFrom<String> for InvocationId {
    type Error = InvocationIdError;

    fn try_from(text: String) -> Result<Self, InvocationIdError> {
        let good = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if good {
            Ok(Self(text))
        } else {
            Err(InvocationIdError(text))
        }
    }
}

impl From<InvocationId> for String {
    fn from(id: InvocationId) -> Self {
        id.0
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the runs of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunId {
    /// The run whose image is delivered.
    A,
    /// The run under variation.
    B,
    /// Run B again, without variation, because it failed with it.
    BRepeat,
    /// A run equal to A, for what differs without variation.
    Control,
    /// A run with some of B's axes, for the one that breaks the build. Its trees go before the next.
    Bisect,
    /// Work that is no run of a build: a toolchain being made.
    Setup,
}

impl RunId {
    /// Every run there can be.
    pub const ALL: [Self; 6] = [
        Self::A,
        Self::B,
        Self::BRepeat,
        Self::Control,
        Self::Bisect,
        Self::Setup,
    ];

    /// The runs that a record and an evidence pack can hold, A first.
    pub const RECORDED: [Self; 4] = [Self::A, Self::B, Self::BRepeat, Self::Control];

    /// The name in files, events and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::BRepeat => "b-repeat",
            Self::Control => "control",
            Self::Bisect => "bisect",
            Self::Setup => "setup",
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// Once: nothing is compared, and the report says so.
    One,
    /// Twice, compared after each step.
    Two,
    /// The same, and once more as the first time.
    TwoAndControl,
}

impl Runs {
    /// How many they are.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::TwoAndControl => 3,
        }
    }
}

/// A text with the name that messages give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedText {
    /// Shown in messages: the path as the user wrote it.
    pub name: String,
    /// The bytes.
    pub text: Vec<u8>,
}

/// What `--build-context` gives a name to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedContext {
    /// A directory, with the ignore file in it.
    Directory {
        /// Absolute.
        path: PathBuf,
        /// Its `.dockerignore`.
        ignore: Option<NamedText>,
    },
    /// A plain tar with the files of one that was taken before: nothing of it is left out.
    Archive(PathBuf),
    /// An image in the store, by its name.
    Image(ImageRef),
    /// An image in the store, by its manifest.
    Manifest(Digest),
}

impl fmt::Display for NamedContext {
    /// As the evidence has it: without the place of a directory, which is the machine's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { .. } | Self::Archive(_) => f.write_str("directory"),
            Self::Image(image) => write!(f, "docker-image://{image}"),
            Self::Manifest(digest) => write!(f, "oci-layout://@{digest}"),
        }
    }
}

/// Where the context is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextPlace {
    /// A directory.
    Directory(PathBuf),
    /// A plain tar with the files of one.
    Archive(PathBuf),
}

/// Where the epoch comes from (ruleset 1, rule 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochChoice {
    /// The flag `--source-date-epoch`.
    Flag(Epoch),
    /// `--build-arg SOURCE_DATE_EPOCH`, as Docker's users give it.
    BuildArg(Epoch),
    /// The environment variable of the caller.
    Environment(Epoch),
    /// A number in `repro.toml`.
    Config(Epoch),
    /// The committer time of HEAD, asked for in `repro.toml` or by flag.
    Git(Epoch),
    /// `ARG SOURCE_DATE_EPOCH` above the first `FROM`, in place of `Base`.
    Dockerfile(Epoch),
    /// The newest time in the base image, at least [`Epoch::MIN`].
    Base,
}

/// What becomes of permission bits of the context, and of its hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextModes {
    /// As they are on disk; names of one file stay names of one file.
    #[default]
    Keep,
    /// 0755 for directories and what its owner may execute, 0644 for the rest, each name a file of
    /// its own: what git knows.
    Git,
}

/// Whether an input that no lock pins may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// It may, and is recorded as not locked.
    #[default]
    Open,
    /// It may not.
    Locked,
    /// A lock is being made: an image that the store does not have is looked up in its registry, and
    /// what it means there is fetched.
    Pin,
    /// A lock is being made anew: every image that is not pinned is looked up in its registry, also
    /// where the store knows its name.
    Refresh,
}

/// Everything a build needs; nothing is taken from the surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRequest {
    /// Version of this shape, 1.
    pub version: u32,
    /// Name of this invocation.
    pub invocation: InvocationId,
    /// The Dockerfile.
    pub dockerfile: NamedText,
    /// The ignore file that applies, if there is one.
    pub ignore: Option<NamedText>,
    /// The context.
    pub context: ContextPlace,
    /// Paths below the context that are never part of it, such as the evidence directory.
    pub exclude: Vec<PathBuf>,
    /// What becomes of permission bits of the context.
    pub context_modes: ContextModes,
    /// Whether inputs that no lock pins are used.
    pub lock_mode: LockMode,
    /// `--build-context`, by name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Stage to build; the last one if not given.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// Build arguments that look like a secret and are none, says the user.
    pub allowed_args: BTreeSet<String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--annotation`.
    pub annotations: Annotations,
    /// `--add-host`, `--shm-size` and `--ulimit`.
    pub settings: RunSettings,
    /// Names of the secrets that the executor has.
    pub secrets: BTreeSet<String>,
    /// Names of the ssh agents that the executor has.
    pub agents: BTreeSet<String>,
    /// Platform of the image.
    pub platform: Platform,
    /// Name to give the image.
    pub tags: Vec<ImageRef>,
    /// Epoch.
    pub epoch: EpochChoice,
    /// How often to build.
    pub runs: Runs,
    /// Axes on which run B differs.
    pub vary: BTreeSet<Axis>,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_id_is_a_safe_file_name() {
        for bad in ["", "a/b", "..", "a b", &"x".repeat(65)] {
            assert!(InvocationId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(InvocationId::try_from("20261123T101112-ab".to_owned()).is_ok());
    }
}
