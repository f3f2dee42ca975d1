//! The same words in another order, and values of documents.

use serde_json::Value;

use super::{Detector, Pair, holds};
use crate::causes::{Cause, formats::same_numbers, moment};

pub(super) const DETECTORS: [Detector; 4] = [table_order, value_of_time, list_order, word_order];

/// Words that stand elsewhere at least: two that change places are as likely an edit.
const MOVED: usize = 3;

/// Rows of a database that were inserted in another order: all but their numbers is equal.
fn table_order(pair: &Pair<'_>) -> Option<Cause> {
    fn values(bytes: &[u8]) -> Vec<&[u8]> {
        let lines = bytes.split(|byte| *byte == b'\n');
        let mut values: Vec<&[u8]> = lines
            .map(|line| {
                let number = line.iter().position(|byte| *byte == b'|');
                &line[number.unwrap_or(0)..]
            })
            .collect();
        values.sort_unstable();
        values
    }
    let table = pair.inside.rsplit('!').next()?.starts_with("table ");
    (table && pair.a != pair.b && values(pair.a) == values(pair.b)).then_some(Cause::SqliteLayout)
}

/// A number under a key of a JSON document that speaks of time.
fn value_of_time(pair: &Pair<'_>) -> Option<Cause> {
    let key = pair.inside.rsplit('/').next()?;
    let whole = !pair.inside.is_empty() && pair.a.iter().chain(pair.b).all(u8::is_ascii_digit);
    let plausible = |bytes: &[u8]| matches!(bytes.len(), 10 | 13 | 16 | 19) && bytes[0] <= b'2';
    (whole && plausible(pair.a) && plausible(pair.b) && moment::says_when(key.as_bytes()))
        .then_some(Cause::EmbeddedTimestamp)
}

/// Fewest items of a list whose order says something: two can have been swapped on purpose.
const LISTED: usize = 3;

/// Lists of a JSON document in another order, where all else is equal.
fn list_order(pair: &Pair<'_>) -> Option<Cause> {
    let (a, b) = (document(pair.a)?, document(pair.b)?);
    let moved = a != b && equal_but_for_lists(&a, &b) && same_numbers(pair.a, pair.b);
    moved.then_some(Cause::ListOrder)
}

/// A JSON document that can hold lists.
fn document(bytes: &[u8]) -> Option<Value> {
    let begins = bytes.trim_ascii_start().first();
    begins.filter(|byte| matches!(byte, b'[' | b'{'))?;
    serde_json::from_slice(bytes).ok()
}

/// Whether two values are equal, or lists in them hold the same items in another order.
fn equal_but_for_lists(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let same =
                |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal_but_for_lists(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (Value::Array(a), Value::Array(b)) => {
            let same = |(a, b): (&Value, &Value)| equal_but_for_lists(a, b);
            a.len() == b.len() && (a.iter().zip(b).all(same) || is_moved(a, b))
        }
        _ => a == b,
    }
}

/// Whether two lists are sets in different order. Numbers, and items that are there twice, have places
/// that mean something: coordinates, a matrix.
fn is_moved(a: &[Value], b: &[Value]) -> bool {
    let sorted = |items: &[Value]| -> Vec<String> {
        let mut items: Vec<String> = items.iter().map(Value::to_string).collect();
        items.sort_unstable();
        items
    };
    if a.len() < LISTED || a.iter().any(Value::is_number) {
        return false;
    }
    let a = sorted(a);
    a.windows(2).all(|two| two[0] != two[1]) && a == sorted(b)
}

/// Hash tables that a program printed.
fn word_order(pair: &Pair<'_>) -> Option<Cause> {
    if pair.a.len().abs_diff(pair.b.len()) > pair.a.len() / 8 || pair.a == pair.b {
        return None;
    }
    let (a, b) = (words(pair.a)?, words(pair.b)?);
    let moved = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let (mut sorted_a, mut sorted_b) = (a, b);
    sorted_a.sort_unstable();
    sorted_b.sort_unstable();
    if moved < MOVED || sorted_a != sorted_b {
        return None;
    }
    // Of a document is known where its values belong, and that they are no set.
    if document(pair.a).is_some() && document(pair.b).is_some() {
        return None;
    }
    let json = pair.ends(".json") || holds(&pair.a[..pair.a.len().min(2)], "[");
    Some(if json {
        Cause::ListOrder
    } else {
        Cause::LineOrder
    })
}

/// The words of a text.
fn words(bytes: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))?;
    let separator = |char: char| !(char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/'));
    Some(
        text.split(separator)
            .filter(|word| !word.is_empty())
            .collect(),
    )
}
