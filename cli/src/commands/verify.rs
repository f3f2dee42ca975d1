//! `repro verify`

mod idle;
pub(crate) mod policy;
mod rebuild;
mod render;
mod subject;
mod summary;
mod trust;

use std::{num::NonZeroUsize, path::PathBuf};

pub(crate) use idle::refuse_idle;
use repro_core::{build::Clock as _, platform::Platform};
use repro_verifier::{
    terms::{Policy, Terms, Trust, TrustRules},
    verify::{self, Conclusion, Verification, VerifyReport, Wanted},
};
use serde::Serialize;

use super::Context;
use crate::{
    ambient::SystemClock,
    args::{JsonArgs, ProgressArgs},
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    registries::RegistryArgs,
    settings::Forms,
    signing::PassphraseArgs,
};

/// Check an image by the evidence that lies beside it, or an evidence pack
///
/// Checks every signature, every subject against recomputed digests, that nothing stands in the
/// pack that its signed index does not list, and whatever your policy demands. Exit 0 means that all
/// of it holds, whatever the verdict of the build unless the policy demands one; exit 4 that
/// something was refused, or that nothing was verified. With --rebuild the build is done again and
/// compared: exit 1 means that it came to another image.
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
  repro verify repro-out --trust trust.toml --policy policy.toml
  repro verify --quorum 2 --trust trust.toml ours theirs --summary out --sign-with verifier.key
  repro verify --vsa vsa.sigstore.json --trust trust.toml --digest sha256:... --resource-uri URI
  repro verify repro-out --key repro.pub --rebuild --context . --builder-key mine.key
  repro verify oci:layout --rebuild --buildkit --context ./repository
  repro verify --format sarif repro-out --key old.pub --key new.pub > verify.sarif")]
pub(crate) struct Args {
    /// An image: a reference in a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or
    /// docker-archive:FILE[:REF]; or directories that `repro build --evidence` wrote. Several are of one
    /// image, by several builders
    #[arg(value_name = "SUBJECT", required_unless_present = "vsa")]
    subjects: Vec<subject::Subject>,
    #[command(flatten)]
    trust: trust::TrustArgs,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    demands: DemandArgs,
    #[command(flatten)]
    summary: summary::SummaryArgs,
    #[command(flatten)]
    rebuild: rebuild::RebuildArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Write the result in this form
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    format: Form,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// Where the evidence on an image is looked for.
#[derive(Debug, clap::Args)]
struct BesideArgs {
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
    fn rebuilt(&self) -> Result<&subject::Subject, CommandError> {
        match (self.subjects.as_slice(), self.form()) {
            (_, Form::Sarif) => Err(CommandError::usage(
                "a rebuild is told as text or as JSON, and SARIF was asked for",
            )),
            ([one], _) => Ok(one),
            (subjects, _) => Err(CommandError::usage(format!(
                "--rebuild takes one image or pack, and {} were given",
                subjects.len()
            ))
            .hint("build each again by itself, then count the packs: --quorum N")),
        }
    }

    const fn rebuilt_with(&self) -> rebuild::With<'_> {
        rebuild::With {
            args: &self.rebuild,
            registries: &self.beside.registries,
            passphrase: &self.passphrase,
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
            let subject = subject.side(args.beside.offline);
            return rebuild::verify_buildkit(args.rebuilt_with(), context, &subject);
        }
    }
    let rules = args.trust.resolve()?;
    let policy = args.demands.resolve()?;
    let output = &context.settings.output;
    // Looked at first: a long verification must not end in a key that cannot be used.
    let signing = args.summary.signing(&args.passphrase, output)?;
    let now = SystemClock.unix_seconds();
    let (verification, kept) = verify(args, context, &rules, policy.as_ref(), now)?;
    if matches!(args.form(), Form::Text) {
        output.text(&render::readable(&verification))?;
    }
    let rebuilt = if args.rebuild.wanted() {
        built_again(args, context, &verification, &kept)?
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
            let again = rebuilt.as_ref().map(rebuild::Finished::document);
            if let Some(result) = single(&verification) {
                output.json("cli/verify/v1", &Document::new(result, again))?;
            } else {
                output.json("cli/verifications/v1", &Document::new(&verification, again))?;
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

impl<'a, T> Document<'a, T> {
    const fn new(result: &'a T, rebuild: Option<rebuild::Document<'a>>) -> Self {
        Self { result, rebuild }
    }
}

/// Builds again what was verified, whatever it was held against; nothing, if it was refused.
fn built_again(
    args: &Args,
    context: &Context,
    verification: &Verification,
    kept: &subject::Kept,
) -> Result<Option<rebuild::Finished>, CommandError> {
    if verification.conclusion != Conclusion::Verified {
        let text = "nothing was built again, since no pack is verified";
        context.settings.output.warning(text);
        return Ok(None);
    }
    match kept.packs.as_slice() {
        // To end well would say that it was.
        [] => Err(CommandError::message(
            ErrorKind::Input,
            "nothing can be built again: there are statements on the image, and no pack that they are from",
        )
        .hint("name the pack: --evidence DIR")),
        [pack] => rebuild::run(args.rebuilt_with(), context, pack).map(Some),
        several => Err(CommandError::usage(format!(
            "{} packs lie beside the image, and --rebuild takes one",
            several.len()
        ))
        .hint("accept the key of one builder only, or name its pack: --evidence DIR")),
    }
}

fn verify(
    args: &Args,
    context: &Context,
    rules: &TrustRules,
    policy: Option<&Policy>,
    now: i64,
) -> Result<(Verification, subject::Kept), CommandError> {
    let terms = Terms {
        trust: Trust::Rules(rules),
        policy,
        now,
    };
    let quorum = args.demands.quorum.map(NonZeroUsize::get);
    let counted = quorum.is_some() || policy.is_some_and(|policy| policy.builders.is_some());
    let wanted = if counted {
        Wanted::EachBuilder
    } else {
        Wanted::One
    };
    let mut kept = subject::Kept::default();
    let verification = if args.subjects.is_empty() {
        None
    } else {
        let verified = subject::verify(args, context, &terms, wanted)?;
        kept = verified.kept;
        Some(Verification::of_reports(verified.reports, &terms, quorum))
    };
    let summary = args
        .summary
        .check(rules, policy, verification.as_ref(), now)?;
    let verification = match (verification, summary) {
        (Some(verification), Some(summary)) => verification.with_summary(summary),
        (Some(verification), None) => verification,
        (None, Some(summary)) => Verification::of_summary(summary),
        (None, None) => {
            return Err(CommandError::message(
                ErrorKind::Refused,
                "nothing was verified",
            ));
        }
    };
    Ok((verification, kept))
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
            policy.get_or_insert_default().asked_level = level;
        }
        Ok(policy)
    }
}
