//! What can go wrong with a tree.

use std::{fmt, io};

use repro_core::tree::{IgnoreError, PatternError, TreePath, TreePathError};

use super::RemoveError;
use crate::users::UserError;

/// The kind of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "character",
            Self::Block => "block",
        })
    }
}

/// What is wrong with a `security.capability` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityFault {
    /// Version 3: it names the user who may use it, a number of this machine.
    Namespaced,
    /// Neither version 2 nor 3, or not of the length of its version.
    Malformed,
}

impl fmt::Display for CapabilityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaced => "are bound to a user id of one machine (version 3)",
            Self::Malformed => "are not of version 2",
        })
    }
}

/// Why a tree cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The operating system refused.
    #[error("{path:?}: cannot {action}")]
    Io {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// On what.
        path: TreePath,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// A container shows something else than its image was made of.
    #[error("{0:?}: the engine shows something else there than the image that it was given")]
    Engine(TreePath),
    /// The entries of a layer cannot be read.
    #[error("cannot read the entries of the layer")]
    Source(#[source] io::Error),
    /// The entries of a layer cannot be handed on.
    #[error("{path:?}: cannot hand on the entry")]
    Sink {
        /// The entry.
        path: TreePath,
        /// What the receiver said.
        #[source]
        source: io::Error,
    },
    /// A path that no layer can hold.
    #[error("below {parent:?}: a path that no layer can hold")]
    Path {
        /// The directory that holds it.
        parent: TreePath,
        /// What is wrong with it.
        #[source]
        source: TreePathError,
    },
    /// A path given by the user that no tree can hold.
    #[error("a path that no tree can hold")]
    GivenPath(#[from] TreePathError),
    /// A device node. They cannot be made in a user namespace, so they are refused everywhere:
    /// what is built must not depend on who builds it.
    #[error(
        "{path:?} is a {kind} device {major}:{minor}; steps and layers have no device nodes, \
         since they cannot be made without being root of the machine"
    )]
    Device {
        /// Where.
        path: TreePath,
        /// Its kind.
        kind: DeviceKind,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// File capabilities that an image cannot carry.
    #[error("{path:?}: its file capabilities {fault}")]
    Capability {
        /// The file.
        path: TreePath,
        /// What is wrong with them.
        fault: CapabilityFault,
    },
    /// An attribute with which overlayfs says that the tree is not what it looks like.
    #[error("{path:?} has the overlay attribute {attribute}, its content is elsewhere")]
    Overlay {
        /// The entry.
        path: TreePath,
        /// The attribute.
        attribute: String,
    },
    /// A name that a layer cannot hold, since it would mean a removal there.
    #[error("{0:?}: names that begin with .wh. mean removed files in a layer")]
    ReservedName(TreePath),
    /// An owner that the step's id mapping does not have.
    #[error("{path:?}: owner {uid}:{gid} is not in the id mapping of the build")]
    Owner {
        /// The entry.
        path: TreePath,
        /// Numeric owner.
        uid: u32,
        /// Numeric group.
        gid: u32,
    },
    /// A file system that does not tell when a file was made, which owners that are written down
    /// need.
    #[error(
        "{0:?}: its file system does not tell when it was made, which a step with one id needs"
    )]
    Birth(TreePath),
    /// A time beyond what file systems hold.
    #[error("{path:?}: a time of {mtime} seconds since 1970 is out of range")]
    Time {
        /// The entry.
        path: TreePath,
        /// What it says.
        mtime: u64,
    },
    /// The content of a layer's entry is not as long as the entry says.
    #[error("{path:?}: {found} bytes of content where {expected} were announced")]
    ContentSize {
        /// The entry.
        path: TreePath,
        /// What the entry says.
        expected: u64,
        /// What came; at most one more than expected.
        found: u64,
    },
    /// An entry below something that is not a directory.
    #[error("{0:?} is not a directory, and entries below it were to be made")]
    NotADirectory(TreePath),
    /// Something else where a regular file belongs.
    #[error("{0:?} is not a regular file")]
    NotAFile(TreePath),
    /// The root of a tree as anything but a directory.
    #[error("the root of a tree is a directory, nothing else")]
    RootEntry,
    /// A hard link to a name that is not there or is a directory.
    #[error("{path:?} is a hard link to {target:?}, which is no file of this layer or below")]
    LinkTarget {
        /// The link.
        path: TreePath,
        /// What it should be another name of.
        target: TreePath,
    },
    /// A chain of symbolic links without end.
    #[error("{0:?}: too many symbolic links")]
    Links(TreePath),
    /// A socket given as a source by name.
    #[error("{0:?} is a socket, which cannot be copied")]
    Socket(TreePath),
    /// A source of a copy that is not there.
    #[error("{pattern:?} is not there{}", near_names(.near))]
    NoSource {
        /// The source as given.
        pattern: String,
        /// Names that are there and look alike, at most three.
        near: Vec<String>,
    },
    /// A source of a copy that is a link to what is not there.
    #[error("{pattern:?} is a link to {target:?}, which is not there")]
    Dangling {
        /// The source as given, or as its pattern found it.
        pattern: String,
        /// Where it leads in the source's tree.
        target: TreePath,
    },
    /// A malformed pattern.
    #[error("a source cannot be read as a pattern")]
    Pattern(#[from] PatternError),
    /// A source that is an archive cannot be unpacked.
    #[error("{path:?} is an archive that cannot be unpacked")]
    Archive {
        /// The archive.
        path: TreePath,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Patterns of what is left out that are none.
    #[error("--exclude cannot be read")]
    Exclude(#[from] IgnoreError),
    /// Several sources for one destination.
    #[error("several sources need a destination that ends in /, not {0:?}")]
    SeveralSources(String),
    /// A directory was to be copied onto something else.
    #[error("{0:?} is there and not a directory: a directory cannot be copied onto it")]
    DirectoryOverFile(TreePath),
    /// Something else was to be copied onto a directory.
    #[error("{0:?} is a directory: a file cannot replace it")]
    FileOverDirectory(TreePath),
    /// An owner that cannot be found.
    #[error("the owner cannot be determined")]
    User(#[from] UserError),
    /// Something could not be deleted.
    #[error("{path:?} cannot be deleted")]
    Remove {
        /// What was to be deleted.
        path: TreePath,
        /// Why not.
        #[source]
        source: RemoveError,
    },
}

impl TreeError {
    /// For `map_err`: the action as in "cannot ...", and on what.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &TreePath,
    ) -> impl FnOnce(E) -> Self {
        let path = path.clone();
        move |source| Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!("; there is {}", near.join(", "))
    }
}
