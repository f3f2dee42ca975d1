//! The contexts of the docker client: named engines in files of its configuration directory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use repro_core::digest::Digest;
use serde::Deserialize;

use crate::endpoint::{Endpoint, EndpointError, TlsFiles};

/// The context that stands for no context.
const DEFAULT: &str = "default";

/// Why a context names no engine.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{} is not as the docker client writes it", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A context that there is not.
    #[error("there is no docker context {0:?}; `docker context ls` lists them")]
    Missing(String),
    /// A context of something else.
    #[error("the docker context {0:?} is not one of an engine")]
    NoEngine(String),
    /// A context that believes anybody.
    #[error("the docker context {0:?} skips the check of the engine's certificate")]
    Unverified(String),
    /// An endpoint that is none.
    #[error("the docker context {name:?} cannot be used")]
    Endpoint {
        /// The context.
        name: String,
        /// What is wrong.
        source: EndpointError,
    },
}

/// The part of `config.json` that counts here. The rest is not looked at: it holds passwords.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    current_context: Option<String>,
}

/// `meta.json` of a context.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(default)]
    endpoints: BTreeMap<String, EndpointMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointMetadata {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The context that `config.json` in `dir` says is the current one.
pub(crate) fn current(dir: &Path) -> Result<Option<String>, ContextError> {
    let path = dir.join("config.json");
    let found: Option<Configuration> = document(path)?;
    Ok(found
        .and_then(|found| found.current_context)
        .filter(|name| is_context(name)))
}

/// Whether `name` is that of a context, not of none.
pub(crate) fn is_context(name: &str) -> bool {
    !name.is_empty() && name != DEFAULT
}

/// Where the engine of the context `name` listens.
pub(crate) fn endpoint(dir: &Path, name: &str) -> Result<Endpoint, ContextError> {
    // The client finds a context's directories by this digest, so that any name will do.
    let id = Digest::of(name.as_bytes()).hex();
    let contexts = dir.join("contexts");
    let meta: Metadata = document(contexts.join("meta").join(&id).join("meta.json"))?
        .ok_or_else(|| ContextError::Missing(name.to_owned()))?;
    let engine = meta
        .endpoints
        .get("docker")
        .ok_or_else(|| ContextError::NoEngine(name.to_owned()))?;
    if engine.skip_tls_verify {
        return Err(ContextError::Unverified(name.to_owned()));
    }
    let tls = contexts.join("tls").join(&id).join("docker");
    let files = tls.is_dir().then(|| TlsFiles::in_dir(&tls));
    Endpoint::parse(&engine.host, files).map_err(|source| ContextError::Endpoint {
        name: name.to_owned(),
        source,
    })
}

/// A JSON document, if it is there.
fn document<T: for<'a> Deserialize<'a>>(path: PathBuf) -> Result<Option<T>, ContextError> {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ContextError::Read { path, source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(found) => Ok(Some(found)),
        Err(source) => Err(ContextError::Parse { path, source }),
    }
}
