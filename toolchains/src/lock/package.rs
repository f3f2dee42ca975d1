//! Which package a URL brings, as the registries of languages and distributions name their files.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands for itself in a package URL.
const PURL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');
/// Endings of files that hold the source of a Python package.
const SDISTS: [&str; 3] = [".tar.gz", ".zip", ".tar.bz2"];

/// A world of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Crates of Rust.
    Cargo,
    /// Packages of Debian and its descendants.
    Deb,
    /// Packages of Ruby.
    Gem,
    /// Modules of Go.
    Golang,
    /// Artifacts of Java.
    Maven,
    /// Packages of Node.js.
    Npm,
    /// Packages of Python.
    Pypi,
}

impl Ecosystem {
    /// The type in a package URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Deb => "deb",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
        }
    }
}

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its world.
    pub ecosystem: Ecosystem,
    /// Its name, with the scope or group that is part of it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture, where it is part of the file's name.
    pub architecture: Option<String>,
}

impl Package {
    /// The package that a file at this URL is, by its name alone; `None` where it is no package, or of
    /// a kind that is not known.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let path = url.split(['?', '#']).next()?;
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        let (_, path) = path.split_once('/')?;
        let path = percent_decode_str(path).decode_utf8().ok()?;
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let file = *parts.last()?;
        deb(file)
            .or_else(|| npm(&parts, file))
            .or_else(|| cargo(&parts, file))
            .or_else(|| wheel(file))
            .or_else(|| golang(&parts, file))
            .or_else(|| gem(file))
            .or_else(|| maven(&parts, file))
            .or_else(|| sdist(&parts, file))
    }

    /// The package URL.
    #[must_use]
    pub fn purl(&self) -> String {
        let namespace = match self.ecosystem {
            Ecosystem::Deb => "debian/",
            _ => "",
        };
        let name: Vec<String> = self
            .name
            .split('/')
            .map(|part| utf8_percent_encode(part, PURL).to_string())
            .collect();
        let version = utf8_percent_encode(&self.version, PURL);
        let architecture = match &self.architecture {
            Some(architecture) => format!("?arch={}", utf8_percent_encode(architecture, PURL)),
            None => String::new(),
        };
        let kind = self.ecosystem.name();
        format!(
            "pkg:{kind}/{namespace}{}@{version}{architecture}",
            name.join("/")
        )
    }

    fn new(ecosystem: Ecosystem, name: impl Into<String>, version: &str) -> Option<Self> {
        let name = name.into();
        (!name.is_empty() && !version.is_empty()).then(|| Self {
            ecosystem,
            name,
            version: version.to_owned(),
            architecture: None,
        })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.ecosystem.name(),
            self.name,
            self.version
        )
    }
}

/// The package URL of a file that is no package of a known kind.
#[must_use]
pub fn generic_purl(url: &str, sha256: repro_core::digest::Digest) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').find(|part| !part.is_empty());
    let name = utf8_percent_encode(file.unwrap_or("file"), PURL);
    let url = utf8_percent_encode(url, PURL);
    format!(
        "pkg:generic/{name}?checksum=sha256:{}&download_url={url}",
        sha256.hex()
    )
}

/// `NAME_VERSION_ARCHITECTURE.deb`.
fn deb(file: &str) -> Option<Package> {
    let stem = file
        .strip_suffix(".deb")
        .or_else(|| file.strip_suffix(".udeb"))?;
    let mut parts = stem.split('_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let package = Package::new(Ecosystem::Deb, name, version)?;
    Some(Package {
        architecture: Some(architecture.to_owned()),
        ..package
    })
}

/// `[@SCOPE/]NAME/-/NAME-VERSION.tgz`.
fn npm(parts: &[&str], file: &str) -> Option<Package> {
    let [before @ .., name, "-", _] = parts else {
        return None;
    };
    let version = file
        .strip_suffix(".tgz")?
        .strip_prefix(name)?
        .strip_prefix('-')?;
    let name = match before.last() {
        Some(scope) if scope.starts_with('@') => format!("{scope}/{name}"),
        _ => (*name).to_owned(),
    };
    Package::new(Ecosystem::Npm, name, version)
}

/// `crates/NAME/VERSION/download` or `NAME-VERSION.crate`.
fn cargo(parts: &[&str], file: &str) -> Option<Package> {
    if let [.., "crates", name, version, "download"] = parts {
        return Package::new(Ecosystem::Cargo, *name, version);
    }
    let (name, version) = name_and_version(file.strip_suffix(".crate")?)?;
    Package::new(Ecosystem::Cargo, name, version)
}

/// `NAME-VERSION-[BUILD-]PYTHON-ABI-PLATFORM.whl`.
fn wheel(file: &str) -> Option<Package> {
    let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
    match parts[..] {
        [name, version, _, _, _] | [name, version, _, _, _, _] => {
            Package::new(Ecosystem::Pypi, normalised(name), version)
        }
        _ => None,
    }
}

/// `packages/.../NAME-VERSION.tar.gz`, as Python's index has them.
fn sdist(parts: &[&str], file: &str) -> Option<Package> {
    if !parts.contains(&"packages") {
        return None;
    }
    let stem = SDISTS.iter().find_map(|ending| file.strip_suffix(ending))?;
    let (name, version) = stem.rsplit_once('-')?;
    let begins = version.starts_with(|c: char| c.is_ascii_digit());
    Package::new(Ecosystem::Pypi, normalised(name), version).filter(|_| begins)
}

/// `MODULE/@v/VERSION.zip`.
fn golang(parts: &[&str], file: &str) -> Option<Package> {
    let [module @ .., "@v", _] = parts else {
        return None;
    };
    Package::new(
        Ecosystem::Golang,
        module.join("/"),
        file.strip_suffix(".zip")?,
    )
}

/// `NAME-VERSION[-PLATFORM].gem`.
fn gem(file: &str) -> Option<Package> {
    let (name, version) = name_and_version(file.strip_suffix(".gem")?)?;
    Package::new(Ecosystem::Gem, name, version)
}

/// `GROUP/ARTIFACT/VERSION/ARTIFACT-VERSION.jar`, where the group begins after the repository's name.
fn maven(parts: &[&str], file: &str) -> Option<Package> {
    let [before @ .., artifact, version, _] = parts else {
        return None;
    };
    let stem = file.strip_suffix(".jar")?;
    if stem != format!("{artifact}-{version}") {
        return None;
    }
    let start = before.iter().position(|part| part.starts_with("maven"));
    let group = &before[start.map_or(0, |start| start + 1)..];
    Package::new(
        Ecosystem::Maven,
        format!("{}/{artifact}", group.join(".")),
        version,
    )
}

/// Cut where a version begins: a dash and a digit.
fn name_and_version(stem: &str) -> Option<(&str, &str)> {
    let dashes = stem.match_indices('-').map(|(at, _)| at);
    let mut cuts = dashes.filter(|at| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let at = cuts.next()?;
    Some((&stem[..at], &stem[at + 1..]))
}

/// Names of Python packages have many spellings and one meaning.
fn normalised(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_registries_are_packages() {
        for (url, purl) in [
            (
                "http://h/debian/pool/main/c/curl/curl_7.88.1-10%2bdeb12u15_amd64.deb",
                "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u15?arch=amd64",
            ),
            (
                "https://h/left-pad/-/left-pad-1.3.0.tgz",
                "pkg:npm/left-pad@1.3.0",
            ),
            (
                "https://h/@babel/core/-/core-7.1.0-rc.1.tgz",
                "pkg:npm/%40babel/core@7.1.0-rc.1",
            ),
            (
                "https://h/@babel%2fcore/-/core-7.1.0.tgz",
                "pkg:npm/%40babel/core@7.1.0",
            ),
            (
                "https://h/crates/serde/1.0.1/download",
                "pkg:cargo/serde@1.0.1",
            ),
            (
                "https://h/crates/a-b/a-b-0.2.0.crate",
                "pkg:cargo/a-b@0.2.0",
            ),
            (
                "https://h/packages/ab/cd/PyYAML-6.0.1-cp311-cp311-linux_x86_64.whl",
                "pkg:pypi/pyyaml@6.0.1",
            ),
            (
                "https://h/packages/ab/cd/zope.interface-6.0.tar.gz",
                "pkg:pypi/zope-interface@6.0",
            ),
            (
                "https://h/go.example/x/text/@v/v0.3.0.zip",
                "pkg:golang/go.example/x/text@v0.3.0",
            ),
            ("https://h/gems/rake-13.0.6.gem", "pkg:gem/rake@13.0.6"),
            (
                "https://h/maven2/org/slf4j/slf4j-api/2.0.9/slf4j-api-2.0.9.jar",
                "pkg:maven/org.slf4j/slf4j-api@2.0.9",
            ),
        ] {
            let package = Package::of_url(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(package.purl(), purl, "{url}");
        }
        for other in [
            "https://h/",
            "https://h",
            "https://h/dists/bookworm/InRelease",
            "https://h/simple/pip/",
            "https://h/a_b.deb",
            "https://h/release/tool-1.0.tar.gz",
            "https://h/left-pad",
            "https://h/x/@v/list",
        ] {
            assert_eq!(Package::of_url(other), None, "{other}");
        }
    }

    #[test]
    fn other_files_say_where_they_are() {
        let digest = repro_core::digest::Digest::of(b"x");
        let purl = generic_purl("https://h/a/tool.tar.gz?x=1", digest);
        assert!(
            purl.starts_with("pkg:generic/tool.tar.gz?checksum=sha256:2d71"),
            "{purl}"
        );
        assert!(
            purl.ends_with("download_url=https%3A%2F%2Fh%2Fa%2Ftool.tar.gz%3Fx%3D1"),
            "{purl}"
        );
    }
}
