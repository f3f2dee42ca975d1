//! What a step sees besides its tree: mounts that are in no layer, secrets, agents.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SnapshotName;
use crate::digest::Digest;

/// Something mounted for one step. Nothing of it, and nothing that was made to hold it, is in a
/// layer.
///
/// `T` names the trees that files come from: snapshots in a [`super::StepSpec`], stages in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountSpec<T = Vec<SnapshotName>> {
    /// Where: absolute, cleaned, not the root. Links are followed inside the tree.
    pub target: String,
    /// Whether the step can write there.
    pub access: MountAccess,
    /// What.
    pub source: MountSource<T>,
}

/// Whether a step can write to a mount. What it writes is gone when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountAccess {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource<T = Vec<SnapshotName>> {
    /// A directory or file of other trees.
    Bind {
        /// The trees.
        trees: T,
        /// Absolute inside them.
        path: String,
    },
    /// A directory for what a program keeps for its next run. It begins anew in every run of a build,
    /// since what another build left in it would be an input that nobody named.
    Cache {
        /// Mounts of one run with the same name, trees and path are one directory.
        id: String,
        /// What it begins with, if not empty.
        trees: Option<T>,
        /// Absolute inside the trees.
        path: String,
        /// Facts of the directory.
        facts: MountFacts,
    },
    /// Memory.
    Tmpfs {
        /// Most bytes; half of the machine's memory if not given.
        size: Option<u64>,
    },
    /// A file with the value of a secret.
    Secret {
        /// Name of the secret.
        id: String,
        /// Facts of the file.
        facts: MountFacts,
    },
    /// A socket that leads to an ssh agent of the caller.
    Agent {
        /// Name of the agent.
        id: String,
        /// Facts of the socket.
        facts: MountFacts,
    },
}

/// Mode and owner of something that a mount makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// At most 07777.
    pub mode: u16,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// A variable that holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVariable {
    /// The variable.
    pub name: String,
    /// Name of the secret.
    pub id: String,
}

/// The name of a cache in files: the same for all mounts that mean the same cache of a run. A hash, since
/// what a Dockerfile says can be long and hold any character.
#[must_use]
pub fn cache_key<T: fmt::Display>(id: &str, trees: &[T], path: &str) -> String {
    let trees = trees.iter().map(ToString::to_string);
    // With their lengths, so that no two lists are written the same.
    let parts: Vec<String> = [id.to_owned(), path.to_owned()]
        .into_iter()
        .chain(trees)
        .map(|part| format!("{}:{part}", part.len()))
        .collect();
    Digest::of(parts.concat().as_bytes()).hex()
}

impl<T> MountSpec<T> {
    /// The same with other names for the trees.
    pub fn with_trees<U>(&self, mut name: impl FnMut(&T) -> U) -> MountSpec<U> {
        let source = match &self.source {
            MountSource::Bind { trees, path } => MountSource::Bind {
                trees: name(trees),
                path: path.clone(),
            },
            MountSource::Cache {
                id,
                trees,
                path,
                facts,
            } => MountSource::Cache {
                id: id.clone(),
                trees: trees.as_ref().map(name),
                path: path.clone(),
                facts: *facts,
            },
            MountSource::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            MountSource::Secret { id, facts } => MountSource::Secret {
                id: id.clone(),
                facts: *facts,
            },
            MountSource::Agent { id, facts } => MountSource::Agent {
                id: id.clone(),
                facts: *facts,
            },
        };
        MountSpec {
            target: self.target.clone(),
            access: self.access,
            source,
        }
    }

    /// The trees that files come from.
    #[must_use]
    pub const fn trees(&self) -> Option<&T> {
        match &self.source {
            MountSource::Bind { trees, .. } => Some(trees),
            MountSource::Cache { trees, .. } => trees.as_ref(),
            MountSource::Tmpfs { .. } | MountSource::Secret { .. } | MountSource::Agent { .. } => {
                None
            }
        }
    }
}
