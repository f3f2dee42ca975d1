//! `repro verify`

pub(crate) mod policy;
mod rebuild;
mod render;
mod summary;
mod trust;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use repro_core::build::Clock as _;
use repro_verifier::{
    terms::{Policy, Terms, Trust, TrustRules},
    verify::{self, Conclusion, Verification, VerifyReport},
};
use serde::Serialize;

use super::Context;
use crate::{
    ambient::SystemClock,
    args::{JsonArgs, ProgressArgs},
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    settings::Forms,
};

/// Check the evidence of a build under your keys and your policy, without a network
///
/// Checks every signature, every subject against recomputed digests, that nothing stands in the
/// pack that its signed index does not list, and whatever your policy demands. Exit 0 means that all
/// of it holds, whatever the verdict of the build unless the policy demands one; exit 4 that
/// something was refused, or that nothing was verified. With --rebuild the build is done again and
/// compared: exit 1 means that it came to another image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro verify repro-out --key repro.pub
  repro verify repro-out --trust trust.toml --policy policy.toml
  repro verify --quorum 2 --trust trust.toml ours theirs --summary out --sign-with verifier.key
  repro verify --vsa vsa.sigstore.json --trust trust.toml --digest sha256:... --resource-uri URI
  repro verify repro-out --key repro.pub --rebuild --context . --builder-key mine.key
  repro verify oci:layout --rebuild --buildkit --context ./repository
  repro verify --format sarif repro-out --key old.pub --key new.pub > verify.sarif")]
pub(crate) struct Args {
    /// Directories that `repro build --evidence` wrote; several are of one image, by several builders.
    /// With --buildkit an image
    #[arg(value_name = "DIR", required_unless_present = "vsa")]
    packs: Vec<PathBuf>,
    #[command(flatten)]
    trust: trust::TrustArgs,
    #[command(flatten)]
    demands: DemandArgs,
    #[command(flatten)]
    summary: summary::SummaryArgs,
    #[command(flatten)]
    rebuild: rebuild::RebuildArgs,
    /// Write the result in this form
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    format: Form,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// What is demanded beyond that the evidence holds.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policy")]
struct DemandArgs {
    /// Demand what this policy says: TOML, or kyverno:FILE for the images of a Kyverno `ClusterPolicy`
    #[arg(long, value_name = "FILE", env = "REPRO_POLICY")]
    policy: Option<policy::PolicyFile>,
    /// Demand that this many independent builders made the same image: distinct keys, distinct builder
    /// ids, distinct operators of the trust file
    #[arg(long, value_name = "N")]
    quorum: Option<NonZeroUsize>,
    /// Demand this level of SLSA's Build track, as the trust file grants it
    #[arg(long = "slsa-build-level", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    level: Option<u8>,
}

/// A form of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table for people
    #[default]
    Text,
    /// One JSON document, as with --json
    Json,
    /// For code scanning
    Sarif,
}

impl Args {
    /// In which form the command writes, errors too.
    pub(crate) const fn forms(&self) -> Forms {
        let json = matches!(self.form(), Form::Json);
        Forms::new(self.progress.progress, JsonArgs { json })
    }

    /// What is built again: one thing at a time.
    fn rebuilt(&self) -> Result<&Path, CommandError> {
        match (self.packs.as_slice(), self.form()) {
            (_, Form::Sarif) => Err(CommandError::usage(
                "a rebuild is told as text or as JSON, and SARIF was asked for",
            )),
            ([one], _) => Ok(one),
            (packs, _) => Err(CommandError::usage(format!(
                "--rebuild takes one pack, and {} were given",
                packs.len()
            ))
            .hint("build each again by itself, then count the packs: --quorum N")),
        }
    }

    const fn form(&self) -> Form {
        if self.json.json {
            Form::Json
        } else {
            self.format
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    if args.rebuild.wanted() {
        let subject = args.rebuilt()?;
        if args.rebuild.of_buildkit() {
            return rebuild::verify_buildkit(&args.rebuild, context, subject);
        }
    }
    let rules = args.trust.resolve()?;
    let policy = args.demands.resolve()?;
    // The key is opened first: a long verification must not end in a key that cannot be used.
    let signing = args.summary.signing()?;
    let now = SystemClock.unix_seconds();
    let verification = verify(args, &rules, policy.as_ref(), now)?;
    let output = &context.settings.output;
    if matches!(args.form(), Form::Text) {
        output.text(&render::readable(&verification))?;
    }
    let rebuilt = if args.rebuild.wanted() {
        built_again(
            args,
            context,
            &verification,
            Terms::new(Trust::Rules(&rules), now),
        )?
    } else {
        None
    };
    match args.form() {
        Form::Text => {
            if let Some(rebuilt) = &rebuilt {
                rebuilt.say(output)?;
            }
        }
        Form::Sarif => {
            let bytes = verify::sarif(&verification)
                .map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
            output.data(&[bytes.as_slice(), b"\n"].concat())?;
        }
        Form::Json => {
            let rebuild = rebuilt.as_ref().map(rebuild::Finished::document);
            match single(&verification) {
                Some(result) => output.json("cli/verify/v1", &Document { result, rebuild })?,
                None => {
                    let result = &verification;
                    output.json("cli/verifications/v1", &Document { result, rebuild })?;
                }
            }
        }
    }
    let status = match verification.conclusion {
        Conclusion::Verified => rebuilt.map_or(ExitStatus::Done, |rebuilt| rebuilt.status()),
        Conclusion::IntegrityOnly | Conclusion::Refused => ExitStatus::Refused,
    };
    match signing {
        // A summary that says that all is well would be believed without the rest.
        Some(_) if args.rebuild.wanted() && status != ExitStatus::Done => {
            output.warning("no summary is written, since the rebuild does not agree");
        }
        Some(signing) => signing.write(&verification, now, output)?,
        None => {}
    }
    Ok(status)
}

/// The JSON form.
#[derive(Serialize)]
struct Document<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<rebuild::Document<'a>>,
}

/// Builds again what was verified, whatever it was held against; nothing, if it was refused.
fn built_again(
    args: &Args,
    context: &Context,
    verification: &Verification,
    terms: Terms<'_>,
) -> Result<Option<rebuild::Finished>, CommandError> {
    let dir = args.rebuilt()?;
    let pack = match verification.conclusion {
        Conclusion::Verified => verify::open_pack(dir, &terms)?.1,
        Conclusion::IntegrityOnly | Conclusion::Refused => None,
    };
    let Some(pack) = pack else {
        let text = "nothing was built again, since the pack is not verified";
        context.settings.output.warning(text);
        return Ok(None);
    };
    rebuild::run(&args.rebuild, context, dir, &pack).map(Some)
}

fn verify(
    args: &Args,
    rules: &TrustRules,
    policy: Option<&Policy>,
    now: i64,
) -> Result<Verification, CommandError> {
    let terms = Terms {
        trust: Trust::Rules(rules),
        policy,
        now,
    };
    let named = args.packs.iter();
    let packs: Vec<_> = named
        .map(|dir| (dir.display().to_string(), dir.as_path()))
        .collect();
    let quorum = args.demands.quorum.map(NonZeroUsize::get);
    let verification = if packs.is_empty() {
        None
    } else {
        Some(Verification::of_packs(&packs, &terms, quorum)?)
    };
    let summary = args
        .summary
        .check(rules, policy, verification.as_ref(), now)?;
    Ok(match (verification, summary) {
        (Some(verification), Some(summary)) => verification.with_summary(summary),
        (Some(verification), None) => verification,
        (None, Some(summary)) => Verification::of_summary(summary),
        (None, None) => {
            return Err(CommandError::message(
                ErrorKind::Refused,
                "nothing was verified",
            ));
        }
    })
}

/// The report, where there is one pack and nothing else.
fn single(verification: &Verification) -> Option<&VerifyReport> {
    match (verification.packs.as_slice(), &verification.summary) {
        ([(_, report)], None) => Some(report),
        _ => None,
    }
}

impl DemandArgs {
    /// The policy, with what options add to it.
    fn resolve(&self) -> Result<Option<Policy>, CommandError> {
        let mut policy = self
            .policy
            .as_ref()
            .map(policy::PolicyFile::load)
            .transpose()?;
        if let Some(level) = self.level {
            let level = repro_verifier::terms::trust::BuildLevel::new(level);
            let policy = policy.get_or_insert_default();
            policy.level = policy.level.max(level);
        }
        Ok(policy)
    }
}
