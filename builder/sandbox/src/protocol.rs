//! What the orchestrator and a stage say to each other.
//!
//! Both are the same executable, so the encoding (postcard) never meets another version.

use std::{collections::BTreeMap, fmt, io};

use repro_core::build::{
    CopySpec, ExecutorError, LayerPolicy, MakeDirSpec, NetworkKit, RunSpec, SnapshotInfo,
    Snapshotter, StepResult, UserIds, Variation,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::blockers;

/// What a stage is started for. Paths are relative to the store's root, whose descriptor comes
/// with the request, and are made by the orchestrator alone: no byte of an image is in them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The work.
    pub job: Job,
    /// What ids the stage will have.
    pub users: UserIds,
}

/// The kinds of work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Runs one step; its layer goes out on the stream.
    Step(Box<StepJob>),
    /// Tries whether overlayfs can write to a directory of the store.
    TryOverlay {
        /// Directory of the mapping's snapshots.
        directory: String,
    },
    /// Unpacks the layer that comes in on the stream.
    Unpack {
        /// How trees are put together.
        snapshotter: Snapshotter,
        /// Trees below, lowest first.
        parents: Vec<String>,
        /// Directory of the mapping's snapshots.
        directory: String,
        /// Name of the new snapshot in `directory`.
        name: String,
    },
    /// Removes `names` in `directory` with everything below them, as far as they are there.
    Remove {
        /// Directory that holds them.
        directory: String,
        /// What to remove.
        names: Vec<String>,
    },
}

/// One step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepJob {
    /// How trees are put together.
    pub snapshotter: Snapshotter,
    /// Trees below, lowest first.
    pub parents: Vec<String>,
    /// Directory of the invocation, which belongs to the mapped root.
    pub directory: String,
    /// Names of the run's directory there, which holds `caches`, and of the step's in it, which holds
    /// `fs`, and `work` and `stub` while the step runs.
    pub names: [String; 2],
    /// What happens.
    pub action: Action,
    /// How times are decided.
    pub layer: LayerPolicy,
    /// The environment of the run.
    pub variation: Variation,
    /// Values of the secrets that the step names. They cross in the message, which is on no disk.
    pub secrets: BTreeMap<String, Secret>,
    /// What a program finds of a network.
    pub network: Option<NetworkKit>,
}

/// The value of a secret on its way to a step.
#[derive(Serialize, Deserialize)]
pub(crate) struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A program with its mounts, whose trees are paths as above.
pub(crate) type Program = RunSpec<Vec<String>>;

/// What a step does, with the trees it needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    /// Runs a program.
    Run(Program),
    /// Copies from `trees`, lowest first.
    Copy {
        /// What.
        spec: CopySpec,
        /// Whence.
        trees: Vec<String>,
    },
    /// Makes a directory.
    MakeDir(MakeDirSpec),
}

/// What the stage says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// The user namespace exists; its maps have to be written.
    NeedsMapping,
    /// The step's agents are ready: their listening sockets come along, in the order of the step's
    /// mounts. Sent once, before the program starts, if the step has any.
    Agents,
    /// The step's one way out is ready: the listening socket comes along. Sent once, after
    /// [`Notice::Agents`] and before the program starts, if the step has a network.
    Network,
    /// The work is done, or cannot be. The last message. It comes here and not at the end of the
    /// stream of entries, which may break off inside an entry.
    Answer(Answer),
}

/// What the orchestrator says after the request. Closing the channel means: stop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The maps are written.
    Mapped,
}

/// How the work ended.
pub(crate) type Answer = Result<Done, Failure>;

/// What came of the work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// The step ended.
    Step(StepResult),
    /// The snapshot is kept.
    Unpacked(SnapshotInfo),
    /// Overlayfs can be had.
    Overlay,
    /// What was to go is gone.
    Nothing,
}

/// The kinds of [`ExecutorError`], which itself cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// [`ExecutorError::Machine`].
    Machine {
        /// What to do about it.
        hint: String,
    },
    /// [`ExecutorError::Exhausted`].
    Exhausted,
    /// [`ExecutorError::Refused`].
    Refused,
    /// [`ExecutorError::Input`].
    Input,
    /// [`ExecutorError::Cancelled`].
    Cancelled,
    /// [`ExecutorError::Internal`].
    Internal,
}

/// Why the work was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Which error it becomes.
    pub kind: FailureKind,
    /// What failed, with its arguments.
    pub what: String,
    /// The system's error number.
    pub errno: Option<i32>,
}

impl Failure {
    /// A failed operation. Running out of space or memory is told apart from a bug by the number.
    pub(crate) fn operation(what: impl Into<String>, errno: Errno) -> Self {
        let kind = if is_exhaustion(errno) {
            FailureKind::Exhausted
        } else {
            FailureKind::Internal
        };
        Self::new(kind, what, Some(errno))
    }

    /// Something that this machine does not allow. Running out is told apart as above.
    pub(crate) fn machine(what: impl Into<String>, hint: impl Into<String>, errno: Errno) -> Self {
        let kind = if is_exhaustion(errno) && errno != Errno::NOSPC {
            FailureKind::Exhausted
        } else {
            FailureKind::Machine { hint: hint.into() }
        };
        Self::new(kind, what, Some(errno))
    }

    /// A step that cannot be carried out as written.
    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, what, None)
    }

    /// A failure of `kind`.
    pub(crate) fn new(kind: FailureKind, what: impl Into<String>, errno: Option<Errno>) -> Self {
        Self {
            kind,
            what: what.into(),
            errno: errno.map(Errno::raw_os_error),
        }
    }

    /// An error that carries an [`io::Error`].
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::operation(what, errno),
            None => Self::new(
                FailureKind::Internal,
                format!("{}: {error}", what.into()),
                None,
            ),
        }
    }
}

impl From<Failure> for ExecutorError {
    fn from(failure: Failure) -> Self {
        let Failure { kind, what, errno } = failure;
        let source = errno.map(io::Error::from_raw_os_error);
        match kind {
            FailureKind::Machine { hint } => Self::Machine { what, hint, source },
            FailureKind::Exhausted => Self::Exhausted { what, source },
            FailureKind::Refused => Self::Refused(what),
            FailureKind::Input => Self::Input { what, source },
            FailureKind::Cancelled => Self::Cancelled,
            // A filter of whoever started this process answers like a kernel that has no such rule.
            FailureKind::Internal
                if errno == Some(Errno::PERM.raw_os_error()) && blockers::is_filtered() =>
            {
                let hint = blockers::FILTERED.to_owned();
                Self::Machine { what, hint, source }
            }
            FailureKind::Internal => Self::Internal { what, source },
        }
    }
}

/// Whether `errno` says that the machine ran out of something that another time it may have.
pub(crate) fn is_exhaustion(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::NOMEM | Errno::DQUOT | Errno::AGAIN | Errno::NFILE | Errno::MFILE
    )
}

/// Adds the name of the operation to a system error.
pub(crate) trait During<T> {
    /// The operation as it would stand in a trace, arguments included.
    fn during(self, operation: &str) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, operation: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::operation(operation, errno))
    }
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, operation: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::operation(operation, from_nix(errno)))
    }
}

impl<T> During<T> for Result<T, std::ffi::NulError> {
    fn during(self, operation: &str) -> Result<T, Failure> {
        self.map_err(|_| Failure::refused(format!("{operation} has a NUL byte")))
    }
}

/// The same number in the other crate's type.
pub(crate) fn from_nix(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_worth_a_retry_and_a_bug_is_not() {
        let full = ExecutorError::from(Failure::operation("write(3)", Errno::NOSPC));
        assert!(matches!(full, ExecutorError::Exhausted { .. }));
        let bug = ExecutorError::from(Failure::operation("write(3)", Errno::BADF));
        assert!(matches!(bug, ExecutorError::Internal { .. }));
    }

    #[test]
    fn a_limit_of_namespaces_is_the_machines() {
        let limit = Failure::machine("unshare(CLONE_NEWUSER)", "raise it", Errno::NOSPC);
        assert!(matches!(limit.kind, FailureKind::Machine { .. }));
    }
}
