//! `repro completions`

use clap_complete::Shell;

use super::Context;
use crate::{args, error::CommandError, exit::ExitStatus};

/// Write the completion script of a shell to standard output
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(
    after_help = "Example:\n  repro completions bash > ~/.local/share/bash-completion/completions/repro"
)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "repro", &mut script);
    context.settings.output.data(&script)?;
    Ok(ExitStatus::Done)
}
