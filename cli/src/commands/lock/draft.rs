//! What a new lock says: from the project, from the lock before, and from the build.

use std::collections::BTreeMap;

use repro_core::{
    build::{BuildRecord, InputKind, LockMode, NamedContext},
    digest::Digest,
};
use repro_toolchains::{
    SourceError,
    definition::{self, Definition},
    lock::{
        LockBasis, LockDraft, LockedInput, LockedSource, LockedStep, LockedToolchain, ProjectLock,
    },
    locking::{LockingError, Locksmith},
    project::ToolchainSource,
    purl::SourcePurl,
};

use crate::{commands::build::request::Asked, error::CommandError};

/// What of the lock before is pinned anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Update {
    /// What is not in it yet.
    New,
    /// Everything.
    All,
    /// One entry.
    Entry(String),
}

impl Update {
    /// `--update`, `--update=ENTRY`.
    pub(super) fn of(option: Option<&str>) -> Self {
        match option {
            None => Self::New,
            Some("") => Self::All,
            Some(entry) => Self::Entry(entry.to_owned()),
        }
    }

    /// How a base is looked up that the new lock does not pin yet.
    pub(super) const fn lock_mode(&self) -> LockMode {
        match self {
            Self::New => LockMode::Pin,
            Self::All | Self::Entry(_) => LockMode::Refresh,
        }
    }

    /// Whether the entry with one of these names is pinned anew.
    fn takes(&self, names: &[&str]) -> bool {
        match self {
            Self::New => false,
            Self::All => true,
            Self::Entry(entry) => names.contains(&entry.as_str()),
        }
    }

    /// An entry that the lock does not have is a mistake.
    pub(super) fn check(&self, old: Option<&ProjectLock>) -> Result<(), CommandError> {
        let Self::Entry(entry) = self else {
            return Ok(());
        };
        let there = old.is_some_and(|old| {
            let bases = old.bases.keys();
            let mut bases = bases.map(|(reference, _)| reference.to_string());
            let mut fetches = old.steps.iter().flat_map(|step| {
                step.fetches
                    .iter()
                    .map(move |fetch| (step, fetch.key.url.as_str()))
            });
            bases.any(|base| base == *entry)
                || old.inputs.contains_key(entry)
                || old.toolchains.contains_key(entry)
                || fetches.any(|(step, url)| self.takes_fetch(step, url))
        });
        if there {
            return Ok(());
        }
        let message = format!("the lock has no entry {entry}");
        Err(CommandError::usage(message).hint(
            "an entry is a base image, an input, a host, a URL or a step, as the lock has it; \
             --update alone takes all of them",
        ))
    }

    fn takes_fetch(&self, step: &LockedStep, url: &str) -> bool {
        self.takes(&[url, host(url), &step.name.to_string()])
    }
}

/// The host of a URL, without port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// What can be said before the build: names that the project declares, and what the lock before pins.
pub(super) fn first_draft(
    asked: &Asked,
    old: Option<&ProjectLock>,
    update: &Update,
) -> Result<LockDraft, CommandError> {
    let mut draft = LockDraft {
        ruleset: asked.request.ruleset,
        // Known when the names are.
        checksum: Digest::of(b""),
        bases: BTreeMap::new(),
        toolchains: BTreeMap::new(),
        inputs: BTreeMap::new(),
        steps: Vec::new(),
    };
    let old_bases = old.iter().flat_map(|old| &old.bases);
    for ((reference, platform), base) in old_bases {
        if !update.takes(&[&reference.to_string()]) {
            let key = (reference.clone(), platform.clone());
            draft.bases.insert(key, base.digest);
        }
    }
    for (name, declared) in &asked.project.toolchains {
        match declared {
            ToolchainSource::Shipped(uses) => {
                let not_locked = || CommandError::from(SourceError::NotLocked(name.clone()));
                let shipped = definition::shipped(uses)?.ok_or_else(not_locked)?;
                draft
                    .toolchains
                    .insert(name.clone(), LockedToolchain::shipped(&shipped));
            }
            ToolchainSource::Own(own) => {
                let known = old.and_then(|old| old.toolchains.get(name));
                let same = |locked: &&LockedToolchain| match &locked.source {
                    LockedSource::Own(lock) => {
                        lock.definition == own.digest() && locked.platform == asked.request.platform
                    }
                    LockedSource::Shipped { .. } => false,
                };
                if let Some(known) = known.filter(same).filter(|_| !update.takes(&[name])) {
                    draft.toolchains.insert(name.clone(), known.clone());
                }
            }
        }
    }
    for (name, purl) in &asked.project.inputs {
        let known = old.and_then(|old| old.inputs.get(name));
        if let Some(known) = known.filter(|known| known.purl == *purl && !update.takes(&[name])) {
            draft.inputs.insert(name.clone(), known.clone());
        }
    }
    Ok(draft)
}

/// What the project declares and a draft does not have: found in a signed archive.
pub(super) struct Missing<'a> {
    toolchains: BTreeMap<&'a String, (Definition, Digest)>,
    inputs: BTreeMap<&'a String, &'a SourcePurl>,
}

/// What was missing.
pub(super) struct Made {
    pub(super) toolchains: BTreeMap<String, LockedToolchain>,
    pub(super) inputs: BTreeMap<String, LockedInput>,
}

impl<'a> Missing<'a> {
    pub(super) fn of(asked: &'a Asked, draft: &LockDraft) -> Result<Self, CommandError> {
        let platform = &asked.request.platform;
        let mut toolchains = BTreeMap::new();
        for (name, declared) in &asked.project.toolchains {
            let ToolchainSource::Own(own) = declared else {
                continue;
            };
            if draft.toolchains.contains_key(name) {
                continue;
            }
            let definition = own.definition(name, platform);
            let definition = definition.ok_or_else(|| LockingError::Platform(platform.clone()))?;
            toolchains.insert(name, (definition, own.digest()));
        }
        let inputs = asked.project.inputs.iter();
        Ok(Self {
            toolchains,
            inputs: inputs
                .filter(|(name, _)| !draft.inputs.contains_key(*name))
                .collect(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.toolchains.is_empty() && self.inputs.is_empty()
    }

    /// Looks all of it up, in one state of each suite.
    pub(super) fn make(&self, locksmith: &Locksmith<'_>) -> Result<Made, LockingError> {
        let mut made = Made {
            toolchains: BTreeMap::new(),
            inputs: BTreeMap::new(),
        };
        for (name, (definition, digest)) in &self.toolchains {
            let lock = locksmith.toolchain(definition, *digest)?;
            made.toolchains
                .insert((*name).clone(), LockedToolchain::own(lock));
        }
        for (name, purl) in &self.inputs {
            made.inputs.insert((*name).clone(), locksmith.input(purl)?);
        }
        Ok(made)
    }
}

/// What the lock before has of fetches, and what is not pinned anew.
pub(super) fn keep(old: Option<&ProjectLock>, update: &Update) -> Vec<LockedStep> {
    let steps = old.iter().flat_map(|old| &old.steps);
    let kept = steps.map(|step| LockedStep {
        fetches: step
            .fetches
            .iter()
            .filter(|fetch| !update.takes_fetch(step, &fetch.key.url))
            .cloned()
            .collect(),
        ..step.clone()
    });
    kept.filter(|step| !step.fetches.is_empty()).collect()
}

/// What the build came to.
pub(super) fn finish(
    mut draft: LockDraft,
    asked: &Asked,
    record: &BuildRecord,
    basis: &LockBasis,
    mut steps: Vec<LockedStep>,
    old: Option<&ProjectLock>,
) -> LockDraft {
    draft.checksum = basis.checksum();
    let platform = &asked.request.platform;
    // Those that are not used any more go.
    draft.bases.retain(|(_, of), _| of != platform);
    for input in &record.inputs {
        let given = |name: &String| {
            matches!(
                asked.request.contexts.get(name),
                Some(NamedContext::Image(_) | NamedContext::Manifest(_))
            )
        };
        if input.kind != InputKind::Image || input.name.as_ref().is_some_and(given) {
            continue;
        }
        let name = input.name.as_deref().unwrap_or_default();
        if let Ok(reference) = name.parse() {
            draft
                .bases
                .insert((reference, platform.clone()), input.digest);
        }
    }
    // A lock can be for several platforms, each captured by itself.
    let others = old.iter().flat_map(|old| &old.steps);
    steps.extend(others.filter(|step| step.platform != *platform).cloned());
    draft.steps = steps;
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_host_a_url_or_a_step() {
        let step = LockedStep {
            platform: "linux/amd64".parse().unwrap(),
            name: "0/1".parse().unwrap(),
            instruction: Digest::of(b""),
            fetches: Vec::new(),
        };
        let url = "https://deb.example:8/pool/a.deb";
        for (entry, takes) in [
            ("deb.example", true),
            (url, true),
            ("0/1", true),
            ("example", false),
            ("0/2", false),
        ] {
            let update = Update::of(Some(entry));
            assert_eq!(update.takes_fetch(&step, url), takes, "{entry}");
        }
        assert!(Update::of(Some("")).takes_fetch(&step, url));
        assert!(!Update::of(None).takes_fetch(&step, url));
        assert_eq!(host("http://[::1]:8/x"), "::1");
    }
}
