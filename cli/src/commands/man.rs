//! `repro man`

use super::Context;
use crate::{
    args,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
};

/// Write the manual page of all commands, in roff, to standard output
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(after_help = "Example:\n  repro man | man -l -")]
pub(crate) struct Args {}

pub(crate) fn run(context: &Context) -> Result<ExitStatus, CommandError> {
    let mut command = args::command();
    // Names such as `repro-store-gc` and the usage lines of subcommands are made here.
    command.build();
    let mut page = Vec::new();
    render(&command, &mut page).map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
    context.settings.output.data(&page)?;
    Ok(ExitStatus::Done)
}

/// The page of a command, and below it those of its subcommands: one page to read and search.
fn render(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        render(sub, page)?;
    }
    Ok(())
}
