//! in-toto Statement v1: what is said, of which artifacts.

use std::collections::BTreeMap;

use repro_core::{
    digest::{Digest, DigestError},
    json::{CanonicalError, canonical},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::strict_json::{self, JsonError};

/// The type of a statement, the only one written and accepted.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Largest statement, in bytes.
pub const STATEMENT_MAX: usize = 16 << 20;
/// Most subjects of a statement and digests of a subject, as other verifiers of the field allow.
const SUBJECTS_MAX: usize = 1024;
const DIGESTS_MAX: usize = 32;

/// Why bytes are not a statement that can be used.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not strict JSON.
    #[error("the statement is not strict JSON")]
    Json(#[from] JsonError),
    /// Fields are missing, unknown or of another type.
    #[error("the statement does not have the fields of an in-toto statement")]
    Shape(#[source] serde_json::Error),
    /// Another type or version of statement.
    #[error("statement type {0:?} is not {STATEMENT_TYPE:?}")]
    Type(String),
    /// No subjects, or too many.
    #[error("a statement has 1 to {SUBJECTS_MAX} subjects, this one has {0}")]
    Subjects(usize),
    /// Too many digests for one subject.
    #[error("subject {name:?} has {found} digests, at most {DIGESTS_MAX} are allowed")]
    Digests {
        /// Its name.
        name: String,
        /// How many it has.
        found: usize,
    },
    /// A subject without SHA-256: SHA-1 and commit ids bind no image.
    #[error("subject {0:?} has no sha256 digest")]
    NoDigest(String),
    /// A SHA-256 that is none.
    #[error("the sha256 digest of subject {name:?} is malformed")]
    Digest {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: DigestError,
    },
}

/// An artifact that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its name in the statement; may be empty.
    pub name: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A statement: `predicate` of type `predicate_type` holds for `subjects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// At least one.
    pub subjects: Vec<Subject>,
    /// URI of the type.
    pub predicate_type: String,
    /// The predicate, of that type.
    pub predicate: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<ResourceDescriptor>,
    predicate_type: String,
    predicate: Map<String, Value>,
}

/// in-toto's description of one resource: a subject, a dependency or a by-product.
///
/// A reader refuses fields that the specification does not name, as the protobuf readers of the
/// field do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceDescriptor {
    /// A name within the statement.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where or what it is, a URI such as a purl.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Algorithm to lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// Its bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Where to get it, if not at `uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_location: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
}

impl ResourceDescriptor {
    /// A resource with a name and a SHA-256.
    #[must_use]
    pub fn named(name: impl Into<String>, digest: Digest) -> Self {
        Self {
            name: name.into(),
            digest: digest_set(digest),
            ..Self::default()
        }
    }

    /// Its SHA-256, if it has a well-formed one.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        Digest::from_hex(self.digest.get("sha256")?).ok()
    }
}

fn digest_set(digest: Digest) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), digest.hex())])
}

impl Statement {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical(&RawStatement {
            statement_type: STATEMENT_TYPE.into(),
            subject: self
                .subjects
                .iter()
                .map(|subject| ResourceDescriptor::named(&subject.name, subject.digest))
                .collect(),
            predicate_type: self.predicate_type.clone(),
            predicate: self.predicate.clone(),
        })
    }

    /// Parses the payload of an envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let value = strict_json::parse(bytes, STATEMENT_MAX)?;
        let raw: RawStatement = serde_json::from_value(value).map_err(StatementError::Shape)?;
        if raw.statement_type != STATEMENT_TYPE {
            return Err(StatementError::Type(
                raw.statement_type.chars().take(80).collect(),
            ));
        }
        if !(1..=SUBJECTS_MAX).contains(&raw.subject.len()) {
            return Err(StatementError::Subjects(raw.subject.len()));
        }
        let subjects = raw
            .subject
            .into_iter()
            .map(subject)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            subjects,
            predicate_type: raw.predicate_type,
            predicate: raw.predicate,
        })
    }
}

fn subject(raw: ResourceDescriptor) -> Result<Subject, StatementError> {
    let name = raw.name;
    if raw.digest.len() > DIGESTS_MAX {
        return Err(StatementError::Digests {
            found: raw.digest.len(),
            name,
        });
    }
    let Some(hex) = raw.digest.get("sha256") else {
        return Err(StatementError::NoDigest(name));
    };
    match Digest::from_hex(hex) {
        Ok(digest) => Ok(Subject { name, digest }),
        Err(source) => Err(StatementError::Digest { name, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn valid() -> Value {
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": "a", "digest": {"sha256": "0".repeat(64)}}],
            "predicateType": "https://example.com/p/v1",
            "predicate": {"x": 1}
        })
    }

    fn parse(value: &Value) -> Result<Statement, StatementError> {
        Statement::parse(&serde_json::to_vec(value).unwrap())
    }

    #[test]
    fn a_statement_round_trips() {
        let statement = parse(&valid()).unwrap();
        assert_eq!(
            Statement::parse(&statement.to_bytes().unwrap()).unwrap(),
            statement
        );
        let mut more = valid();
        more["subject"][0]["digest"]["sha512"] = "0".into();
        assert_eq!(
            parse(&more).unwrap(),
            statement,
            "other algorithms are passed over"
        );
    }

    #[test]
    fn digests_bind_or_the_statement_is_refused() {
        let with = |digest: Value| {
            let mut value = valid();
            value["subject"][0]["digest"] = digest;
            parse(&value)
        };
        for bad in [
            "A".repeat(64),
            "0".repeat(63),
            "0".repeat(65),
            String::new(),
        ] {
            assert!(matches!(
                with(json!({ "sha256": bad })),
                Err(StatementError::Digest { .. })
            ));
        }
        for bad in [
            json!({}),
            json!({"sha1": "0".repeat(40)}),
            json!({"sha512": "0".repeat(128)}),
        ] {
            assert!(matches!(with(bad), Err(StatementError::NoDigest(_))));
        }
        let mut many = BTreeMap::from([("sha256".to_owned(), "0".repeat(64))]);
        many.extend((0..32).map(|n| (format!("x{n}"), String::new())));
        assert!(matches!(
            with(json!(many)),
            Err(StatementError::Digests { found: 33, .. })
        ));
    }

    #[test]
    fn shapes_that_are_none_are_refused() {
        let edit = |edit: &dyn Fn(&mut Value)| {
            let mut value = valid();
            edit(&mut value);
            parse(&value).unwrap_err()
        };
        for kind in [
            "https://in-toto.io/Statement/v0.1",
            "",
            "https://in-toto.io/Statement/v1/",
        ] {
            let error = edit(&|value| value["_type"] = kind.into());
            assert!(matches!(error, StatementError::Type(_)));
        }
        for (pointer, bad) in [
            ("", json!([])),
            ("", Value::Null),
            ("/subject", json!([null])),
            (
                "/subject",
                json!([{"name": "a", "digest": {"sha256": "0"}, "x": 1}]),
            ),
            ("/predicate", json!("text")),
            ("/predicate", Value::Null),
            ("/predicateType", json!(1)),
        ] {
            let error = edit(&|value| *value.pointer_mut(pointer).unwrap() = bad.clone());
            assert!(matches!(error, StatementError::Shape(_)), "{pointer} {bad}");
        }
        let error = edit(&|value| value["extra"] = 1.into());
        assert!(matches!(error, StatementError::Shape(_)));
        for count in [0, 1025] {
            let error = edit(&|value| {
                let one = value["subject"][0].clone();
                value["subject"] = vec![one; count].into();
            });
            assert!(matches!(error, StatementError::Subjects(n) if n == count));
        }
    }
}
