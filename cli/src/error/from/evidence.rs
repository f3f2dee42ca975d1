//! Errors of evidence that is attached, and of evidence that is brought back.
//!
//! Nothing is judged here: evidence that cannot be attached is an input that is not what it should be.

use repro_verifier::attached::{AttachError, UnpackError};

use super::io_kind;
use crate::error::{CommandError, ErrorKind};

impl From<AttachError> for CommandError {
    fn from(error: AttachError) -> Self {
        let (kind, hint) = match error {
            AttachError::Blob(error) => return error.into(),
            AttachError::Image(error) => return error.into(),
            AttachError::Canonical(_) => (ErrorKind::Internal, None),
            AttachError::OtherSubject { .. } => (
                ErrorKind::Input,
                Some("name the image that the evidence is about, by its digest: NAME@sha256:..."),
            ),
            AttachError::NoImage | AttachError::TooLarge { .. } => (ErrorKind::Usage, None),
            AttachError::NotLegacy(_) => (
                ErrorKind::Input,
                Some("attach the evidence as referrers: --attach referrers"),
            ),
            AttachError::Changed(_) => (
                ErrorKind::Input,
                Some(
                    "`repro verify DIR` says what is wrong with a pack; build again for a whole one",
                ),
            ),
            AttachError::Files(_)
            | AttachError::Json(_)
            | AttachError::Index(_)
            | AttachError::Bundle { .. }
            | AttachError::Statement { .. } => (ErrorKind::Input, None),
        };
        let result = Self::new(kind, &error);
        match hint {
            Some(hint) => result.hint(hint),
            None => result,
        }
    }
}

impl From<UnpackError> for CommandError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Blob(error) => error.into(),
            UnpackError::Io { ref source, .. } => {
                let kind = match io_kind(source) {
                    ErrorKind::Input => ErrorKind::Machine,
                    kind => kind,
                };
                Self::new(kind, &error)
            }
        }
    }
}
