//! Errors of container engines.

use repro_engine::EngineError;

use super::{DAMAGED, DOCTOR};
use crate::{
    error::{CommandError, ErrorKind},
    exit::Signal,
};

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::Named { problem, .. } if problem.is_configuration() => ErrorKind::Usage,
            EngineError::NotFound { .. }
            | EngineError::Named { .. }
            | EngineError::Unreachable { .. }
            | EngineError::TooOld { .. }
            | EngineError::Foreign { .. }
            | EngineError::Refused { .. }
            | EngineError::Lost { .. } => ErrorKind::Machine,
            EngineError::Full { .. } | EngineError::Runtime(_) => ErrorKind::Inconclusive,
            EngineError::Answer { .. } => ErrorKind::Internal,
            EngineError::Archive(_) => ErrorKind::Input,
            EngineError::Cancelled => ErrorKind::Interrupted(Signal::Interrupt),
        };
        let mut result = Self::new(kind, &error);
        if let EngineError::NotFound { passed, .. } = &error {
            let reasons = passed.iter().filter_map(|candidate| {
                let problem = candidate.problem.as_ref()?;
                Some(format!("{candidate}: {problem}"))
            });
            result = result.because(reasons);
        }
        if let EngineError::Archive(_) = &error {
            result = result.hint(DAMAGED);
        }
        if let Some(hint) = error.hint() {
            result = result.hint(hint);
        }
        match &error {
            EngineError::Named { .. } | EngineError::Refused { .. } | EngineError::Lost { .. } => {
                result.hint(DOCTOR)
            }
            _ => result,
        }
    }
}
