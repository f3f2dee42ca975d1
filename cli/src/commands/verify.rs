//! `repro verify`

use std::path::PathBuf;

use repro_core::build::Clock as _;
use repro_verifier::{
    keys::PublicKey,
    predicate::reproducibility::Verdict,
    verify::{Check, Conclusion, Status, Trust, VerifyReport, verify_pack},
};

use super::Context;
use crate::{
    ambient::SystemClock,
    args::JsonArgs,
    error::CommandError,
    exit::ExitStatus,
    files,
    output::{Format, Meaning},
    text,
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
    /// Accept statements signed by this public key; repeat for several
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let keys = args
        .keys
        .iter()
        .map(|path| {
            let pem = files::read_text(path, files::Limit::Key)?;
            PublicKey::from_pem(&pem).map_err(|error| {
                CommandError::from(error).context(format!("cannot use {}", path.display()))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let report = verify_pack(&args.pack, Trust::Keys(&keys), SystemClock.unix_seconds())?;
    match output.format() {
        Format::Json => output.json("cli/verify/v1", &report)?,
        Format::Text => output.text(&readable(&report))?,
    }
    Ok(match report.conclusion {
        Conclusion::Verified => ExitStatus::Done,
        Conclusion::IntegrityOnly | Conclusion::Refused => ExitStatus::Refused,
    })
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproducible => "reproducible",
        Verdict::NotReproducible => "not reproducible",
        Verdict::BuildFailed => "build failed",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn readable(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    // What there is nothing to check on, and what only follows from an earlier refusal, is in
    // the JSON; here it would hide what matters.
    let applicable = |check: &&Check| check.status != Status::NotApplicable;
    for check in report.checks.iter().filter(applicable) {
        let (mark, meaning) = match check.status {
            Status::Passed => ("ok", Meaning::Good),
            Status::Failed => ("REFUSED", Meaning::Bad),
            Status::Skipped => ("skipped", Meaning::Warning),
            Status::NotApplicable => ("-", Meaning::Faint),
        };
        let mark = meaning.paint(format!("{mark:<7}"));
        lines.push(format!("{mark}  {}", check.title));
        for finding in check
            .findings
            .iter()
            .filter(|one| one.status == Status::Failed)
        {
            let detail = format!("{}: {}", finding.on, finding.detail);
            lines.push(format!("         {}", text::one_line(&detail)));
        }
    }
    if let Some(image) = report.image {
        lines.push(format!("image    {image}"));
    }
    lines.extend(
        report
            .signers
            .iter()
            .map(|key| format!("signer   {}", text::one_line(&key.0))),
    );
    if let Some(verdict) = report.verdict {
        lines.push(format!("verdict  {}", verdict_name(verdict)));
    }
    lines.push(match report.conclusion {
        Conclusion::Verified => Meaning::Good.paint("verified").to_string(),
        Conclusion::IntegrityOnly => Meaning::Warning
            .paint("whole, but by a key that anyone could have made")
            .to_string(),
        Conclusion::Refused => Meaning::Bad.paint("refused").to_string(),
    });
    lines.join("\n")
}
