//! What a build came to, from what its runs recorded.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::build::{
    BuildRecord, BuildRequest, Cost, Finding, InputRecord, Outcome, PlannedStep, Reason, RunId,
    RunRecord, Runs, UserIds,
};

use super::{Prepared, fetched};
use crate::plan::{Plan, StageBase};

pub(super) fn record(
    request: &BuildRequest,
    prepared: &Prepared,
    runs: Vec<RunRecord>,
) -> BuildRecord {
    let Prepared {
        plan,
        inputs,
        epoch,
        findings,
        used,
        ..
    } = prepared;
    let mut findings = findings.clone();
    findings.extend(intermediate_differences(plan, &runs));
    findings.extend(many_layers(&runs));
    findings.extend(one_id(&runs));
    findings.extend(hindrances(plan, &runs));
    let outcome = Outcome::new(reason(request.runs, &runs), cost(&runs));
    BuildRecord {
        version: 1,
        invocation: request.invocation.clone(),
        tags: request.tags.clone(),
        platform: request.platform.clone(),
        ruleset: request.ruleset,
        epoch: *epoch,
        dockerfile: request.dockerfile.name.clone(),
        target: request.target.clone(),
        contexts: request
            .contexts
            .iter()
            .map(|(name, context)| (name.clone(), context.to_string()))
            .collect(),
        build_args: request.build_args.clone(),
        labels: request.labels.clone(),
        annotations: request.annotations.clone(),
        settings: request.settings.clone(),
        secrets: request.secrets.clone(),
        agents: request.agents.clone(),
        lineage: BTreeMap::new(),
        redacted: BTreeMap::new(),
        inputs: sorted(inputs.iter().cloned().chain(fetched(used)).collect()),
        plan: planned(plan),
        runs,
        findings,
        outcome,
    }
}

/// Each input once, by uri.
pub(super) fn sorted(inputs: Vec<InputRecord>) -> Vec<InputRecord> {
    let by_key: BTreeMap<_, _> = inputs
        .into_iter()
        .map(|input| ((input.uri.clone(), input.digest), input))
        .collect();
    by_key.into_values().collect()
}

pub(super) fn planned(plan: &Plan) -> Vec<PlannedStep> {
    let mut in_image = BTreeSet::from([plan.target]);
    let mut stage = plan.target;
    while let StageBase::Stage(base) = plan.stages[stage].base {
        in_image.insert(base);
        stage = base;
    }
    plan.steps
        .iter()
        .map(|step| PlannedStep {
            stage: plan.stages[step.stage].name.clone(),
            instruction: step.history.clone(),
            line: step.line,
            filesystem: step.work.is_filesystem(),
            in_image: in_image.contains(&step.stage),
            secrets: step.work.secrets(),
            agents: step.work.agents(),
        })
        .collect()
}

pub(super) fn of(runs: &[RunRecord], id: RunId) -> Option<&RunRecord> {
    runs.iter().find(|run| run.id == id)
}

pub(super) fn reason(asked: Runs, runs: &[RunRecord]) -> Reason {
    let Some(a) = of(runs, RunId::A) else {
        return Reason::Internal;
    };
    if a.failure.is_some() {
        return Reason::StepFailed;
    }
    if asked == Runs::One {
        return Reason::NotCompared;
    }
    match (of(runs, RunId::B), of(runs, RunId::BRepeat)) {
        (Some(b), _) if b.failure.is_none() => {
            let control = of(runs, RunId::Control);
            if b.image != a.image {
                Reason::Differs
            } else if control.is_some_and(|control| control.image != a.image) {
                Reason::DiffersByChance
            } else if b.variation == a.variation {
                Reason::NotVaried
            } else {
                Reason::Reproduced
            }
        }
        (Some(_), Some(repeat)) if repeat.failure.is_none() => Reason::FailsUnderVariation,
        (Some(_), Some(_)) => Reason::StepFailed,
        (Some(_) | None, _) => Reason::Internal,
    }
}

/// Layers that an image can have without a word. Docker's storage driver takes 125 at most, and an
/// image of just as many could not be built upon.
pub(super) const MAX_LAYERS: usize = 120;

/// An image that Docker will not load, or will not let anyone add to. It builds: other engines take
/// more.
pub(super) fn many_layers(runs: &[RunRecord]) -> Option<Finding> {
    let image = of(runs, RunId::A)?.image.as_ref()?;
    let layers = image.diff_ids.len();
    (layers > MAX_LAYERS).then(|| Finding {
        code: "layers-exceed-docker".into(),
        message: format!(
            "the image has {layers} layers; Docker takes 125, those of images built on this one \
             included: join RUN instructions, or copy the result into a new stage"
        ),
        line: None,
    })
}

/// Users of a step that are one to the kernel: a program that counts on being denied something may
/// have got it.
pub(super) fn one_id(runs: &[RunRecord]) -> Option<Finding> {
    let ids = runs.iter().find(|run| run.user_ids == UserIds::One);
    ids.map(|_| Finding {
        code: "users-not-kept-apart".into(),
        message:
            "the user who built has one id, which stood for all users of the steps: owners were \
                  written down, and a file of one user could be read by another"
                .into(),
        line: None,
    })
}

/// Where an axis got in a program's way, or was not varied after all.
pub(super) fn hindrances(plan: &Plan, runs: &[RunRecord]) -> Vec<Finding> {
    let mut found = BTreeMap::new();
    for step in runs.iter().flat_map(|run| &run.steps) {
        let line = plan.steps.get(step.index as usize).map(|step| step.line);
        let programs: Vec<&str> = step
            .hindrances
            .tracing_denied
            .keys()
            .map(String::as_str)
            .collect();
        if !programs.is_empty() {
            let message = format!(
                "{} asked for ptrace(), which run b needs itself to shift the clock, and was denied: \
                 for a step that cannot do without, build with --vary all,-clock",
                programs.join(", ")
            );
            found.insert((step.index, "tracing-denied"), (message, line));
        }
        if step.hindrances.unsorted_directories > 0 {
            let message =
                "a directory with more than a million names was listed in the order of the \
                           file system, not in that of the run"
                    .to_owned();
            found.insert((step.index, "directory-order-kept"), (message, line));
        }
    }
    found
        .into_iter()
        .map(|((_, code), (message, line))| Finding {
            code: code.into(),
            message,
            line,
        })
        .collect()
}

/// A stage that is copied from may differ in files that never reach the image: the verdict is on
/// the image, and the user learns of the rest.
pub(super) fn intermediate_differences(plan: &Plan, runs: &[RunRecord]) -> Vec<Finding> {
    let (Some(a), Some(b)) = (of(runs, RunId::A), of(runs, RunId::B)) else {
        return Vec::new();
    };
    if a.image != b.image || a.image.is_none() {
        return Vec::new();
    }
    a.steps
        .iter()
        .zip(&b.steps)
        .filter(|(a, b)| a.diff_id != b.diff_id)
        .map(|(a, _)| Finding {
            code: "intermediate-differs".into(),
            message: "the layers of this step differ, but nothing of it reaches the image".into(),
            line: plan.steps.get(a.index as usize).map(|step| step.line),
        })
        .collect()
}

pub(super) fn cost(runs: &[RunRecord]) -> Cost {
    runs.iter()
        .flat_map(|run| &run.steps)
        .fold(Cost::default(), |cost, step| Cost {
            cpu_ms: cost.cpu_ms + step.usage.cpu_ms,
            peak_rss_bytes: cost.peak_rss_bytes.max(step.usage.peak_rss_bytes),
            layer_bytes: cost.layer_bytes + step.blob_size.unwrap_or(0),
        })
}
