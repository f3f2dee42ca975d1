//! `RUN --mount`: comma-separated values, expanded when the instruction's turn comes.
//!
//! As in `BuildKit`, keys are read from left to right, so that `type` stands before the keys that
//! only its type has, and a key that means nothing for the type is passed over where `BuildKit`
//! passes over it.

mod csv;
mod value;

use repro_core::build::{MountAccess, MountFacts};

pub use csv::fields as csv_fields;

use self::value::{Settings, boolean, identifier, mode, size};
use super::{
    directives::Escape,
    template::{ExpandError, Scope, Template, TemplateError},
};

/// Most mounts of one `RUN`. Each holds descriptors of all its trees while the step runs.
pub const MAX_MOUNTS: usize = 64;

/// Every key.
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];
/// Those that can stand without a value.
const SWITCHES: [&str; 5] = ["ro", "readonly", "rw", "readwrite", "required"];

/// One `--mount`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    raw: String,
    /// A stage by name or number, or an image; `None` for the context.
    pub from: Option<String>,
    fields: Vec<Field>,
}

/// One key but `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// In lower case.
    key: String,
    value: Option<Template>,
}

/// A mount with values put in place of variables. Paths are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of the context, a stage, an image or an input.
    Bind {
        /// Inside them.
        source: String,
        /// Whither.
        target: String,
        /// Read-only unless asked for.
        access: MountAccess,
    },
    /// A directory that `BuildKit` keeps between builds.
    Cache {
        /// Name, if given.
        id: Option<String>,
        /// Inside `from`.
        source: String,
        /// Whither.
        target: String,
        /// Writable unless asked for.
        access: MountAccess,
        /// Of the directory, 0755 of root unless given.
        facts: MountFacts,
    },
    /// Memory.
    Tmpfs {
        /// Most bytes, if given.
        size: Option<u64>,
        /// Whither.
        target: String,
        /// Writable unless asked for.
        access: MountAccess,
    },
    /// The value of a secret.
    Secret {
        /// Its name.
        id: String,
        /// The file, if there is to be one.
        file: Option<String>,
        /// The variable, if there is to be one.
        variable: Option<String>,
        /// Whether the step runs without it.
        need: Need,
        /// Of the file, 0400 of root unless given.
        facts: MountFacts,
    },
    /// An ssh agent.
    Agent {
        /// Its name.
        id: String,
        /// The socket, if given.
        target: Option<String>,
        /// Whether the step runs without it.
        need: Need,
        /// Of the socket, 0600 of root unless given.
        facts: MountFacts,
    },
}

/// Whether a step runs without a secret or agent that the caller does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It does, and does not see it.
    Optional,
    /// It does not.
    Required,
}

/// Why a `--mount` makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// The commas and quotes.
    #[error("--mount: a quote is not closed, or stands inside a word")]
    Csv,
    /// A key that there is not.
    #[error("--mount has no key {key}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The one that it is nearest to.
        nearest: Option<&'static str>,
    },
    /// A key without `=`.
    #[error("--mount: {0} needs a value: {0}=VALUE")]
    Value(String),
    /// A variable in `from`.
    #[error("--mount: from takes no variables")]
    VariableInFrom,
    /// A word that cannot be expanded, whatever its variables hold.
    #[error(transparent)]
    Template(TemplateError),
    /// A variable.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A type that there is not.
    #[error("{0:?} is not a type of mount; there are bind, cache, tmpfs, secret and ssh")]
    Type(String),
    /// A value that the key cannot have.
    #[error("--mount: {key} cannot be {value:?}, {wants}")]
    Invalid {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it can be.
        wants: &'static str,
    },
    /// A key of another type.
    #[error("--mount: {key} is no key of type={of}")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The type.
        of: &'static str,
    },
    /// No target.
    #[error("--mount=type={0} needs a target")]
    Target(&'static str),
    /// A secret without a name.
    #[error("--mount=type=secret needs an id or a target")]
    SecretName,
    /// A secret with two names.
    #[error("--mount=type=secret: source and id are the same; give one")]
    SecretNames,
    /// A secret whose variable has no name or one with `=`.
    #[error("--mount=type=secret: {0:?} cannot name a variable")]
    Variable(String),
}

impl MountError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownKey {
                nearest: Some(nearest),
                ..
            } => return Some(format!("did you mean {nearest}?")),
            Self::VariableInFrom => {
                "name a stage with the variable (FROM image:${VERSION} AS tools), and write from=tools"
            }
            Self::Misplaced { .. } => "type=... stands before the keys of its type",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl MountFlag {
    /// Takes the value of a flag, whose quotes are gone. What no variable can make right is an error
    /// here.
    pub(super) fn parse(raw: &str, escape: Escape) -> Result<Self, MountError> {
        let mut flag = Self {
            raw: raw.to_owned(),
            from: None,
            fields: Vec::new(),
        };
        for field in csv::fields(raw).ok_or(MountError::Csv)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field.as_str(), None),
            };
            let key = key.to_ascii_lowercase();
            if !KEYS.contains(&key.as_str()) {
                let nearest = super::keyword::nearest(&key, KEYS.into_iter());
                return Err(MountError::UnknownKey { key, nearest });
            }
            let template = |value| Template::parse(value, escape);
            let value = value
                .map(template)
                .transpose()
                .map_err(|(_, error)| MountError::Template(error))?;
            if key == "from" {
                let value = value.ok_or(MountError::Value(key))?;
                let name = value.literal().ok_or(MountError::VariableInFrom)?;
                flag.from = Some(name).filter(|name| !name.is_empty());
                continue;
            }
            if value.is_none() && !SWITCHES.contains(&key.as_str()) {
                return Err(MountError::Value(key));
            }
            flag.fields.push(Field { key, value });
        }
        let literal = |field: &Field| {
            let value = field.value.as_ref();
            value.is_none_or(|value| value.literal().is_some())
        };
        if flag.fields.iter().all(literal) {
            flag.check(&super::template::NoVariables)?;
        }
        Ok(flag)
    }

    /// The value as it was given.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Expands the values and checks them.
    pub fn check(&self, scope: &dyn Scope) -> Result<Mount, MountError> {
        let mut settings = Settings::default();
        for field in &self.fields {
            let value = match &field.value {
                Some(value) => Some(value.expand(scope)?),
                None => None,
            };
            set(&mut settings, &field.key, value)?;
        }
        settings.finish(self.from.as_deref())
    }
}

fn set(settings: &mut Settings, key: &str, value: Option<String>) -> Result<(), MountError> {
    let kind = settings.kind;
    let misplaced = |key| MountError::Misplaced {
        key,
        of: kind.name(),
    };
    let (given, text) = (value.is_some(), value.unwrap_or_default());
    let switch = || if given { boolean(key, &text) } else { Ok(true) };
    let access = |writable| {
        if writable {
            MountAccess::ReadWrite
        } else {
            MountAccess::ReadOnly
        }
    };
    match key {
        "type" => settings.kind = text.parse()?,
        "source" | "src" => settings.source = text,
        "target" | "dst" | "destination" => settings.target = text,
        "readonly" | "ro" => settings.access = Some(access(!switch()?)),
        "readwrite" | "rw" => settings.access = Some(access(switch()?)),
        "required" if kind.has_need() => {
            settings.need = if switch()? {
                Need::Required
            } else {
                Need::Optional
            };
        }
        "required" => return Err(misplaced("required")),
        "size" if kind.has_size() => settings.size = size(&text)?,
        "size" => return Err(misplaced("size")),
        "id" => settings.id = text,
        "sharing" => settings.sharing = Some(text.parse()?),
        "mode" => settings.mode = Some(mode(&text)?),
        "uid" => settings.uid = Some(identifier(key, &text)?),
        "gid" => settings.gid = Some(identifier(key, &text)?),
        _ => settings.env = Some(text),
    }
    Ok(())
}
