//! V22: two runs that differ as they say, and a verdict that follows from them.

use repro_core::{
    build::{Axis, RunId},
    digest::{DiffId, Digest},
};
use serde_json::Value;

use super::{
    Evidence,
    check::{CheckCode, Checks, chain},
    files::PackFiles,
    statements::Signed,
};
use crate::{
    bundle::BUNDLE_MAX,
    pack::layout::ReportFormat,
    predicate::{
        provenance::Provenance,
        reproducibility::{RebuildOutcome, Reproducibility, RunSummary, Verdict, varied},
    },
    statement::ResourceDescriptor,
    strict_json, uris,
};

const CODE: CheckCode = CheckCode::Runs;

/// The manifest of run A, as the verdict has it.
pub(super) fn image_of_a(signed: &Signed<Reproducibility>) -> Option<Digest> {
    summary(&signed.predicate, RunId::A)?.manifest
}

fn summary(verdict: &Reproducibility, id: RunId) -> Option<&RunSummary> {
    verdict.runs.iter().find(|run| run.id == id)
}

pub(super) fn check(files: &PackFiles, evidence: &Evidence, checks: &mut Checks) {
    let Some(signed) = &evidence.verdict else {
        return;
    };
    let on = signed.path.as_str();
    let steps: [(&str, Result<(), String>); 7] = [
        ("subjects", subjects(signed)),
        ("runs", identities(evidence, &signed.predicate)),
        ("variation", variation(evidence, &signed.predicate)),
        ("control", control(evidence, &signed.predicate)),
        ("verdict", consequence(evidence, &signed.predicate)),
        ("report", report(files, &signed.predicate)),
        ("rebuild", rebuild(evidence, &signed.predicate)),
    ];
    for (part, result) in steps {
        match result {
            Ok(()) => checks.pass(CODE, on, format!("{part}: consistent")),
            Err(reason) => checks.fail(CODE, on, format!("{part}: {reason}")),
        }
    }
    let code = CheckCode::Hermetic;
    if evidence.provenance.is_empty() {
        checks.not_applicable(code, on, "no run made an image");
    }
}

/// As [`check`] for a verdict that was found without its pack: what contradicts itself fails. That nothing
/// does is no pass, since the report and some runs are not there to be seen.
pub(super) fn check_alone(evidence: &Evidence, checks: &mut Checks) {
    let Some(signed) = &evidence.verdict else {
        return;
    };
    let verdict = &signed.predicate;
    // Provenance of other builds may lie beside it.
    let is_of = |run: &&(RunId, Signed<Provenance>)| {
        let mut runs = verdict.runs.iter();
        runs.any(|named| named.id == run.0 && named.provenance == Some(run.1.bundle))
    };
    let own = Evidence {
        provenance: evidence.provenance.iter().filter(is_of).cloned().collect(),
        ..Evidence::default()
    };
    for (part, result) in [
        ("subjects", subjects(signed)),
        ("variation", variation(&own, verdict)),
        ("control", control(&own, verdict)),
        ("verdict", consequence(&own, verdict)),
        ("rebuild", rebuild(&own, verdict)),
    ] {
        if let Err(reason) = result {
            checks.fail(CODE, signed.path.as_str(), format!("{part}: {reason}"));
        }
    }
}

fn demand(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

fn subjects(signed: &Signed<Reproducibility>) -> Result<(), String> {
    demand(signed.subjects == signed.predicate.subjects(), || {
        "are not the manifests of the runs".into()
    })
}

/// Each run is one run, once, and the provenance beside it is its own.
fn identities(evidence: &Evidence, verdict: &Reproducibility) -> Result<(), String> {
    for (position, run) in verdict.runs.iter().enumerate() {
        let earlier = &verdict.runs[..position];
        demand(earlier.iter().all(|other| other.id != run.id), || {
            format!("run {} is there twice", run.id)
        })?;
        demand(
            earlier
                .iter()
                .all(|other| other.invocation_id != run.invocation_id),
            || format!("two runs share the invocation id {:?}", run.invocation_id),
        )?;
        let signed = evidence.provenance(run.id);
        demand(signed.map(|signed| signed.bundle) == run.provenance, || {
            format!("the provenance of run {} is not the one named", run.id)
        })?;
        let Some(signed) = signed else { continue };
        let provenance = &signed.predicate;
        demand(
            provenance.run_details.metadata.invocation_id == run.invocation_id,
            || format!("the provenance of run {} has another invocation id", run.id),
        )?;
        demand(
            provenance.build_definition.internal_parameters.run == run.id,
            || format!("the provenance of run {} is of another run", run.id),
        )?;
        demand(
            signed
                .subjects
                .iter()
                .all(|subject| Some(subject.digest) == run.manifest),
            || format!("the provenance of run {} is of another manifest", run.id),
        )?;
    }
    let unnamed = evidence
        .provenance
        .iter()
        .find(|(id, _)| summary(verdict, *id).is_none());
    demand(unnamed.is_none(), || {
        "there is provenance of a run that the verdict does not name".into()
    })
}

/// The axes are those on which the runs differ by their own provenance, and the inputs are the
/// same.
fn variation(evidence: &Evidence, verdict: &Reproducibility) -> Result<(), String> {
    for (axis, values) in &verdict.axes {
        demand(values.a != values.b, || {
            format!("{axis} has one value in both runs")
        })?;
        demand(!verdict.not_varied.contains(axis), || {
            format!("{axis} was varied and was not")
        })?;
    }
    if verdict.verdict == Verdict::Reproducible {
        demand(!verdict.axes.is_empty(), || {
            "nothing differed between the runs, so their equality says little".into()
        })?;
    }
    let (Some(a), Some(b)) = (evidence.provenance(RunId::A), evidence.provenance(RunId::B)) else {
        return Ok(());
    };
    let axes = varied(values(a), &values(b));
    demand(axes == verdict.axes, || {
        "the axes are not those on which the provenance of the runs differs".into()
    })?;
    same_build(a, b)
}

/// The value of a run on each axis, by its provenance.
fn values(signed: &Signed<Provenance>) -> std::collections::BTreeMap<Axis, String> {
    let parameters = &signed.predicate.build_definition.internal_parameters;
    parameters.variation.values()
}

/// The control run is one without variation, of the same build.
fn control(evidence: &Evidence, verdict: &Reproducibility) -> Result<(), String> {
    if summary(verdict, RunId::Control).is_none() {
        return Ok(());
    }
    let a = evidence.provenance(RunId::A);
    let (Some(a), Some(control)) = (a, evidence.provenance(RunId::Control)) else {
        return Ok(());
    };
    demand(values(a) == values(control), || {
        "its environment is not that of run a".into()
    })?;
    same_build(a, control)
}

/// Both runs are of one build.
fn same_build(a: &Signed<Provenance>, b: &Signed<Provenance>) -> Result<(), String> {
    let lineage = |run: &Signed<Provenance>| run.predicate.run_details.metadata.lineage.clone();
    demand(lineage(a) == lineage(b), || {
        "the runs were given different lineage".into()
    })?;
    let (a, b) = (&a.predicate.build_definition, &b.predicate.build_definition);
    demand(a.external_parameters == b.external_parameters, || {
        "the runs were given different parameters".into()
    })?;
    demand(a.resolved_dependencies == b.resolved_dependencies, || {
        "the runs used different dependencies".into()
    })?;
    let rules = |definition: &crate::predicate::provenance::BuildDefinition| {
        let parameters = &definition.internal_parameters;
        (parameters.ruleset, parameters.effective_epoch.clone())
    };
    demand(rules(a) == rules(b), || {
        "the runs followed different rules".into()
    })
}

fn consequence(evidence: &Evidence, verdict: &Reproducibility) -> Result<(), String> {
    let manifest = |id| summary(verdict, id).and_then(|run| run.manifest);
    let (a, b) = (manifest(RunId::A), manifest(RunId::B));
    // One that failed made none, and is another than A's too.
    let control = summary(verdict, RunId::Control);
    let control_agrees = control.is_none_or(|control| control.manifest == a);
    let counts = verdict.counts;
    demand(
        counts.layers_equal <= counts.layers && counts.files_equal <= counts.files,
        || "more is equal than was compared".into(),
    )?;
    match verdict.verdict {
        Verdict::Reproducible => {
            demand(a.is_some() && a == b, || {
                "reproducible, and the runs did not make the same manifest".into()
            })?;
            demand(control_agrees, || {
                "reproducible, and the control run did not make the same manifest".into()
            })?;
            demand(
                counts.layers_equal == counts.layers
                    && counts.files_equal == counts.files
                    && counts.differences == 0,
                || "reproducible, and differences of the image are counted".into(),
            )?;
            demand(
                counts.differences_elsewhere > 0
                    || verdict.first_divergence.is_none() && verdict.causes.is_empty(),
                || "reproducible, and what would explain differences is listed".into(),
            )?;
            let layers = layers(evidence, RunId::A).zip(layers(evidence, RunId::B));
            demand(layers.is_none_or(|(a, b)| a == b), || {
                "reproducible, and the layers of the steps differ".into()
            })
        }
        Verdict::NotReproducible => demand(a.is_none() || a != b || !control_agrees, || {
            "not reproducible, and all runs made the same manifest".into()
        }),
        Verdict::BuildFailed => demand(a.is_none() || b.is_none(), || {
            "the build failed, and both runs made an image".into()
        }),
        Verdict::Inconclusive => Ok(()),
    }
}

/// What one step made: its index, the layer, the layer's blob.
type StepLayer = (u32, Option<DiffId>, Option<Digest>);

/// Layer by layer what the steps of a run made of the image. A stage may differ and the image
/// not, where nothing that differs is copied on.
fn layers(evidence: &Evidence, id: RunId) -> Option<Vec<StepLayer>> {
    let metadata = &evidence.provenance(id)?.predicate.run_details.metadata;
    let layers = metadata.steps.iter().filter(|step| step.in_image);
    Some(
        layers
            .map(|step| (step.index, step.diff_id, step.blob))
            .collect(),
    )
}

/// A build that was somebody's before names the provenance that it went by among what it used, and says
/// of the result what follows from its own.
fn rebuild(evidence: &Evidence, verdict: &Reproducibility) -> Result<(), String> {
    let judged = |signed: &Signed<Provenance>| {
        let dependencies = &signed.predicate.build_definition.resolved_dependencies;
        let judged = dependencies
            .iter()
            .filter(|dependency| dependency.name == uris::JUDGED);
        judged.filter_map(ResourceDescriptor::sha256).collect()
    };
    let named: Vec<Vec<Digest>> = evidence
        .provenance
        .iter()
        .map(|(_, signed)| judged(signed))
        .collect();
    let Some(of) = &verdict.rebuild_of else {
        return demand(named.iter().all(Vec::is_empty), || {
            "the provenance is of a build that was done again, and the verdict is not".into()
        });
    };
    demand(named.iter().all(|named| *named == [of.provenance]), || {
        "what was built again is not what the provenance of the runs names".into()
    })?;
    demand(of.lineage.is_empty() == of.lineage_by.is_none(), || {
        "lineage of what was built again is there without the one who says it, or he without it"
            .into()
    })?;
    let manifest = summary(verdict, RunId::A).and_then(|run| run.manifest);
    demand(
        of.outcome == RebuildOutcome::of(of.manifest, manifest),
        || "what is said of the image that was built again does not follow from it".into(),
    )
}

/// The report is the one that was signed, and says the same.
fn report(files: &PackFiles, verdict: &Reproducibility) -> Result<(), String> {
    let bytes = files
        .read(ReportFormat::Json.path(), BUNDLE_MAX)
        .map_err(|error| chain(&error))?;
    let digest = Digest::of(&bytes);
    demand(verdict.report.sha256() == Some(digest), || {
        format!("report.json is {digest}, another one was signed")
    })?;
    let report = strict_json::parse(&bytes, BUNDLE_MAX).map_err(|error| chain(&error))?;
    let stated = serde_json::to_value(verdict.verdict).unwrap_or_default();
    demand(report.get("verdict") == Some(&stated), || {
        "report.json has another verdict".into()
    })?;
    let runs = report.get("runs").and_then(Value::as_array);
    for run in runs.into_iter().flatten() {
        let id = run.get("id").and_then(Value::as_str).unwrap_or_default();
        let manifest = run.get("manifestDigest").and_then(Value::as_str);
        let ours = verdict.runs.iter().find(|ours| ours.id.name() == id);
        let ours = ours
            .and_then(|ours| ours.manifest)
            .map(|digest| digest.to_string());
        demand(ours.as_deref() == manifest, || {
            format!("report.json has another manifest of run {id:?}")
        })?;
    }
    Ok(())
}
