//! Whether this machine can run steps, and what to do where it cannot.

mod cgroups;
mod ids;
mod kernel;
mod namespaces;

use std::{error::Error as _, path::Path};

use repro_core::build::{Executor as _, ExecutorError, InvocationId, Snapshotter};

use crate::{NativeExecutor, Snapshots, StageImage};

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
    /// Steps run, but not as well as they could.
    Limited {
        /// What is the matter.
        what: String,
        /// What to do about it, one way or one step each.
        next_steps: Vec<String>,
    },
    /// Steps cannot run like this.
    Lacking {
        /// What is the matter.
        what: String,
        /// What to do about it, one way or one step each.
        next_steps: Vec<String>,
    },
}

impl Check {
    fn good(name: &'static str, what: impl Into<String>) -> Self {
        let finding = Finding::Good(what.into());
        Self { name, finding }
    }

    fn limited<T: Into<String>>(
        name: &'static str,
        what: impl Into<String>,
        next_steps: impl IntoIterator<Item = T>,
    ) -> Self {
        let finding = Finding::Limited {
            what: what.into(),
            next_steps: next_steps.into_iter().map(Into::into).collect(),
        };
        Self { name, finding }
    }

    fn lacking<T: Into<String>>(
        name: &'static str,
        what: impl Into<String>,
        next_steps: impl IntoIterator<Item = T>,
    ) -> Self {
        let finding = Finding::Lacking {
            what: what.into(),
            next_steps: next_steps.into_iter().map(Into::into).collect(),
        };
        Self { name, finding }
    }

    fn of_error(name: &'static str, error: &ExecutorError) -> Self {
        let next_step = match error {
            ExecutorError::Machine { hint, .. } => hint.clone(),
            ExecutorError::Exhausted { .. } => {
                "try again when the machine has more to give".to_owned()
            }
            ExecutorError::Cancelled => "let it come to its end".to_owned(),
            ExecutorError::Refused(_)
            | ExecutorError::Input { .. }
            | ExecutorError::Internal { .. } => {
                "this is a bug of repro: please report it".to_owned()
            }
        };
        Self::lacking(name, with_source(error), [next_step])
    }
}

/// Looks at the machine itself: its kernel, what it forbids this user, and the ids that it grants.
#[must_use]
pub fn machine() -> Vec<Check> {
    vec![
        kernel::version(),
        namespaces::user(),
        namespaces::time(),
        ids::granted(),
        kernel::notifications(),
        kernel::tracing(),
        kernel::memory_files(),
        cgroups::hierarchies(),
    ]
}

/// Runs steps that leave nothing in `store`, the store's directory, which must exist. `invocation`
/// names what is made there meanwhile, and nothing else may have the name.
#[must_use]
pub fn step(store: &Path, invocation: &InvocationId) -> Vec<Check> {
    const SANDBOX: &str = "sandbox";
    const OVERLAY: &str = "overlay";
    let tried = StageImage::capture()
        .and_then(|image| NativeExecutor::new(image, store, Snapshots::AsPossible))
        .and_then(|executor| {
            executor.probe(invocation)?;
            Ok(executor)
        });
    let executor = match tried {
        Ok(executor) => executor,
        Err(error) => return vec![Check::of_error(SANDBOX, &error)],
    };
    let overlay = match executor.overlay_refused() {
        Some(refused) => Check::limited(
            OVERLAY,
            format!(
                "plain copies instead, which are slower and larger: {}",
                with_source(refused)
            ),
            [
                "keep the store on ext4, xfs, btrfs or tmpfs, in a container on a volume: --store DIR",
            ],
        ),
        None if executor.snapshotter() == Snapshotter::PlainCopy => {
            Check::good(OVERLAY, "plain copies instead, since this user has one id")
        }
        None => Check::good(OVERLAY, "mounted in the store"),
    };
    vec![overlay, Check::good(SANDBOX, "a step can run: one was run")]
}

fn with_source(error: &ExecutorError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_of_an_error_is_the_next_step() {
        let error = ExecutorError::Machine {
            what: "unshare(CLONE_NEWUSER)".to_owned(),
            hint: "allow it".to_owned(),
            source: Some(std::io::ErrorKind::PermissionDenied.into()),
        };
        assert_eq!(
            Check::of_error("sandbox", &error).finding,
            Finding::Lacking {
                what: "unshare(CLONE_NEWUSER): permission denied".to_owned(),
                next_steps: vec!["allow it".to_owned()],
            }
        );
    }
}
