//! What went wrong, for people and scripts: a kind that alone decides the exit code, a chain of
//! reasons that says nothing twice, places in files, and what to do next.

mod excerpt;
mod from;

pub(crate) use excerpt::Excerpt;
pub(crate) use from::{DAMAGED, in_document, io_kind};

use std::{error::Error, fmt};

use serde::Serialize;

use crate::exit::{ExitStatus, Signal};

/// What kind of trouble it is. One to one with an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Wrong usage or configuration.
    Usage,
    /// A step of the build failed.
    StepFailed,
    /// Refused by verification or policy.
    Refused,
    /// This machine lacks something.
    Machine,
    /// An input is missing, unlocked, changed or damaged.
    Input,
    /// A bug.
    Internal,
    /// The machine ran out of something.
    Inconclusive,
    /// A signal asked the program to end.
    Interrupted(Signal),
}

impl ErrorKind {
    /// The exit code.
    pub(crate) const fn status(self) -> ExitStatus {
        match self {
            Self::Usage => ExitStatus::Usage,
            Self::StepFailed => ExitStatus::StepFailed,
            Self::Refused => ExitStatus::Refused,
            Self::Machine => ExitStatus::Machine,
            Self::Input => ExitStatus::Input,
            Self::Internal => ExitStatus::Internal,
            Self::Inconclusive => ExitStatus::Inconclusive,
            Self::Interrupted(signal) => ExitStatus::Signal(signal),
        }
    }

    /// The name in JSON.
    const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::StepFailed => "step-failed",
            Self::Refused => "refused",
            Self::Machine => "machine",
            Self::Input => "input",
            Self::Internal => "internal",
            Self::Inconclusive => "inconclusive",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: ErrorKind,
    messages: Vec<String>,
    excerpts: Vec<Excerpt>,
    hints: Vec<String>,
}

/// The JSON form, field `error` of the document of schema `error/v1`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorDocument<'a> {
    exit: ExitStatus,
    kind: &'static str,
    message: &'a str,
    causes: &'a [String],
    places: &'a [Excerpt],
    hints: &'a [String],
}

impl CommandError {
    /// An error with one message, a fragment in lower case.
    pub(crate) fn message(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            messages: vec![message.into()],
            excerpts: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// An error of a library with all its reasons.
    pub(crate) fn new(kind: ErrorKind, error: &(dyn Error + 'static)) -> Self {
        Self {
            kind,
            messages: chain(error),
            excerpts: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::message(ErrorKind::Usage, message)
    }

    /// The same, as a reason of `message`: what was being done.
    #[must_use]
    pub(crate) fn context(mut self, message: impl Into<String>) -> Self {
        self.messages.insert(0, message.into());
        dedup(&mut self.messages);
        self
    }

    /// The same, for these reasons side by side.
    #[must_use]
    pub(crate) fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.messages.extend(reasons);
        self
    }

    /// The same, with a next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// The same, with a place in a file.
    #[must_use]
    pub(crate) fn at(mut self, excerpt: Excerpt) -> Self {
        self.excerpts.push(excerpt);
        self
    }

    /// Its kind.
    pub(crate) const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What it is, and why, outermost first; at least one.
    pub(crate) fn messages(&self) -> &[String] {
        &self.messages
    }

    /// Where.
    pub(crate) fn excerpts(&self) -> &[Excerpt] {
        &self.excerpts
    }

    /// What to do next.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// For scripts.
    pub(crate) fn document(&self) -> ErrorDocument<'_> {
        let (message, causes) = match self.messages.split_first() {
            Some((message, causes)) => (message.as_str(), causes),
            None => ("", [].as_slice()),
        };
        ErrorDocument {
            exit: self.kind.status(),
            kind: self.kind.name(),
            message,
            causes,
            places: &self.excerpts,
            hints: &self.hints,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join(": "))
    }
}

impl Error for CommandError {}

/// The messages of an error and its sources.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    dedup(&mut messages);
    messages
}

/// Drops a message that the one before it ends with: a transparent wrapper, or a library that
/// prints its source itself.
fn dedup(messages: &mut Vec<String>) {
    messages.dedup_by(|inner, outer| inner.is_empty() || outer.ends_with(inner.as_str()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("outer")]
        Plain(#[source] Inner),
        #[error("outer: {0}")]
        Repeats(#[source] Inner),
        #[error(transparent)]
        Same(Inner),
    }

    #[test]
    fn a_chain_says_nothing_twice() {
        for (error, messages) in [
            (Outer::Plain(Inner), vec!["outer", "inner"]),
            (Outer::Repeats(Inner), vec!["outer: inner"]),
            (Outer::Same(Inner), vec!["inner"]),
        ] {
            assert_eq!(
                CommandError::new(ErrorKind::Input, &error).messages(),
                messages
            );
        }
        let error = CommandError::usage("inner")
            .context("doing")
            .context("doing");
        assert_eq!(error.messages(), ["doing", "inner"]);
    }

    #[test]
    fn the_document_has_code_and_kind() {
        let error = CommandError::new(ErrorKind::Machine, &Outer::Plain(Inner)).hint("do");
        let json = serde_json::to_value(error.document()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"exit": 5, "kind": "machine", "message": "outer",
                "causes": ["inner"], "places": [], "hints": ["do"]})
        );
    }
}
