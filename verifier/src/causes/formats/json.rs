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

    fn says_the_same(&self, a: &[u8], b: &[u8]) -> bool {
        same_numbers(a, b)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// Whether two documents hold the same numbers as they are written. Parsed they can be equal and not the
/// same: they have room for 17 digits.
pub(in crate::causes) fn same_numbers(a: &[u8], b: &[u8]) -> bool {
    let sorted = |bytes| {
        let mut numbers = numbers(bytes);
        numbers.sort_unstable();
        numbers
    };
    sorted(a) == sorted(b)
}

/// The numbers of a document, outside of its strings.
fn numbers(bytes: &[u8]) -> Vec<&[u8]> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = bytes[at..]
                    .iter()
                    .take_while(|byte| of_number(byte))
                    .count();
                numbers.push(&bytes[at..at + length]);
                at += length;
            }
            _ => at += 1,
        }
    }
    numbers
}

/// Where the string ends that begins at `at`, behind its closing quote.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
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
