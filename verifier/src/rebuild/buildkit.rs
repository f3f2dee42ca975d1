//! Provenance that BuildKit writes (SLSA v1, `mode=max`), read as far as an image can be built by it.
//!
//! It is signed by nobody, so nothing follows from it but what building it again shows. What it does not
//! say, and what was not hermetic, is said line by line.

mod document;
mod reference;

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{HostEntry, LimitSetting, RunSettings},
    digest::{Digest, DigestError},
    epoch::Epoch,
    platform::Platform,
    reference::ImageRef,
};
use serde::Serialize;

use crate::strict_json::{self, JsonError};
use document::{Definition, Request, RunDetails, Statement, Step};

/// The build type of BuildKit in SLSA v1.
pub const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
/// Predicate type of what is read here.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Largest document; BuildKit has the same bound.
pub const DOCUMENT_MAX: usize = 40 << 20;
/// Steps that are named one by one.
const STEPS_SHOWN: usize = 8;

/// Why a document is not provenance of an image by BuildKit.
#[derive(Debug, thiserror::Error)]
pub enum BuildkitError {
    /// Not strict JSON.
    #[error("the provenance is not strict JSON")]
    Json(#[from] JsonError),
    /// Not the fields that BuildKit writes.
    #[error("the provenance does not have the fields that BuildKit writes")]
    Shape(#[source] serde_json::Error),
    /// Another predicate.
    #[error("the predicate type is {0:?}, and {PREDICATE:?} is read")]
    Predicate(String),
    /// Another builder.
    #[error("the build type is {0:?}, which is not BuildKit's")]
    BuildType(String),
    /// It is about another image.
    #[error("the provenance is of {found}, and the image is {image}")]
    Subject {
        /// The image.
        image: Digest,
        /// What it is about.
        found: String,
    },
    /// A digest that is none.
    #[error("the digest of {name} is malformed")]
    Digest {
        /// Of what.
        name: String,
        /// Why.
        #[source]
        source: DigestError,
    },
}

/// Where the context came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A directory of whoever built: nothing says what was in it.
    Local,
    /// A commit.
    Git {
        /// Its repository.
        url: String,
        /// The commit.
        commit: String,
        /// The directory in it.
        subdir: Option<String>,
    },
    /// An archive.
    Archive {
        /// Where it was.
        url: String,
        /// SHA-256 of its bytes.
        digest: Digest,
    },
}

/// What is known of one thing that decided the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in the provenance.
    Known,
    /// It is known by its digest and has to be had.
    Pinned,
    /// It has to be given: the provenance has neither it nor its digest.
    Wanted,
    /// What came of it is not known: a network, a secret.
    NotHermetic,
    /// It is not known what it does.
    NotMapped,
}

/// One thing that decided the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What it is.
    pub item: String,
    /// What is known of it.
    pub fate: Fate,
    /// More about it.
    pub detail: String,
}

/// Everything that BuildKit says decided the image.
#[derive(Debug, Clone)]
pub struct BuildkitOrder {
    /// Digest of the document.
    pub provenance: Digest,
    /// The manifest that it is about.
    pub image: Digest,
    /// Who built; often nobody is named.
    pub builder: String,
    /// Name of the Dockerfile.
    pub dockerfile_name: String,
    /// Its text, with `mode=max`.
    pub dockerfile: Option<Vec<u8>>,
    /// Where the files came from.
    pub context: Context,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--add-host`, `--shm-size` and `--ulimit`.
    pub settings: RunSettings,
    /// Manifests, or lists, of images by name and platform.
    pub pins: BTreeMap<(ImageRef, Platform), Digest>,
    /// The epoch, where one was given.
    pub epoch: Option<Epoch>,
    /// Secrets that steps may have had.
    pub secrets: BTreeSet<String>,
    /// Agents that steps may have talked to.
    pub agents: BTreeSet<String>,
    /// Line by line.
    pub rows: Vec<Row>,
}

impl BuildkitOrder {
    /// Reads the statement `bytes` on the image with the manifest `image` for `platform`.
    pub fn parse(bytes: &[u8], image: Digest, platform: &Platform) -> Result<Self, BuildkitError> {
        let value = strict_json::parse(bytes, DOCUMENT_MAX)?;
        let statement: Statement = serde_json::from_value(value).map_err(BuildkitError::Shape)?;
        if statement.predicate_type != PREDICATE {
            return Err(BuildkitError::Predicate(statement.predicate_type));
        }
        let predicate: document::Predicate =
            serde_json::from_value(statement.predicate).map_err(BuildkitError::Shape)?;
        let definition = predicate.build_definition;
        if definition.build_type != BUILD_TYPE {
            return Err(BuildkitError::BuildType(definition.build_type));
        }
        let hex = image.hex();
        let subjects = statement.subject;
        if !subjects
            .iter()
            .any(|subject| subject.digest.get("sha256") == Some(&hex))
        {
            let found: Vec<String> = subjects
                .iter()
                .filter_map(|subject| subject.digest.get("sha256"))
                .map(|hex| format!("sha256:{hex}"))
                .collect();
            let found = found.join(", ");
            return Err(BuildkitError::Subject { image, found });
        }
        Reading::new(Digest::of(bytes), image).read(definition, predicate.run_details, platform)
    }
}

/// An order in the making.
struct Reading {
    order: BuildkitOrder,
}

impl Reading {
    fn new(provenance: Digest, image: Digest) -> Self {
        Self {
            order: BuildkitOrder {
                provenance,
                image,
                builder: String::new(),
                dockerfile_name: "Dockerfile".to_owned(),
                dockerfile: None,
                context: Context::Local,
                target: None,
                build_args: BTreeMap::new(),
                labels: BTreeMap::new(),
                settings: RunSettings::default(),
                pins: BTreeMap::new(),
                epoch: None,
                secrets: BTreeSet::new(),
                agents: BTreeSet::new(),
                rows: Vec::new(),
            },
        }
    }

    fn row(&mut self, item: impl Into<String>, fate: Fate, detail: impl Into<String>) {
        self.order.rows.push(Row {
            item: item.into(),
            fate,
            detail: detail.into(),
        });
    }

    fn read(
        mut self,
        definition: Definition,
        run: RunDetails,
        platform: &Platform,
    ) -> Result<BuildkitOrder, BuildkitError> {
        self.order.builder = run.builder.id;
        let external = definition.external_parameters;
        self.context(&external.config_source)?;
        if !external.config_source.path.is_empty() {
            self.order
                .dockerfile_name
                .clone_from(&external.config_source.path);
        }
        let source = run.metadata.buildkit_metadata.source;
        let infos = source.map(|source| source.infos).unwrap_or_default();
        self.order.dockerfile = infos
            .into_iter()
            .find(|info| info.filename == self.order.dockerfile_name)
            .and_then(|info| document::decode(&info.data));
        match self.order.dockerfile {
            Some(_) => self.row("Dockerfile", Fate::Known, "its text is in the provenance"),
            None => self.row("Dockerfile", Fate::Pinned, "it is in the context"),
        }
        self.request(external.request);
        for name in external.rest.keys() {
            self.row(
                format!("externalParameters.{name}"),
                Fate::NotMapped,
                "this version does not know it",
            );
        }
        self.dependencies(&definition.resolved_dependencies, platform)?;
        match definition.internal_parameters.build_config {
            Some(config) => self.steps(&config.llb_definition),
            None => self.row(
                "steps",
                Fate::NotMapped,
                "mode=min leaves out arguments and steps: --attest type=provenance,mode=max",
            ),
        }
        Ok(self.order)
    }

    fn context(&mut self, source: &document::ConfigSource) -> Result<(), BuildkitError> {
        if source.uri.is_empty() {
            self.row(
                "context",
                Fate::Wanted,
                "a directory of whoever built, of which BuildKit notes no digest",
            );
            return Ok(());
        }
        let commit = source.digest.get("gitCommit").or(source.digest.get("sha1"));
        let sha256 = source.digest.get("sha256");
        let is_git = reference::is_git(&source.uri);
        let (context, detail) = match (commit, sha256) {
            (Some(commit), _) => (git(&source.uri, commit), format!("commit {commit}")),
            (None, Some(commit)) if is_git => {
                (git(&source.uri, commit), format!("commit {commit}"))
            }
            (None, Some(hex)) => {
                let digest = digest(&source.uri, hex)?;
                let url = source.uri.clone();
                (Context::Archive { url, digest }, digest.to_string())
            }
            (None, None) => {
                self.row(
                    "context",
                    Fate::Wanted,
                    format!("{} without a digest", source.uri),
                );
                return Ok(());
            }
        };
        self.row("context", Fate::Pinned, format!("{} {detail}", source.uri));
        self.order.context = context;
        Ok(())
    }

    fn request(&mut self, request: Request) {
        if !["", "dockerfile.v0", "gateway.v0"].contains(&request.frontend.as_str()) {
            let detail = "only Dockerfiles are built again";
            self.row(
                format!("frontend {}", request.frontend),
                Fate::NotMapped,
                detail,
            );
        }
        for (name, value) in request.args {
            self.argument(&name, value);
        }
        for secret in request.secrets {
            let detail = "what it holds is not known";
            self.row(format!("secret {}", secret.id), Fate::NotHermetic, detail);
            if !secret.optional {
                self.order.secrets.insert(secret.id);
            }
        }
        for agent in request.ssh {
            let detail = "what it did is not known";
            self.row(format!("ssh agent {}", agent.id), Fate::NotHermetic, detail);
            if !agent.optional {
                self.order.agents.insert(agent.id);
            }
        }
        for name in request.inputs.keys() {
            self.row(
                format!("input {name}"),
                Fate::NotMapped,
                "the result of another build",
            );
        }
        for name in request.rest.keys() {
            self.row(
                format!("request.{name}"),
                Fate::NotMapped,
                "this version does not know it",
            );
        }
    }

    fn argument(&mut self, name: &str, value: String) {
        if let Some(argument) = name.strip_prefix("build-arg:") {
            return self.build_argument(argument, value);
        }
        if let Some(label) = name.strip_prefix("label:") {
            self.row(name, Fate::Known, &value);
            self.order.labels.insert(label.to_owned(), value);
            return;
        }
        let known = match name {
            "target" => {
                self.order.target = Some(value.clone());
                true
            }
            "filename" => {
                self.order.dockerfile_name.clone_from(&value);
                true
            }
            // Which parser of Dockerfiles it was; there is one here.
            "source" | "cmdline" | "frontend.caps" => true,
            // What decides nothing, and what the provenance says elsewhere.
            "platform" | "no-cache" | "image-resolve-mode" | "context" | "contextkey"
            | "dockerfilekey" | "localsessionid" | "hostname" => true,
            "add-hosts" => self.hosts(&value),
            "shm-size" => {
                self.order.settings.shm_bytes = value.parse().ok();
                self.order.settings.shm_bytes.is_some()
            }
            "ulimit" => self.limits(&value),
            "force-network-mode" => {
                let fate = match value.as_str() {
                    "none" => Fate::Known,
                    _ => Fate::NotHermetic,
                };
                self.row(name, fate, value);
                return;
            }
            _ if name.starts_with("vcs:") || name.starts_with("attest:") => true,
            _ => false,
        };
        if known {
            self.row(name, Fate::Known, value);
        } else {
            let detail = format!("{value:?}: this version does not know what it does");
            self.row(name, Fate::NotMapped, detail);
        }
    }

    fn build_argument(&mut self, name: &str, value: String) {
        let item = format!("build-arg:{name}");
        match name {
            "SOURCE_DATE_EPOCH" => {
                let seconds = value.parse().ok();
                self.order.epoch = seconds.and_then(|seconds| Epoch::new(seconds).ok());
                if self.order.epoch.is_none() {
                    self.row(item, Fate::NotMapped, format!("{value:?} is no epoch"));
                    return;
                }
            }
            "BUILDKIT_CONTEXT_KEEP_GIT_DIR" if !["", "0", "false"].contains(&value.as_str()) => {
                let detail = "what git keeps beside the files is not the same twice";
                return self.row(item, Fate::NotMapped, detail);
            }
            // Caches, names and the like: they are BuildKit's own and decide nothing.
            _ if name.starts_with("BUILDKIT_") => {
                return self.row(item, Fate::Known, value);
            }
            _ => {}
        }
        self.row(item, Fate::Known, &value);
        self.order.build_args.insert(name.to_owned(), value);
    }

    fn hosts(&mut self, value: &str) -> bool {
        let hosts: Result<Vec<HostEntry>, _> = value.split(',').map(str::parse).collect();
        let parsed = hosts.is_ok();
        self.order.settings.hosts = hosts.unwrap_or_default();
        parsed
    }

    fn limits(&mut self, value: &str) -> bool {
        let limits: Result<Vec<LimitSetting>, _> = value.split(',').map(str::parse).collect();
        let parsed = limits.is_ok();
        let limits = limits.unwrap_or_default().into_iter();
        self.order
            .settings
            .limits
            .extend(limits.map(|setting| (setting.limit, setting.range)));
        parsed
    }

    fn dependencies(
        &mut self,
        all: &[document::Dependency],
        platform: &Platform,
    ) -> Result<(), BuildkitError> {
        for dependency in all {
            let uri = &dependency.uri;
            let sha256 = dependency.digest.get("sha256");
            let is_context = match &self.order.context {
                Context::Git { url, .. } => reference::same_repository(uri, url),
                Context::Archive { url, .. } => uri == url,
                Context::Local => false,
            };
            if is_context {
                continue;
            }
            match (reference::image(uri, platform), sha256) {
                (Some((name, platform)), Some(hex)) => {
                    let manifest = digest(uri, hex)?;
                    self.row(format!("image {name}"), Fate::Pinned, manifest.to_string());
                    self.order.pins.insert((name, platform), manifest);
                }
                (Some((name, _)), None) => {
                    self.row(format!("image {name}"), Fate::NotMapped, "has no sha256");
                }
                (None, _) => self.row(
                    uri.clone(),
                    Fate::NotMapped,
                    "fetched by ADD or the frontend; here only repro.lock gives what is fetched",
                ),
            }
        }
        Ok(())
    }

    /// Steps that could reach a network: what they took from there is in no list.
    fn steps(&mut self, steps: &[Step]) {
        let with_network: Vec<String> = steps
            .iter()
            .filter_map(Step::exec)
            .filter(|exec| exec.had_network())
            .map(document::Exec::command)
            .collect();
        let count = with_network.len();
        for command in with_network.into_iter().take(STEPS_SHOWN) {
            let detail = "it could reach a network, and has none when it is built again";
            self.row(format!("RUN {command}"), Fate::NotHermetic, detail);
        }
        if count > STEPS_SHOWN {
            let detail = "the same of these";
            let item = format!("{} more steps", count - STEPS_SHOWN);
            self.row(item, Fate::NotHermetic, detail);
        }
    }
}

fn git(uri: &str, commit: &str) -> Context {
    let (url, subdir) = reference::repository(uri);
    Context::Git {
        url,
        commit: commit.to_owned(),
        subdir,
    }
}

fn digest(name: &str, hex: &str) -> Result<Digest, BuildkitError> {
    Digest::from_hex(hex).map_err(|source| BuildkitError::Digest {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
