//! Nothing but what needs attention.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use repro_core::event::{Event, EventSink};

use super::{
    board::Board,
    plain::{finding_line, tail},
};
use crate::{output::Meaning, text};

/// Writes findings, and of a step that fails what it printed last.
pub(super) struct Quiet<W> {
    state: Mutex<(Board, W)>,
}

impl<W: Write + Send> Quiet<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            state: Mutex::new((Board::default(), out)),
        }
    }
}

impl<W: Write + Send> EventSink for Quiet<W> {
    fn event(&self, event: Event) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (board, out) = &mut *guard;
        let lines = match &event {
            Event::Finding { finding } => vec![finding_line(finding)],
            Event::StepFailed {
                run,
                index,
                message,
            } => {
                let instruction = board.instruction(*index);
                let message = text::one_line(message);
                let head = format!(
                    "[{run} {}] {instruction}: {message}",
                    board.position(*index)
                );
                let mut lines = vec![Meaning::Error.paint(head).to_string()];
                lines.extend(tail(board, *run, *index));
                lines
            }
            _ => Vec::new(),
        };
        board.take(&event);
        for line in lines {
            // Where standard error is closed there is nobody to tell; the build goes on.
            drop(writeln!(out, "{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::board::tests::{failing, recorded};

    fn shown(events: Vec<Event>) -> String {
        let quiet = Quiet::new(Vec::new());
        for event in events {
            quiet.event(event);
        }
        let (_, bytes) = quiet.state.into_inner().unwrap();
        anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
    }

    #[test]
    fn only_findings_and_failures_are_shown() {
        assert_eq!(
            shown(recorded()),
            "warning: line 1: the base image is newer than the epoch (epoch-before-base)\n"
        );
        let failure = shown(failing());
        assert!(
            failure.starts_with("[a 1/3] RUN false: exit code 1\n  | line 10\n"),
            "{failure}"
        );
        assert_eq!(failure.lines().count(), 21);
    }
}
