//! From provenance to what has to be built.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{EpochChoice, EpochSource, InputRecord, RunSettings},
    digest::{DiffId, Digest},
    epoch::Epoch,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
};
use serde::Serialize;

use crate::{
    predicate::provenance::{ExternalParameters, Provenance, dependency},
    predicate::reproducibility::LineageBy,
    statement::ResourceDescriptor,
    verify::{Signed, VerifiedPack},
};

/// Why provenance says nothing that can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The build that the pack is about made no image.
    #[error(
        "the pack has no image: the build that it is about failed, so there is nothing to compare with"
    )]
    NoImage,
    /// Rules that this version does not have.
    #[error("the image was made by ruleset {number}, which this version of repro does not have")]
    Ruleset {
        /// Its number.
        number: u32,
        /// The version of `repro` that built, if it says so.
        version: Option<String>,
    },
    /// A value that cannot be one, or that another one contradicts.
    #[error("{name} of the provenance is {value:?}, which {reason}")]
    Value {
        /// The parameter or dependency.
        name: String,
        /// What it is.
        value: String,
        /// Why that cannot be.
        reason: &'static str,
    },
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderedContext {
    /// Files, by their canonical tar.
    Files(DiffId),
    /// An image by its name; which one, the pins say.
    Image(ImageRef),
    /// An image by its manifest alone.
    Manifest(Digest),
}

/// Everything that decided the image, by the word of the one who built it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Digest of the bundle with the provenance.
    pub provenance: Digest,
    /// The manifest that should come out.
    pub image: Digest,
    /// Who built.
    pub builder: String,
    /// What was said of the data.
    pub lineage: BTreeMap<String, String>,
    /// Who said it; nobody where nothing is said.
    pub lineage_by: Option<LineageBy>,
    /// The version of `repro` that built, if it says so.
    pub version: Option<String>,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
    /// What the Dockerfile is called.
    pub dockerfile_name: String,
    /// Digest of the Dockerfile.
    pub dockerfile: Digest,
    /// The context, where a step copies from it.
    pub context: Option<DiffId>,
    /// `--build-context`, by name.
    pub contexts: BTreeMap<String, OrderedContext>,
    /// Manifests of images, by name and platform.
    pub pins: BTreeMap<(ImageRef, Platform), Digest>,
    /// Platform of the image.
    pub platform: Platform,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--annotation` of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// `--add-host`, `--shm-size` and `--ulimit`.
    pub settings: RunSettings,
    /// Names of the secrets that steps were given.
    pub secrets: BTreeSet<String>,
    /// Names of the ssh agents that steps could talk to.
    pub agents: BTreeSet<String>,
    /// The epoch, and where it came from.
    pub epoch: EpochChoice,
    /// Everything that came from outside, but for what steps asked servers for.
    inputs: BTreeSet<Input>,
}

/// An input, as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Input {
    kind: String,
    name: String,
    uri: String,
    digest: Option<Digest>,
}

impl Input {
    fn of(resource: &ResourceDescriptor) -> Self {
        let kind = resource.annotations.get("repro_kind");
        Self {
            kind: kind
                .and_then(|kind| kind.as_str())
                .unwrap_or_default()
                .to_owned(),
            name: resource.name.clone(),
            uri: resource.uri.clone(),
            digest: resource.sha256(),
        }
    }

    /// What is known before the first step, and is the same for whoever builds again.
    fn is_given(&self) -> bool {
        !["fetch", "judged"].contains(&self.kind.as_str())
    }

    fn title(&self) -> String {
        match (self.name.as_str(), self.uri.as_str()) {
            ("", uri) => format!("{} {uri}", self.kind),
            (name, _) if name == self.kind => name.to_owned(),
            (name, _) => format!("{} {name}", self.kind),
        }
    }
}

/// An input that is not the one that was attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherInput {
    /// Its kind and name.
    pub input: String,
    /// What it was; absent if it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested: Option<Digest>,
    /// What is there; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Digest>,
}

impl Order {
    /// What the provenance of run A says.
    pub fn of(pack: &VerifiedPack) -> Result<Self, OrderError> {
        let (Some(signed), Some(image)) = (&pack.provenance, pack.image()) else {
            return Err(OrderError::NoImage);
        };
        let mut order = Self::of_provenance(signed, image)?;
        // Of a build that was one again itself, what the first builder said goes on, as his word.
        if let (true, Some(judged)) = (order.lineage.is_empty(), &pack.verdict.predicate.rebuild_of)
        {
            order.lineage.clone_from(&judged.lineage);
            order.lineage_by.clone_from(&judged.lineage_by);
        }
        Ok(order)
    }

    fn of_provenance(signed: &Signed<Provenance>, image: Digest) -> Result<Self, OrderError> {
        let definition = &signed.predicate.build_definition;
        let internal = &definition.internal_parameters;
        let external = &definition.external_parameters;
        let builder = &signed.predicate.run_details.builder;
        let version = builder.version.get("repro").cloned();
        let number = internal.ruleset;
        let ruleset = Ruleset::try_from(number).map_err(|_| OrderError::Ruleset {
            number,
            version: version.clone(),
        })?;
        let all = &definition.resolved_dependencies;
        let named = |name: &str| all.iter().find(|dependency| dependency.name == name);
        let digest = |name: &str| named(name).and_then(ResourceDescriptor::sha256);
        let dockerfile = digest("dockerfile").ok_or_else(|| OrderError::Value {
            name: "the dependency dockerfile".into(),
            value: String::new(),
            reason: "is no digest",
        })?;
        let contexts = contexts(external, &digest)?;
        let lineage = signed.predicate.run_details.metadata.lineage.clone();
        Ok(Self {
            provenance: signed.bundle,
            image,
            builder: builder.id.clone(),
            lineage_by: (!lineage.is_empty()).then(|| LineageBy {
                builder: builder.id.clone(),
                key_id: signed.key.to_string(),
            }),
            lineage,
            version,
            ruleset,
            dockerfile_name: external.dockerfile.clone(),
            dockerfile,
            context: digest("context").map(DiffId),
            pins: pins(all, external, &contexts),
            contexts,
            platform: external.platform.clone(),
            target: external.target.clone(),
            build_args: external.build_args.clone(),
            labels: external.labels.clone(),
            annotations: external.annotations.clone(),
            settings: settings(external)?,
            secrets: external.secrets.clone(),
            agents: external.ssh.clone(),
            epoch: epoch(internal.epoch_source, external.source_date_epoch.as_deref())?,
            inputs: all.iter().map(Input::of).filter(Input::is_given).collect(),
        })
    }

    /// Which of the inputs that a build is about to use are others than those that were attested.
    #[must_use]
    pub fn other_inputs(&self, found: &[InputRecord]) -> Vec<OtherInput> {
        let found: BTreeSet<Input> = found
            .iter()
            .map(|input| Input::of(&dependency(input)))
            .filter(Input::is_given)
            .collect();
        let mut rows: BTreeMap<String, OtherInput> = BTreeMap::new();
        let mut row = |input: &Input, set: fn(&mut OtherInput, Option<Digest>)| {
            let title = input.title();
            let row = rows.entry(title.clone()).or_insert(OtherInput {
                input: title,
                attested: None,
                found: None,
            });
            set(row, input.digest);
        };
        for input in self.inputs.difference(&found) {
            row(input, |row, digest| row.attested = digest);
        }
        for input in found.difference(&self.inputs) {
            row(input, |row, digest| row.found = digest);
        }
        rows.into_values().collect()
    }
}

fn contexts(
    external: &ExternalParameters,
    digest: &dyn Fn(&str) -> Option<Digest>,
) -> Result<BTreeMap<String, OrderedContext>, OrderError> {
    let mut contexts = BTreeMap::new();
    for (name, value) in &external.build_contexts {
        let wrong = |reason| OrderError::Value {
            name: format!("buildContexts.{name}"),
            value: value.clone(),
            reason,
        };
        let context = if value == "directory" {
            // One that no step uses is not among the dependencies, and was not taken.
            match digest(&format!("context:{name}")) {
                Some(tar) => OrderedContext::Files(DiffId(tar)),
                None => continue,
            }
        } else if let Some(image) = value.strip_prefix("docker-image://") {
            let image = image.parse();
            OrderedContext::Image(image.map_err(|_| wrong("is no image reference"))?)
        } else if let Some(manifest) = value.strip_prefix("oci-layout://@") {
            let manifest = manifest.parse();
            OrderedContext::Manifest(manifest.map_err(|_| wrong("is no digest"))?)
        } else {
            return Err(wrong("is no kind of context"));
        };
        contexts.insert(name.clone(), context);
    }
    Ok(contexts)
}

/// What names of images meant. A name that is none, such as that of a context that is an image by its
/// digest, needs no pin.
fn pins(
    all: &[ResourceDescriptor],
    external: &ExternalParameters,
    contexts: &BTreeMap<String, OrderedContext>,
) -> BTreeMap<(ImageRef, Platform), Digest> {
    let mut pins = BTreeMap::new();
    for dependency in all {
        let kind = dependency.annotations.get("repro_kind");
        let (Some("image"), Some(manifest)) =
            (kind.and_then(|kind| kind.as_str()), dependency.sha256())
        else {
            continue;
        };
        let reference = match contexts.get(&dependency.name) {
            Some(OrderedContext::Image(reference)) => Some(reference.clone()),
            Some(_) => None,
            None => dependency.name.parse().ok(),
        };
        let platform = dependency
            .uri
            .split_once("?platform=")
            .and_then(|(_, platform)| platform.replace("%2F", "/").parse().ok())
            .unwrap_or_else(|| external.platform.clone());
        if let Some(reference) = reference {
            pins.insert((reference, platform), manifest);
        }
    }
    pins
}

fn settings(external: &ExternalParameters) -> Result<RunSettings, OrderError> {
    let shm_bytes = external.shm_size.as_ref().map(|text| {
        text.parse().map_err(|_| OrderError::Value {
            name: "shmSize".into(),
            value: text.clone(),
            reason: "is no number of bytes",
        })
    });
    Ok(RunSettings {
        hosts: external.add_hosts.clone(),
        shm_bytes: shm_bytes.transpose()?,
        limits: external.ulimits.clone(),
    })
}

/// The epoch as it was chosen. One that followed from the inputs follows from them again.
fn epoch(source: EpochSource, chosen: Option<&str>) -> Result<EpochChoice, OrderError> {
    let wrong = |reason| OrderError::Value {
        name: "sourceDateEpoch".into(),
        value: chosen.unwrap_or_default().to_owned(),
        reason,
    };
    let value = chosen
        .map(|text| {
            let seconds = text.parse().ok();
            seconds
                .and_then(|seconds| Epoch::new(seconds).ok())
                .ok_or_else(|| wrong("is no number of seconds since 1970 that an image can have"))
        })
        .transpose()?;
    let make = match source {
        EpochSource::Flag => EpochChoice::Flag,
        EpochSource::BuildArg => EpochChoice::BuildArg,
        EpochSource::Environment => EpochChoice::Environment,
        EpochSource::Config => EpochChoice::Config,
        EpochSource::Git => EpochChoice::Git,
        EpochSource::Dockerfile | EpochSource::Base | EpochSource::Minimum => {
            return match value {
                None => Ok(EpochChoice::Base),
                Some(_) => Err(wrong("was not chosen by anybody, says epochSource")),
            };
        }
    };
    let value =
        value.ok_or_else(|| wrong("is missing, and epochSource says that it was chosen"))?;
    Ok(make(value))
}
