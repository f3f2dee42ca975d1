//! Why a Dockerfile that parses cannot be built.

use repro_core::{
    epoch::{EpochError, TooManyTicks},
    platform::PlatformError,
};

use crate::dockerfile::{
    CopyError, Diagnostic, Dockerfile, ExpandError, Instruction, MountError, PortError, Remote,
    SignalError, TriggerError,
};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// A variable.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `COPY`.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// `EXPOSE`.
    #[error(transparent)]
    Port(#[from] PortError),
    /// `RUN --mount`.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A mount in place of the whole tree.
    #[error("the mount target {0} is the root of the tree")]
    MountOnRoot(String),
    /// A secret that a step needs and the caller does not give.
    #[error("the step needs the secret {0}")]
    MissingSecret(String),
    /// An ssh agent that a step needs and the caller does not give.
    #[error("the step needs the ssh agent {0}")]
    MissingAgent(String),
    /// More steps than rule 2 has ticks for.
    #[error(transparent)]
    Ticks(#[from] TooManyTicks),
    /// `ARG SOURCE_DATE_EPOCH` of something else than a number.
    #[error("SOURCE_DATE_EPOCH {0:?} is no number of seconds since 1970")]
    EpochText(String),
    /// `ARG SOURCE_DATE_EPOCH` of a number that cannot be used.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// An argument that is empty once expanded.
    #[error("{0} becomes empty")]
    Empty(String),
    /// `STOPSIGNAL`.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// A text that is no platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// `RUN` in a stage of a platform that this machine does not run.
    #[error("RUN in a stage for {stage}: this machine runs {machine} only")]
    ForeignRun {
        /// The platform of the stage.
        stage: String,
        /// The platform of the machine.
        machine: String,
    },
    /// `ADD` of something that would have to be fetched.
    #[error("{address} is not locked: nothing is fetched while building")]
    Unlocked {
        /// As it is written, expanded.
        address: String,
        /// What it is.
        kind: Remote,
    },
    /// A trigger of the base image that is no instruction.
    #[error("the base has the trigger {text:?}, which cannot be run")]
    Trigger {
        /// The trigger.
        text: String,
        /// Why not.
        source: TriggerError,
    },
    /// `FROM` of a directory given as a context.
    #[error("{0} is a directory; FROM needs an image")]
    ContextAsBase(String),
    /// `--from` of a stage that comes later, or of the stage itself.
    #[error("the stage {0} is not finished here: only earlier stages can be used")]
    LaterStage(String),
    /// `--from` of a number that no stage has.
    #[error("there is no stage {number}: they are counted from 0 and number {stages}")]
    NoStage {
        /// The number.
        number: usize,
        /// How many stages there are.
        stages: usize,
    },
    /// `FROM` of an input.
    #[error("{0} is an input, a tree of files; FROM needs an image")]
    InputAsBase(String),
}

impl PlanFault {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::MissingSecret(id) => {
                return Some(format!(
                    "give it: --secret id={id},src=FILE or --secret id={id},env=NAME"
                ));
            }
            Self::MissingAgent(id) => return Some(format!("give it: --ssh {id}[=SOCKET]")),
            Self::Mount(error) => return error.hint(),
            Self::ForeignRun { .. } => {
                "leave --platform out, or build on a machine of that platform; a stage without RUN \
                 can be for any"
            }
            Self::Unlocked { .. } => {
                "put the file into the context, or declare it in repro.toml under [inputs] and copy \
                 it: COPY --from=NAME"
            }
            Self::ContextAsBase(_) => "copy from it instead: FROM scratch, COPY --from=NAME / /",
            Self::InputAsBase(_) => "copy from it instead: COPY --from=NAME / /src",
            Self::EpochText(_) => {
                "the times of contexts and stages are not read; for the time of the last commit: \
                 --source-date-epoch git"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// One fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{diagnostic}")]
pub struct PlanError {
    /// What is wrong.
    pub fault: PlanFault,
    /// Where, and how to show it.
    pub diagnostic: Box<Diagnostic>,
}

impl PlanError {
    /// A fault of one instruction.
    pub(crate) fn at<K>(
        file: &Dockerfile,
        instruction: &Instruction<K>,
        fault: impl Into<PlanFault>,
    ) -> Self {
        let fault = fault.into();
        let diagnostic = Box::new(file.diagnostic(instruction, fault.to_string(), fault.hint()));
        Self { fault, diagnostic }
    }
}
