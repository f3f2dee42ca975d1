//! Provenance from the record of a build. What is not in the record was not measured and is
//! not said.

use std::{collections::BTreeMap, fmt, str::FromStr};

use repro_core::{
    build::{
        BuildRecord, EpochSource, InputKind, InputRecord, NetworkObservation, RunRecord,
        StepRecord, UserIds,
    },
    digest::Digest,
};
use serde_json::Map;

use super::{
    BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, NetworkEvidence,
    NetworkMode, Provenance, RunDetails, StepEvidence,
};
use crate::{
    pack::layout,
    purl,
    statement::{ResourceDescriptor, Subject},
    uris,
};

/// The URI of a builder, as its operator gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderId(String);

/// A text that is no URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no URI of a builder, such as https://acme.example/builders/ci")]
pub struct BuilderIdError(String);

impl FromStr for BuilderId {
    type Err = BuilderIdError;

    fn from_str(text: &str) -> Result<Self, BuilderIdError> {
        const MAX: usize = 2048;
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let in_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b);
        let good = text.len() <= MAX
            && scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(in_scheme)
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic());
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(BuilderIdError(text.to_owned()))
        }
    }
}

impl Default for BuilderId {
    /// This program on a machine of its user.
    fn default() -> Self {
        Self(uris::BUILDER_LOCAL.to_owned())
    }
}

impl fmt::Display for BuilderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The program that built, as its caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderInfo {
    /// Who operates it.
    pub id: BuilderId,
    /// Version of `repro`.
    pub version: String,
    /// SHA-256 of its executable.
    pub binary: Digest,
    /// What the kernel says of its release.
    pub kernel_release: String,
}

/// Why there is no provenance of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceError {
    /// An executor without a builder id. Each has its own: they differ in what they keep apart.
    #[error("no builder id is defined for the executor {0:?}")]
    Executor(String),
    /// The record refers to a step that is not in its plan.
    #[error("run {run} has a step {index}, which is not in the plan")]
    Step {
        /// The run.
        run: String,
        /// The step.
        index: u32,
    },
}

impl Provenance {
    /// The provenance of `run`, one of the runs of `record`, and the subjects it is of: none
    /// where the run made no image.
    pub fn of_run(
        record: &BuildRecord,
        run: &RunRecord,
        builder: &BuilderInfo,
    ) -> Result<(Self, Vec<Subject>), ProvenanceError> {
        let builder_id = builder_id(run, builder)?;
        let steps = run
            .steps
            .iter()
            .map(|step| step_evidence(record, run, step))
            .collect::<Result<Vec<_>, _>>()?;
        let provenance = Self {
            build_definition: definition(record, run),
            run_details: RunDetails {
                builder: Builder {
                    id: builder_id,
                    version: BTreeMap::from([("repro".to_owned(), builder.version.clone())]),
                    builder_dependencies: builder_dependencies(run, builder),
                },
                metadata: Metadata {
                    invocation_id: run.invocation_id.clone(),
                    started_on: run.started_on.clone(),
                    finished_on: run.finished_on.clone(),
                    hermetic: was_hermetic(record, run).then_some(true),
                    lineage: record.lineage.clone(),
                    redacted: record.redacted.clone(),
                    steps,
                },
                byproducts: logs(run),
            },
        };
        let name = record
            .tags
            .first()
            .map_or_else(|| "image".to_owned(), ToString::to_string);
        let subject = run.image.as_ref().map(|image| Subject {
            name,
            digest: image.manifest,
        });
        Ok((provenance, subject.into_iter().collect()))
    }
}

fn definition(record: &BuildRecord, run: &RunRecord) -> BuildDefinition {
    let epoch = record.epoch.value.seconds().to_string();
    let chosen = match record.epoch.source {
        EpochSource::Flag
        | EpochSource::BuildArg
        | EpochSource::Environment
        | EpochSource::Config
        | EpochSource::Git => Some(epoch.clone()),
        // What the inputs say is no choice of the user's.
        EpochSource::Dockerfile | EpochSource::Base | EpochSource::Minimum => None,
    };
    let mut resolved: Vec<ResourceDescriptor> = record.inputs.iter().map(dependency).collect();
    resolved.sort_by(|x, y| (&x.name, &x.uri, &x.digest).cmp(&(&y.name, &y.uri, &y.digest)));
    BuildDefinition {
        build_type: uris::DOCKERFILE_BUILD.into(),
        external_parameters: ExternalParameters {
            dockerfile: record.dockerfile.clone(),
            platform: record.platform.clone(),
            target: record.target.clone(),
            build_contexts: record.contexts.clone(),
            build_args: record.build_args.clone(),
            labels: record.labels.clone(),
            annotations: record.annotations.manifest.clone(),
            add_hosts: record.settings.hosts.clone(),
            shm_size: record.settings.shm_bytes.map(|bytes| bytes.to_string()),
            ulimits: record.settings.limits.clone(),
            secrets: record.secrets.clone(),
            ssh: record.agents.clone(),
            source_date_epoch: chosen,
        },
        internal_parameters: InternalParameters {
            ruleset: record.ruleset.into(),
            effective_epoch: epoch,
            epoch_source: record.epoch.source,
            run: run.id,
            executor: run.executor.clone(),
            variation: run.variation.clone(),
        },
        resolved_dependencies: resolved,
    }
}

pub(crate) fn dependency(input: &InputRecord) -> ResourceDescriptor {
    let kind = match input.kind {
        InputKind::Dockerfile => "dockerfile",
        InputKind::Context => "context",
        InputKind::Image => "image",
        InputKind::Toolchain => "toolchain",
        InputKind::Source => "source",
        InputKind::Package => "package",
        InputKind::Fetch => "fetch",
        InputKind::Judged => "judged",
    };
    let name = match (input.kind, &input.name) {
        // The two that every build has go by fixed names, whatever their files are called.
        (InputKind::Dockerfile, _) | (InputKind::Context, None) => kind.to_owned(),
        (InputKind::Context, Some(name)) => format!("{kind}:{name}"),
        _ => input.name.clone().unwrap_or_default(),
    };
    let mut annotations = Map::new();
    annotations.insert("repro_kind".into(), kind.into());
    annotations.insert("repro_locked".into(), input.locked.into());
    if let Some(step) = input.step {
        annotations.insert("repro_step".into(), step.into());
    }
    ResourceDescriptor {
        // A local name such as `context` is no URI.
        uri: if input.uri.contains(':') {
            input.uri.clone()
        } else {
            String::new()
        },
        annotations,
        ..ResourceDescriptor::named(name, input.digest)
    }
}

fn builder_dependencies(run: &RunRecord, builder: &BuilderInfo) -> Vec<ResourceDescriptor> {
    vec![
        ResourceDescriptor {
            name: "kernel".into(),
            // Its bytes cannot be measured from here; the release is its own word.
            uri: purl::kernel(&builder.kernel_release),
            ..ResourceDescriptor::default()
        },
        ResourceDescriptor::named("repro", builder.binary),
        ResourceDescriptor::named("sandbox-policy", run.policy),
    ]
}

fn step_evidence(
    record: &BuildRecord,
    run: &RunRecord,
    step: &StepRecord,
) -> Result<StepEvidence, ProvenanceError> {
    let planned = usize::try_from(step.index)
        .ok()
        .and_then(|index| record.plan.get(index))
        .ok_or_else(|| ProvenanceError::Step {
            run: run.id.to_string(),
            index: step.index,
        })?;
    let network = (keyword(&planned.instruction) == "RUN").then(|| NetworkEvidence {
        mode: mode(&step.network),
        attempts: step.network.attempts(),
    });
    Ok(StepEvidence {
        index: step.index,
        stage: planned.stage.clone(),
        line: planned.line,
        instruction: planned.instruction.clone(),
        in_image: planned.in_image,
        diff_id: step.diff_id,
        blob: step.blob,
        secrets: planned.secrets.clone(),
        ssh: planned.agents.clone(),
        network,
    })
}

/// The mode of operation of whoever built: each that keeps other things apart has an id of its own.
/// Who gives another id answers for what it means.
fn builder_id(run: &RunRecord, builder: &BuilderInfo) -> Result<String, ProvenanceError> {
    let own = match (run.executor.as_str(), run.user_ids) {
        ("native", UserIds::Range) => uris::BUILDER_LOCAL,
        ("native", UserIds::One) => uris::BUILDER_LOCAL_ONE_ID,
        ("docker", _) => uris::BUILDER_DOCKER,
        ("podman", _) => uris::BUILDER_PODMAN,
        (other, _) => return Err(ProvenanceError::Executor(other.to_owned())),
    };
    if builder.id == BuilderId::default() {
        return Ok(own.to_owned());
    }
    Ok(builder.id.to_string())
}

/// What a step could reach, by what was seen of it.
pub(crate) const fn mode(seen: &NetworkObservation) -> NetworkMode {
    match seen.replayed {
        None => NetworkMode::None,
        Some(_) => NetworkMode::Replay,
    }
}

/// Whether every RUN step ran to its end without a way out. An agent of the user is one.
fn was_hermetic(record: &BuildRecord, run: &RunRecord) -> bool {
    let alone = record.plan.iter().all(|planned| planned.agents.is_empty());
    alone && every_run_step_ended(record, run)
}

fn every_run_step_ended(record: &BuildRecord, run: &RunRecord) -> bool {
    (0..).zip(&record.plan).all(|(index, planned)| {
        keyword(&planned.instruction) != "RUN" || run.steps.iter().any(|step| step.index == index)
    })
}

/// The keyword of an instruction in a plan or provenance.
#[must_use]
pub fn keyword(instruction: &str) -> &str {
    instruction.split_ascii_whitespace().next().unwrap_or("")
}

/// The logs of a run as they lie in the pack.
fn logs(run: &RunRecord) -> Vec<ResourceDescriptor> {
    layout::logs(run)
        .into_iter()
        .map(|(path, digest)| {
            let mut log = ResourceDescriptor::named(path, digest);
            log.media_type = Some("text/plain".into());
            log
        })
        .collect()
}
