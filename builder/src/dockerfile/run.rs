//! The arguments of `RUN`: its flags and its command.

use super::{ast::CommandLine, mount::MountFlag};

/// The arguments of `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArgs {
    /// `--mount`, in order.
    pub mounts: Vec<MountFlag>,
    /// `--network`. All that can be had is none.
    pub network: Option<RunNetwork>,
    /// `--security`. There is always a sandbox.
    pub security: Option<RunSecurity>,
    /// What to run. A shell command is not expanded: the shell does that.
    pub command: CommandLine,
}

/// A value of `--network` that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNetwork {
    /// `none`.
    None,
}

/// A value of `--security` that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunSecurity {
    /// `sandbox`.
    Sandbox,
}

/// Why a flag of `RUN` other than `--mount` cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFlagError {
    /// A network that no step gets.
    #[error("RUN --network={0}: a step has no network")]
    Network(String),
    /// No network at all.
    #[error("{0:?} is not a network; there are none, default and host")]
    UnknownNetwork(String),
    /// No sandbox.
    #[error("RUN --security=insecure: a step without its sandbox is not run")]
    Insecure,
    /// Neither with sandbox nor without.
    #[error("{0:?} is not a security mode; there are sandbox and insecure")]
    UnknownSecurity(String),
    /// A device of the machine.
    #[error("RUN --device={0}: a step has no devices of the machine")]
    Device(String),
    /// More mounts than [`super::MAX_MOUNTS`].
    #[error("a RUN has at most {max} mounts", max = super::MAX_MOUNTS)]
    TooManyMounts,
}

impl RunFlagError {
    /// What to do about it.
    pub(super) const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Network(_) => {
                "leave the flag out, and pin what the step fetches: `repro lock` captures it, and the \
                 build serves it from the store"
            }
            Self::Insecure => {
                "what such a step can reach is an input that nobody names; do this part outside, and \
                 COPY its result"
            }
            Self::Device(_) => {
                "a device is an input that no digest names; do this part outside, and COPY its result"
            }
            Self::UnknownNetwork(_) | Self::UnknownSecurity(_) | Self::TooManyMounts => {
                return None;
            }
        })
    }
}

impl RunNetwork {
    pub(super) fn parse(value: &str) -> Result<Self, RunFlagError> {
        match value {
            "none" => Ok(Self::None),
            "default" | "host" => Err(RunFlagError::Network(value.to_owned())),
            other => Err(RunFlagError::UnknownNetwork(other.to_owned())),
        }
    }
}

impl RunSecurity {
    pub(super) fn parse(value: &str) -> Result<Self, RunFlagError> {
        match value {
            "sandbox" => Ok(Self::Sandbox),
            "insecure" => Err(RunFlagError::Insecure),
            other => Err(RunFlagError::UnknownSecurity(other.to_owned())),
        }
    }
}
