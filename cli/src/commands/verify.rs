//! `repro verify`

mod render;
mod subject;
mod trust;

use std::path::PathBuf;

use repro_core::{build::Clock as _, platform::Platform};
use repro_verifier::verify::{Conclusion, Trust};

use super::Context;
use crate::{
    ambient::SystemClock,
    args::{JsonArgs, ProgressArgs},
    error::CommandError,
    exit::ExitStatus,
    output::Format,
    registries::RegistryArgs,
};

/// Check an image by the evidence that lies beside it, or an evidence pack
///
/// Checks every signature, every subject against recomputed digests, and that nothing stands in
/// the pack that its signed index does not list. Exit 0 means that all of it holds under your
/// keys, whatever the verdict of the build; exit 4 that something was refused, or that nothing
/// could be verified.
///
/// A tag is asked for once, and everything goes by the digest that it meant, which is shown. Packs,
/// layouts and archives are verified without a network. What lies beside an image and no key of yours
/// signed is listed, and counts for nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro verify registry.example/acme/app@sha256:... --key repro.pub
  repro verify repro-out --key repro.pub
  repro verify oci:layout:v1 --key repro.pub
  repro verify docker-archive:app.tar --evidence repro-out --key repro.pub
  repro verify --json repro-out --key old.pub --key new.pub")]
pub(crate) struct Args {
    /// An image: a reference in a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or
    /// docker-archive:FILE[:REF]; or the directory of an evidence pack
    #[arg(value_name = "SUBJECT")]
    subject: subject::Subject,
    #[command(flatten)]
    trust: trust::TrustArgs,
    /// Take this pack as the evidence on the image, and look for none beside it; repeat for several
    #[arg(long, value_name = "DIR")]
    evidence: Vec<PathBuf>,
    /// Use no network: an image of a registry is that of the store, with the evidence that
    /// `repro pull --referrers` brought
    #[arg(long)]
    offline: bool,
    /// Which image of a list; that of this machine unless given
    #[arg(long, value_name = "OS/ARCH", env = "REPRO_PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let keys = args.trust.resolve()?;
    let trust = Trust::Keys(&keys);
    let report = subject::verify(args, context, trust, SystemClock.unix_seconds())?;
    match output.format() {
        Format::Json => output.json("cli/verify/v1", &report)?,
        Format::Text => output.text(&render::readable(&report))?,
    }
    Ok(match report.conclusion {
        Conclusion::Verified => ExitStatus::Done,
        Conclusion::IntegrityOnly | Conclusion::Refused => ExitStatus::Refused,
    })
}
