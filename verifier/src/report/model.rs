//! The shape of `report.json`. Every number is an integer; what was not measured is absent.

use std::collections::BTreeMap;

use repro_core::{
    build::{
        Axis, Cost, EpochRecord, Finding, InputKind, Normalisation, Reason, RunId, Snapshotter,
        StepExit, UserIds,
    },
    digest::{DiffId, Digest},
    platform::Platform,
    ruleset::Ruleset,
};
use serde::{Deserialize, Serialize};

use super::axes::{AxesReport, BisectionReport, ControlReport};
use crate::{
    causes::{Cause, Confidence},
    compare::{Difference, NotListed, Ratio},
    predicate::reproducibility::{FirstDivergence, Verdict},
};

/// The report on one build of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`crate::uris::REPORT`].
    pub schema: String,
    /// What came out.
    pub verdict: Verdict,
    /// Why, in finer words.
    pub reason: Reason,
    /// The image of run A.
    pub image: ImageSummary,
    /// Name of the Dockerfile, to which every `line` refers.
    pub dockerfile: String,
    /// Rules that decided the bytes.
    pub ruleset: Ruleset,
    /// `SOURCE_DATE_EPOCH` and where it came from.
    pub epoch: EpochRecord,
    /// The runs, A first.
    pub runs: Vec<RunReport>,
    /// What differed between the runs on purpose, and what did not.
    pub axes: AxesReport,
    /// What a run equal to A showed, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlReport>,
    /// What runs with some of the axes showed, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bisection: Option<BisectionReport>,
    /// The first step that ended differently in A and B, or the control run where B does not differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_divergence: Option<FirstDivergence>,
    /// Every difference between A and B, or the control run where B does not differ; one row for each
    /// cause.
    pub differences: Vec<Difference>,
    /// Differences that are not listed, because they are too many.
    #[serde(default, skip_serializing_if = "NotListed::is_none")]
    pub not_listed: NotListed,
    /// The causes, most important first.
    pub causes: Vec<CauseSummary>,
    /// How much is equal; absent where nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// Everything that came from outside.
    pub inputs: Vec<InputSummary>,
    /// Whether anything was reached beyond the sandboxes.
    pub hermetic: Hermetic,
    /// What else a user should know.
    pub findings: Vec<Finding>,
    /// What both runs used together.
    pub cost: Cost,
}

/// The image that the build delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    /// The first of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digest of the manifest; absent where run A made no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// Digest of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<Digest>,
    /// Its platform.
    pub platform: Platform,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Which.
    pub id: RunId,
    /// Unique name of the run, as in its provenance.
    pub invocation_id: String,
    /// Name of the executor.
    pub executor: String,
    /// How many ids of the machine its steps had.
    pub user_ids: UserIds,
    /// How it put the trees of steps together.
    pub snapshotter: Snapshotter,
    /// Its value on each axis.
    pub variation: BTreeMap<Axis, String>,
    /// RFC 3339, UTC.
    pub started_on: String,
    /// RFC 3339, UTC.
    pub finished_on: String,
    /// Digest of the manifest it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// Steps that ended, in order of the plan.
    pub steps: Vec<StepReport>,
    /// Why it made no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureReport>,
}

/// One step of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Index in the plan.
    pub index: u32,
    /// The instruction, expanded.
    pub instruction: String,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// Whether its layer is part of the image.
    pub in_image: bool,
    /// Digest of the layer's tar; absent where the step changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<DiffId>,
    /// Digest of the compressed layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_digest: Option<Digest>,
    /// Attempts to reach further.
    pub network: StepNetwork,
    /// What was put right when the layer was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub normalised: BTreeMap<Normalisation, u64>,
    /// Milliseconds it took.
    pub wall_ms: u64,
}

/// How a step could reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// Not at all.
    None,
    /// Captured fetches were replayed.
    Replay,
}

/// The network of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepNetwork {
    /// What it could reach.
    pub mode: NetworkMode,
    /// Attempts to reach further, none of which got through.
    pub attempts: u64,
    /// Names and addresses it asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureReport {
    /// Index in the plan.
    pub index: u32,
    /// The instruction, expanded.
    pub instruction: String,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// How its program ended, if it ran one to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<StepExit>,
    /// What happened, in words.
    pub message: String,
    /// Milliseconds that its program ran, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
}

/// One cause with everything it explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CauseSummary {
    /// Its code.
    pub code: Cause,
    /// One line.
    pub title: String,
    /// Whether one of its differences follows from no other.
    pub primary: bool,
    /// The surest of its differences.
    pub confidence: Confidence,
    /// Paths that it explains, in all steps together.
    pub count: u64,
    /// The first of them, printable.
    pub paths: Vec<String>,
    /// Indices of the steps that made them.
    pub steps: Vec<u32>,
    /// The axis that brought it to light: the one that runs with some of the axes named, else the one
    /// that the catalogue gives the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<Axis>,
    /// Whether runs with some of the axes named it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub axis_proven: bool,
    /// How many of its paths differ between equal runs too: such differences no axis makes. Absent
    /// where no run without variation was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_variation: Option<u64>,
    /// What to change.
    pub remedy: String,
}

/// Something that came from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputSummary {
    /// A name by which others find it.
    pub uri: String,
    /// Digest of its content.
    pub digest: Digest,
    /// What it is.
    pub kind: InputKind,
    /// Index of the first step that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Whether a lock pinned it before the build.
    pub locked: bool,
}

/// Whether anything was reached beyond the sandboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hermetic {
    /// Whether every step of every run ended with its attempts counted.
    pub measured: bool,
    /// What the steps could reach; absent unless measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkMode>,
    /// Attempts that were counted and did not get through.
    pub attempts_blocked: u64,
    /// Names and addresses that steps asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl CauseSummary {
    /// What to change, in words of the catalogue alone, whatever a document says.
    #[must_use]
    pub fn advice(&self) -> String {
        match (self.code, self.axis) {
            // The catalogue sends those to the search for the axis who have not made it.
            (Cause::FailsUnderVariation, Some(axis)) if self.axis_proven => format!(
                "Read the output of the failed step in the log of run B, and look for what depends on the \
                 axis {axis}. `repro explain {axis}` says what it varies."
            ),
            _ => self.code.info().remedy.into(),
        }
    }
}
