//! `repro policy`

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::Subcommand;
use repro_verifier::terms::{Policy, kyverno, patterns::AllowedBase};
use serde_json::json;

use super::{Context, verify::policy::PolicyFile};
use crate::{
    args::JsonArgs, error::CommandError, exit::ExitStatus, files, output::Format, settings::Forms,
    text,
};

/// Look at policies of `repro verify`, and exchange their images with Kyverno
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro policy check policy.toml
  repro policy import kyverno:cluster-policy.yaml > policy.toml
  repro policy export policy.toml kyverno:cluster-policy.yaml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: PolicyCommand,
}

/// What to do with a policy.
#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Say whether a policy can be used, and what it demands
    Check(CheckArgs),
    /// Write the base images of a Kyverno `ClusterPolicy` as a policy, to standard output
    Import(ImportArgs),
    /// Write the base images of a policy as a Kyverno `ClusterPolicy`
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The policy: a file of TOML, or kyverno:FILE
    #[arg(value_name = "FILE")]
    policy: PolicyFile,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// The policy of Kyverno: kyverno:FILE
    #[arg(value_name = "kyverno:FILE")]
    from: PolicyFile,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    policy: PolicyFile,
    /// Where to write it: kyverno:FILE, - for standard output
    #[arg(value_name = "kyverno:FILE")]
    to: ExportPlace,
}

/// `kyverno:FILE`.
#[derive(Debug, Clone)]
enum ExportPlace {
    Kyverno(PathBuf),
    Other(String),
}

impl FromStr for ExportPlace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("kyverno:") {
            Some(path) => Self::Kyverno(path.into()),
            None => Self::Other(text.to_owned()),
        })
    }
}

impl Args {
    /// In which form the command writes.
    pub(crate) const fn forms(&self) -> Forms {
        match &self.command {
            PolicyCommand::Check(args) => Forms::of(args.json),
            PolicyCommand::Import(_) | PolicyCommand::Export(_) => {
                Forms::of(JsonArgs { json: false })
            }
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    match &args.command {
        PolicyCommand::Check(args) => check(args, context),
        PolicyCommand::Import(args) => import(args, context),
        PolicyCommand::Export(args) => export(args, context),
    }?;
    Ok(ExitStatus::Done)
}

fn check(args: &CheckArgs, context: &Context) -> Result<(), CommandError> {
    let policy = args.policy.load()?;
    let demands = demands(&policy);
    let output = &context.settings.output;
    match output.format() {
        Format::Json => {
            let demands: Vec<_> = demands
                .iter()
                .map(|(what, value)| json!({"demand": what, "value": value}))
                .collect();
            output.json(
                "cli/policy/v1",
                &json!({"uri": policy.uri, "digest": policy.digest, "demands": demands}),
            )
        }
        Format::Text => {
            let lines: Vec<String> = demands
                .iter()
                .map(|(what, value)| format!("{what:<15} {}", text::one_line(value)))
                .collect();
            output.text(&lines.join("\n"))
        }
    }
}

/// What a policy demands, in the words of its file.
fn demands(policy: &Policy) -> Vec<(&'static str, String)> {
    let mut demands: Vec<(&'static str, String)> = Vec::new();
    let mut list = |what, values: Option<Vec<String>>| match values {
        None => {}
        Some(values) if values.is_empty() => demands.push((what, "none at all".to_owned())),
        Some(values) => demands.extend(values.into_iter().map(|value| (what, value))),
    };
    let shown = |bases: &Vec<AllowedBase>| bases.iter().map(ToString::to_string).collect();
    list("base image", policy.base_images.as_ref().map(shown));
    list("build type", policy.build_types.clone());
    let sources = policy
        .sources
        .as_ref()
        .map(|sources| sources.iter().map(ToString::to_string).collect());
    list("source", sources);
    demands.extend(
        policy
            .predicates
            .iter()
            .map(|uri| ("predicate", uri.clone())),
    );
    for (what, value) in [
        ("verdict", policy.verdict.map(|one| one.to_string())),
        ("hermetic", policy.hermetic.map(|one| one.to_string())),
        ("inputs", policy.inputs.map(|one| one.to_string())),
        (
            "layers equal",
            policy.layers_equal.map(|one| one.to_string()),
        ),
        ("files equal", policy.files_equal.map(|one| one.to_string())),
        ("level", policy.level.map(|one| one.to_string())),
        ("builders", policy.builders.map(|one| one.to_string())),
        ("maximum age", policy.max_age.map(|one| one.to_string())),
    ] {
        demands.extend(value.map(|value| (what, value)));
    }
    demands.extend(policy.vary.iter().map(|axis| ("varied", axis.to_string())));
    let lineage = policy.lineage.iter();
    demands.extend(lineage.map(|(key, value)| ("lineage", format!("{key} = {value}"))));
    let waivers = policy.waivers.iter().map(|waiver| {
        let on = waiver
            .on
            .as_ref()
            .map_or_else(String::new, |on| format!(" on {on}"));
        (
            "waived",
            format!("{}{on}, {}", waiver.check, waiver.describe()),
        )
    });
    demands.extend(waivers);
    demands
}

fn import(args: &ImportArgs, context: &Context) -> Result<(), CommandError> {
    if let PolicyFile::Toml(path) = &args.from {
        let message = format!("{} is not written kyverno:FILE", path.display());
        return Err(CommandError::usage(message)
            .hint(format!("repro policy import kyverno:{}", path.display())));
    }
    let policy = args.from.load()?;
    let mut toml = String::from("version = 1\n\n[allow]\nbase-images = [\n");
    for base in policy.base_images.iter().flatten() {
        // A pattern has none of the characters that TOML would want escaped.
        toml.push_str(&format!("    \"{base}\",\n"));
    }
    toml.push_str("]\n");
    context.settings.output.text(&toml)
}

fn export(args: &ExportArgs, context: &Context) -> Result<(), CommandError> {
    let path = match &args.to {
        ExportPlace::Kyverno(path) => path,
        ExportPlace::Other(text) => {
            return Err(
                CommandError::usage(format!("{text} is not written kyverno:FILE"))
                    .hint("repro policy export POLICY kyverno:FILE"),
            );
        }
    };
    let policy = args.policy.load()?;
    let Some(bases) = policy.base_images else {
        return Err(CommandError::usage(format!(
            "{} says nothing of base images",
            args.policy.path().display()
        ))
        .hint("list them in the policy: [allow] base-images = [...]"));
    };
    let pulled = |base: &AllowedBase| !matches!(base, AllowedBase::Toolchain(_));
    if !bases.iter().any(pulled) {
        return Err(CommandError::usage(
            "the policy allows no image that a cluster could pull",
        ));
    }
    let yaml = kyverno::render(&bases);
    if path.as_os_str() == "-" {
        return context.settings.output.text(&yaml);
    }
    files::write(path, yaml.as_bytes())
}
