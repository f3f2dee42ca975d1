//! `reproducibility/v1`: the verdict on two runs, in the short form that is signed. The long
//! form is `report.json`, which it names by digest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use repro_core::{
    build::{Axis, BuildRecord, RunId, RunRecord},
    digest::Digest,
};
use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::{
    statement::{ResourceDescriptor, Subject},
    uris,
};

/// Most causes in the signed form.
pub const CAUSES_MAX: usize = 20;

/// How the comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Both runs gave the same manifest.
    Reproducible,
    /// They did not, or only one gave any.
    NotReproducible,
    /// A step fails, varied or not.
    BuildFailed,
    /// Nothing was compared, or the machine gave out.
    Inconclusive,
}

impl Verdict {
    /// As people read it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reproducible => "reproducible",
            Self::NotReproducible => "not reproducible",
            Self::BuildFailed => "build failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reproducibility {
    /// How the comparison ended.
    pub verdict: Verdict,
    /// The runs, A first.
    pub runs: Vec<RunSummary>,
    /// The axes on which the runs differed, with the value of each run.
    pub axes: BTreeMap<Axis, AxisValues>,
    /// The axes on which they did not, so that silence is not taken for a test.
    pub not_varied: Vec<Axis>,
    /// How much was compared.
    pub counts: Counts,
    /// The first step whose layers differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_divergence: Option<FirstDivergence>,
    /// Why they differ, most important first, at most [`CAUSES_MAX`].
    pub causes: Vec<CauseCount>,
    /// `report.json`.
    pub report: ResourceDescriptor,
    /// Whose build this was again, where it was somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild_of: Option<RebuildOf>,
}

/// What a build was that was done again, and whether it came to the same. Of a result that agrees and
/// of one that does not the same is said, and both are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuildOf {
    /// Digest of the bundle with the provenance that said what to build; the dependency `judged`.
    pub provenance: Digest,
    /// The manifest that it is about.
    pub manifest: Digest,
    /// Who made that.
    pub builder: String,
    /// What that provenance says of the data. Whoever builds again knows it from there alone, so his own
    /// provenance does not say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lineage: BTreeMap<String, String>,
    /// Who says that; with no lineage, nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage_by: Option<LineageBy>,
    /// How it compares with the manifest of run A here.
    pub outcome: RebuildOutcome,
}

/// Whose word a lineage is that another builder passes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineageBy {
    /// `builder.id` of the provenance that has it.
    pub builder: String,
    /// The key that signed that provenance: SHA-256 of its SPKI form, base64.
    pub key_id: String,
}

/// How an image that was built again compares with the one that it was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildOutcome {
    /// It has the same manifest, so it is the same to the last bit.
    Agrees,
    /// It is another one.
    Differs,
    /// There is none.
    NotBuilt,
}

impl RebuildOutcome {
    /// Of an image that should have the manifest `attested` and has `rebuilt`.
    #[must_use]
    pub fn of(attested: Digest, rebuilt: Option<Digest>) -> Self {
        match rebuilt {
            Some(rebuilt) if rebuilt == attested => Self::Agrees,
            Some(_) => Self::Differs,
            None => Self::NotBuilt,
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSummary {
    /// Which.
    pub id: RunId,
    /// Unique name of the run, as in its provenance.
    pub invocation_id: String,
    /// Digest of the bundle with its provenance; a run without an image has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
    /// Digest of the manifest it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// The two values of an axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisValues {
    /// In run A.
    pub a: String,
    /// In run B.
    pub b: String,
}

/// How much was compared, and how much of it is equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Layers of the image of run A.
    pub layers: u64,
    /// Those with an equal layer in run B.
    pub layers_equal: u64,
    /// Files in those layers.
    pub files: u64,
    /// Those with an equal file in run B.
    pub files_equal: u64,
    /// Paths of the image that differ.
    pub differences: u64,
    /// Paths that differ in layers of stages that are no part of the image.
    pub differences_elsewhere: u64,
}

/// The first step whose layers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirstDivergence {
    /// Index of the step in the plan.
    pub index: u32,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
}

/// One cause with how often it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CauseCount {
    /// Its code, as `repro explain` takes it.
    pub code: String,
    /// Differences that it explains.
    pub count: u64,
    /// Whether it is none that follows from another.
    pub primary: bool,
}

/// What the comparison found, as the report has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// How it ended.
    pub verdict: Verdict,
    /// How much was compared.
    pub counts: Counts,
    /// The first step whose layers differ.
    pub first_divergence: Option<FirstDivergence>,
    /// Why, most important first; what is beyond [`CAUSES_MAX`] is in `report.json` only.
    pub causes: Vec<CauseCount>,
    /// The axes that a cause, or a run with some of the axes, names.
    pub failed_axes: BTreeSet<Axis>,
}

impl Predicate for Reproducibility {
    const TYPE: &'static str = uris::REPRODUCIBILITY;
}

impl Reproducibility {
    /// The signed form of `findings` on the runs of `record`. `provenance` has the digest of the
    /// bundle of each run that has one.
    #[must_use]
    pub fn new(
        record: &BuildRecord,
        findings: &Findings,
        provenance: &BTreeMap<RunId, Digest>,
        report: ResourceDescriptor,
    ) -> Self {
        let runs = record.runs.iter().map(|run| RunSummary {
            id: run.id,
            invocation_id: run.invocation_id.clone(),
            provenance: provenance.get(&run.id).copied(),
            manifest: run.image.as_ref().map(|image| image.manifest),
        });
        let axes = match (run(record, RunId::A), run(record, RunId::B)) {
            (Some(a), Some(b)) => varied(a.variation.values(), &b.variation.values()),
            _ => BTreeMap::new(),
        };
        let not_varied = Axis::VARIED
            .into_iter()
            .filter(|axis| !axes.contains_key(axis))
            .collect();
        Self {
            verdict: findings.verdict,
            runs: runs.collect(),
            axes,
            not_varied,
            counts: findings.counts,
            first_divergence: findings.first_divergence,
            causes: findings.causes.iter().take(CAUSES_MAX).cloned().collect(),
            report,
            rebuild_of: None,
        }
    }

    /// The artifacts that the verdict is about: A's manifest, and those of B and of the control run
    /// where they are others.
    /// Where no run made an image there is nothing but the report.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let manifest = |id| {
            let run = self.runs.iter().find(|run| run.id == id)?;
            run.manifest
        };
        let (a, b) = (manifest(RunId::A), manifest(RunId::B));
        let control = manifest(RunId::Control);
        let named = |name: &str, digest| Subject {
            name: name.into(),
            digest,
        };
        let mut subjects: Vec<Subject> = a.map(|digest| named("a", digest)).into_iter().collect();
        if let Some(digest) = b.filter(|_| a != b) {
            subjects.push(named("b", digest));
        }
        if let Some(digest) = control.filter(|_| control != a && control != b) {
            subjects.push(named("control", digest));
        }
        if let (true, Some(digest)) = (subjects.is_empty(), self.report.sha256()) {
            subjects.push(named(&self.report.name, digest));
        }
        subjects
    }
}

fn run(record: &BuildRecord, id: RunId) -> Option<&RunRecord> {
    record.runs.iter().find(|run| run.id == id)
}

/// The axes whose values differ.
#[must_use]
pub fn varied(a: BTreeMap<Axis, String>, b: &BTreeMap<Axis, String>) -> BTreeMap<Axis, AxisValues> {
    a.into_iter()
        .filter_map(|(axis, a)| {
            let b = b.get(&axis)?.clone();
            (a != b).then_some((axis, AxisValues { a, b }))
        })
        .collect()
}
