//! The command line of `repro`: arguments, settings, command, output, exit code.

#![forbid(unsafe_code)]

mod ambient;
mod error;
pub mod exit;
mod output;
mod progress;
mod text;

/// Runs.
#[must_use]
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
