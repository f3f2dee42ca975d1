//! The trust file: which keys speak for which builder, from when until when, and how far.
//! `docs/policy.md` describes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::document::{self, DocumentError, Moment};
use crate::{
    keys::{KeyId, PublicKey},
    uris,
};

/// A level of SLSA's Build track, as a verifier grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildLevel(u8);

impl BuildLevel {
    /// What a builder has that nobody granted more.
    pub const ONE: Self = Self(1);
    /// The highest there is.
    pub const MAX: Self = Self(3);

    /// The level of this number, 1 to 3.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1..=3 => Some(Self(number)),
            _ => None,
        }
    }

    /// 1 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// As verification summaries name it.
impl fmt::Display for BuildLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SLSA_BUILD_LEVEL_{}", self.0)
    }
}

impl<'de> Deserialize<'de> for BuildLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let level = u8::try_from(number).ok().and_then(Self::new);
        level.ok_or_else(|| {
            D::Error::custom(format!(
                "{number} is not a level of SLSA's Build track; 1 to 3 are"
            ))
        })
    }
}

/// From when until when a key may sign, in seconds since 1970; both ends are inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub not_before: Option<i64>,
    /// Not after.
    pub not_after: Option<i64>,
}

impl Window {
    /// Whether `time` is inside.
    #[must_use]
    pub fn holds(&self, time: i64) -> bool {
        self.not_before.is_none_or(|start| start <= time)
            && self.not_after.is_none_or(|end| time <= end)
    }

    /// Whether there is any limit.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.not_before.is_some() || self.not_after.is_some()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: Option<i64>, word: &str| {
            end.map(|time| format!("{word} {}", document::rfc3339(time)))
        };
        let ends = [end(self.not_before, "from"), end(self.not_after, "until")];
        f.write_str(&ends.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// A key with its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// When it may sign.
    pub window: Window,
}

/// A builder, or a verifier whose summaries are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// `builder.id` or `verifier.id`, compared whole.
    pub id: String,
    /// Who runs it. Builders of one operator count as one where independent ones are counted.
    pub operator: Option<String>,
    /// How far it is trusted; of a verifier, the highest level that its word is taken for.
    pub level: BuildLevel,
    /// Whose signatures are its word.
    pub keys: Vec<TrustedKey>,
}

/// What a key may say as a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How far the builder is trusted.
    pub level: BuildLevel,
    /// When the key may sign.
    pub window: Window,
    /// By what independence is counted: the operator, else the builder id, where it is one of somebody's own.
    pub operator: String,
}

/// Whose word is taken for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustRules {
    builders: Vec<Party>,
    verifiers: Vec<Party>,
    revoked: BTreeMap<KeyId, String>,
    /// Keys without a builder of their own.
    keys: Vec<PublicKey>,
}

impl TrustRules {
    /// Rules of keys alone: each for every builder that this version knows, at level 1.
    #[must_use]
    pub fn of_keys(keys: &[PublicKey]) -> Self {
        Self::default().with_keys(keys)
    }

    /// The same with more keys, each for every builder that this version knows, at level 1.
    #[must_use]
    pub fn with_keys(mut self, keys: &[PublicKey]) -> Self {
        self.keys.extend_from_slice(keys);
        self
    }

    /// Reads a trust file. `read` gives the text of a file that the trust file names, by a path
    /// relative to it.
    pub fn parse(
        text: &str,
        read: &mut dyn FnMut(&Path) -> Result<String, String>,
    ) -> Result<Self, DocumentError> {
        let file: File = toml::from_str(text)?;
        if file.builder.is_empty() && file.verifier.is_empty() {
            return Err(DocumentError::new(
                "names neither a builder nor a verifier, so nothing could ever be verified",
            ));
        }
        let mut revoked = BTreeMap::new();
        for entry in file.revoked {
            let span = entry.span();
            let RawRevoked { file, pem, reason } = entry.into_inner();
            let key = KeySource { file, pem }.read(span.clone(), read)?.id();
            if revoked.insert(key, reason).is_some() {
                return Err(DocumentError::at("this key is revoked twice", span));
            }
        }
        Ok(Self {
            builders: parties(file.builder, "builder", read)?,
            verifiers: parties(file.verifier, "verifier", read)?,
            revoked,
            keys: Vec::new(),
        })
    }

    /// Every key that may sign evidence, revoked ones too: of those it is said why they are refused.
    #[must_use]
    pub fn builder_keys(&self) -> Vec<PublicKey> {
        let named = self.builders.iter().flat_map(|builder| &builder.keys);
        let all = named.map(|trusted| &trusted.key).chain(&self.keys);
        let mut seen = BTreeSet::new();
        all.filter(|key| seen.insert(key.id())).cloned().collect()
    }

    /// What `key` may say as `builder`; `None` if it may say nothing. Both are compared whole: an
    /// id that begins like a trusted one is another's.
    #[must_use]
    pub fn standing(&self, key: KeyId, builder: &str) -> Option<Standing> {
        let named = self.builders.iter().find(|party| party.id == builder);
        let named = named.and_then(|party| {
            let key = party.keys.iter().find(|trusted| trusted.key.id() == key)?;
            Some(Standing {
                level: party.level,
                window: key.window,
                operator: party
                    .operator
                    .clone()
                    .unwrap_or_else(|| operator_of(&party.id)),
            })
        });
        let short = || {
            let known = uris::BUILDERS.contains(&builder);
            let given = self.keys.iter().any(|given| given.id() == key);
            (known && given).then(|| Standing {
                level: BuildLevel::ONE,
                window: Window::default(),
                operator: operator_of(builder),
            })
        };
        named.or_else(short)
    }

    /// Whether what the key with this id signed as `builder` counts, so that others may pass it on.
    #[must_use]
    pub fn is_word_of(&self, key_id: &str, builder: &str) -> bool {
        let keys = self.builder_keys();
        let key = keys.iter().map(PublicKey::id);
        let key = key.into_iter().find(|id| id.to_string() == key_id);
        key.is_some_and(|key| self.standing(key, builder).is_some() && self.revoked(key).is_none())
    }

    /// The builders that `key` may speak for, for messages.
    #[must_use]
    pub fn builders_of(&self, key: KeyId) -> Vec<&str> {
        let named = self.builders.iter().filter(|party| {
            let mut keys = party.keys.iter();
            keys.any(|trusted| trusted.key.id() == key)
        });
        let mut ids: Vec<&str> = named.map(|party| party.id.as_str()).collect();
        if self.keys.iter().any(|given| given.id() == key) {
            ids.extend(uris::BUILDERS);
        }
        ids
    }

    /// Why nothing that `key` signed counts any more, if it was revoked. Since when does not matter:
    /// who has the key can sign with an earlier time.
    #[must_use]
    pub fn revoked(&self, key: KeyId) -> Option<&str> {
        self.revoked.get(&key).map(String::as_str)
    }

    /// The verifiers whose summaries are read.
    #[must_use]
    pub fn verifiers(&self) -> &[Party] {
        &self.verifiers
    }
}

/// Who runs a builder of which nobody says it. The ids that this program has by itself say how it ran and
/// not for whom: builders by these names may all be one person with several keys.
fn operator_of(id: &str) -> String {
    if uris::BUILDERS.contains(&id) {
        uris::BUILDER_LOCAL.to_owned()
    } else {
        id.to_owned()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version", deserialize_with = "document::first_version")]
    _version: (),
    #[serde(default)]
    builder: Vec<Spanned<RawParty>>,
    #[serde(default)]
    verifier: Vec<Spanned<RawParty>>,
    #[serde(default)]
    revoked: Vec<Spanned<RawRevoked>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawParty {
    id: Spanned<String>,
    operator: Option<String>,
    slsa_build_level: Option<BuildLevel>,
    key: Vec<Spanned<RawKey>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawKey {
    file: Option<PathBuf>,
    pem: Option<String>,
    not_before: Option<Moment>,
    not_after: Option<Moment>,
}

/// Where a key stands.
struct KeySource {
    file: Option<PathBuf>,
    pem: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRevoked {
    file: Option<PathBuf>,
    pem: Option<String>,
    reason: String,
}

impl KeySource {
    fn read(
        &self,
        span: std::ops::Range<usize>,
        read: &mut dyn FnMut(&Path) -> Result<String, String>,
    ) -> Result<PublicKey, DocumentError> {
        let text = match (&self.file, &self.pem) {
            (Some(path), None) => read(path).map_err(|reason| {
                DocumentError::at(
                    format!("cannot read {}: {reason}", path.display()),
                    span.clone(),
                )
            })?,
            (None, Some(pem)) => pem.clone(),
            _ => {
                return Err(DocumentError::at("a key is either a file or a pem", span));
            }
        };
        PublicKey::from_pem(&text).map_err(|error| {
            let reason = crate::verify::chain(&error);
            let name = self
                .file
                .as_ref()
                .map_or_else(String::new, |path| format!("{}: ", path.display()));
            DocumentError::at(format!("{name}{reason}"), span)
        })
    }
}

fn parties(
    raw: Vec<Spanned<RawParty>>,
    what: &str,
    read: &mut dyn FnMut(&Path) -> Result<String, String>,
) -> Result<Vec<Party>, DocumentError> {
    let mut parties: Vec<Party> = Vec::new();
    for party in raw {
        let span = party.span();
        let RawParty {
            id,
            operator,
            slsa_build_level,
            key,
        } = party.into_inner();
        let id_span = id.span();
        let id = id.into_inner();
        if id.is_empty() {
            return Err(DocumentError::at(
                format!("the id of a {what} is empty"),
                id_span,
            ));
        }
        if parties.iter().any(|known| known.id == id) {
            return Err(DocumentError::at(
                format!("the {what} {id:?} is there twice; give it several keys instead"),
                id_span,
            ));
        }
        if key.is_empty() {
            return Err(DocumentError::at(
                format!("the {what} {id:?} has no key"),
                span,
            ));
        }
        let mut keys: Vec<TrustedKey> = Vec::new();
        for raw in key {
            let span = raw.span();
            let raw = raw.into_inner();
            let source = KeySource {
                file: raw.file,
                pem: raw.pem,
            };
            let window = Window {
                not_before: raw.not_before.map(|moment| moment.0),
                not_after: raw.not_after.map(|moment| moment.0),
            };
            let ends = window.not_before.zip(window.not_after);
            if ends.is_some_and(|(start, end)| end < start) {
                return Err(DocumentError::at("not-after is before not-before", span));
            }
            let key = source.read(span.clone(), read)?;
            if keys.iter().any(|known| known.key.id() == key.id()) {
                return Err(DocumentError::at(
                    format!("the {what} {id:?} has this key twice"),
                    span,
                ));
            }
            keys.push(TrustedKey { key, window });
        }
        parties.push(Party {
            id,
            operator,
            level: slsa_build_level.unwrap_or(BuildLevel::ONE),
            keys,
        });
    }
    Ok(parties)
}

#[cfg(test)]
mod tests;
