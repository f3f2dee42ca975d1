//! One step: what an executor is told, and what it gives back.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    CopySpec, InlineFile, InvocationId, MountSource, MountSpec, RunId, RunSettings, SecretVariable,
};
use crate::{
    digest::ChainId,
    epoch::{Epoch, Tick},
};

/// A tree that an executor keeps: one layer, to be stacked on its parents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotName {
    /// An unpacked layer of an image, a context or an input; kept across invocations.
    Stored(ChainId),
    /// What a step left; removed when the invocation ends.
    Step {
        /// The invocation.
        invocation: InvocationId,
        /// The run.
        run: RunId,
        /// Index of the step in the plan.
        index: u32,
    },
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(chain) => write!(f, "{chain}"),
            Self::Step {
                invocation,
                run,
                index,
            } => write!(f, "{invocation}/{run}/{index}"),
        }
    }
}

/// Everything an executor needs to know about one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepSpec {
    /// The trees the step sees, lowest first; none for `scratch`.
    pub parents: Vec<SnapshotName>,
    /// Where the step's own tree is kept.
    pub output: SnapshotName,
    /// What happens.
    pub action: StepAction,
    /// How times in the layer are decided.
    pub layer: LayerPolicy,
}

impl StepSpec {
    fn program(&self) -> Option<&RunSpec> {
        match &self.action {
            StepAction::Run(run) => Some(run),
            StepAction::Copy(_) | StepAction::MakeDir(_) => None,
        }
    }

    /// Names of the secrets that the step is given; some may come twice.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.program().into_iter().flat_map(RunSpec::secrets)
    }

    /// Names of the ssh agents that the step can talk to, one for each mount.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.program().into_iter().flat_map(RunSpec::agents)
    }
}

/// Rules 1 to 3 of ruleset 1 for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerPolicy {
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Epoch,
    /// k of rule 2.
    pub tick: Tick,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAction {
    /// Runs a program.
    Run(RunSpec),
    /// Copies files from other trees.
    Copy(CopySpec),
    /// Makes a directory and its parents, as `WORKDIR` does.
    MakeDir(MakeDirSpec),
}

/// A program to run. There is no interface but loopback, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec<T = Vec<SnapshotName>> {
    /// Program and arguments, looked up in `PATH` of `env` inside the tree.
    pub argv: Vec<String>,
    /// Environment, in order, without `HOME`, which comes from the tree's `passwd` unless set
    /// here.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute inside the tree.
    pub cwd: String,
    /// `USER` as in the Dockerfile: `user[:group]`, names looked up in the tree; empty is root.
    pub user: String,
    /// A heredoc that is a program of its own. The step finds it, executable and read-only, as
    /// [`InlineFile::SCRIPT_DIR`] and its name; it is in no layer.
    pub script: Option<InlineFile>,
    /// What the program sees besides the tree. Of mounts with one target the last is seen.
    pub mounts: Vec<MountSpec<T>>,
    /// Variables on top of `env`, with values that only the executor knows.
    pub secret_env: Vec<SecretVariable>,
    /// What the caller sets for every program.
    pub settings: Box<RunSettings>,
}

impl<T> RunSpec<T> {
    /// Names of the secrets that the program is given; some may come twice.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let files = self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Secret { id, .. } => Some(id.as_str()),
            _ => None,
        });
        files.chain(self.secret_env.iter().map(|variable| variable.id.as_str()))
    }

    /// Names of the ssh agents that the program can talk to, one for each mount.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Agent { id, .. } => Some(id.as_str()),
            _ => None,
        })
    }

    /// The same with other names for the trees of mounts.
    pub fn with_trees<U>(&self, mut name: impl FnMut(&T) -> U) -> RunSpec<U> {
        let mounts = self.mounts.iter();
        RunSpec {
            argv: self.argv.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            user: self.user.clone(),
            script: self.script.clone(),
            mounts: mounts.map(|mount| mount.with_trees(&mut name)).collect(),
            secret_env: self.secret_env.clone(),
            settings: self.settings.clone(),
        }
    }
}

/// A directory to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakeDirSpec {
    /// Absolute inside the tree.
    pub path: String,
    /// Owner of the directories made, `user[:group]`.
    pub owner: String,
}

/// How the program of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepExit {
    /// With code 0, or the step runs no program.
    Success,
    /// With another code.
    Code(i32),
    /// By a signal of its own making.
    Signal(i32),
}

/// What was put right or left out when the layer was made, counted in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// A time later than the epoch became that of the tick.
    ClampMtime,
    /// A copied-up entry that equals the one below was dropped.
    DropUnchanged,
    /// An extended attribute that rule 13 does not keep was removed.
    StripXattr,
    /// A socket was left out.
    DropSocket,
    /// Something in a directory that the sandbox provides was left out (rule 8).
    DropProvided,
}

/// Attempts to reach something beyond the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkObservation {
    /// Packets and connections that the kernel found no route for, IPv4 and IPv6.
    pub no_route: u64,
    /// `socket()` calls of a refused family or type, by a name such as `packet` or `raw`.
    pub refused_sockets: BTreeMap<String, u64>,
    /// Connections to abstract socket names that nobody inside the sandbox listens on.
    pub abstract_sockets: u64,
    /// Names asked for, with how often; at most 100 names.
    pub names: BTreeMap<String, u64>,
    /// Addresses asked for, with how often; at most 100. For reading: TOCTOU applies, and each
    /// is counted in one of the other fields.
    pub addresses: BTreeMap<String, u64>,
    /// Requests that were answered with what a lock has; `None` where nobody answered any.
    #[serde(default)]
    pub replayed: Option<u64>,
}

impl NetworkObservation {
    /// All attempts together. None got through: there is nothing to get through to.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.no_route
            + self.abstract_sockets
            + self.refused_sockets.values().sum::<u64>()
            + self.names.values().sum::<u64>()
    }
}

/// Where an axis got in a program's way, or could not be varied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hindrances {
    /// Programs that wanted to trace others or to be traced, with how often; at most 20. Denied where
    /// the clock is shifted, since a process can have one tracer.
    pub tracing_denied: BTreeMap<String, u64>,
    /// How often a directory was listed in the order of the file system, since it has more names than
    /// are held in memory.
    pub unsorted_directories: u64,
}

impl Hindrances {
    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Milliseconds from start to end, the layer included.
    pub wall_ms: u64,
    /// Milliseconds of CPU, user and system, of the step's processes.
    pub cpu_ms: u64,
    /// Largest resident set of one process of the step, in bytes.
    pub peak_rss_bytes: u64,
}

/// What an executor gives back when the step's program ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// How the program ended. The layer was streamed only on [`StepExit::Success`].
    pub exit: StepExit,
    /// Attempts to reach further.
    pub network: NetworkObservation,
    /// Where an axis got in the way.
    pub hindrances: Hindrances,
    /// What was put right.
    pub normalised: BTreeMap<Normalisation, u64>,
    /// What it used.
    pub usage: Usage,
}
