//! `toolchains/defs/NAME.toml`.

use std::collections::BTreeMap;

use repro_core::tree::TreePath;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{diagnostic::Diagnostic, lock::Version1};

/// How packages become a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The packages' files, nothing configured.
    Unpack,
    /// Unpacked and configured by `dpkg` in the sandbox, with maintainer scripts.
    Install,
}

/// What a toolchain is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Version of this shape.
    pub version: Version1,
    /// Name of the toolchain, that of the file.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Suite of the archive.
    pub suite: String,
    /// Component of the archive.
    pub component: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// How packages become a tree.
    pub method: Method,
    /// What is asked for; the lock has what that needs, too.
    pub packages: Vec<String>,
    /// Configuration of the image.
    #[serde(default)]
    pub image: DefinitionImage,
    /// What the tree has besides packages.
    #[serde(default)]
    pub tree: TreeAdditions,
}

/// `[image]`: what the image's configuration says besides `PATH`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionImage {
    /// `Cmd`.
    pub cmd: Option<Vec<String>>,
}

/// `[tree]`: additions to the packages' files, owned by root, dated by the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeAdditions {
    /// Programs to run in the sandbox, in order, after everything else is there.
    #[serde(default)]
    pub run: Vec<Vec<String>>,
    /// Directories by absolute path, with their modes.
    #[serde(default, deserialize_with = "by_path")]
    pub directories: BTreeMap<TreePath, u16>,
    /// Text files by absolute path, mode 0644.
    #[serde(default, deserialize_with = "by_path")]
    pub files: BTreeMap<TreePath, String>,
}

fn by_path<'de, D, T>(deserializer: D) -> Result<BTreeMap<TreePath, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = BTreeMap::<String, T>::deserialize(deserializer)?;
    raw.into_iter()
        .map(|(path, value)| match path.strip_prefix('/') {
            Some(_) => match TreePath::parse(path.as_bytes()) {
                Ok(path) => Ok((path, value)),
                Err(error) => Err(D::Error::custom(error)),
            },
            None => Err(D::Error::custom(format!(
                "{path:?} is not an absolute path"
            ))),
        })
        .collect()
}

impl Definition {
    /// Parses the text of `file`, the name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))
    }
}
