//! Who we are to a registry: the files of Docker and Podman, and the programs that they name.

mod helper;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use repro_core::hosts::{
    DEFAULT_REGISTRY, DEFAULT_REGISTRY_ALIAS, DEFAULT_REGISTRY_API, DEFAULT_REGISTRY_LOGIN,
};
use serde::Deserialize;

use crate::text_file;

pub use helper::HelperError;

/// Largest file of credentials: real ones have a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// Base64 as these files have it, padded or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Where credentials are looked for. The caller knows the surroundings; nothing here reads them.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// Files in the form of Docker's `config.json`, which Podman's `auth.json` has too. The first one
    /// that knows a registry counts; files that are not there are passed over.
    pub files: Vec<PathBuf>,
    /// Directories in which the programs `docker-credential-NAME` are looked for: those of `PATH`.
    pub helper_dirs: Vec<PathBuf>,
}

/// Why credentials cannot be had that a file promises.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the credentials of {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// The file does not have its form. What is wrong is not shown, since that could be a secret.
    #[error("{} is no file of credentials: line {line} is not the JSON that Docker and Podman write", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An entry that is not base64 of `user:password`.
    #[error("the entry of {registry} in {} is not base64 of user:password", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        registry: String,
    },
    /// A program that keeps credentials fails.
    #[error("cannot get the credentials that {} names", path.display())]
    Helper {
        /// The file that names the program.
        path: PathBuf,
        /// Why.
        #[source]
        source: HelperError,
    },
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// For the one place that sends it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What can be said to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// User and password.
    Basic { user: String, password: Secret },
    /// A token that the service of tokens takes for others.
    Identity(Secret),
    /// A token for the registry itself.
    Bearer(Secret),
}

/// A login and where it is from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) login: Login,
    /// For messages.
    pub(super) from: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

impl CredentialSources {
    /// The files that are there, for messages.
    pub(super) fn existing(&self) -> Vec<PathBuf> {
        let there = self.files.iter().filter(|path| path.exists());
        there.cloned().collect()
    }

    /// What is known for a repository of a registry; `None` if nothing is.
    pub(super) fn find(
        &self,
        registry: &str,
        repository: &str,
        cancelled: &AtomicBool,
    ) -> Result<Option<Found>, CredentialError> {
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            let from = path.display().to_string();
            if let Some((_, program)) = file
                .cred_helpers
                .iter()
                .find(|(key, _)| names_registry(key, registry))
                && let Some(login) = self.ask(path, program, registry, cancelled)?
            {
                let from = format!("docker-credential-{program}, which {from} names");
                return Ok(Some(Found { login, from }));
            }
            if let Some((key, entry)) = best(&file.auths, registry, repository)
                && let Some(login) = entry.login(path, key)?
            {
                return Ok(Some(Found { login, from }));
            }
            if let Some(program) = &file.creds_store
                && let Some(login) = self.ask(path, program, registry, cancelled)?
            {
                let from = format!("docker-credential-{program}, which {from} names");
                return Ok(Some(Found { login, from }));
            }
        }
        Ok(None)
    }

    fn ask(
        &self,
        path: &Path,
        program: &str,
        registry: &str,
        cancelled: &AtomicBool,
    ) -> Result<Option<Login>, CredentialError> {
        let server = if registry == DEFAULT_REGISTRY {
            DEFAULT_REGISTRY_LOGIN
        } else {
            registry
        };
        helper::get(program, server, &self.helper_dirs, cancelled).map_err(|source| {
            CredentialError::Helper {
                path: path.to_owned(),
                source,
            }
        })
    }
}

fn read(path: &Path) -> Result<Option<File>, CredentialError> {
    let text = text_file::read(path, MAX_FILE).map_err(|source| CredentialError::Io {
        path: path.to_owned(),
        source,
    })?;
    let Some(text) = text else { return Ok(None) };
    if text.trim().is_empty() {
        return Ok(Some(File::default()));
    }
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| CredentialError::Form {
            path: path.to_owned(),
            line: error.line(),
        })
}

/// The registry that a key of a file means, and the repository below it: Docker once wrote URLs,
/// Podman writes paths.
fn key_parts(key: &str) -> (&str, &str) {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let (host, path) = rest
        .unwrap_or(key)
        .split_once('/')
        .unwrap_or((rest.unwrap_or(key), ""));
    let host = if host == DEFAULT_REGISTRY_ALIAS || host == DEFAULT_REGISTRY_API {
        DEFAULT_REGISTRY
    } else {
        host
    };
    // What is behind the host of a URL is the version of the interface.
    let path = if rest.is_some() {
        ""
    } else {
        path.trim_end_matches('/')
    };
    (host, path)
}

fn names_registry(key: &str, registry: &str) -> bool {
    key_parts(key) == (registry, "")
}

/// The entry of the most names: that of the repository before that of its registry.
fn best<'a>(
    auths: &'a BTreeMap<String, Entry>,
    registry: &str,
    repository: &str,
) -> Option<(&'a str, &'a Entry)> {
    let fits = |key: &str| {
        let (host, path) = key_parts(key);
        let below = repository
            .strip_prefix(path)
            .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'));
        (host == registry && below).then_some(path.len())
    };
    auths
        .iter()
        .filter_map(|(key, entry)| Some((fits(key)?, key.as_str(), entry)))
        .filter(|(_, _, entry)| !entry.is_empty())
        .max_by_key(|(length, key, _)| (*length, std::cmp::Reverse(key.len())))
        .map(|(_, key, entry)| (key, entry))
}

impl Entry {
    /// Docker leaves an empty entry where a helper has the credentials.
    fn is_empty(&self) -> bool {
        let fields = [
            &self.auth,
            &self.username,
            &self.identitytoken,
            &self.registrytoken,
        ];
        fields
            .iter()
            .all(|field| field.as_deref().is_none_or(str::is_empty))
    }

    fn login(&self, path: &Path, key: &str) -> Result<Option<Login>, CredentialError> {
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Login::Bearer(Secret::new(token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::Identity(Secret::new(token))));
        }
        let Some(auth) = given(&self.auth) else {
            return Ok(given(&self.username).map(|user| Login::Basic {
                user,
                password: Secret::new(self.password.clone().unwrap_or_default()),
            }));
        };
        let wrong = || CredentialError::Entry {
            path: path.to_owned(),
            registry: key.to_owned(),
        };
        let bytes = LENIENT.decode(auth.trim()).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Some(Login::Basic {
            user: user.to_owned(),
            // Docker pads what it writes with zeros.
            password: Secret::new(password.trim_end_matches('\0').to_owned()),
        }))
    }
}

impl Login {
    /// The header of the scheme `Basic`.
    pub(super) fn basic(user: &str, password: &Secret) -> Secret {
        let pair = format!("{user}:{}", password.expose());
        Secret::new(format!("Basic {}", general_purpose::STANDARD.encode(pair)))
    }
}

#[cfg(test)]
mod tests;
