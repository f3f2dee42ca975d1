//! `toolchains/defs/NAME.toml`.

use std::collections::BTreeMap;

use repro_core::{platform::Platform, tree::TreePath};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    diagnostic::Diagnostic,
    lock::{Version1, platform_of},
    purl,
};

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
    #[serde(deserialize_with = "toolchain_name")]
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Suite of the archive.
    #[serde(deserialize_with = "suite")]
    pub suite: String,
    /// Component of the archive.
    #[serde(deserialize_with = "suite")]
    pub component: String,
    /// Debian's name of the architecture.
    #[serde(deserialize_with = "architecture")]
    pub architecture: String,
    /// How packages become a tree.
    pub method: Method,
    /// What is asked for; the lock has what that needs, too.
    #[serde(deserialize_with = "packages")]
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

fn toolchain_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, is_name, "name of a toolchain")
}

fn suite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, purl::is_suite, "name of a suite or component")
}

fn architecture<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let known = |name: &str| platform_of(name).is_some();
    checked(deserializer, known, "architecture of Debian's archive")
}

fn packages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    match list.iter().find(|name| !purl::is_package_name(name)) {
        Some(bad) => Err(D::Error::custom(format!(
            "{bad:?} is not the name of a package"
        ))),
        None if list.is_empty() => Err(D::Error::custom(
            "a toolchain is made of at least one package",
        )),
        None => Ok(list),
    }
}

fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    good: impl Fn(&str) -> bool,
    what: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if good(&text) {
        Ok(text)
    } else {
        let shown: String = text.chars().take(80).collect();
        Err(D::Error::custom(format!("{shown:?} is not the {what}")))
    }
}

/// What can stand behind FROM and `--from` and cannot be taken for a number or a path.
pub(crate) fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(good)
        && name != "scratch"
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

    /// What its programs run on.
    ///
    /// # Panics
    ///
    /// Never: an architecture without a platform is refused when a definition is parsed.
    #[must_use]
    pub fn platform(&self) -> Platform {
        platform_of(&self.architecture).expect("a definition has a known architecture")
    }
}
