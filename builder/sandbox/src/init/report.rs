//! What a step's first processes tell the stage: fixed records over a pipe, written without memory
//! being taken.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, write};

/// Bytes of a record. Far below what a pipe takes in one piece, so records never mix.
pub(crate) const SIZE: usize = 24;

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// A system call failed; the step's program was not started.
    Failed {
        /// Which one.
        place: Place,
        /// Its number.
        errno: Errno,
    },
    /// The program and every other process of the step have ended.
    Ended {
        /// As `wait` gives it.
        status: i32,
        /// CPU of all of them.
        cpu_ms: u64,
        /// The largest of them.
        peak_rss_bytes: u64,
    },
}

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Where setting up a step can fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Place {
            /// An item of the plan's set-up, by index.
            Setup(u32),
            /// A mount that the step asked for, by index.
            Attach(u32),
            /// A limit that the step asked for, by index.
            Limit(u32),
            $($(#[$doc])* $name,)*
        }

        impl Place {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// The call as it would stand in a trace; `None` for an item of a list, which the plan
            /// knows.
            pub(crate) const fn text(self) -> Option<&'static str> {
                match self {
                    Self::Setup(_) | Self::Attach(_) | Self::Limit(_) => None,
                    $(Self::$name => Some($text),)*
                }
            }
        }
    };
}

places! {
    /// Death with the stage.
    DeathSignal = "prctl(PR_SET_PDEATHSIG, SIGKILL)",
    /// Entering the tree.
    EnterRoot = "fchdir(root)",
    /// The init's own mounts.
    MountNamespace = "unshare(CLONE_NEWNS)",
    /// The tree becomes the root.
    PivotRoot = "pivot_root(\".\", \".\")",
    /// The machine's mounts go away.
    DetachMachine = "umount2(\".\", MNT_DETACH)",
    /// Starting the program's process.
    Fork = "fork()",
    /// Waiting for it.
    Wait = "wait4(-1)",
    /// Closing descriptors.
    CloseDescriptors = "close_range()",
    /// Being traced.
    Tracer = "ptrace(PTRACE_SEIZE)",
    /// A session of its own.
    Session = "setsid()",
    /// The signal mask.
    Signals = "sigprocmask(SIG_SETMASK, [])",
    /// The address space.
    Personality = "personality()",
    /// CPUs.
    Affinity = "sched_setaffinity()",
    /// `RLIMIT_NOFILE`.
    OpenFiles = "setrlimit(RLIMIT_NOFILE)",
    /// `RLIMIT_STACK`.
    Stack = "setrlimit(RLIMIT_STACK)",
    /// `RLIMIT_CORE`.
    Core = "setrlimit(RLIMIT_CORE)",
    /// The keyring.
    Keyring = "keyctl(KEYCTL_JOIN_SESSION_KEYRING)",
    /// Standard streams.
    Streams = "dup2()",
    /// The working directory.
    WorkingDirectory = "openat2(cwd, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)",
    /// The filter.
    Filter = "seccomp(SECCOMP_SET_MODE_FILTER)",
    /// Handing its listener over.
    Listener = "sendmsg(SCM_RIGHTS)",
    /// The bounding set.
    BoundingSet = "prctl(PR_CAPBSET_DROP)",
    /// Supplementary groups.
    Groups = "setgroups()",
    /// The group.
    Group = "setresgid()",
    /// The user.
    User = "setresuid()",
    /// Capabilities.
    Capabilities = "capset()",
    /// The program.
    Exec = "execve()",
}

impl Place {
    fn encode(self) -> (u32, u32) {
        match self {
            Self::Setup(index) => (1, index),
            Self::Attach(index) => (4, index),
            Self::Limit(index) => (5, index),
            place => {
                let index = Self::ALL.iter().position(|known| *known == place);
                (
                    2,
                    index
                        .and_then(|index| u32::try_from(index).ok())
                        .unwrap_or(u32::MAX),
                )
            }
        }
    }

    fn decode(kind: u32, index: u32) -> Option<Self> {
        match kind {
            1 => Some(Self::Setup(index)),
            4 => Some(Self::Attach(index)),
            5 => Some(Self::Limit(index)),
            2 => Self::ALL.get(index as usize).copied(),
            _ => None,
        }
    }
}

impl Report {
    const ENDED: u32 = 3;

    /// Writes the record. If nobody reads any more, nobody is left to be told.
    pub(crate) fn send(self, pipe: BorrowedFd<'_>) {
        let _ = rustix::io::retry_on_intr(|| write(pipe, &self.encode()));
    }

    fn encode(self) -> [u8; SIZE] {
        let (kind, second, third, fourth) = match self {
            Self::Failed { place, errno } => {
                let (kind, index) = place.encode();
                (kind, errno.raw_os_error(), u64::from(index), 0)
            }
            Self::Ended {
                status,
                cpu_ms,
                peak_rss_bytes,
            } => (Self::ENDED, status, cpu_ms, peak_rss_bytes),
        };
        let mut record = [0; SIZE];
        record[..4].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&second.to_ne_bytes());
        record[8..16].copy_from_slice(&third.to_ne_bytes());
        record[16..].copy_from_slice(&fourth.to_ne_bytes());
        record
    }

    /// Reads a record; `None` if it is none.
    pub(crate) fn decode(record: &[u8; SIZE]) -> Option<Self> {
        let (kind, rest) = record.split_first_chunk()?;
        let (second, rest) = rest.split_first_chunk()?;
        let (third, rest) = rest.split_first_chunk()?;
        let (fourth, _) = rest.split_first_chunk()?;
        let (kind, second) = (u32::from_ne_bytes(*kind), i32::from_ne_bytes(*second));
        let (third, fourth) = (u64::from_ne_bytes(*third), u64::from_ne_bytes(*fourth));
        if kind == Self::ENDED {
            return Some(Self::Ended {
                status: second,
                cpu_ms: third,
                peak_rss_bytes: fourth,
            });
        }
        Some(Self::Failed {
            place: Place::decode(kind, u32::try_from(third).ok()?)?,
            errno: Errno::from_raw_os_error(second),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let mut reports = vec![
            Report::Ended {
                status: -1,
                cpu_ms: 7,
                peak_rss_bytes: u64::MAX,
            },
            Report::Failed {
                place: Place::Setup(17),
                errno: Errno::PERM,
            },
            Report::Failed {
                place: Place::Attach(3),
                errno: Errno::LOOP,
            },
        ];
        reports.extend(Place::ALL.iter().map(|place| Report::Failed {
            place: *place,
            errno: Errno::NOENT,
        }));
        for report in reports {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn other_bytes_are_no_record() {
        assert_eq!(Report::decode(&[0; SIZE]), None);
        assert_eq!(Report::decode(&[0xff; SIZE]), None);
    }
}
