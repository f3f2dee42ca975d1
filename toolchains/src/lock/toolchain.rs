//! `toolchains/defs/NAME.lock`.

use std::{collections::BTreeSet, ops::Range};

use repro_core::{digest::Digest, epoch::Epoch, platform::Platform};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Spanned;

use super::{Archive, LockError, PoolFile, PoolPath, Version1, debian_architecture};
use crate::{diagnostic::Diagnostic, purl};

/// Largest package that is believed; Debian's largest are below 2 GiB.
const MAX_PACKAGE: u64 = 4 << 30;

/// When a package is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before anything can run: its files are there when the first program is.
    Bootstrap,
    /// By `dpkg`, after the bootstrap packages are configured.
    Install,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// When it is unpacked.
    pub phase: Phase,
    /// The `.deb`.
    pub file: PoolFile,
}

impl LockedPackage {
    /// Its package URL.
    #[must_use]
    pub fn purl(&self) -> String {
        let escape = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
        format!(
            "pkg:deb/debian/{}@{}?arch={}",
            escape(&self.name),
            escape(&self.version),
            self.architecture
        )
    }
}

/// Everything that a toolchain is made of, in install order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainLock {
    /// Name of the toolchain.
    pub name: String,
    /// Digest of the definition that the lock was made from.
    pub definition: Digest,
    /// What its programs run on.
    pub platform: Platform,
    /// `SOURCE_DATE_EPOCH` of its making: the date of the release.
    pub epoch: Epoch,
    /// How the packages were found.
    pub archive: Archive,
    /// The packages, in the order in which they are installed.
    pub packages: Vec<LockedPackage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLock {
    #[expect(dead_code, reason = "parsed so that another version is refused")]
    version: Version1,
    name: String,
    definition: Digest,
    platform: Platform,
    source_date_epoch: Spanned<u64>,
    archive: Archive,
    package: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPackage {
    #[serde(deserialize_with = "package_name")]
    name: String,
    #[serde(deserialize_with = "package_version")]
    version: String,
    architecture: String,
    phase: Phase,
    path: PoolPath,
    size: u64,
    sha256: Digest,
}

fn package_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, purl::is_package_name, "name of a package")
}

fn package_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, purl::is_version, "version of a package")
}

fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    good: fn(&str) -> bool,
    what: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if good(&text) {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("{text:?} is not the {what}")))
    }
}

/// Holds the parts of a toolchain's lock against each other. A mistake comes with its place.
pub(super) fn check(
    platform: &Platform,
    archive: &Archive,
    epoch: &Spanned<u64>,
    raw: Vec<Spanned<RawPackage>>,
) -> Result<(Epoch, Vec<LockedPackage>), (Range<usize>, String)> {
    let made = archive.date.epoch();
    if *epoch.get_ref() != made.seconds() {
        let message = format!("the release was made at {}", made.seconds());
        return Err((epoch.span(), message));
    }
    let own = debian_architecture(platform).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut packages = Vec::with_capacity(raw.len());
    for package in raw {
        let span = package.span();
        let package = package.into_inner();
        if package.architecture != "all" && package.architecture != own {
            let message = format!("architecture {} in a lock for {own}", package.architecture);
            return Err((span, message));
        }
        if package.size == 0 || package.size > MAX_PACKAGE {
            return Err((span, format!("{} bytes cannot be a package", package.size)));
        }
        if package.path.extension() != "deb" {
            return Err((span, format!("{} is not a package", package.path)));
        }
        if !seen.insert(package.name.clone()) {
            return Err((span, format!("package {} is listed twice", package.name)));
        }
        packages.push(LockedPackage {
            name: package.name,
            version: package.version,
            architecture: package.architecture,
            phase: package.phase,
            file: PoolFile {
                path: package.path,
                size: package.size,
                sha256: package.sha256,
            },
        });
    }
    if packages.is_empty() {
        return Err((0..0, "a toolchain is made of at least one package".into()));
    }
    Ok((made, packages))
}

impl ToolchainLock {
    /// Parses the text of `file`, the name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        let raw: RawLock =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))?;
        let refuse = |span: Range<usize>, message: String| {
            LockError::Invalid(Diagnostic::new(file, text, Some(span), message))
        };
        let (epoch, packages) = check(
            &raw.platform,
            &raw.archive,
            &raw.source_date_epoch,
            raw.package,
        )
        .map_err(|(span, message)| refuse(span, message))?;
        Ok(Self {
            name: raw.name,
            definition: raw.definition,
            platform: raw.platform,
            epoch,
            archive: raw.archive,
            packages,
        })
    }

    /// Bytes of all packages.
    #[must_use]
    pub fn download_size(&self) -> u64 {
        self.packages.iter().map(|package| package.file.size).sum()
    }

    /// The files of all packages.
    pub fn files(&self) -> impl Iterator<Item = &PoolFile> {
        self.packages.iter().map(|package| &package.file)
    }
}

/// A package that one lock has otherwise than another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The version before; `None` if it was not there.
    pub from: Option<String>,
    /// The version after; `None` if it is no longer there.
    pub to: Option<String>,
}

impl ToolchainLock {
    /// What became of the packages between `before` and this lock, sorted by name. A package with
    /// other bytes under the same version is a change, too.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<PackageChange> {
        let find = |lock: &Self, name: &str| {
            let mut all = lock.packages.iter();
            all.find(|package| package.name == name).cloned()
        };
        let names: BTreeSet<&str> = (before.packages.iter().chain(&self.packages))
            .map(|package| package.name.as_str())
            .collect();
        names
            .into_iter()
            .filter_map(|name| {
                let (from, to) = (find(before, name), find(self, name));
                let same = match (&from, &to) {
                    (Some(from), Some(to)) => from.file == to.file,
                    _ => false,
                };
                (!same).then(|| PackageChange {
                    name: name.to_owned(),
                    from: from.map(|package| package.version),
                    to: to.map(|package| package.version),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = include_str!("../../defs/busybox.lock");

    #[test]
    fn the_signed_chain_and_the_packages_are_read() {
        let lock = ToolchainLock::parse("x.lock", LOCK).unwrap();
        assert_eq!(lock.platform.to_string(), "linux/amd64");
        assert_eq!(lock.packages[0].name, "busybox-static");
        assert_eq!(lock.download_size(), lock.packages[0].file.size);
        assert!(
            lock.packages[0]
                .purl()
                .starts_with("pkg:deb/debian/busybox-static@1%3A1")
        );
    }

    #[test]
    fn changes_are_listed_by_name() {
        let before = ToolchainLock::parse("x.lock", LOCK).unwrap();
        let mut after = before.clone();
        assert_eq!(after.changes_since(&before), []);
        let other = LockedPackage {
            name: "aa".into(),
            ..after.packages[0].clone()
        };
        after.packages[0].version = "2".into();
        after.packages[0].file.size += 1;
        after.packages.push(other);
        let changes = after.changes_since(&before);
        assert_eq!(changes[0].from, None);
        assert_eq!(changes[0].name, "aa");
        assert_eq!(changes[1].to.as_deref(), Some("2"));
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let package = &LOCK[LOCK.find("[[package]]").unwrap()..];
        let doubled = format!("{LOCK}\n{package}");
        let cases = [
            (
                LOCK.replace("version = 1\n", "version = 2\n"),
                2,
                "version 2",
            ),
            (
                LOCK.replace("\nsha256 = \"sha256:", "\nsha256 = \"sha256:0"),
                24,
                "64 lower-case",
            ),
            (
                LOCK.replace("\nsha256 = \"sha256:", "\nsha256 = \"md5:"),
                24,
                "md5",
            ),
            (
                LOCK.replace("phase = \"bootstrap\"", "phase = \"later\""),
                21,
                "later",
            ),
            (LOCK.replace("size = ", "sise = "), 23, "sise"),
            (LOCK.replace("pool/main/", "pool/../"), 22, "pool path"),
            (
                LOCK.replace("architecture = \"amd64\"", "architecture = \"arm64\""),
                17,
                "arm64",
            ),
            (LOCK.replace("-epoch = 1", "-epoch = 2"), 6, "release"),
            (doubled, 26, "twice"),
        ];
        for (text, line, word) in cases {
            let Err(LockError::Invalid(found)) = ToolchainLock::parse("x.lock", &text) else {
                panic!("{word}");
            };
            assert_eq!(found.line(), line, "{found}");
            assert!(found.message().contains(word), "{found}");
        }
    }
}
