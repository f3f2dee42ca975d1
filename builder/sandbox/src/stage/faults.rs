//! Errors of trees and users, as the orchestrator gets them.

use std::error::Error;

use rustix::io::Errno;

use crate::{
    protocol::{Failure, FailureKind, is_exhaustion},
    tree::{RemoveError, TreeError},
    users::UserError,
};

/// What a failed operation on a tree becomes.
pub(crate) fn tree_failure(error: &TreeError) -> Failure {
    let what = with_sources(error);
    if let Some(errno) = errno_of(error)
        && is_exhaustion(errno)
    {
        return Failure::new(FailureKind::Exhausted, what, None);
    }
    let kind = match error {
        TreeError::Birth(_) => FailureKind::Machine {
            hint: "put the store on ext4, xfs, btrfs or tmpfs, or give this user subordinate ids: see \
                   `repro doctor`"
                .to_owned(),
        },
        TreeError::Io { .. } | TreeError::Sink { .. } | TreeError::Remove { .. } => {
            FailureKind::Internal
        }
        TreeError::Engine(_)
        | TreeError::Source(_)
        | TreeError::Overlay { .. }
        | TreeError::ContentSize { .. }
        | TreeError::RootEntry
        | TreeError::LinkTarget { .. }
        | TreeError::Path { .. } => FailureKind::Input,
        TreeError::GivenPath(_)
        | TreeError::Device { .. }
        | TreeError::Capability { .. }
        | TreeError::ReservedName(_)
        | TreeError::Owner { .. }
        | TreeError::Time { .. }
        | TreeError::NotADirectory(_)
        | TreeError::NotAFile(_)
        | TreeError::Links(_)
        | TreeError::Socket(_)
        | TreeError::NoSource { .. }
        | TreeError::Dangling { .. }
        | TreeError::Pattern(_)
        | TreeError::Exclude(_)
        | TreeError::Archive { .. }
        | TreeError::SeveralSources(_)
        | TreeError::DirectoryOverFile(_)
        | TreeError::FileOverDirectory(_)
        | TreeError::User(_) => FailureKind::Refused,
    };
    Failure::new(kind, what, None)
}

/// What a user that cannot be determined becomes.
pub(crate) fn user_failure(error: &UserError) -> Failure {
    Failure::refused(with_sources(error))
}

/// What a tree that cannot be deleted becomes.
pub(crate) fn remove_failure(error: &RemoveError) -> Failure {
    Failure::new(FailureKind::Internal, with_sources(error), None)
}

/// The chain of an error in one text: its parts do not survive the way to the orchestrator.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn errno_of(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Errno::from_io_error(error);
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use repro_core::tree::TreePath;

    use super::*;

    #[test]
    fn a_full_disk_below_a_tree_error_is_exhaustion() {
        let error = |errno: Errno| TreeError::Io {
            action: "write it",
            path: TreePath::root(),
            source: errno.into(),
        };
        assert_eq!(
            tree_failure(&error(Errno::NOSPC)).kind,
            FailureKind::Exhausted
        );
        assert_eq!(tree_failure(&error(Errno::IO)).kind, FailureKind::Internal);
    }

    #[test]
    fn the_text_has_the_whole_chain_once() {
        let error = TreeError::User(UserError::NoUser("ann".into()));
        assert_eq!(
            with_sources(&error),
            "the owner cannot be determined: user \"ann\" is not in /etc/passwd of the image"
        );
    }
}
