//! Configurations and manifests, field by field.

use std::collections::BTreeSet;

use repro_core::{
    digest::Digest,
    image::MAX_DOCUMENT,
    store::{BlobStore, read_small},
    tree::show_bytes,
};
use serde_json::Value;

use super::{CompareError, Difference, DifferenceKind, Evidence, metadata};
use crate::causes::{Cause, Confidence, Excerpts, Facts, find_causes};

/// Longest value shown, in characters.
const SHOWN: usize = 160;

/// Fields of a configuration that follow from the layers, which are compared as such.
const CONFIG_FOLLOWS: [&str; 1] = ["/rootfs/diff_ids"];
/// Fields of a manifest that follow from configuration and layers.
const MANIFEST_FOLLOWS: [&str; 2] = ["/config", "/layers"];

/// The differing fields of two configurations. All fields are compared, also those that no
/// type of this program knows.
pub(super) fn compare_configs(
    store: &dyn BlobStore,
    (a, b): (Digest, Digest),
    facts: &Facts,
) -> Result<Vec<Difference>, CompareError> {
    documents(store, (a, b), &CONFIG_FOLLOWS, facts)
}

/// The differing fields of two manifests but those that point to configuration and layers.
pub(super) fn compare_manifests(
    store: &dyn BlobStore,
    (a, b): (Digest, Digest),
    facts: &Facts,
) -> Result<Vec<Difference>, CompareError> {
    documents(store, (a, b), &MANIFEST_FOLLOWS, facts)
}

fn documents(
    store: &dyn BlobStore,
    (a, b): (Digest, Digest),
    follows: &[&str],
    facts: &Facts,
) -> Result<Vec<Difference>, CompareError> {
    if a == b {
        return Ok(Vec::new());
    }
    let read = |digest| -> Result<Value, CompareError> {
        let bytes = read_small(store, digest, MAX_DOCUMENT)?;
        serde_json::from_slice(&bytes).map_err(|source| CompareError::Config { digest, source })
    };
    Ok(compare_values(&read(a)?, &read(b)?, follows, facts))
}

/// The differing fields of two documents, but those below `follows`.
pub(super) fn compare_values(
    a: &Value,
    b: &Value,
    follows: &[&str],
    facts: &Facts,
) -> Vec<Difference> {
    let mut fields = Vec::new();
    collect(a, b, &mut String::new(), &mut fields);
    fields.retain(|field| {
        let below = |top: &&str| {
            let rest = field.pointer.strip_prefix(*top);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !follows.iter().any(below)
    });
    fields
        .into_iter()
        .flat_map(|field| field.differences(facts))
        .collect()
}

/// A field that differs.
struct Field {
    /// JSON pointer (RFC 6901).
    pointer: String,
    a: Option<String>,
    b: Option<String>,
    /// Both are lists of the same values.
    reordered: bool,
}

/// Depth is bounded by `serde_json`, which refuses documents nested deeper than 128.
fn collect(a: &Value, b: &Value, pointer: &mut String, fields: &mut Vec<Field>) {
    match (a, b) {
        (a, b) if a == b => {}
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let step = name.replace('~', "~0").replace('/', "~1");
                child(a.get(name), b.get(name), &step, pointer, fields);
            }
        }
        (Value::Array(one), Value::Array(other)) if sorted(one) == sorted(other) => {
            fields.push(Field {
                pointer: pointer.clone(),
                a: Some(text(a)),
                b: Some(text(b)),
                reordered: true,
            });
        }
        (Value::Array(a), Value::Array(b)) => {
            for at in 0..a.len().max(b.len()) {
                child(a.get(at), b.get(at), &at.to_string(), pointer, fields);
            }
        }
        (a, b) => fields.push(Field {
            pointer: pointer.clone(),
            a: Some(text(a)),
            b: Some(text(b)),
            reordered: false,
        }),
    }
}

fn child(
    a: Option<&Value>,
    b: Option<&Value>,
    step: &str,
    pointer: &mut String,
    fields: &mut Vec<Field>,
) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(step);
    match (a, b) {
        (Some(a), Some(b)) => collect(a, b, pointer, fields),
        (a, b) => fields.push(Field {
            pointer: pointer.clone(),
            a: a.map(text),
            b: b.map(text),
            reordered: false,
        }),
    }
    pointer.truncate(length);
}

/// The values of a list as texts, in an order of their own.
fn sorted(list: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
    texts.sort_unstable();
    texts
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Field {
    fn differences(self, facts: &Facts) -> Vec<Difference> {
        let unknown = vec![(Cause::Unknown, Confidence::Unknown)];
        let known = metadata::field(&self.pointer, self.a.as_deref(), self.b.as_deref());
        let named = match (&self.a, &self.b) {
            _ if self.reordered => vec![(Cause::ListOrder, Confidence::Certain)],
            _ if known.is_some() => known.into_iter().collect(),
            (Some(a), Some(b)) => {
                // The contents are in memory: reading them does not fail.
                find_causes(&a.as_bytes(), &b.as_bytes(), Excerpts::Refused, facts)
                    .map_or(unknown, |found| {
                        found.iter().map(|f| (f.cause, f.confidence)).collect()
                    })
            }
            _ => unknown,
        };
        named
            .into_iter()
            .map(|(cause, confidence)| Difference {
                path: show_bytes(self.pointer.as_bytes()).into_owned(),
                platform: None,
                layer: None,
                step: None,
                kind: DifferenceKind::Config,
                cause,
                confidence,
                derived_from: None,
                evidence: Some(Evidence {
                    offset: None,
                    inside: None,
                    a: shown(self.a.as_deref()),
                    b: shown(self.b.as_deref()),
                    around: None,
                }),
            })
            .collect()
    }
}

fn shown(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "absent".into();
    };
    let short: String = value.chars().take(SHOWN).collect();
    show_bytes(short.as_bytes()).into_owned()
}
