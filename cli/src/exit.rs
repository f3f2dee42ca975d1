//! The exit codes: what a script or a CI may rely on.

use std::{fmt, process::ExitCode};

use serde::{Serialize, Serializer};

/// How the program ended. The number is part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: done, and reproducible where that was the question.
    Done,
    /// 1: not reproducible. A finding: all output was written.
    NotReproducible,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: a step of the build failed.
    StepFailed,
    /// 4: refused by verification or policy.
    Refused,
    /// 5: this machine lacks something; `repro doctor` says what.
    Machine,
    /// 6: an input is missing, unlocked, changed while read, or has another digest.
    Input,
    /// 70: a bug (`EX_SOFTWARE` of sysexits.h).
    Internal,
    /// 75: inconclusive, worth a retry (`EX_TEMPFAIL` of sysexits.h).
    Inconclusive,
    /// 128+n: ended by signal n, as a shell reports it.
    Signal(Signal),
}

/// A signal that ends the program in an orderly way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// The terminal went away.
    Hangup = 1,
    /// Control-C.
    Interrupt = 2,
    /// The reader of standard output went away.
    Pipe = 13,
    /// Asked to end.
    Terminate = 15,
}

impl ExitStatus {
    /// Every status, in the order of their codes.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::NotReproducible,
        Self::Usage,
        Self::StepFailed,
        Self::Refused,
        Self::Machine,
        Self::Input,
        Self::Internal,
        Self::Inconclusive,
        Self::Signal(Signal::Hangup),
        Self::Signal(Signal::Interrupt),
        Self::Signal(Signal::Pipe),
        Self::Signal(Signal::Terminate),
    ];

    /// The number that the caller sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotReproducible => 1,
            Self::Usage => 2,
            Self::StepFailed => 3,
            Self::Refused => 4,
            Self::Machine => 5,
            Self::Input => 6,
            Self::Internal => 70,
            Self::Inconclusive => 75,
            Self::Signal(signal) => 128 + signal as u8,
        }
    }

    /// What it means, for the help text and the reference.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done and reproducible",
            Self::NotReproducible => "not reproducible; all output is written",
            Self::Usage => "wrong usage or configuration",
            Self::StepFailed => "a step of the build failed",
            Self::Refused => "refused by verification or policy",
            Self::Machine => "this machine lacks something; `repro doctor` says what",
            Self::Input => {
                "an input is missing, unlocked, changed while read or has another digest"
            }
            Self::Internal => "a bug in repro",
            Self::Inconclusive => {
                "inconclusive: killed, out of memory, disk or time; worth a retry"
            }
            Self::Signal(Signal::Hangup) => "the terminal went away (SIGHUP)",
            Self::Signal(Signal::Interrupt) => "interrupted (SIGINT)",
            Self::Signal(Signal::Pipe) => "the reader of the output went away (SIGPIPE)",
            Self::Signal(Signal::Terminate) => "asked to end (SIGTERM)",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.meaning())
    }
}

impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_contract() {
        let codes: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 70, 75, 129, 130, 141, 143]);
    }
}
