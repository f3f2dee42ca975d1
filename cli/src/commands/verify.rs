//! `repro verify`

mod rebuild;
mod render;
mod trust;

use std::path::PathBuf;

use repro_core::build::Clock as _;
use repro_verifier::verify::{Conclusion, Terms, Trust, VerifyReport, open_pack};
use serde::Serialize;

use super::Context;
use crate::{
    ambient::SystemClock,
    args::{JsonArgs, ProgressArgs},
    error::CommandError,
    exit::ExitStatus,
    output::Format,
};

/// Check the signatures and digests of an evidence pack, without a network
///
/// Checks every signature, every subject against recomputed digests, and that nothing stands in
/// the pack that its signed index does not list. Exit 0 means that all of it holds under your
/// keys, whatever the verdict of the build; exit 4 that something was refused. With --rebuild the build
/// is done again and compared: exit 1 means that it came to another image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro verify repro-out --key repro.pub
  repro verify --json repro-out --key old.pub --key new.pub
  repro verify repro-out --key repro.pub --rebuild --context . --sign-with my.key")]
pub(crate) struct Args {
    /// The directory that `repro build --evidence` wrote; with --buildkit an image
    #[arg(value_name = "TARGET")]
    pack: PathBuf,
    #[command(flatten)]
    trust: trust::TrustArgs,
    #[command(flatten)]
    rebuild: rebuild::RebuildArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    if args.rebuild.of_buildkit() {
        return rebuild::verify_buildkit(&args.rebuild, context, &args.pack);
    }
    let keys = args.trust.resolve()?;
    let terms = Terms {
        trust: Trust::Keys(&keys),
        policy: None,
        now: SystemClock.unix_seconds(),
    };
    let (report, pack) = open_pack(&args.pack, &terms)?;
    if output.format() == Format::Text {
        output.text(&render::readable(&report))?;
    }
    let rebuilt = match &pack {
        Some(pack) if args.rebuild.wanted() => {
            Some(rebuild::run(&args.rebuild, context, &args.pack, pack)?)
        }
        None if args.rebuild.wanted() => {
            output.warning("nothing was built again, since the pack is not verified");
            None
        }
        _ => None,
    };
    match output.format() {
        Format::Json => {
            let document = Document {
                report: &report,
                rebuild: rebuilt.as_ref().map(rebuild::Finished::document),
            };
            output.json("cli/verify/v1", &document)?;
        }
        Format::Text => {
            if let Some(rebuilt) = &rebuilt {
                rebuilt.say(output)?;
            }
        }
    }
    Ok(match report.conclusion {
        Conclusion::Verified => rebuilt.map_or(ExitStatus::Done, |rebuilt| rebuilt.status()),
        Conclusion::IntegrityOnly | Conclusion::Refused => ExitStatus::Refused,
    })
}

/// The JSON form.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a VerifyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<rebuild::Document<'a>>,
}
