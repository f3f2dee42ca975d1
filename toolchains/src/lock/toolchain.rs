//! `toolchains/defs/NAME.lock`.

use std::collections::BTreeSet;

use repro_core::{digest::Digest, epoch::Epoch, platform::Platform};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{Archive, LockError, PoolFile, PoolPath, Version1};
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
struct RawPackage {
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

impl ToolchainLock {
    /// Parses the text of `file`, the name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        let raw: RawLock =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))?;
        let refuse = |span: std::ops::Range<usize>, message: String| {
            LockError::Invalid(Diagnostic::new(file, text, Some(span), message))
        };
        let epoch = raw.archive.date.epoch();
        if *raw.source_date_epoch.get_ref() != epoch.seconds() {
            let message = format!("the release was made at {}", epoch.seconds());
            return Err(refuse(raw.source_date_epoch.span(), message));
        }
        let mut seen = BTreeSet::new();
        let mut packages = Vec::with_capacity(raw.package.len());
        for package in raw.package {
            let span = package.span();
            let package = package.into_inner();
            let own = raw.platform.architecture();
            if package.architecture != "all" && package.architecture != own {
                let message = format!("architecture {} in a lock for {own}", package.architecture);
                return Err(refuse(span, message));
            }
            if package.size == 0 || package.size > MAX_PACKAGE {
                return Err(refuse(
                    span,
                    format!("{} bytes cannot be a package", package.size),
                ));
            }
            if package.path.extension() != "deb" {
                return Err(refuse(span, format!("{} is not a package", package.path)));
            }
            if !seen.insert(package.name.clone()) {
                return Err(refuse(
                    span,
                    format!("package {} is listed twice", package.name),
                ));
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
            return Err(refuse(
                0..0,
                "a toolchain is made of at least one package".into(),
            ));
        }
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
