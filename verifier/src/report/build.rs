//! From the record of a build and its comparison to the report.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use repro_core::{
    build::{
        Axis, BuildRecord, Failure, NetworkObservation, PlannedStep, Reason, RunId, RunRecord,
        StepRecord,
    },
    json::{CanonicalError, canonical},
    tree::show_bytes,
};

use super::{
    axes,
    model::{
        CauseSummary, FailureReport, Hermetic, ImageSummary, InputSummary, NetworkMode, Report,
        RunReport, StepNetwork, StepReport,
    },
};
use crate::{
    bisect::{Bisection, Breaks},
    causes::{Cause, Confidence},
    compare::{Comparison, Difference, first_divergence, origins},
    predicate::reproducibility::{CauseCount, Counts, Findings, FirstDivergence, Verdict},
    uris,
};

/// Most paths named with one cause; all of them are among the differences.
const MAX_PATHS: usize = 20;

/// Why no report can be made. Each is a contradiction between what is claimed and what was
/// seen: a report is never made from such a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Run A is missing.
    #[error("the record has no run a")]
    NoRunA,
    /// A step that the plan does not have.
    #[error("run {run} has a step {index}, which the plan has not")]
    NoStep {
        /// The run.
        run: RunId,
        /// The index.
        index: u32,
    },
    /// Said to be reproduced, and the runs do not have one and the same image.
    #[error("the record says reproduced, but its runs have no common image digest")]
    NotReproduced,
    /// Said to differ, and the digests are equal.
    #[error("the record says that the runs differ, but their image digests are equal")]
    NotDifferent,
    /// Said to differ, and nobody looked at what differs.
    #[error("the runs differ and were not compared")]
    NotCompared,
    /// Said to fail under variation, and run B or its repetition do not bear it out.
    #[error("the record says that run b fails under variation, but its runs do not show it")]
    NotFailing,
}

/// What was compared with run A.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared<'a> {
    /// Run B. Needed where it differs, and welcome where it does not: it shows steps that differ
    /// without reaching the image.
    pub b: Option<&'a Comparison>,
    /// The control run. Needed where it made an image.
    pub control: Option<&'a Comparison>,
    /// Runs with some of the axes.
    pub bisection: Option<&'a Bisection>,
}

impl Report {
    /// The report on the runs A and B of `record`.
    pub fn build(
        record: &BuildRecord,
        comparison: Option<&Comparison>,
    ) -> Result<Self, ReportError> {
        let compared = Compared {
            b: comparison,
            ..Compared::default()
        };
        Self::on(record, compared)
    }

    /// The report on all runs of `record`.
    pub fn on(record: &BuildRecord, compared: Compared<'_>) -> Result<Self, ReportError> {
        let Compared {
            b,
            control,
            bisection,
        } = compared;
        let run_a = find_run(record, RunId::A).ok_or(ReportError::NoRunA)?;
        let verdict = verdict(record, compared)?;
        let image = run_a.image.as_ref();
        let (other, comparison) = if axes::shows_control(record) {
            (RunId::Control, control)
        } else {
            (RunId::B, b)
        };
        let differences = comparison.map_or_else(Vec::new, |found| found.differences.clone());
        let not_listed = comparison.map(|found| found.not_listed_by_cause.clone());
        let mut causes = causes(&differences, &not_listed.unwrap_or_default());
        match record.outcome.reason {
            Reason::FailsUnderVariation => causes.insert(0, fails_under_variation(record)),
            Reason::DiffersByChance => causes.extend(fails_by_chance(record)),
            _ => {}
        }
        let unvaried = axes::unvaried(record, &differences, control, bisection);
        axes::attribute(&mut causes, &differences, unvaried.as_ref(), bisection);
        Ok(Self {
            schema: uris::REPORT.into(),
            verdict,
            reason: record.outcome.reason,
            image: ImageSummary {
                name: record.tags.first().map(ToString::to_string),
                manifest_digest: image.map(|image| image.manifest),
                config_digest: image.map(|image| image.config),
                platform: record.platform.clone(),
            },
            dockerfile: record.dockerfile.clone(),
            ruleset: record.ruleset,
            epoch: record.epoch,
            runs: record
                .runs
                .iter()
                .map(|run| run_report(record, run))
                .collect::<Result<_, _>>()?,
            axes: axes::axes(record),
            control: axes::control(record, b, control),
            bisection: bisection.map(axes::bisection),
            first_divergence: first_divergence(record, other),
            differences,
            not_listed: comparison.map(|found| found.not_listed).unwrap_or_default(),
            causes,
            ratio: comparison.map(|found| found.ratio),
            inputs: record
                .inputs
                .iter()
                .map(|input| InputSummary {
                    uri: input.uri.clone(),
                    digest: input.digest,
                    kind: input.kind,
                    step: input.step,
                    locked: input.locked,
                })
                .collect(),
            hermetic: hermetic(record),
            findings: record.findings.clone(),
            cost: record.outcome.cost,
        })
    }

    /// The bytes of `report.json`: canonical JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical(self)
    }

    /// The short form that is signed.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let ratio = self.ratio.unwrap_or_default();
        Findings {
            verdict: self.verdict,
            counts: Counts {
                layers: ratio.layers,
                layers_equal: ratio.layers_equal,
                files: ratio.files,
                files_equal: ratio.files_equal,
                differences: self
                    .differing_paths(Difference::in_image)
                    .saturating_add(self.not_listed.image),
                differences_elsewhere: self
                    .differing_paths(|row| !row.in_image())
                    .saturating_add(self.not_listed.elsewhere),
            },
            first_divergence: self.first_divergence,
            causes: self
                .causes
                .iter()
                .map(|cause| CauseCount {
                    code: cause.code.code().into(),
                    count: cause.count,
                    primary: cause.primary,
                })
                .collect(),
            failed_axes: self.failed_axes(),
        }
    }

    /// The axes that were varied and that a cause, or a run with some of the axes, names.
    fn failed_axes(&self) -> BTreeSet<Axis> {
        let causes = self.causes.iter().filter(|cause| cause.primary);
        let named = causes.filter_map(|cause| cause.axis);
        let bisected = self.bisection.iter().flat_map(|bisection| {
            let paths = bisection.paths.iter().map(|path| &path.breaks);
            paths.chain(&bisection.failure)
        });
        let axes = bisected.flat_map(|breaks| match breaks {
            Breaks::Chance => BTreeSet::new(),
            Breaks::Axis { axis } => [*axis].into(),
            Breaks::Together { axes } => axes.clone(),
        });
        named
            .chain(axes)
            .filter(|axis| self.axes.varied.contains_key(axis))
            .collect()
    }

    /// Number of paths with a listed difference of which `counted` is true; a path in the layers
    /// of two steps counts twice.
    #[must_use]
    pub fn differing_paths(&self, counted: impl Fn(&Difference) -> bool) -> u64 {
        differing_paths(&self.differences, counted)
    }

    /// The step with index `index`, as the first run that has it saw it.
    #[must_use]
    pub fn step(&self, index: u32) -> Option<&StepReport> {
        self.runs
            .iter()
            .flat_map(|run| &run.steps)
            .find(|step| step.index == index)
    }

    /// The instruction of a step that a run ended or failed in.
    #[must_use]
    pub fn instruction(&self, index: u32) -> Option<&str> {
        let mut failures = self.runs.iter().filter_map(|run| run.failure.as_ref());
        let failed = failures.find(|failure| failure.index == index);
        self.step(index)
            .map(|step| step.instruction.as_str())
            .or_else(|| failed.map(|failure| failure.instruction.as_str()))
    }

    /// The instruction of the first divergence, if a run ended that step or failed in it.
    #[must_use]
    pub fn divergent_instruction(&self, at: FirstDivergence) -> Option<&str> {
        self.instruction(at.index)
    }

    /// The run `id`.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&RunReport> {
        self.runs.iter().find(|run| run.id == id)
    }
}

/// Number of paths with a difference of which `counted` is true; a path in the layers of two steps
/// counts twice.
pub(crate) fn differing_paths(
    differences: &[Difference],
    counted: impl Fn(&Difference) -> bool,
) -> u64 {
    let rows = differences.iter().filter(|row| counted(row));
    let paths: BTreeSet<_> = rows.map(place).collect();
    paths.len() as u64
}

fn place(row: &Difference) -> (Option<&str>, Option<u32>, Option<u32>, &str) {
    let platform = row.platform.as_deref();
    (platform, row.step, row.layer, row.path.as_str())
}

fn find_run(record: &BuildRecord, id: RunId) -> Option<&RunRecord> {
    record.runs.iter().find(|run| run.id == id)
}

fn verdict(record: &BuildRecord, compared: Compared<'_>) -> Result<Verdict, ReportError> {
    let manifest = |id| {
        let image = find_run(record, id)?.image.as_ref()?;
        Some(image.manifest)
    };
    let (a, b) = (manifest(RunId::A), manifest(RunId::B));
    match record.outcome.reason {
        Reason::Reproduced if a.is_none() || a != b => Err(ReportError::NotReproduced),
        Reason::Reproduced => Ok(Verdict::Reproducible),
        Reason::Differs if a == b => Err(ReportError::NotDifferent),
        Reason::Differs if compared.b.is_none_or(Comparison::image_is_equal) => {
            Err(ReportError::NotCompared)
        }
        Reason::Differs => Ok(Verdict::NotReproducible),
        Reason::DiffersByChance => {
            let Some(control) = find_run(record, RunId::Control) else {
                return Err(ReportError::NotDifferent);
            };
            match manifest(RunId::Control) {
                None if control.failure.is_some() => Ok(Verdict::NotReproducible),
                None => Err(ReportError::NotDifferent),
                image if image == a => Err(ReportError::NotDifferent),
                Some(_) if compared.control.is_none_or(Comparison::image_is_equal) => {
                    Err(ReportError::NotCompared)
                }
                Some(_) => Ok(Verdict::NotReproducible),
            }
        }
        Reason::FailsUnderVariation => {
            let failed = find_run(record, RunId::B).is_some_and(|run| run.failure.is_some());
            if failed && manifest(RunId::BRepeat).is_some() {
                Ok(Verdict::NotReproducible)
            } else {
                Err(ReportError::NotFailing)
            }
        }
        Reason::StepFailed => Ok(Verdict::BuildFailed),
        Reason::NotCompared
        | Reason::NotVaried
        | Reason::Configuration
        | Reason::Input
        | Reason::Machine
        | Reason::Exhausted
        | Reason::Cancelled
        | Reason::Internal => Ok(Verdict::Inconclusive),
    }
}

fn run_report(record: &BuildRecord, run: &RunRecord) -> Result<RunReport, ReportError> {
    let planned = |index: u32| -> Result<&PlannedStep, ReportError> {
        let step = usize::try_from(index).ok();
        step.and_then(|index| record.plan.get(index))
            .ok_or(ReportError::NoStep { run: run.id, index })
    };
    let step_report = |step: &StepRecord| -> Result<StepReport, ReportError> {
        let planned = planned(step.index)?;
        Ok(StepReport {
            index: step.index,
            instruction: planned.instruction.clone(),
            line: planned.line,
            in_image: planned.in_image,
            diff_id: step.diff_id,
            blob_digest: step.blob,
            network: StepNetwork {
                mode: mode(&step.network),
                attempts: step.network.attempts(),
                names: names(&step.network),
            },
            normalised: step.normalised.clone(),
            wall_ms: step.usage.wall_ms,
        })
    };
    let failure = |failure: &Failure| -> Result<FailureReport, ReportError> {
        let planned = planned(failure.index)?;
        Ok(FailureReport {
            index: failure.index,
            instruction: planned.instruction.clone(),
            line: planned.line,
            exit: failure.exit,
            message: failure.message.clone(),
            wall_ms: failure.wall_ms,
        })
    };
    Ok(RunReport {
        id: run.id,
        invocation_id: run.invocation_id.clone(),
        executor: run.executor.clone(),
        user_ids: run.user_ids,
        snapshotter: run.snapshotter,
        variation: run.variation.values(),
        started_on: run.started_on.clone(),
        finished_on: run.finished_on.clone(),
        manifest_digest: run.image.as_ref().map(|image| image.manifest),
        steps: run
            .steps
            .iter()
            .map(step_report)
            .collect::<Result<_, _>>()?,
        failure: run.failure.as_ref().map(failure).transpose()?,
    })
}

/// The names and addresses that a step asked for; it chose them, so they are made printable.
fn mode(network: &NetworkObservation) -> NetworkMode {
    match network.replayed {
        None => NetworkMode::None,
        Some(_) => NetworkMode::Replay,
    }
}

fn names(network: &NetworkObservation) -> Vec<String> {
    let names = network.names.keys();
    names
        .chain(network.addresses.keys())
        .map(|name| show_bytes(name.as_bytes()).into_owned())
        .collect()
}

fn hermetic(record: &BuildRecord) -> Hermetic {
    let steps = || record.runs.iter().flat_map(|run| &run.steps);
    let complete = |run: &RunRecord| {
        let seen: BTreeSet<u32> = run.steps.iter().map(|step| step.index).collect();
        run.failure.is_none()
            && record
                .plan
                .iter()
                .zip(0..)
                .all(|(planned, index)| !planned.filesystem || seen.contains(&index))
    };
    // What passes through an agent of the user is not counted.
    let alone = record.plan.iter().all(|planned| planned.agents.is_empty());
    let measured = alone && !record.runs.is_empty() && record.runs.iter().all(complete);
    let seen = || {
        let failures = record.runs.iter().filter_map(|run| run.failure.as_ref());
        let failures = failures.map(|failure| &failure.network);
        steps().map(|step| &step.network).chain(failures)
    };
    let asked: BTreeSet<String> = seen().flat_map(names).collect();
    Hermetic {
        measured,
        network: measured.then(|| {
            let replayed = steps().any(|step| step.network.replayed.is_some());
            if replayed {
                NetworkMode::Replay
            } else {
                NetworkMode::None
            }
        }),
        attempts_blocked: seen().map(NetworkObservation::attempts).sum(),
        names: asked.into_iter().collect(),
    }
}

/// Groups the rows by cause: first those that reach the image, of these the primary ones, then those with
/// a name, then by step. `not_listed` counts those that are not among the rows.
pub(super) fn causes(
    differences: &[Difference],
    not_listed: &BTreeMap<Cause, u64>,
) -> Vec<CauseSummary> {
    let mut groups: BTreeMap<Cause, Vec<&Difference>> = BTreeMap::new();
    for row in differences {
        groups.entry(row.cause).or_default().push(row);
    }
    let mut causes: Vec<CauseSummary> = groups
        .into_iter()
        .map(|(cause, rows)| {
            let places: BTreeSet<_> = rows.iter().map(|row| place(row)).collect();
            let mut paths: Vec<String> = Vec::new();
            for row in &rows {
                if paths.len() < MAX_PATHS && !paths.contains(&row.path) {
                    paths.push(row.path.clone());
                }
            }
            let steps: BTreeSet<u32> = rows.iter().filter_map(|row| row.step).collect();
            let confidence = rows.iter().map(|row| row.confidence).max();
            summary(
                cause,
                rows.iter().any(|row| row.derived_from.is_none()),
                confidence.unwrap_or(Confidence::Unknown),
                (
                    places.len() as u64 + not_listed.get(&cause).copied().unwrap_or(0),
                    paths,
                    steps.into_iter().collect(),
                ),
            )
        })
        .collect();
    let reaching = reaching(differences);
    causes.sort_by_key(|cause| {
        let first = cause.steps.first().copied().unwrap_or(u32::MAX);
        let unnamed = cause.code == Cause::Unknown;
        (
            !reaching.contains(&cause.code),
            !cause.primary,
            unnamed,
            first,
            Reverse(cause.count),
            cause.code,
        )
    });
    causes
}

/// The causes of what differs in the image, and of what it follows from in a stage.
fn reaching(differences: &[Difference]) -> BTreeSet<Cause> {
    let origins = origins(differences.iter().filter(|row| row.in_image()));
    differences
        .iter()
        .filter(|row| row.in_image() || origins.contains(&row.spot()))
        .map(|row| row.cause)
        .collect()
}

fn summary(
    cause: Cause,
    primary: bool,
    confidence: Confidence,
    (count, paths, steps): (u64, Vec<String>, Vec<u32>),
) -> CauseSummary {
    let info = cause.info();
    CauseSummary {
        code: cause,
        title: info.title.into(),
        primary,
        confidence,
        count,
        paths,
        steps,
        axis: info.axis,
        axis_proven: false,
        without_variation: None,
        remedy: info.remedy.into(),
    }
}

fn fails_under_variation(record: &BuildRecord) -> CauseSummary {
    let failed = find_run(record, RunId::B).and_then(|run| run.failure.as_ref());
    let steps = failed.map(|failure| failure.index).into_iter().collect();
    summary(
        Cause::FailsUnderVariation,
        true,
        Confidence::Certain,
        (1, Vec::new(), steps),
    )
}

/// A control run that failed where run A did not.
fn fails_by_chance(record: &BuildRecord) -> Option<CauseSummary> {
    let run = find_run(record, RunId::Control)?;
    let failure = run.failure.as_ref()?;
    Some(summary(
        Cause::FailsByChance,
        true,
        Confidence::Certain,
        (1, Vec::new(), vec![failure.index]),
    ))
}
