//! What a caller lends to steps that name it: values of secrets, and agents.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{ExecutorError, StepSpec};

/// Longest value of a secret, in bytes: Docker's limit.
pub const MAX_SECRET_BYTES: usize = 500 * 1024;

/// The value of a secret. It is no plain data: it cannot be printed, compared or serialised, so
/// that it reaches no record, and its memory is cleared.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

/// A value that is longer than [`MAX_SECRET_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has at most {MAX_SECRET_BYTES} bytes")]
pub struct SecretTooLong;

impl SecretValue {
    /// Takes a value.
    pub fn new(value: Zeroizing<Vec<u8>>) -> Result<Self, SecretTooLong> {
        if value.len() > MAX_SECRET_BYTES {
            return Err(SecretTooLong);
        }
        Ok(Self(value))
    }

    /// The bytes, for the one step that names the secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// What an executor may hand to steps, by the names that a [`super::StepSpec`] has.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Secrets.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Sockets of ssh agents.
    pub agents: BTreeMap<String, PathBuf>,
}

impl Grants {
    /// The value of a secret that a step names.
    pub fn secret(&self, id: &str) -> Result<&SecretValue, ExecutorError> {
        let value = self.secrets.get(id);
        value.ok_or_else(|| ExecutorError::Refused(format!("the secret {id} was not given")))
    }

    /// The sockets of the agents that a step names, in the order of its mounts.
    pub fn agents_of(&self, spec: &StepSpec) -> Result<Vec<&Path>, ExecutorError> {
        let socket = |id: &str| {
            let socket = self.agents.get(id).map(PathBuf::as_path);
            socket
                .ok_or_else(|| ExecutorError::Refused(format!("the ssh agent {id} was not given")))
        };
        spec.agents().map(socket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_printed_and_never_too_long() {
        let value = |length| SecretValue::new(Zeroizing::new(vec![b'x'; length]));
        let secret = value(MAX_SECRET_BYTES).unwrap();
        assert_eq!(format!("{secret:?}"), "SecretValue(..)");
        assert_eq!(secret.expose().len(), MAX_SECRET_BYTES);
        assert!(value(MAX_SECRET_BYTES + 1).is_err());
    }
}
