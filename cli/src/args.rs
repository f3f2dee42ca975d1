//! The command line as it is written. What it means is decided in `settings`.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use repro_core::{
    image::transport::{Archive, Location, LocationError},
    reference::{ImageRef, ReferenceError},
};

use crate::{
    commands::{self, Command},
    exit::ExitStatus,
    output::ColorChoice,
    progress::ProgressMode,
};

/// Build container images twice without a network, compare them, sign what was seen
///
/// Builds a Dockerfile in two sandboxes that have no network and differ in what must not matter,
/// compares the layers, says which instruction and which file differ and why, and writes signed
/// evidence.
#[derive(Debug, Parser)]
#[command(
    name = "repro",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Keep images and snapshots in DIR; `$XDG_DATA_HOME/repro` unless given
    #[arg(long, global = true, value_name = "DIR", env = "REPRO_STORE")]
    pub(crate) store: Option<PathBuf>,
    /// Colour the output
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        env = "REPRO_COLOR"
    )]
    pub(crate) color: ColorChoice,
    /// Say only what needs attention
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log what is done, to standard error; -vv logs more, `RUST_LOG` chooses
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How commands that take a while show it.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ProgressArgs {
    /// Show progress on standard error in this form
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        env = "REPRO_PROGRESS"
    )]
    pub(crate) progress: ProgressMode,
}

/// The form of the result.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArgs {
    /// Write one JSON document to standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// A place outside the store that holds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    /// A file or directory.
    Archive(Archive),
    /// A registry.
    Registry(ImageRef),
}

impl FromStr for Outside {
    type Err = OutsideError;

    fn from_str(text: &str) -> Result<Self, OutsideError> {
        match text.parse()? {
            Location::Archive(archive) => Ok(Self::Archive(archive)),
            Location::Registry(reference) => Ok(Self::Registry(reference)),
            Location::Store(reference) => Err(OutsideError::InStore(reference)),
        }
    }
}

/// Why a text names no place outside the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsideError {
    /// It does not parse.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// It names an image in the store.
    #[error(
        "{0} names an image in the store; a place outside is written oci:DIR, docker://REF or the like"
    )]
    InStore(ImageRef),
}

/// An image of a registry, where nothing else can be meant: with or without its transport.
pub(crate) fn registry_reference(text: &str) -> Result<ImageRef, ReferenceError> {
    text.strip_prefix("docker://").unwrap_or(text).parse()
}

/// What the words of a command line mean.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some(("verify", matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand_mut("verify")
    {
        commands::refuse_idle(command, matches)?;
    }
    Cli::from_arg_matches(&matches)
}

/// The whole command line, with the exit codes at the end of its help.
pub(crate) fn command() -> clap::Command {
    let codes = ExitStatus::ALL.iter().map(|status| {
        let code = status.code();
        format!("  {code:<3}  {}\n", status.meaning())
    });
    Cli::command().after_help(format!("Exit codes:\n{}", codes.collect::<String>()))
}
