//! What was seen while building: the one source of report and provenance.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{
    Annotations, Hindrances, InvocationId, NetworkObservation, Normalisation, Outcome, RunId,
    RunSettings, Snapshotter, StepExit, Usage, UserIds, Variation,
};
use crate::{
    digest::{DiffId, Digest},
    epoch::Epoch,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
};

/// Everything that was seen in one invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRecord {
    /// Version of this shape, 1.
    pub version: u32,
    /// The invocation.
    pub invocation: InvocationId,
    /// Names given to the image.
    pub tags: Vec<ImageRef>,
    /// Platform of the image.
    pub platform: Platform,
    /// Rules that decided the bytes.
    pub ruleset: Ruleset,
    /// The epoch and whence.
    pub epoch: EpochRecord,
    /// Name of the Dockerfile as the user wrote it, relative to the context where it lies there.
    pub dockerfile: String,
    /// `--target`, if given.
    pub target: Option<String>,
    /// `--build-context`, by name: `directory`, or the image. What they held is among the inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--annotation`.
    pub annotations: Annotations,
    /// `--add-host`, `--shm-size` and `--ulimit`.
    pub settings: RunSettings,
    /// Names of `--secret`.
    pub secrets: BTreeSet<String>,
    /// Names of `--ssh`.
    pub agents: BTreeSet<String>,
    /// What the user says of the data that the build is made from and for: `source`, `transform`,
    /// `policy-version` and names of their own. Nothing here was measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lineage: BTreeMap<String, String>,
    /// How often something was replaced in this record and its logs, by the kind of what it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<String, u64>,
    /// Everything that came from outside, sorted by uri.
    pub inputs: Vec<InputRecord>,
    /// The steps of the plan, in order; `StepRecord::index` points here.
    pub plan: Vec<PlannedStep>,
    /// The runs, A first.
    pub runs: Vec<RunRecord>,
    /// What a user should know, none of it fatal.
    pub findings: Vec<Finding>,
    /// How it ended.
    pub outcome: Outcome,
}

/// The epoch in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochRecord {
    /// Its value.
    pub value: Epoch,
    /// Whence.
    pub source: EpochSource,
}

/// Where the epoch came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochSource {
    /// The flag.
    Flag,
    /// A build argument.
    BuildArg,
    /// The environment.
    Environment,
    /// `repro.toml`.
    Config,
    /// The committer time of HEAD.
    Git,
    /// `ARG SOURCE_DATE_EPOCH` of the Dockerfile.
    Dockerfile,
    /// The newest time in a base image.
    Base,
    /// No base image, or one older than 1980.
    Minimum,
}

/// The kind of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// The Dockerfile.
    Dockerfile,
    /// The filtered context.
    Context,
    /// A base image from the store or a registry.
    Image,
    /// A toolchain made from packages.
    Toolchain,
    /// A declared input, such as a source package.
    Source,
    /// One file that a toolchain or source is made of.
    Package,
    /// What a step asked a server for, answered from the lock.
    Fetch,
    /// Provenance of another build, which said what to build: this one is that one again.
    Judged,
}

/// Something that came from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRecord {
    /// A name by which others find it: a purl, or `context`.
    pub uri: String,
    /// Name in the Dockerfile or project, if it has one.
    pub name: Option<String>,
    /// Digest of its content: a manifest for images, a canonical tar for trees, the bytes for files.
    pub digest: Digest,
    /// What it is.
    pub kind: InputKind,
    /// Index of the first step that uses it.
    pub step: Option<u32>,
    /// Whether a lock pinned it before the build.
    pub locked: bool,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Name or number of the stage.
    pub stage: String,
    /// The instruction as history text: keyword and arguments, expanded.
    pub instruction: String,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// Whether the step can make a layer.
    pub filesystem: bool,
    /// Whether the layer is part of the image (of its last stage).
    pub in_image: bool,
    /// Names of the secrets that the step is given.
    pub secrets: BTreeSet<String>,
    /// Names of the ssh agents that the step can talk to.
    pub agents: BTreeSet<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Which.
    pub id: RunId,
    /// Unique name of the run: invocation and run.
    pub invocation_id: String,
    /// Name of the executor.
    pub executor: String,
    /// How many ids of the machine its steps had.
    pub user_ids: UserIds,
    /// How it put trees together.
    pub snapshotter: Snapshotter,
    /// Digest of the sandbox policy, canonical JSON.
    pub policy: Digest,
    /// Its environment.
    pub variation: Variation,
    /// RFC 3339, UTC.
    pub started_on: String,
    /// RFC 3339, UTC.
    pub finished_on: String,
    /// Steps that ended, in order of the plan.
    pub steps: Vec<StepRecord>,
    /// The image, if the run got so far.
    pub image: Option<ImageRecord>,
    /// Why it did not.
    pub failure: Option<Failure>,
}

/// An instruction as it stands in the Dockerfile, from its text in the image's history, which names
/// the shell and the builder.
#[must_use]
pub fn as_written(history: &str) -> Cow<'_, str> {
    let text = history.strip_suffix(" # repro").unwrap_or(history);
    text.strip_prefix("RUN /bin/sh -c ")
        .map_or(Cow::Borrowed(text), |script| {
            Cow::Owned(format!("RUN {script}"))
        })
}

/// One step of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// Index into [`BuildRecord::plan`].
    pub index: u32,
    /// Digest of the layer's tar; `None` where the step changed nothing.
    pub diff_id: Option<DiffId>,
    /// Digest of the compressed layer.
    pub blob: Option<Digest>,
    /// Bytes of the compressed layer.
    pub blob_size: Option<u64>,
    /// Attempts to reach further.
    pub network: NetworkObservation,
    /// Where an axis got in the way.
    #[serde(default, skip_serializing_if = "Hindrances::is_empty")]
    pub hindrances: Hindrances,
    /// What was put right.
    pub normalised: BTreeMap<Normalisation, u64>,
    /// What it used.
    pub usage: Usage,
    /// Digest of its output, a blob in the store.
    pub log: Option<Digest>,
}

/// The image of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub manifest_size: u64,
    /// Digest of the configuration.
    pub config: Digest,
    /// Layers of the image, lowest first, base layers included.
    pub diff_ids: Vec<DiffId>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Index into [`BuildRecord::plan`].
    pub index: u32,
    /// How its program ended, if it ran one to the end.
    pub exit: Option<StepExit>,
    /// What happened, in words.
    pub message: String,
    /// Digest of its output, a blob in the store.
    pub log: Option<Digest>,
    /// What its program tried to reach, if one ran: most steps that fail here and nowhere else do
    /// so for want of a network.
    #[serde(default)]
    pub network: NetworkObservation,
    /// Milliseconds from its start to its end, if a program ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
}

/// Something a user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable kebab-case code, such as `epoch-before-base`.
    pub code: String,
    /// What it is, in words.
    pub message: String,
    /// Line in the Dockerfile, if it has one.
    pub line: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_lose_what_the_history_adds() {
        assert_eq!(as_written("RUN /bin/sh -c make # repro"), "RUN make");
        assert_eq!(as_written("COPY a b # repro"), "COPY a b");
        assert_eq!(as_written("RUN [\"make\"]"), "RUN [\"make\"]");
    }
}
