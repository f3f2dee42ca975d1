//! `repro verify`

mod render;
mod trust;

use std::path::PathBuf;

use repro_core::build::Clock as _;
use repro_verifier::verify::{Conclusion, Trust, verify_pack};

use super::Context;
use crate::{
    ambient::SystemClock, args::JsonArgs, error::CommandError, exit::ExitStatus, output::Format,
};

/// Check the signatures and digests of an evidence pack, without a network
///
/// Checks every signature, every subject against recomputed digests, and that nothing stands in
/// the pack that its signed index does not list. Exit 0 means that all of it holds under your
/// keys, whatever the verdict of the build; exit 4 that something was refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro verify repro-out --key repro.pub
  repro verify --json repro-out --key old.pub --key new.pub")]
pub(crate) struct Args {
    /// The directory that `repro build --evidence` wrote
    #[arg(value_name = "DIR")]
    pack: PathBuf,
    #[command(flatten)]
    trust: trust::TrustArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let keys = args.trust.resolve()?;
    let report = verify_pack(&args.pack, Trust::Keys(&keys), SystemClock.unix_seconds())?;
    match output.format() {
        Format::Json => output.json("cli/verify/v1", &report)?,
        Format::Text => output.text(&render::readable(&report))?,
    }
    Ok(match report.conclusion {
        Conclusion::Verified => ExitStatus::Done,
        Conclusion::IntegrityOnly | Conclusion::Refused => ExitStatus::Refused,
    })
}
