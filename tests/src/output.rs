//! What a command gave back.

use std::fmt;

use serde_json::Value;

/// A command that ended, somehow.
#[must_use = "assert how the command ended"]
#[derive(Debug)]
pub struct Output(Ended);

/// A command that ended as it should.
pub struct Ended {
    command: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    pub(crate) fn new(command: &str, output: &std::process::Output) -> Self {
        Self(Ended {
            command: command.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The exit code must be this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(self.0.code, Some(code), "{}", self.0);
        self.0
    }

    /// However it ended: the test looks at the code itself.
    pub fn any(self) -> Ended {
        self.0
    }
}

impl Ended {
    /// Standard error must have each of these texts.
    #[track_caller]
    pub fn says<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in\n{self}");
        }
    }

    /// Standard output must have each of these texts.
    #[track_caller]
    pub fn prints<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            assert!(self.stdout.contains(text), "{text:?} is not in\n{self}");
        }
    }

    /// The one document on standard output of `--json`.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{self}"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "$ {command}\nexit code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---"
        )
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
