//! The same words in another order, and values of documents.

use super::{Detector, Pair, holds};
use crate::causes::{Cause, moment};

pub(super) const DETECTORS: [Detector; 3] = [table_order, value_of_time, word_order];

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
