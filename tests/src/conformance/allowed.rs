//! The one list of what may differ.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Deserialize;

use super::Builder;
use crate::root;

/// One allowed difference.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Difference {
    /// Cases; `*` stands for any text.
    case: String,
    /// Builders that differ from `repro`.
    builder: Vec<Builder>,
    /// The lines that [`super::differences`] gives; `*` stands for any text.
    what: Vec<String>,
    /// The reason.
    why: String,
    /// For each of `builder` and each of `what`: whether it was seen.
    #[serde(skip)]
    seen: Vec<AtomicBool>,
}

/// The list, which also knows what of it was seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    difference: Vec<Difference>,
}

impl Allowed {
    /// Reads `tests/conformance/differences.toml`.
    ///
    /// # Panics
    /// If it is not written as it should be.
    #[must_use]
    pub fn read() -> Self {
        let path = root().join("tests/conformance/differences.toml");
        let text = fs::read_to_string(path).expect("the list can be read");
        let mut list: Self = toml::from_str(&text).expect("the list is as it should be");
        for entry in &mut list.difference {
            assert!(!entry.why.is_empty(), "{entry:?} has no reason");
            let all = entry.builder.len() * entry.what.len();
            entry.seen = (0..all).map(|_| AtomicBool::new(false)).collect();
        }
        list
    }

    /// Those of `lines` that are not on the list.
    #[must_use]
    pub fn unlisted(&self, case: &str, builder: Builder, lines: &[String]) -> Vec<String> {
        let listed = |line: &&String| {
            let mut listed = false;
            for entry in &self.difference {
                let Some(place) = entry.builder.iter().position(|known| *known == builder) else {
                    continue;
                };
                if !matches(&entry.case, case) {
                    continue;
                }
                for (number, what) in entry.what.iter().enumerate() {
                    if matches(what, line) {
                        listed = true;
                        let seen = &entry.seen[place * entry.what.len() + number];
                        seen.store(true, Ordering::Relaxed);
                    }
                }
            }
            listed
        };
        lines.iter().filter(|line| !listed(line)).cloned().collect()
    }

    /// What is on the list and was never seen: a difference that is gone must leave the list.
    #[must_use]
    pub fn unseen(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in &self.difference {
            for (place, builder) in entry.builder.iter().enumerate() {
                for (number, what) in entry.what.iter().enumerate() {
                    let seen = &entry.seen[place * entry.what.len() + number];
                    if !seen.load(Ordering::Relaxed) {
                        found.push(format!("{} {builder}: {what}", entry.case));
                    }
                }
            }
        }
        found
    }
}

/// Whether `text` is what `pattern` says, where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*b", "abc", false),
            ("/*: none | *", "/ü: none | file", true),
            ("/*: none | *", "/ü: file | none", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
