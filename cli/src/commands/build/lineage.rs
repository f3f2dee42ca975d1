//! Data lineage: what the user says of the data that a build is made from and for.

use std::collections::BTreeMap;

use repro_toolchains::project::Project;

use super::values::Pair;
use crate::{ambient::CallersLineage, error::CommandError};

/// Longest name, in bytes.
const NAME_MAX: usize = 64;
/// Longest value, in bytes: a reference, not the data.
const VALUE_MAX: usize = 1024;
/// Most entries.
const ENTRIES_MAX: usize = 64;

/// The options, before the caller's variables, before `repro.toml`: each can replace single entries
/// of those behind it. An empty value takes an entry away.
pub(crate) fn lineage(
    options: &[Pair],
    caller: &CallersLineage,
    project: &Project,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut all = project.lineage.clone();
    for (variable, name, value) in caller.entries() {
        let value = value
            .to_str()
            .ok_or_else(|| CommandError::usage(format!("the variable {variable} is not UTF-8")))?;
        all.insert(name.to_owned(), value.to_owned());
    }
    for Pair { name, value } in options {
        let value = value.as_ref().ok_or_else(|| {
            CommandError::usage(format!("--lineage {name} has no value"))
                .hint("write --lineage NAME=VALUE")
        })?;
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_empty());
    if all.len() > ENTRIES_MAX {
        let message = format!(
            "lineage has at most {ENTRIES_MAX} entries, here are {}",
            all.len()
        );
        return Err(CommandError::usage(message));
    }
    for (name, value) in &all {
        check(name, value)?;
    }
    Ok(all)
}

/// Statements travel far and are shown on terminals: names are words, values are one line.
fn check(name: &str, value: &str) -> Result<(), CommandError> {
    let good = name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good {
        let message = format!("{:?} cannot name a part of the lineage", shorten(name));
        return Err(CommandError::usage(message).hint(
            "names have lower-case letters, digits and -, at most 64, as in policy-version",
        ));
    }
    if value.len() > VALUE_MAX || value.chars().any(char::is_control) {
        let message = format!("the lineage {name} is not one line of at most {VALUE_MAX} bytes");
        return Err(CommandError::usage(message));
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn project(entries: &[(&str, &str)]) -> Project {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Project {
            lineage: entries.iter().map(own).collect(),
            ..Project::default()
        }
    }

    #[test]
    fn option_before_variable_before_project() {
        let project = project(&[
            ("source", "project"),
            ("transform", "project"),
            ("policy-version", "project"),
            ("owner", "project"),
        ]);
        let caller = CallersLineage {
            source: Some("variable".into()),
            transform: Some("variable".into()),
            policy_version: Some(String::new().into()),
        };
        let found = lineage(&[pair("source=option=1")], &caller, &project).unwrap();
        let expected = [
            ("owner", "project"),
            ("source", "option=1"),
            ("transform", "variable"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected.into());
        assert!(
            lineage(&[], &CallersLineage::default(), &Project::default())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn names_are_words_and_values_one_line() {
        let none = CallersLineage::default();
        let one = |text: &str| lineage(&[pair(text)], &none, &Project::default());
        for good in ["a=b", "policy-version=dlp-7", "x1=ä"] {
            assert!(one(good).is_ok(), "{good}");
        }
        for bad in ["A=b", "1=b", "a_b=c", "a=b\nc", "a=\u{1b}[31m", "a"] {
            assert!(one(bad).is_err(), "{bad}");
        }
        assert!(one(&format!("a={}", "x".repeat(VALUE_MAX + 1))).is_err());
        assert!(one(&format!("{}=x", "a".repeat(NAME_MAX + 1))).is_err());
    }
}
