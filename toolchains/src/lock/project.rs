//! `repro.lock`.
//!
//! A toolchain that is shipped is locked by the digest of its lock; one of the project's own
//! packages is in the project's lock whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use repro_core::{digest::Digest, platform::Platform, reference::ImageRef, ruleset::Ruleset};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Archive, EntryPlatform, LockBasis, LockError, LockedStep, PoolFile, PoolPath, ToolchainLock,
    Version1,
    fetch::{RawFetch, RawFetchPlace, RawStep, assemble},
    toolchain::{self, RawPackage},
};
use crate::{
    definition::{self, PinnedToolchain},
    diagnostic::Diagnostic,
    project::ToolchainSource,
    purl::SourcePurl,
    text_file,
};

/// Largest `repro.lock`: ten thousand packages take three MiB.
const MAX_SIZE: u64 = 64 << 20;

/// Largest file of a source package that is believed.
const MAX_SOURCE_FILE: u64 = 4 << 30;

/// A base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// As the Dockerfile has it, normalised.
    pub reference: ImageRef,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Platform of that manifest.
    pub platform: Platform,
}

/// A toolchain of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedToolchain {
    /// Platform.
    pub platform: Platform,
    /// Which packages.
    pub source: LockedSource,
}

/// Which packages a toolchain of a project is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedSource {
    /// Those of a shipped toolchain.
    Shipped {
        /// Its name.
        uses: String,
        /// Digest of its lock.
        lock: Digest,
        /// Where the project's lock has that digest.
        place: Diagnostic,
    },
    /// The project's own choice.
    Own(Box<ToolchainLock>),
}

impl LockedToolchain {
    /// A shipped toolchain in the state that is shipped now.
    #[must_use]
    pub fn shipped(toolchain: &PinnedToolchain) -> Self {
        Self {
            platform: toolchain.lock.platform.clone(),
            source: LockedSource::Shipped {
                uses: toolchain.definition.name.clone(),
                lock: toolchain.lock_digest,
                place: Diagnostic::new("", "", None, ""),
            },
        }
    }

    /// A toolchain of the project's own packages.
    #[must_use]
    pub fn own(lock: ToolchainLock) -> Self {
        Self {
            platform: lock.platform.clone(),
            source: LockedSource::Own(Box::new(lock)),
        }
    }
}

/// A file of a source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSourceFile {
    /// Its name, which says what it is: `.dsc`, `.orig.tar.*`, `.debian.tar.*`.
    pub name: String,
    /// Where it is and which bytes it has.
    pub file: PoolFile,
}

/// An input of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedInput {
    /// What it is.
    pub purl: SourcePurl,
    /// Platform; source is for all.
    pub platform: EntryPlatform,
    /// How the files were found.
    pub archive: Archive,
    /// Its files, sorted by name.
    pub files: Vec<LockedSourceFile>,
}

/// A project's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectLock {
    file: String,
    checksum: Digest,
    checksum_place: Diagnostic,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
    /// `[[base]]`, by reference and platform.
    pub bases: BTreeMap<(ImageRef, Platform), LockedBase>,
    /// `[[toolchain]]`, by name in the project.
    pub toolchains: BTreeMap<String, LockedToolchain>,
    /// `[[input]]`, by name in the project.
    pub inputs: BTreeMap<String, LockedInput>,
    /// `[[step]]` with their `[[fetch]]`, by platform and name.
    pub steps: Vec<LockedStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[expect(dead_code, reason = "parsed so that another version is refused")]
    version: Version1,
    ruleset: Ruleset,
    checksum: Spanned<Digest>,
    #[serde(default)]
    base: Vec<Spanned<RawBase>>,
    #[serde(default)]
    toolchain: Vec<Spanned<RawToolchain>>,
    #[serde(default)]
    input: Vec<Spanned<RawInput>>,
    #[serde(default)]
    step: Vec<Spanned<RawStep>>,
    #[serde(default)]
    fetch: Vec<Spanned<RawFetch>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBase {
    reference: ImageRef,
    digest: Digest,
    platform: Platform,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawToolchain {
    name: String,
    platform: Platform,
    r#use: Option<String>,
    lock: Option<Spanned<Digest>>,
    definition: Option<Digest>,
    source_date_epoch: Option<Spanned<u64>>,
    archive: Option<Archive>,
    package: Option<Vec<Spanned<RawPackage>>>,
}

impl RawToolchain {
    /// A mistake comes with its place, if it has one of its own.
    fn source(
        self,
        place: impl FnOnce(Range<usize>) -> Diagnostic,
    ) -> Result<LockedSource, (Option<Range<usize>>, String)> {
        match self {
            Self {
                r#use: Some(uses),
                lock: Some(lock),
                definition: None,
                source_date_epoch: None,
                archive: None,
                package: None,
                ..
            } => Ok(LockedSource::Shipped {
                uses,
                place: place(lock.span()),
                lock: lock.into_inner(),
            }),
            Self {
                name,
                platform,
                r#use: None,
                lock: None,
                definition: Some(definition),
                source_date_epoch: Some(epoch),
                archive: Some(archive),
                package: Some(packages),
            } => {
                let (epoch, packages) = toolchain::check(&platform, &archive, &epoch, packages)
                    .map_err(|(span, message)| (Some(span), message))?;
                Ok(LockedSource::Own(Box::new(ToolchainLock {
                    name,
                    definition,
                    platform,
                    epoch,
                    archive,
                    packages,
                })))
            }
            _ => {
                let message = "a toolchain has either use and lock, or definition, \
                               source-date-epoch, archive and packages";
                Err((None, message.into()))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    name: String,
    purl: SourcePurl,
    platform: EntryPlatform,
    archive: Archive,
    file: Vec<Spanned<RawFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    path: PoolPath,
    size: u64,
    sha256: Digest,
}

/// Name of the lock of a Dockerfile: `repro.lock`, or `NAME.repro.lock` for another name.
#[must_use]
pub fn file_name(dockerfile: &str) -> String {
    match dockerfile {
        "Dockerfile" => "repro.lock".to_owned(),
        name => format!("{name}.repro.lock"),
    }
}

impl ProjectLock {
    /// Reads the lock beside the Dockerfile at `dockerfile`; `None` if there is none.
    pub fn load(dockerfile: &Path) -> Result<Option<Self>, LockError> {
        let name = dockerfile.file_name().unwrap_or_default().to_string_lossy();
        let path = dockerfile.with_file_name(file_name(&name));
        let file = path.display().to_string();
        match text_file::read(&path, MAX_SIZE) {
            Ok(Some(text)) => Self::parse(&file, &text).map(Some),
            Ok(None) => Ok(None),
            Err(source) => Err(LockError::Io { file, source }),
        }
    }

    /// Parses the text of `file`, the name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        let raw: RawLock =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))?;
        let place =
            |span: Range<usize>, message: String| Diagnostic::new(file, text, Some(span), message);
        let mut bases = BTreeMap::new();
        for base in raw.base {
            let (span, base) = (base.span(), base.into_inner());
            let key = (base.reference.clone(), base.platform.clone());
            let base = LockedBase {
                reference: base.reference,
                digest: base.digest,
                platform: base.platform,
            };
            if let Some(double) = bases.insert(key, base) {
                let message = format!("base {} is listed twice", double.reference);
                return Err(place(span, message).into());
            }
        }
        let mut names = BTreeSet::new();
        let mut claim = |name: &str, span: &Range<usize>| {
            if names.insert(name.to_owned()) {
                Ok(())
            } else {
                Err(place(span.clone(), format!("{name} is listed twice")))
            }
        };
        let mut toolchains = BTreeMap::new();
        for toolchain in raw.toolchain {
            let (span, toolchain) = (toolchain.span(), toolchain.into_inner());
            claim(&toolchain.name, &span)?;
            let (name, platform) = (toolchain.name.clone(), toolchain.platform.clone());
            let source = toolchain
                .source(|span| place(span, String::new()))
                .map_err(|(own, message)| place(own.unwrap_or(span), message))?;
            toolchains.insert(name, LockedToolchain { platform, source });
        }
        let mut inputs = BTreeMap::new();
        for input in raw.input {
            let (span, input) = (input.span(), input.into_inner());
            claim(&input.name, &span)?;
            let mut files = Vec::with_capacity(input.file.len());
            for raw in input.file {
                let (span, raw) = (raw.span(), raw.into_inner());
                files.push(source_file(raw).map_err(|message| place(span, message))?);
            }
            files.sort_by(|a, b| a.name.cmp(&b.name));
            if files.windows(2).any(|pair| pair[0].name == pair[1].name) {
                return Err(place(span, "a file is listed twice".into()).into());
            }
            let locked = LockedInput {
                purl: input.purl,
                platform: input.platform,
                archive: input.archive,
                files,
            };
            inputs.insert(input.name, locked);
        }
        let mut listed = BTreeSet::new();
        let mut steps = Vec::with_capacity(raw.step.len());
        for step in raw.step {
            let (span, step) = (step.span(), step.into_inner());
            if !listed.insert((step.name.clone(), step.platform.clone())) {
                return Err(place(span, format!("step {} is listed twice", step.name)).into());
            }
            steps.push(step);
        }
        let mut fetches = Vec::with_capacity(raw.fetch.len());
        for fetch in raw.fetch {
            let (span, fetch) = (fetch.span(), fetch.into_inner());
            let at = RawFetchPlace {
                platform: fetch.platform.clone(),
                step: fetch.step.clone(),
                span: span.clone(),
            };
            fetches.push((at, fetch.parse().map_err(|message| place(span, message))?));
        }
        let steps = assemble(steps, fetches).map_err(|(span, message)| place(span, message))?;
        Ok(Self {
            file: file.to_owned(),
            checksum_place: place(raw.checksum.span(), String::new()),
            checksum: raw.checksum.into_inner(),
            ruleset: raw.ruleset,
            bases,
            toolchains,
            inputs,
            steps,
        })
    }

    /// Name of the file, for messages.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Fails if the lock was made from other names than `basis`.
    pub fn check_fresh(&self, basis: &LockBasis) -> Result<(), LockError> {
        let expected = basis.checksum();
        if self.checksum == expected {
            return Ok(());
        }
        let message = format!(
            "the lock was made from other names than the project has now: its checksum is {}, \
             that of the project {expected}",
            self.checksum
        );
        Err(LockError::Stale(self.checksum_place.with_message(message)))
    }

    /// The digest that a base image is locked to.
    #[must_use]
    pub fn base(&self, reference: &ImageRef, platform: &Platform) -> Option<Digest> {
        let key = (reference.clone(), platform.clone());
        self.bases.get(&key).map(|base| base.digest)
    }

    /// The toolchain that `name`, which the project declares as `declared`, is locked to; `None`
    /// if the lock has no such name, or another kind of toolchain under it.
    pub fn toolchain(
        &self,
        name: &str,
        declared: &ToolchainSource,
    ) -> Result<Option<PinnedToolchain>, LockError> {
        let Some(locked) = self.toolchains.get(name) else {
            return Ok(None);
        };
        let (uses, digest, place) = match (&locked.source, declared) {
            (LockedSource::Shipped { uses, lock, place }, _) => (uses, *lock, place),
            (LockedSource::Own(lock), ToolchainSource::Own(own)) => {
                return Ok(own.definition(name, &locked.platform).map(|definition| {
                    PinnedToolchain {
                        definition,
                        lock_digest: Digest::of(lock.to_toml().as_bytes()),
                        lock: (**lock).clone(),
                    }
                }));
            }
            (LockedSource::Own(_), ToolchainSource::Shipped(_)) => return Ok(None),
        };
        let message = match definition::shipped(uses)? {
            Some(shipped) if shipped.lock_digest == digest => return Ok(Some(shipped)),
            Some(shipped) => format!(
                "toolchain {name} is locked to {uses} {digest}, this version of repro ships \
                 {uses} {}",
                shipped.lock_digest
            ),
            None => format!("toolchain {name} is locked to {uses}, which is not shipped"),
        };
        Err(LockError::OtherToolchain(place.with_message(message)))
    }
}

fn source_file(raw: RawFile) -> Result<LockedSourceFile, String> {
    if raw.path.file_name() != raw.name {
        return Err(format!("{} does not end in {}", raw.path, raw.name));
    }
    if raw.size == 0 || raw.size > MAX_SOURCE_FILE {
        return Err(format!("{} bytes cannot be a source file", raw.size));
    }
    Ok(LockedSourceFile {
        name: raw.name,
        file: PoolFile {
            path: raw.path,
            size: raw.size,
            sha256: raw.sha256,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn head() -> String {
        format!("version = 1\nruleset = 1\nchecksum = \"{ZEROS}\"\n")
    }

    fn mistake(text: &str) -> Diagnostic {
        match ProjectLock::parse("repro.lock", text) {
            Err(LockError::Invalid(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let text = format!(
            "{}[[base]]\nreference = 'debian:12'\ndigest = '{ZEROS}'\nplatform = 'linux/amd64'\n\
             [[toolchain]]\nname = 'c'\nplatform = 'linux/amd64'\nuse = 'debian-c'\n\
             lock = '{ZEROS}'\n",
            head()
        );
        let lock = ProjectLock::parse("repro.lock", &text).unwrap();
        let platform = "linux/amd64".parse().unwrap();
        let digest = lock.base(&"docker.io/library/debian:12".parse().unwrap(), &platform);
        assert_eq!(digest, Some(ZEROS.parse().unwrap()));
        let declared = ToolchainSource::Shipped("debian-c".into());
        let Err(LockError::OtherToolchain(place)) = lock.toolchain("c", &declared) else {
            panic!("a digest of zeros is no shipped lock");
        };
        assert_eq!(place.line(), 12);
        assert_eq!(lock.toolchain("d", &declared).unwrap(), None);
    }

    #[test]
    fn a_lock_of_other_names_is_stale() {
        let lock = ProjectLock::parse("repro.lock", &head()).unwrap();
        let platforms = ["linux/amd64".parse().unwrap()].into();
        let none = BTreeSet::new();
        let basis =
            |project: &Project| LockBasis::new(project, &none, &platforms, None, Ruleset::V1);
        let project = Project::default();
        let checksum = basis(&project).checksum();
        let text = head().replace(ZEROS, &checksum.to_string());
        let fresh = ProjectLock::parse("repro.lock", &text).unwrap();
        fresh.check_fresh(&basis(&project)).unwrap();
        let Err(LockError::Stale(place)) = lock.check_fresh(&basis(&project)) else {
            panic!("a checksum of zeros is none of names");
        };
        assert_eq!(place.line(), 3);
        let other = Project::parse("repro.toml", "[toolchain.c]\nuse = 'debian-c'\n").unwrap();
        assert!(fresh.check_fresh(&basis(&other)).is_err());
        let target = LockBasis::new(&project, &none, &platforms, Some("x"), Ruleset::V1);
        assert!(fresh.check_fresh(&target).is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let base =
            format!("[[base]]\nreference = 'a'\ndigest = '{ZEROS}'\nplatform = 'linux/amd64'\n");
        for (text, line, word) in [
            (head().replace("= 1\nr", "= 7\nr"), 1, "version 7"),
            (head().replace("ruleset = 1", "ruleset = 9"), 2, "ruleset 9"),
            (head().replace("sha256:0", "sha256:"), 3, "64"),
            (head() + "chekcsum = 1\n", 4, "chekcsum"),
            (head() + "[[fetch]]\nurl = 'x'\n", 4, "step"),
            (head() + &base + &base, 8, "twice"),
            (head() + &base.replace("'a'", "'A B'"), 5, "repository"),
        ] {
            let found = mistake(&text);
            assert_eq!(found.line(), line, "{found}");
            assert!(found.message().contains(word), "{found}");
        }
    }

    #[test]
    fn a_dockerfile_of_another_name_has_a_lock_of_its_own() {
        assert_eq!(file_name("Dockerfile"), "repro.lock");
        assert_eq!(file_name("app.Dockerfile"), "app.Dockerfile.repro.lock");
    }
}
