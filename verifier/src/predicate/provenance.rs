//! SLSA provenance v1 of one run. `docs/provenance.md` describes the build type.

mod of_run;

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{EpochSource, HostEntry, LimitRange, ProcessLimit, RunId, Variation},
    digest::{DiffId, Digest},
    platform::Platform,
};
use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::statement::ResourceDescriptor;

pub use of_run::{BuilderId, BuilderIdError, BuilderInfo, ProvenanceError, keyword};
pub(crate) use of_run::{dependency, mode};

/// The predicate. Its fields are SLSA's; those with an underscore in the name are ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was asked for and what it was made from.
    pub build_definition: BuildDefinition,
    /// Who made it, and what was seen.
    pub run_details: RunDetails,
}

impl Predicate for Provenance {
    const TYPE: &'static str = "https://slsa.dev/provenance/v1";
}

/// What was asked for and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// [`crate::uris::DOCKERFILE_BUILD`].
    pub build_type: String,
    /// What the user asked for.
    pub external_parameters: ExternalParameters,
    /// What `repro` chose.
    pub internal_parameters: InternalParameters,
    /// Everything that came from outside, sorted by name, then URI.
    pub resolved_dependencies: Vec<ResourceDescriptor>,
}

/// What the user asked for: all that decides the result besides the resolved dependencies. A
/// field that this version does not know is an error: it may change the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalParameters {
    /// Name of the Dockerfile; its bytes are the dependency `dockerfile`.
    pub dockerfile: String,
    /// Platform of the image.
    pub platform: Platform,
    /// `--target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `--build-context`, by name: `directory`, whose files are the dependency `context:NAME`, or an
    /// image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub build_contexts: BTreeMap<String, String>,
    /// `--build-arg`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `--annotation` of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `--add-host`, each `NAME:ADDRESS`, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_hosts: Vec<HostEntry>,
    /// `--shm-size`: bytes in decimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// `--ulimit`: `SOFT:HARD` by name, -1 for none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<ProcessLimit, LimitRange>,
    /// Names of `--secret`. What the secrets are is nobody's to know; a rebuild is given them again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
    /// Names of `--ssh`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ssh: BTreeSet<String>,
    /// The epoch, where the user chose one; seconds since 1970 in decimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<String>,
}

/// What `repro` chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalParameters {
    /// Number of the rules that decided the bytes: one that this version does not know is no less true.
    pub ruleset: u32,
    /// The epoch in force; seconds since 1970 in decimal digits.
    pub effective_epoch: String,
    /// Where it came from.
    pub epoch_source: EpochSource,
    /// Which run.
    pub run: RunId,
    /// Name of the executor.
    pub executor: String,
    /// What differed from the other run.
    pub variation: Variation,
}

/// Who made it, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails {
    /// Who.
    pub builder: Builder,
    /// What was seen.
    pub metadata: Metadata,
    /// What else came out: the logs of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<ResourceDescriptor>,
}

/// The build platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Builder {
    /// URI of the platform and its mode of operation; never empty.
    pub id: String,
    /// Versions of its parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
    /// What it was made of and stood on, and no step saw: program, kernel, sandbox policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builder_dependencies: Vec<ResourceDescriptor>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Unique name of the run.
    pub invocation_id: String,
    /// RFC 3339, UTC.
    pub started_on: String,
    /// RFC 3339, UTC.
    pub finished_on: String,
    /// `true`: every RUN step ran without a way out, and every attempt was counted. Absent where
    /// that was not measured, and where a step could talk to an agent of the user; never `false`, so that leaving it out makes nothing better.
    #[serde(
        rename = "repro_hermetic",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub hermetic: Option<bool>,
    /// What the user says of the data that the build is made from and for. Absent where nothing is
    /// said; nothing of it was measured.
    #[serde(
        rename = "repro_lineage",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub lineage: BTreeMap<String, String>,
    /// How often something was replaced in this statement and in the logs, by the kind of what it
    /// was: a parameter with such a place in it is not the one that was given.
    #[serde(
        rename = "repro_redacted",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub redacted: BTreeMap<String, u64>,
    /// Every step that ended, in order of the plan.
    #[serde(rename = "repro_steps", default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepEvidence>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepEvidence {
    /// Index in the plan.
    pub index: u32,
    /// Name or number of the stage.
    pub stage: String,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// The instruction, expanded.
    pub instruction: String,
    /// Whether the layer is one of the image, not of a stage that it was made with.
    pub in_image: bool,
    /// The layer, where the step made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<DiffId>,
    /// Its blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Digest>,
    /// Names of the secrets that the step was given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
    /// Names of the ssh agents that the step could talk to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ssh: BTreeSet<String>,
    /// For RUN: what it could reach and tried to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkEvidence>,
}

/// What a RUN step could reach and tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkEvidence {
    /// What it could reach.
    pub mode: NetworkMode,
    /// Attempts to reach further, all refused.
    pub attempts: u64,
}

/// What a step can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// Its own loopback and nothing else.
    None,
    /// Answers that the lock has, at one port of its own loopback.
    Replay,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::{Value, json};

    fn provenance() -> (Provenance, Vec<crate::statement::Subject>) {
        let record = testing::record();
        Provenance::of_run(&record, &record.runs[0], &testing::builder()).unwrap()
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        let (provenance, subjects) = provenance();
        let statement = provenance.statement(subjects).unwrap();
        assert_eq!(Provenance::of(&statement).unwrap(), provenance);
        assert_eq!(statement.predicate_type, "https://slsa.dev/provenance/v1");
    }

    #[test]
    fn external_parameters_are_the_users_alone_and_closed() {
        let (provenance, _) = provenance();
        let value = serde_json::to_value(&provenance.build_definition.external_parameters).unwrap();
        assert_eq!(
            value,
            json!({
                "dockerfile": "Dockerfile",
                "platform": "linux/amd64",
                "buildArgs": {"LEVEL": "2"},
                "sourceDateEpoch": "1700000000"
            })
        );
        let mut more = value;
        more["cacheFrom"] = "x".into();
        assert!(serde_json::from_value::<ExternalParameters>(more).is_err());
    }

    #[test]
    fn an_epoch_that_nobody_chose_is_not_external() {
        let mut record = testing::record();
        record.epoch.source = EpochSource::Minimum;
        let (provenance, _) =
            Provenance::of_run(&record, &record.runs[0], &testing::builder()).unwrap();
        let definition = provenance.build_definition;
        assert_eq!(definition.external_parameters.source_date_epoch, None);
        assert_eq!(definition.internal_parameters.effective_epoch, "1700000000");
    }

    #[test]
    fn dependencies_are_sorted_and_pinned() {
        let (provenance, _) = provenance();
        let dependencies = &provenance.build_definition.resolved_dependencies;
        let names: Vec<&str> = dependencies.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["busybox", "context", "dockerfile"]);
        assert!(dependencies.iter().all(|d| d.sha256().is_some()));
        assert_eq!(dependencies[1].uri, "", "a local name is no URI");
    }

    #[test]
    fn hermetic_is_said_only_where_every_run_step_was_measured() {
        let metadata = |record: &repro_core::build::BuildRecord| {
            let (provenance, _) =
                Provenance::of_run(record, &record.runs[0], &testing::builder()).unwrap();
            serde_json::to_value(provenance.run_details.metadata).unwrap()
        };
        let mut record = testing::record();
        let whole = metadata(&record);
        assert_eq!(whole["repro_hermetic"], true);
        assert_eq!(
            whole["repro_steps"][1]["network"],
            json!({"mode": "none", "attempts": 3})
        );
        assert_eq!(
            whole["repro_steps"][0].get("network"),
            None,
            "COPY runs no program"
        );
        record.runs[0].steps.pop();
        assert_eq!(metadata(&record).get("repro_hermetic"), None::<&Value>);
    }

    #[test]
    fn settings_of_steps_and_annotations_are_the_users() {
        let mut record = testing::record();
        record.settings.hosts = vec!["db:10.0.0.1".parse().unwrap()];
        record.settings.shm_bytes = Some(1 << 20);
        let setting: repro_core::build::LimitSetting = "nofile=64:-1".parse().unwrap();
        record.settings.limits.insert(setting.limit, setting.range);
        record.annotations.manifest = [("a".to_owned(), "b".to_owned())].into();
        // Beside the image, and no part of it.
        record.annotations.descriptor = [("c".to_owned(), "d".to_owned())].into();
        let (provenance, _) =
            Provenance::of_run(&record, &record.runs[0], &testing::builder()).unwrap();
        let external = provenance.build_definition.external_parameters;
        let value = serde_json::to_value(&external).unwrap();
        assert_eq!(value["addHosts"], json!(["db:10.0.0.1"]));
        assert_eq!(value["shmSize"], "1048576");
        assert_eq!(value["ulimits"], json!({"nofile": "64:-1"}));
        assert_eq!(value["annotations"], json!({"a": "b"}));
        assert_eq!(
            serde_json::from_value::<ExternalParameters>(value).unwrap(),
            external
        );
    }

    #[test]
    fn secrets_are_named_and_an_agent_is_a_way_out() {
        let mut record = testing::record();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        record.secrets = names(&["token", "unused"]);
        record.agents = names(&["default"]);
        record.plan[1].secrets = names(&["token"]);
        let value = |record: &repro_core::build::BuildRecord| {
            let (provenance, _) =
                Provenance::of_run(record, &record.runs[0], &testing::builder()).unwrap();
            serde_json::to_value(provenance).unwrap()
        };
        let lent = value(&record);
        let external = &lent["buildDefinition"]["externalParameters"];
        assert_eq!(external["secrets"], json!(["token", "unused"]));
        assert_eq!(external["ssh"], json!(["default"]));
        let metadata = &lent["runDetails"]["metadata"];
        assert_eq!(metadata["repro_steps"][1]["secrets"], json!(["token"]));
        assert_eq!(metadata["repro_hermetic"], true);
        record.plan[1].agents = names(&["default"]);
        let metadata = value(&record)["runDetails"]["metadata"].clone();
        assert_eq!(metadata["repro_steps"][1]["ssh"], json!(["default"]));
        assert_eq!(metadata.get("repro_hermetic"), None::<&Value>);
    }

    #[test]
    fn each_mode_of_operation_has_an_id_of_its_own() {
        let mut record = testing::record();
        let id = |record: &repro_core::build::BuildRecord| {
            let run = &record.runs[0];
            let (provenance, _) = Provenance::of_run(record, run, &testing::builder()).unwrap();
            provenance.run_details.builder.id
        };
        assert_eq!(id(&record), crate::uris::BUILDER_LOCAL);
        record.runs[0].user_ids = repro_core::build::UserIds::One;
        assert_eq!(id(&record), crate::uris::BUILDER_LOCAL_ONE_ID);
    }

    #[test]
    fn an_executor_without_a_builder_id_is_refused() {
        let mut record = testing::record();
        record.runs[0].executor = "other".into();
        assert_eq!(
            Provenance::of_run(&record, &record.runs[0], &testing::builder()),
            Err(ProvenanceError::Executor("other".into()))
        );
        for (engine, expected) in [
            ("docker", crate::uris::BUILDER_DOCKER),
            ("podman", crate::uris::BUILDER_PODMAN),
        ] {
            record.runs[0].executor = engine.into();
            let (made, _) =
                Provenance::of_run(&record, &record.runs[0], &testing::builder()).unwrap();
            assert_eq!(made.run_details.builder.id, expected);
        }
    }
}
