//! `[toolchain.NAME]`.

use std::{collections::BTreeSet, fmt};

use repro_core::{digest::Digest, json, platform::Platform};
use serde::Serialize;

use crate::{
    definition::{Definition, DefinitionImage, Method, TreeAdditions},
    lock::{Version1, debian_architecture},
};

/// What a toolchain of a project is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ToolchainSource {
    /// `use`: a shipped one, by its own name.
    #[serde(serialize_with = "uses")]
    Shipped(String),
    /// `from`: packages of the project's own choice.
    Own(OwnToolchain),
}

fn uses<S: serde::Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map([("use", name)])
}

impl fmt::Display for ToolchainSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => f.write_str(name),
            Self::Own(own) => write!(f, "packages of {} {}", own.suite, own.component),
        }
    }
}

/// Where the packages of a toolchain are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Debian's archive, and those that are made like it.
    Debian,
}

/// Packages of a project's own choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnToolchain {
    /// From where.
    pub from: Distribution,
    /// Suite of the archive.
    pub suite: String,
    /// Component of the archive.
    pub component: String,
    /// What is asked for.
    pub packages: BTreeSet<String>,
    /// `Cmd` of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
}

impl OwnToolchain {
    /// The definition of the toolchain that the project calls `name`; `None` if Debian has no
    /// packages for `platform`.
    #[must_use]
    pub fn definition(&self, name: &str, platform: &Platform) -> Option<Definition> {
        Some(Definition {
            version: Version1,
            name: name.to_owned(),
            summary: format!("packages of {} {}", self.suite, self.component),
            suite: self.suite.clone(),
            component: self.component.clone(),
            architecture: debian_architecture(platform)?.to_owned(),
            method: Method::Install,
            packages: self.packages.iter().cloned().collect(),
            image: DefinitionImage {
                cmd: self.cmd.clone(),
            },
            tree: TreeAdditions::default(),
        })
    }

    /// Digest of what was asked for, by which a lock knows whether it is still that.
    ///
    /// # Panics
    ///
    /// Never: texts always have a canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&json::canonical(self).expect("texts have a canonical form"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_in_the_basis_of_a_lock() {
        let shipped = ToolchainSource::Shipped("debian-c".into());
        let text =
            |source: &ToolchainSource| String::from_utf8(json::canonical(source).unwrap()).unwrap();
        assert_eq!(text(&shipped), r#"{"use":"debian-c"}"#);
        let own = ToolchainSource::Own(OwnToolchain {
            from: Distribution::Debian,
            suite: "trixie".into(),
            component: "main".into(),
            packages: ["make".into(), "gcc".into()].into(),
            cmd: None,
        });
        let expected =
            r#"{"component":"main","from":"debian","packages":["gcc","make"],"suite":"trixie"}"#;
        assert_eq!(text(&own), expected);
    }
}
