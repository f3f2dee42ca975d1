//! What goes wrong with an engine.

use std::{error::Error as StdError, io};

use bollard::errors::Error as ApiError;
use repro_core::build::ExecutorError;

use crate::{
    about::{ApiVersion, EngineKind},
    find::{Candidate, Problem},
};

/// Words that engines and kernels use for a store that is full.
const FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine is there.
    #[error("no {} answers on this machine", .kind.map_or("container engine".to_owned(), |kind| kind.to_string()))]
    NotFound {
        /// Which one was asked for.
        kind: Option<EngineKind>,
        /// Where it was looked for.
        passed: Vec<Candidate>,
    },
    /// The one that somebody named cannot be used.
    #[error("the engine of {place} cannot be used")]
    Named {
        /// Whose place it is.
        kind: EngineKind,
        /// Who names it, and where.
        place: String,
        /// What is the matter.
        #[source]
        problem: Box<Problem>,
    },
    /// It does not answer.
    #[error("no engine answers at {place}")]
    Unreachable {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// It is older than what is spoken here.
    #[error(
        "{engine} speaks version {} of the API, and repro needs {}",
        .api.map_or("none".to_owned(), |api| api.to_string()),
        ApiVersion::LEAST
    )]
    TooOld {
        /// Whose it is, its version, and where.
        engine: String,
        /// The newest API that it speaks, if it says so.
        api: Option<ApiVersion>,
    },
    /// It runs containers of another system.
    #[error("{engine} runs containers of {system}, and repro needs linux")]
    Foreign {
        /// Whose it is, its version, and where.
        engine: String,
        /// What it says to be of.
        system: String,
    },
    /// It says no.
    #[error("the engine refuses to {doing}: {message}")]
    Refused {
        /// What was asked.
        doing: String,
        /// The engine's word.
        message: String,
        /// The status of HTTP, where there was one.
        status: Option<u16>,
    },
    /// It has no room.
    #[error("the engine has no room to {doing}: {message}")]
    Full {
        /// What was asked.
        doing: String,
        /// The engine's word.
        message: String,
    },
    /// It was there, and is gone.
    #[error("the connection to the engine broke while it was asked to {doing}")]
    Lost {
        /// What was asked.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// Its answer cannot be understood.
    #[error("the engine was asked to {doing}, and its answer is none")]
    Answer {
        /// What was asked.
        doing: String,
        /// What is wrong.
        source: io::Error,
    },
    /// What it is given cannot be read.
    #[error("cannot read the archive for the engine")]
    Archive(#[source] io::Error),
    /// This process cannot even begin.
    #[error("cannot start threads for the connection to the engine")]
    Runtime(#[source] io::Error),
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl EngineError {
    /// What `error` says of a request, where `doing` is what was asked, as in "start a container".
    pub(crate) fn of(doing: &str, error: ApiError) -> Self {
        let doing = doing.to_owned();
        match error {
            ApiError::DockerResponseServerError {
                status_code,
                message,
            } => Self::said(doing, &message, Some(status_code)),
            ApiError::DockerStreamError { error } => Self::said(doing, &error, None),
            ApiError::RequestTimeoutError => Self::Lost {
                doing,
                source: io::ErrorKind::TimedOut.into(),
            },
            ApiError::IOError { .. }
            | ApiError::HyperResponseError { .. }
            | ApiError::HyperLegacyError { .. }
            | ApiError::SocketNotFoundError(_) => Self::Lost {
                doing,
                source: io_error(&error),
            },
            other => Self::Answer {
                doing,
                source: io_error(&other),
            },
        }
    }

    /// What an engine's own words mean.
    pub(crate) fn said(doing: String, message: &str, status: Option<u16>) -> Self {
        let message = message.trim_end().to_owned();
        let lower = message.to_lowercase();
        if FULL.iter().any(|words| lower.contains(words)) {
            return Self::Full { doing, message };
        }
        Self::Refused {
            doing,
            message,
            status,
        }
    }

    /// What to do next, where that follows from the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (least, docker) = (ApiVersion::LEAST, "20.10");
        Some(match self {
            Self::NotFound { .. } => {
                "start one, or name its socket: DOCKER_HOST=unix:///PATH; `repro doctor` lists what \
                 was looked at"
                    .to_owned()
            }
            Self::Named { kind, problem, .. } => problem.hint(*kind)?.to_owned(),
            Self::Unreachable { .. } => {
                "see whether it runs, and whether DOCKER_HOST or the docker context means it; \
                 `repro doctor` lists all that are there"
                    .to_owned()
            }
            Self::TooOld { .. } => {
                format!("use Docker {docker} or Podman 4 (API {least}), or later")
            }
            Self::Foreign { .. } => "switch it to Linux containers".to_owned(),
            Self::Full { .. } => {
                "make room where the engine keeps its images, for instance by `docker image prune`"
                    .to_owned()
            }
            Self::Lost { .. } => "see whether the engine still runs, and try again".to_owned(),
            Self::Refused { .. }
            | Self::Answer { .. }
            | Self::Archive(_)
            | Self::Runtime(_)
            | Self::Cancelled => return None,
        })
    }
}

impl From<EngineError> for ExecutorError {
    fn from(error: EngineError) -> Self {
        let hint = error.hint();
        match error {
            EngineError::Cancelled => Self::Cancelled,
            EngineError::Refused { .. } => Self::Refused(error.to_string()),
            EngineError::Archive(source) => Self::Input {
                what: "cannot read the archive for the engine".to_owned(),
                source: Some(source),
            },
            EngineError::Answer { source, doing } => Self::Internal {
                what: format!("the engine was asked to {doing}, and its answer is none"),
                source: Some(source),
            },
            EngineError::Runtime(source) => Self::Exhausted {
                what: "cannot start threads for the connection to the engine".to_owned(),
                source: Some(source),
            },
            error => Self::Machine {
                what: error.to_string(),
                hint: hint.unwrap_or_else(|| {
                    "`repro doctor` lists the engines of this machine".to_owned()
                }),
                source: match error {
                    EngineError::Unreachable { source, .. } | EngineError::Lost { source, .. } => {
                        Some(source)
                    }
                    EngineError::Named { problem, .. } => Some(io::Error::other(problem)),
                    _ => None,
                },
            },
        }
    }
}

/// The operating system's word in `error`, else its last reason.
pub(crate) fn io_error(error: &ApiError) -> io::Error {
    let mut last: &(dyn StdError + 'static) = error;
    loop {
        if let Some(found) = last.downcast_ref::<io::Error>() {
            match found.raw_os_error() {
                Some(errno) => return io::Error::from_raw_os_error(errno),
                None if found.source().is_none() => {
                    return io::Error::new(found.kind(), found.to_string());
                }
                None => {}
            }
        }
        match last.source() {
            Some(source) => last = source,
            None => return io::Error::other(last.to_string()),
        }
    }
}
