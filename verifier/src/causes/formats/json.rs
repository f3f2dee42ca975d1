//! JSON, value by value.

use serde_json::Value;

use super::{Budget, Format, NotOpened, Part, counted};
use crate::causes::{Cause, Confidence};

/// JSON.
pub(super) struct Json;

/// Largest document: a list of small numbers takes twenty times its size when it is parsed.
const MAX_JSON: usize = 8 << 20;

impl Format for Json {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        if bytes.len() > MAX_JSON {
            return Err(NotOpened::TooLarge);
        }
        // Depth is bounded by the parser, which refuses documents nested deeper than 128.
        let value: Value = serde_json::from_slice(bytes).map_err(|_| NotOpened::Damaged)?;
        let mut parts = Vec::new();
        values(&value, &mut String::new(), &mut parts, budget)?;
        Ok(parts)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::JsonOrder)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// Each value that holds no other, under its JSON pointer (RFC 6901).
fn values(
    value: &Value,
    pointer: &mut String,
    parts: &mut Vec<Part<'_>>,
    budget: &mut Budget,
) -> Result<(), NotOpened> {
    let length = pointer.len();
    let mut child = |name: &str, value: &Value, parts: &mut Vec<Part<'_>>| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let done = values(value, pointer, parts, budget);
        pointer.truncate(length);
        done
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                child(name, value, parts)?;
            }
            Ok(())
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                child(&at.to_string(), value, parts)?;
            }
            Ok(())
        }
        Value::String(text) => {
            budget.take((text.len() + pointer.len()) as u64)?;
            parts.push(Part::content(pointer.clone(), text.clone().into_bytes()));
            counted(parts)
        }
        other => {
            budget.take(pointer.len() as u64)?;
            parts.push(Part::content(
                pointer.clone(),
                other.to_string().into_bytes(),
            ));
            counted(parts)
        }
    }
}
