//! What a lock is made from: when that changes, the lock is stale.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{digest::Digest, json, platform::Platform, reference::ImageRef, ruleset::Ruleset};
use serde::Serialize;

use super::Version1;
use crate::{
    project::{Project, ToolchainSource},
    purl::SourcePurl,
};

/// The names whose meaning a lock pins. Never the context: a lock does not change with the
/// sources.
///
/// Its checksum is the digest of this canonical JSON (no white space, keys sorted, sets sorted
/// as text):
///
/// ```text
/// {"external":["docker.io/library/debian:bookworm"],   FROM and --from, expanded, that are
///                                                      neither a stage nor declared, normalised
///  "inputs":{"zlib":"pkg:deb/debian/..."},
///  "network":["*.mirror.example"],
///  "platforms":["linux/amd64"],
///  "ruleset":1,
///  "target":null,                                      or the stage
///  "toolchains":{"c":{"use":"debian-c"}},              or {"component":"main","from":"debian",
///                                                      "packages":["gcc"],"suite":"bookworm"}
///  "version":1}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockBasis {
    external: BTreeSet<String>,
    inputs: BTreeMap<String, SourcePurl>,
    network: BTreeSet<String>,
    platforms: BTreeSet<String>,
    ruleset: Ruleset,
    target: Option<String>,
    toolchains: BTreeMap<String, ToolchainSource>,
    version: Version1,
}

impl LockBasis {
    /// The basis of a build of `target` of a project for `platforms`, whose Dockerfile needs
    /// the images `external` besides what the project declares.
    #[must_use]
    pub fn new(
        project: &Project,
        external: &BTreeSet<ImageRef>,
        platforms: &BTreeSet<Platform>,
        target: Option<&str>,
        ruleset: Ruleset,
    ) -> Self {
        Self {
            external: external.iter().map(ToString::to_string).collect(),
            inputs: project.inputs.clone(),
            network: project.network.iter().map(ToString::to_string).collect(),
            platforms: platforms.iter().map(ToString::to_string).collect(),
            ruleset,
            target: target.map(ToOwned::to_owned),
            toolchains: project.toolchains.clone(),
            version: Version1,
        }
    }

    /// The checksum that a lock made from this carries.
    ///
    /// # Panics
    ///
    /// Never: names, paths and one integer always have a canonical form.
    #[must_use]
    pub fn checksum(&self) -> Digest {
        let bytes = json::canonical(self).expect("texts and integers have a canonical form");
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lock::ProjectLock;

    /// The committed locks have the checksum that is computed now, and name toolchains in the
    /// state that is shipped.
    #[test]
    fn the_locks_of_the_examples_are_fresh() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for name in ["static-hello", "stamp", "zlib"] {
            let dir = examples.join(name);
            let project = Project::load(&dir).unwrap();
            let lock = ProjectLock::load(&dir.join("Dockerfile")).unwrap().unwrap();
            let platforms = ["linux/amd64".parse().unwrap()].into();
            let external = BTreeSet::new();
            let basis = LockBasis::new(&project, &external, &platforms, None, Ruleset::V1);
            lock.check_fresh(&basis).unwrap();
            for (toolchain, declared) in &project.toolchains {
                lock.toolchain(toolchain, declared).unwrap().unwrap();
            }
            for (input, purl) in &project.inputs {
                assert_eq!(lock.inputs[input].purl, *purl);
            }
        }
    }
}
