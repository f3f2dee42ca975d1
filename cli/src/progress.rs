//! What a command shows while it works. Libraries report events; here they become a live view
//! on a terminal, plain lines elsewhere, or NDJSON for programs.

mod board;
mod ndjson;
mod plain;
mod quiet;
mod terminal;

use std::io;

use clap::ValueEnum;
use repro_core::event::EventSink;

use crate::output::{Messages, Output};

/// `--progress`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A live view on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// Plain lines
    Plain,
    /// A live view of both runs, side by side
    Tty,
    /// One JSON event a line, on standard error, errors included
    #[value(alias = "rawjson")]
    Json,
    /// What needs attention only: --quiet
    Quiet,
}

impl ProgressMode {
    /// What standard error is written in.
    pub(crate) const fn messages(self) -> Messages {
        match self {
            Self::Json => Messages::Ndjson,
            Self::Auto | Self::Plain | Self::Tty | Self::Quiet => Messages::Text,
        }
    }
}

/// Which view it is, once the surroundings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Live, on a terminal.
    Terminal,
    /// Line by line.
    Plain,
    /// For programs.
    Ndjson,
    /// Failures only.
    Quiet,
}

impl View {
    /// A view that stays until dropped. Nothing else may write to standard error meanwhile,
    /// except through `EventSink`.
    pub(crate) fn start(self, output: &Output) -> Box<dyn EventSink> {
        match self {
            Self::Terminal => Box::new(terminal::Terminal::on_stderr(output.colors_stderr())),
            Self::Plain => Box::new(plain::Plain::new(output.stderr())),
            Self::Ndjson => Box::new(ndjson::Ndjson::new(io::stderr())),
            Self::Quiet => Box::new(quiet::Quiet::new(output.stderr())),
        }
    }
}
