//! The command line of `repro`: arguments, settings, command, output, exit code.
//!
//! ```text
//! arguments (args, commands/*) + surroundings (ambient) -> settings -> command -> output, exit
//! ```
//!
//! This is the only crate that prints, and `ambient` its only file that reads the clock, the
//! environment and random numbers.

#![forbid(unsafe_code)]

mod ambient;
mod app;
mod args;
mod commands;
mod diffoscope;
#[cfg(test)]
mod docs;
mod engine;
mod error;
mod evidence;
pub mod exit;
mod files;
mod git;
mod images;
mod interrupt;
mod locksmith;
mod output;
mod place;
mod progress;
mod registries;
mod reports;
mod settings;
mod sides;
mod signing;
mod text;
mod trust;

/// Runs the program on the arguments of this process.
#[must_use]
pub fn run() -> std::process::ExitCode {
    app::run()
}
