//! `meta.json`: which program may use a store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Version of the layout. A program refuses any other.
pub const FORMAT_VERSION: u32 = 1;

/// Features of this program's stores. A name goes into the set that says what a program that
/// does not know it may do: everything, only read, nothing.
const COMPATIBLE: &[&str] = &[];
const READ_ONLY_COMPATIBLE: &[&str] = &[];
const INCOMPATIBLE: &[&str] = &[];

/// Why this program cannot use a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Not a document of the expected shape.
    #[error("meta.json does not describe a store: {0}")]
    Shape(String),
    /// Another layout.
    #[error("the store has format version {0}, this program knows version {FORMAT_VERSION}")]
    Version(u32),
    /// Features without which the store cannot be read right.
    #[error("the store uses features that this program does not know: {}", .0.join(", "))]
    Incompatible(Vec<String>),
    /// Features without which the store cannot be written right.
    #[error(
        "the store uses features that this program does not know and may only read: {}",
        .0.join(", ")
    )]
    ReadOnly(Vec<String>),
}

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    version: u32,
    #[serde(default)]
    compatible: BTreeSet<String>,
    #[serde(default)]
    read_only_compatible: BTreeSet<String>,
    #[serde(default)]
    incompatible: BTreeSet<String>,
}

impl Meta {
    /// What a store made by this program says.
    pub(super) fn current() -> Self {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            version: FORMAT_VERSION,
            compatible: set(COMPATIBLE),
            read_only_compatible: set(READ_ONLY_COMPATIBLE),
            incompatible: set(INCOMPATIBLE),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, MetaError> {
        serde_json::from_slice(bytes).map_err(|error| MetaError::Shape(error.to_string()))
    }

    /// Whether this program may read and write the store. Every store is opened for writing:
    /// even a reader keeps locks in it.
    pub(super) fn check(&self) -> Result<(), MetaError> {
        if self.version != FORMAT_VERSION {
            return Err(MetaError::Version(self.version));
        }
        let unknown = |names: &BTreeSet<String>, known: &[&str]| {
            let unknown = names.iter().filter(|name| !known.contains(&name.as_str()));
            unknown.cloned().collect::<Vec<_>>()
        };
        let names = unknown(&self.incompatible, INCOMPATIBLE);
        if !names.is_empty() {
            return Err(MetaError::Incompatible(names));
        }
        let names = unknown(&self.read_only_compatible, READ_ONLY_COMPATIBLE);
        if !names.is_empty() {
            return Err(MetaError::ReadOnly(names));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_this_program_passes() {
        Meta::current().check().unwrap();
    }

    #[test]
    fn each_set_decides_what_an_unknown_feature_means() {
        let check = |text: &str| Meta::parse(text.as_bytes()).and_then(|meta| meta.check());
        assert_eq!(check(r#"{"version":1,"compatible":["shiny"]}"#), Ok(()));
        assert_eq!(
            check(r#"{"version":1,"incompatible":["packs"]}"#),
            Err(MetaError::Incompatible(vec!["packs".into()]))
        );
        assert_eq!(
            check(r#"{"version":1,"readOnlyCompatible":["index"]}"#),
            Err(MetaError::ReadOnly(vec!["index".into()]))
        );
        assert_eq!(check(r#"{"version":2}"#), Err(MetaError::Version(2)));
        assert!(matches!(check("[]"), Err(MetaError::Shape(_))));
    }
}
