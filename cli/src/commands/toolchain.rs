//! `repro toolchain`

mod choice;
mod lock;

use std::fmt::Write as _;

use clap::Subcommand;
use repro_core::{build::Grants, image::load_image, reference::ImageRef, ruleset::Ruleset};
use repro_toolchains::{
    definition::{self, PinnedToolchain},
    fetch::Mirror,
    materialise::Workshop,
};
use serde_json::json;

use super::Context;
use crate::{
    ambient::{self, SystemClock},
    args::{JsonArgs, ProgressArgs},
    engine::Engine,
    error::CommandError,
    exit::ExitStatus,
    output::Format,
    place::PlaceArgs,
    settings::Forms,
    text,
};

/// List, show, lock and make toolchains
///
/// A toolchain is an image made from Debian packages that a lock pins by digest. A project uses
/// one by declaring it in repro.toml: [toolchain.c] use = "debian-c", then FROM c. TOOLCHAIN is
/// the name of one that is shipped with repro, or the file of a definition, NAME.toml.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repro toolchain list\n  repro toolchain show debian-c\n  \
                 repro toolchain build debian-c --tag c\n  \
                 repro toolchain lock tools.toml && repro toolchain build tools.toml"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the shipped toolchains
    List(ListArgs),
    /// Show what a toolchain is made of, package by package
    Show(ShowArgs),
    /// Make a toolchain from its packages, unless the store has it; a build does so by itself
    Build(BuildArgs),
    /// Pin the packages that a definition means today, found by the archive's signatures
    Lock(lock::Args),
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The toolchain
    #[arg(value_name = "TOOLCHAIN")]
    name: String,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// The toolchain
    #[arg(value_name = "TOOLCHAIN")]
    name: String,
    /// Name the image in the store; repeat for several names
    #[arg(short, long = "tag", value_name = "REF")]
    tags: Vec<ImageRef>,
    /// Look for packages on this mirror first; repeat for several
    #[arg(
        long = "mirror",
        value_name = "URL",
        env = "REPRO_MIRROR",
        value_delimiter = ' '
    )]
    mirrors: Vec<Mirror>,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    json: JsonArgs,
}

impl Args {
    /// In which forms the command writes.
    pub(crate) const fn forms(&self) -> Forms {
        match &self.action {
            Action::List(args) => Forms::of(args.json),
            Action::Show(args) => Forms::of(args.json),
            Action::Build(args) => Forms::new(args.progress.progress, args.json),
            Action::Lock(args) => args.forms(),
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    match &args.action {
        Action::List(_) => list(context),
        Action::Show(args) => show(&choice::pinned(&args.name)?, context),
        Action::Build(args) => build(args, &choice::pinned(&args.name)?, context),
        Action::Lock(args) => lock::run(args, context),
    }
}

fn build(
    args: &BuildArgs,
    toolchain: &PinnedToolchain,
    context: &Context,
) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let store = context.open_store()?;
    let invocation = ambient::invocation_id(&SystemClock)?;
    let engine = Engine::start(
        context,
        &store,
        &invocation,
        &args.mirrors,
        &Grants::default(),
        &PlaceArgs::default(),
    )?;
    let events = context.settings.view.start(output);
    let workshop = Workshop {
        store: &store,
        executor: &*engine.executor,
        fetcher: &engine.fetcher,
        events: events.as_ref(),
        invocation: &invocation,
        ruleset: Ruleset::default(),
    };
    let made = workshop.toolchain(toolchain).map_err(CommandError::from);
    // The view ends before anything else is said.
    drop(events);
    let manifest = engine.finish(made)?;
    let image = load_image(store.blobs(), manifest)?;
    for tag in &args.tags {
        store.tag(tag, &image.descriptor)?;
    }
    let name = &toolchain.definition.name;
    match output.format() {
        Format::Json => {
            let document = json!({"name": name, "manifestDigest": manifest, "tags": args.tags});
            output.json("cli/toolchain-build/v1", &document)?;
        }
        Format::Text => output.text(&format!("{name} {manifest}"))?,
    }
    Ok(ExitStatus::Done)
}

fn list(context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let all = definition::names()
        .map(choice::pinned)
        .collect::<Result<Vec<_>, _>>()?;
    match output.format() {
        Format::Json => {
            let toolchains: Vec<_> = all.iter().map(document).collect();
            output.json("cli/toolchain-list/v1", &json!({"toolchains": toolchains}))?;
        }
        Format::Text => {
            let width = all
                .iter()
                .map(|one| one.definition.name.len())
                .max()
                .unwrap_or(0);
            let lines = all.iter().map(|one| {
                let packages = text::plural(one.lock.packages.len() as u64, "package");
                let size = text::bytes(one.lock.download_size());
                let name = &one.definition.name;
                format!(
                    "{name:<width$}  {}; {packages}, {size}\n",
                    one.definition.summary
                )
            });
            output.text(&lines.collect::<String>())?;
        }
    }
    Ok(ExitStatus::Done)
}

fn document(toolchain: &PinnedToolchain) -> serde_json::Value {
    let PinnedToolchain {
        definition,
        lock,
        lock_digest,
    } = toolchain;
    json!({
        "name": definition.name,
        "summary": definition.summary,
        "platform": lock.platform,
        "suite": definition.suite,
        "lockDigest": lock_digest,
        "sourceDateEpoch": lock.epoch,
        "packages": lock.packages.len(),
        "downloadSize": lock.download_size(),
    })
}

fn show(toolchain: &PinnedToolchain, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let packages = &toolchain.lock.packages;
    match output.format() {
        Format::Json => {
            let mut all = document(toolchain);
            all["packages"] = packages
                .iter()
                .map(|package| {
                    json!({
                        "purl": package.purl(),
                        "path": package.file.path.as_str(),
                        "size": package.file.size,
                        "sha256": package.file.sha256,
                    })
                })
                .collect();
            output.json("cli/toolchain-show/v1", &json!({"toolchain": all}))?;
        }
        Format::Text => {
            let PinnedToolchain {
                definition,
                lock,
                lock_digest,
            } = toolchain;
            let mut page = format!("{}: {}\n", definition.name, definition.summary);
            let mut line = |name: &str, value: &str| {
                let written = writeln!(page, "{name:<9} {value}");
                debug_assert!(written.is_ok(), "a String takes every write");
            };
            line("suite", &definition.suite);
            line("platform", &lock.platform.to_string());
            line("lock", &lock_digest.to_string());
            line("download", &text::bytes(lock.download_size()));
            for package in packages {
                let digest = package.file.sha256.hex();
                line(
                    "package",
                    &format!("{} {} {digest}", package.name, package.version),
                );
            }
            output.text(&page)?;
        }
    }
    Ok(ExitStatus::Done)
}
