//! Who runs a step.

use std::{collections::BTreeSet, io};

use serde::{Deserialize, Serialize};

use super::{InvocationId, RunId, StepNetwork, StepResult, StepSpec, Variation};
use crate::{
    digest::{ChainId, Digest},
    tree::{EntrySink, EntrySource},
};

/// Sees what a step prints while it runs.
pub trait StepObserver: Send + Sync {
    /// Bytes of the step's output, standard output and standard error in the order they came.
    fn output(&self, bytes: &[u8]);
}

/// Facts on a snapshot that are known once it was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotInfo {
    /// Newest time of any entry, seconds since 1970.
    pub newest_mtime: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Why a step could not be run or finished. A program that fails is not an error but a
/// [`super::StepExit`].
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// This machine does not allow what a sandbox needs.
    #[error("{what}")]
    Machine {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: String,
        /// The operating system's word.
        #[source]
        source: Option<io::Error>,
    },
    /// The machine ran out of something, or killed the step: worth a retry.
    #[error("{what}")]
    Exhausted {
        /// What ran out.
        what: String,
        /// The operating system's word.
        #[source]
        source: Option<io::Error>,
    },
    /// The step cannot be carried out as written: a missing user, program or source.
    #[error("{0}")]
    Refused(String),
    /// An input tree is not there or is damaged.
    #[error("{what}")]
    Input {
        /// Which one.
        what: String,
        /// The operating system's word.
        #[source]
        source: Option<io::Error>,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The sandbox broke a rule of its own: a bug.
    #[error("sandbox: {what}")]
    Internal {
        /// What happened.
        what: String,
        /// The operating system's word.
        #[source]
        source: Option<io::Error>,
    },
}

/// How the trees that a step starts from become the one that it sees. It changes no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshotter {
    /// As one mount of overlayfs.
    Overlay,
    /// As a copy in ordinary files, for where overlayfs is refused: slower, and larger while a step
    /// runs.
    PlainCopy,
    /// By a container engine, as it does for its images.
    Engine,
}

impl Snapshotter {
    /// The name on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::PlainCopy => "plain-copy",
            Self::Engine => "engine",
        }
    }
}

/// How many ids of the machine stand for the users of a step. It changes no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserIds {
    /// One for each: the kernel keeps users of a step apart.
    Range,
    /// One for all. Who owns what is written down by a supervisor; that a user of a step may not do
    /// something to the files of another, the kernel does not know.
    One,
}

/// Runs steps and keeps their trees.
///
/// One implementation promises the same layers as any other for the same [`StepSpec`]; one
/// contract suite holds them to it.
pub trait Executor: Send + Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// The one that carries out the steps of `run`, where runs have different ones.
    fn of_run(&self, _run: RunId) -> Option<&dyn Executor> {
        None
    }

    /// Removes what is outside the store and belongs to no invocation of `alive`: what a process left
    /// that was killed. Gives how many things.
    fn sweep(&self, _alive: &BTreeSet<InvocationId>) -> Result<u64, ExecutorError> {
        Ok(0)
    }

    /// Digest of the policy document that every step runs under (canonical JSON).
    fn policy(&self) -> Digest;

    /// How many ids its steps have.
    fn user_ids(&self) -> UserIds;

    /// How it puts trees together.
    fn snapshotter(&self) -> Snapshotter;

    /// Facts on a stored snapshot, or `None` if it is not there.
    fn stored(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError>;

    /// Unpacks a layer on top of `parents` (lowest first) and keeps it as `chain`. All or
    /// nothing: an interrupted unpack leaves no snapshot. A snapshot that is there already is
    /// left alone.
    fn unpack(
        &self,
        parents: &[ChainId],
        chain: ChainId,
        layer: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError>;

    /// Runs one step. The layer's entries reach `layer` in canonical order after the step's last
    /// process has ended; afterwards the snapshot equals apply(parents, layer). `network`, if there
    /// is one, is asked what a program is given, and answers it while it runs.
    fn run(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError>;

    /// Removes everything that steps of `invocation` left, none of which may be running. Its runs can
    /// then be made again.
    fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError>;

    /// Stops the running steps of one run: they end in [`ExecutorError::Cancelled`], and so does each
    /// that is started before [`Self::discard`]. Other runs go on.
    fn stop(&self, invocation: &InvocationId, run: RunId);

    /// Stops every running step; they end in [`ExecutorError::Cancelled`].
    fn cancel(&self);
}
