//! Where words go: data to standard output, all else to standard error.

mod style;

pub(crate) use style::{ColorChoice, Meaning};

use std::io::{self, IsTerminal as _, Write as _};

use anstream::AutoStream;
use repro_verifier::render::{Line, TextOptions};
use serde::Serialize;

use crate::{
    ambient::{Ambient, Screen},
    error::{CommandError, ErrorKind},
    exit::Signal,
    text,
};

/// The first part of every schema URI of this project.
const SCHEMAS: &str = "https://intelgraph.io/repro/";

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Errors, and the findings of the command, only.
    Quiet,
    /// What is being done as well.
    Normal,
}

/// What standard error is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Messages {
    /// Text for people.
    Text,
    /// One JSON document a line, events and errors alike (`--progress json`).
    Ndjson,
}

/// What standard output is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One versioned JSON document (`--json`).
    Json,
}

/// The way out for everything that a command says.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    stdout: anstream::ColorChoice,
    stderr: anstream::ColorChoice,
    talk: Talk,
    messages: Messages,
    format: Format,
    screen: Option<Screen>,
}

impl Output {
    pub(crate) fn new(
        ambient: &Ambient,
        color: ColorChoice,
        talk: Talk,
        messages: Messages,
        format: Format,
    ) -> Self {
        Self {
            stdout: color.resolve(ambient, ambient.stdout),
            stderr: color.resolve(ambient, ambient.stderr),
            talk,
            messages,
            format,
            screen: ambient.screen,
        }
    }

    /// How much of a report fits: the screen but for `reserved` lines and that of the prompt, or
    /// all of it where `everything` is asked for. Without a terminal as on one of 80 by 40.
    pub(crate) fn text_options(&self, everything: bool, reserved: usize) -> TextOptions {
        let Screen { columns, rows } = self.screen.unwrap_or(Screen {
            columns: 80,
            rows: 40,
        });
        let rows = rows.clamp(24, 40).saturating_sub(1 + reserved);
        TextOptions {
            width: columns.clamp(40, 100),
            height: (!everything).then_some(rows),
            ..TextOptions::default()
        }
    }

    /// Columns for running text.
    pub(crate) fn width(&self) -> usize {
        self.text_options(false, 0).width
    }

    /// What standard output is written in.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether `--quiet` was not given.
    pub(crate) const fn talks(&self) -> bool {
        matches!(self.talk, Talk::Normal)
    }

    /// Whether standard error takes colours.
    pub(crate) fn colors_stderr(&self) -> bool {
        self.stderr != anstream::ColorChoice::Never
    }

    /// Standard error, for a view that owns it for a while.
    pub(crate) fn stderr(&self) -> AutoStream<io::Stderr> {
        AutoStream::new(io::stderr(), self.stderr)
    }

    /// Data, as it stands: for files that others read. Names from outside are the caller's to
    /// make harmless.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.stdout);
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| stdout_error(&error))
    }

    /// Lines of text for people.
    pub(crate) fn text(&self, text: &str) -> Result<(), CommandError> {
        let mut text = text.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.data(text.as_bytes())
    }

    /// Lines of a report, with the styles that the terminal shows.
    pub(crate) fn report(&self, lines: &[Line]) -> Result<(), CommandError> {
        self.text(&painted(lines))
    }

    /// As [`Output::report`], where standard output holds something else.
    pub(crate) fn report_aside(&self, lines: &[Line]) {
        if self.messages == Messages::Text {
            self.say(painted(lines).trim_end());
        }
    }

    /// A terminal is no place for the bytes of an image.
    #[expect(clippy::unused_self, reason = "the way out is asked, not the process")]
    pub(crate) fn refuse_terminal(&self) -> Result<(), CommandError> {
        if io::stdout().is_terminal() {
            return Err(
                CommandError::usage("an image would be written to the terminal")
                    .hint("redirect standard output, or name a file"),
            );
        }
        Ok(())
    }

    /// The one JSON document of a command: `value` with the field `schema`, such as
    /// `cli/inspect/v1`.
    pub(crate) fn json<T: Serialize>(&self, schema: &str, value: &T) -> Result<(), CommandError> {
        let internal = |error| CommandError::new(ErrorKind::Internal, &error);
        let mut document = serde_json::to_value(value).map_err(internal)?;
        let Some(fields) = document.as_object_mut() else {
            return Err(CommandError::message(
                ErrorKind::Internal,
                format!("the document {schema} is not an object"),
            ));
        };
        fields.insert("schema".into(), format!("{SCHEMAS}{schema}").into());
        let text = serde_json::to_string_pretty(&document).map_err(internal)?;
        self.text(&text)
    }

    /// What was done, unless `--quiet`.
    pub(crate) fn status(&self, message: &str) {
        if self.talks() && self.messages == Messages::Text {
            self.say(&text::lines(message));
        }
    }

    /// Something to worry about. Said also under `--quiet`.
    pub(crate) fn warning(&self, message: &str) {
        self.labelled(Meaning::Warning, "warning", message);
    }

    /// What to do next, unless `--quiet`.
    pub(crate) fn hint(&self, message: &str) {
        if self.talks() {
            self.labelled(Meaning::Hint, "hint", message);
        }
    }

    fn labelled(&self, meaning: Meaning, label: &str, message: &str) {
        match self.messages {
            Messages::Text => {
                self.say(&format!(
                    "{}: {}",
                    meaning.paint(label),
                    text::lines(message)
                ));
            }
            Messages::Ndjson => self.say(
                &serde_json::json!({"version": 1, "event": label, "message": message}).to_string(),
            ),
        }
    }

    /// Says why the command failed, in the forms that were asked for.
    pub(crate) fn error(&self, error: &CommandError) {
        // The reader went away: there is nobody to tell.
        if error.kind() == ErrorKind::Interrupted(Signal::Pipe) {
            return;
        }
        match self.messages {
            Messages::Text => self.say(&render(error)),
            Messages::Ndjson => {
                let line =
                    serde_json::json!({"version": 1, "event": "error", "error": error.document()});
                self.say(&line.to_string());
            }
        }
        if self.format == Format::Json {
            // A failure to write it changes nothing: the error is on its way as exit code.
            let document = serde_json::json!({"error": error.document()});
            drop(self.json("cli/error/v1", &document));
        }
    }

    /// A line on standard error. Where that is closed there is nobody to tell, and what was
    /// asked for is done all the same.
    fn say(&self, line: &str) {
        let mut stderr = AutoStream::new(io::stderr().lock(), self.stderr);
        drop(writeln!(stderr, "{line}"));
    }
}

/// The text of lines, with their styles.
fn painted(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        for span in &line.spans {
            match Meaning::of(span.style) {
                Some(meaning) => text.push_str(&meaning.paint(&span.text).to_string()),
                None => text.push_str(&span.text),
            }
        }
        text.push('\n');
    }
    text
}

fn stdout_error(error: &io::Error) -> CommandError {
    CommandError::new(crate::error::io_kind(error), error).context("cannot write the output")
}

/// The text of an error: what, why, where, and the next step.
fn render(error: &CommandError) -> String {
    let (first, causes) = match error.messages().split_first() {
        Some((first, causes)) => (first.as_str(), causes),
        None => ("unknown", [].as_slice()),
    };
    let mut lines = vec![format!(
        "{}: {}",
        Meaning::Error.paint("error"),
        text::lines(first)
    )];
    for cause in causes {
        lines.push(format!("  caused by: {}", text::lines(cause)));
    }
    for excerpt in error.excerpts() {
        lines.extend(excerpt.render());
    }
    for hint in error.hints() {
        lines.push(format!(
            "{}: {}",
            Meaning::Hint.paint("hint"),
            text::lines(hint)
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Excerpt;

    #[test]
    fn an_error_reads_what_why_where_next() {
        let error = CommandError::usage("\"RNU\" is no instruction")
            .context("cannot parse the Dockerfile")
            .at(Excerpt {
                file: "Dockerfile".into(),
                line: 3,
                column: 1,
                length: 3,
                text: "RNU make".into(),
                label: None,
            })
            .hint("write RUN");
        assert_eq!(
            anstream::adapter::strip_str(&render(&error)).to_string(),
            "error: cannot parse the Dockerfile\n  caused by: \"RNU\" is no instruction\n \
             --> Dockerfile:3:1\n  |\n3 | RNU make\n  | ^^^\nhint: write RUN"
        );
    }
}
