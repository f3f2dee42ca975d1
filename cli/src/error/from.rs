//! Which kind of trouble each error of the libraries is, and its next step. In one file, so
//! that equal troubles get equal exit codes.

use std::io;

use repro_core::build::ExecutorError;

use super::{CommandError, ErrorKind};
use crate::{ambient::InvocationError, exit::Signal};

/// Trouble with a file that the user named: to read what is not there is wrong input, a full
/// disk is worth a retry, and so on.
pub(crate) fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ErrorKind::Interrupted(Signal::Pipe),
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted => ErrorKind::Inconclusive,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Machine,
        _ => ErrorKind::Input,
    }
}

impl From<InvocationError> for CommandError {
    fn from(error: InvocationError) -> Self {
        let kind = match error {
            InvocationError::Random(_) => ErrorKind::Machine,
            InvocationError::Name(_) => ErrorKind::Internal,
        };
        Self::new(kind, &error)
    }
}

impl From<ExecutorError> for CommandError {
    fn from(error: ExecutorError) -> Self {
        let (kind, hint) = match &error {
            ExecutorError::Machine { hint, .. } => (ErrorKind::Machine, Some(hint.clone())),
            ExecutorError::Exhausted { .. } => (
                ErrorKind::Inconclusive,
                Some("the same again may succeed".to_owned()),
            ),
            ExecutorError::Refused(_) => (ErrorKind::StepFailed, None),
            ExecutorError::Input { .. } => (
                ErrorKind::Input,
                Some("`repro store verify` says whether the store is damaged".to_owned()),
            ),
            ExecutorError::Cancelled => (ErrorKind::Interrupted(Signal::Interrupt), None),
            ExecutorError::Internal { .. } => (ErrorKind::Internal, None),
        };
        let result = Self::new(kind, &error);
        match hint {
            Some(hint) => result.hint(hint),
            None => result,
        }
    }
}
