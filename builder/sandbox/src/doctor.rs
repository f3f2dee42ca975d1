//! Whether this machine can run steps, and what to do where it cannot.

use std::{error::Error as _, fs, path::Path};

use repro_core::build::{Executor as _, ExecutorError, InvocationId, Snapshotter};

use crate::{NativeExecutor, Snapshots, StageImage, blockers, mapping::IdMapping};

/// Oldest kernel: notifications of system calls that a signal does not repeat (5.19) and overlayfs in
/// user namespaces (5.11).
const OLDEST_KERNEL: (u32, u32) = (5, 19);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What, in a word or two; the same on every machine.
    pub name: &'static str,
    /// What came of it.
    pub finding: Finding,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be, and what it is.
    Good(String),
    /// Steps cannot run like this.
    Lacking {
        /// What is the matter.
        what: String,
        /// What to do about it.
        next_step: String,
    },
}

/// Looks at the machine itself: its kernel, what it forbids this user, and the ids that it grants.
#[must_use]
pub fn machine() -> Vec<Check> {
    vec![kernel(), user_namespaces(), time_namespaces(), ids()]
}

/// Runs steps that leave nothing in `store`, the store's directory, which must exist. `invocation`
/// names what is made there meanwhile, and nothing else may have the name.
#[must_use]
pub fn step(store: &Path, invocation: &InvocationId) -> Check {
    let tried = StageImage::capture()
        .and_then(|image| NativeExecutor::new(image, store, Snapshots::AsPossible))
        .and_then(|executor| {
            executor.probe(invocation)?;
            Ok(executor)
        });
    let finding = match tried {
        Ok(executor) => Finding::Good(match executor.overlay_refused() {
            None if executor.snapshotter() == Snapshotter::PlainCopy => {
                "a step can run: namespaces, plain copies in the store, loopback and the supervisor of \
                 system calls were tried"
                    .to_owned()
            }
            None => "a step can run: namespaces, overlayfs on the store, loopback and the system \
                     call filter were tried"
                .to_owned(),
            Some(refused) => format!(
                "a step can run: namespaces, plain copies in the store, loopback and the system call \
                 filter were tried; with overlayfs steps would start faster, but it is refused: {}",
                with_source(refused)
            ),
        }),
        Err(error) => lacking(&error),
    };
    Check {
        name: "sandbox",
        finding,
    }
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let is_new_enough = version(&release).is_some_and(|version| version >= OLDEST_KERNEL);
    let finding = if is_new_enough {
        Finding::Good(format!("Linux {release}"))
    } else {
        let (major, minor) = OLDEST_KERNEL;
        Finding::Lacking {
            what: format!("Linux {release} is too old"),
            next_step: format!("start the machine with Linux {major}.{minor} or later"),
        }
    };
    Check {
        name: "kernel",
        finding,
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn user_namespaces() -> Check {
    let finding = if !fs::exists("/proc/self/ns/user").unwrap_or(false) {
        Finding::Lacking {
            what: "the kernel has no user namespaces, or /proc is not mounted".to_owned(),
            next_step: "use a kernel with CONFIG_USER_NS, and mount /proc".to_owned(),
        }
    } else if blockers::remedies().is_empty() {
        Finding::Good("no setting of the kernel forbids them".to_owned())
    } else {
        Finding::Lacking {
            what: "a setting of the kernel forbids them to this user".to_owned(),
            next_step: blockers::hint(),
        }
    };
    Check {
        name: "user namespaces",
        finding,
    }
}

fn time_namespaces() -> Check {
    let finding = if fs::exists("/proc/self/ns/time").unwrap_or(false) {
        Finding::Good("the time since the machine started can be varied".to_owned())
    } else {
        Finding::Lacking {
            what: "the kernel has no time namespaces, or /proc is not mounted".to_owned(),
            next_step: "use a kernel with CONFIG_TIME_NS, or build with --vary all,-boot-time"
                .to_owned(),
        }
    };
    Check {
        name: "time namespaces",
        finding,
    }
}

fn ids() -> Check {
    let finding = match IdMapping::detect() {
        Ok(mapping) => Finding::Good(mapping.to_string()),
        Err(error) => lacking(&error),
    };
    Check {
        name: "user ids",
        finding,
    }
}

fn with_source(error: &ExecutorError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn lacking(error: &ExecutorError) -> Finding {
    let what = with_source(error);
    let next_step = match error {
        ExecutorError::Machine { hint, .. } => hint.clone(),
        ExecutorError::Exhausted { .. } => "try again when the machine has more to give".to_owned(),
        ExecutorError::Cancelled => "let it come to its end".to_owned(),
        ExecutorError::Refused(_)
        | ExecutorError::Input { .. }
        | ExecutorError::Internal { .. } => "this is a bug of repro: please report it".to_owned(),
    };
    Finding::Lacking { what, next_step }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!(version("6.1.0-25-amd64"), Some((6, 1)));
        assert_eq!(version("5.19"), Some((5, 19)));
        assert_eq!(version("next"), None);
        assert!(version("5.4.0-42-generic") < Some(OLDEST_KERNEL));
    }

    #[test]
    fn the_hint_of_an_error_is_the_next_step() {
        let error = ExecutorError::Machine {
            what: "unshare(CLONE_NEWUSER)".to_owned(),
            hint: "allow it".to_owned(),
            source: Some(std::io::ErrorKind::PermissionDenied.into()),
        };
        assert_eq!(
            lacking(&error),
            Finding::Lacking {
                what: "unshare(CLONE_NEWUSER): permission denied".to_owned(),
                next_step: "allow it".to_owned(),
            }
        );
    }
}
