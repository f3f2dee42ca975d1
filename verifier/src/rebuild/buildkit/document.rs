//! The fields of BuildKit's provenance that say what was built.
//! <https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md>

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// `NetMode` of BuildKit's operations: no network.
const NET_NONE: u64 = 2;
/// Characters of a command that are shown.
const COMMAND_SHOWN: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statement {
    pub(super) predicate_type: String,
    #[serde(default)]
    pub(super) subject: Vec<Subject>,
    pub(super) predicate: Value,
}

#[derive(Deserialize)]
pub(super) struct Subject {
    #[serde(default)]
    pub(super) digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate {
    pub(super) build_definition: Definition,
    #[serde(default)]
    pub(super) run_details: RunDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    pub(super) build_type: String,
    #[serde(default)]
    pub(super) external_parameters: External,
    #[serde(default)]
    pub(super) internal_parameters: Internal,
    #[serde(default)]
    pub(super) resolved_dependencies: Vec<Dependency>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct External {
    pub(super) config_source: ConfigSource,
    pub(super) request: Request,
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigSource {
    pub(super) uri: String,
    pub(super) digest: BTreeMap<String, String>,
    pub(super) path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    pub(super) frontend: String,
    pub(super) args: BTreeMap<String, String>,
    pub(super) secrets: Vec<Lent>,
    pub(super) ssh: Vec<Lent>,
    /// Which directories of the client were read; the context says the same.
    #[serde(rename = "locals")]
    _locals: Value,
    /// Digest-affecting defaults of BuildKit's exporter; the files are the same.
    #[serde(rename = "compatibilityVersion")]
    _compatibility: Value,
    pub(super) inputs: Map<String, Value>,
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct Lent {
    pub(super) id: String,
    #[serde(default)]
    pub(super) optional: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Internal {
    pub(super) build_config: Option<BuildConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildConfig {
    #[serde(default)]
    pub(super) llb_definition: Vec<Step>,
}

#[derive(Deserialize)]
pub(super) struct Step {
    #[serde(default)]
    op: Op,
}

/// An operation; the one that runs a program is `Op.exec`.
#[derive(Default, Deserialize)]
struct Op {
    #[serde(rename = "Op", default)]
    inner: Inner,
}

#[derive(Default, Deserialize)]
struct Inner {
    #[serde(default)]
    exec: Option<Exec>,
}

#[derive(Deserialize)]
pub(super) struct Exec {
    #[serde(default)]
    meta: ExecMeta,
    /// A number, or its name.
    #[serde(default)]
    network: Value,
}

#[derive(Default, Deserialize)]
struct ExecMeta {
    #[serde(default)]
    args: Vec<String>,
}

impl Step {
    pub(super) const fn exec(&self) -> Option<&Exec> {
        self.op.inner.exec.as_ref()
    }
}

impl Exec {
    /// What is not said is BuildKit's default: a network.
    pub(super) fn had_network(&self) -> bool {
        let none = match &self.network {
            Value::Number(number) => number.as_u64() == Some(NET_NONE),
            Value::String(name) => name == "NONE",
            _ => false,
        };
        !none
    }

    pub(super) fn command(&self) -> String {
        let args = match self.meta.args.as_slice() {
            [shell, flag, script] if shell == "/bin/sh" && flag == "-c" => script.clone(),
            args => args.join(" "),
        };
        let mut text: String = args.chars().take(COMMAND_SHOWN).collect();
        if text.len() < args.len() {
            text.push_str("...");
        }
        text
    }
}

#[derive(Deserialize)]
pub(super) struct Dependency {
    #[serde(default)]
    pub(super) uri: String,
    #[serde(default)]
    pub(super) digest: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
pub(super) struct RunDetails {
    #[serde(default)]
    pub(super) builder: Builder,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

#[derive(Default, Deserialize)]
pub(super) struct Builder {
    #[serde(default)]
    pub(super) id: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) buildkit_metadata: BuildkitMetadata,
}

#[derive(Default, Deserialize)]
pub(super) struct BuildkitMetadata {
    #[serde(default)]
    pub(super) source: Option<Source>,
}

#[derive(Deserialize)]
pub(super) struct Source {
    #[serde(default)]
    pub(super) infos: Vec<Info>,
}

#[derive(Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    pub(super) filename: String,
    /// In base64.
    #[serde(default)]
    pub(super) data: String,
}

/// Bytes of a field in base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}
