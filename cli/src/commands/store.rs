//! `repro store`

use std::collections::BTreeMap;

use clap::Subcommand;
use repro_core::build::{ExecutorError, Snapshotter};
use repro_core::store::{AreaUsage, Damage, GcReport, Store, StoreUsage, VerifyReport};
use repro_engine::{Cleaned, Client, EngineKind, find};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage};
use serde::Serialize;

use super::Context;
use crate::{
    ambient,
    args::{JsonArgs, ProgressArgs},
    engine::sweep,
    error::CommandError,
    exit::ExitStatus,
    output::{Format, Meaning},
    place::store_id,
    settings::Forms,
    text,
};

/// `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EngineArg {
    /// The one that answers
    Any,
    /// Docker
    Docker,
    /// Podman
    Podman,
}

impl EngineArg {
    const fn kind(self) -> Option<EngineKind> {
        match self {
            Self::Any => None,
            Self::Docker => Some(EngineKind::Docker),
            Self::Podman => Some(EngineKind::Podman),
        }
    }
}

/// Look after the store
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  repro store df\n  repro store verify\n  repro store gc")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how much room each part of the store takes
    Df(DfArgs),
    /// Read every blob and check it against its digest; exit 4 if something is damaged
    Verify(VerifyArgs),
    /// Remove what no image and no remembered result needs
    Gc(GcArgs),
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct DfArgs {
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct GcArgs {
    /// Remove from this engine too what builds left in it: containers of this store, and all images
    /// that repro loaded for its steps; without a name from the one that answers
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true, default_missing_value = "any")]
    engine: Option<EngineArg>,
    #[command(flatten)]
    json: JsonArgs,
}

impl Args {
    /// In which forms the command writes.
    pub(crate) const fn forms(&self) -> Forms {
        match &self.action {
            Action::Df(args) => Forms::of(args.json),
            Action::Verify(args) => Forms::new(args.progress.progress, args.json),
            Action::Gc(args) => Forms::of(args.json),
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    match &args.action {
        Action::Df(_) => df(&context.open_store()?, context),
        Action::Verify(_) => verify(&context.open_store()?, context),
        Action::Gc(args) => gc(*args, &mut context.open_store()?, context),
    }
}

fn df(store: &Store, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let usage = store.usage()?;
    match output.format() {
        Format::Json => {
            let document = serde_json::json!({"root": store.root(), "areas": usage});
            output.json("cli/store-df/v1", &document)?;
        }
        Format::Text => {
            let mut lines = vec![text::one_line(&store.root().display().to_string()).into_owned()];
            lines.extend(areas(&usage).map(|(name, area)| area_line(name, area)));
            output.text(&lines.join("\n"))?;
        }
    }
    Ok(ExitStatus::Done)
}

fn area_line(name: &str, area: AreaUsage) -> String {
    let entries = if area.entries == 1 {
        "entry"
    } else {
        "entries"
    };
    let bytes = text::bytes(area.bytes);
    let mut line = format!("{name:<10} {bytes:>12}  {} {entries}", area.entries);
    if area.unreadable > 0 {
        // Trees of mapped ids belong to users that only the sandbox can become.
        let others = format!(
            ", and directories of other users, not counted: {}",
            area.unreadable
        );
        line.push_str(&others);
    }
    line
}

fn areas(usage: &StoreUsage) -> [(&'static str, AreaUsage); 5] {
    [
        ("blobs", usage.blobs),
        ("snapshots", usage.snapshots),
        ("cache", usage.cache),
        ("runs", usage.runs),
        ("unfinished", usage.tmp),
    ]
}

fn verify(store: &Store, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let events = context.settings.view.start(output);
    let report = store.verify(&*events);
    // The view ends before anything else is said.
    drop(events);
    let report = report?;
    match output.format() {
        Format::Json => output.json("cli/store-verify/v1", &report)?,
        Format::Text => output.text(&sound(&report))?,
    }
    if report.damage.is_empty() {
        return Ok(ExitStatus::Done);
    }
    output.hint("remove a damaged blob's file and import or build its image again");
    Ok(ExitStatus::Refused)
}

fn sound(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    for damage in &report.damage {
        let what = text::one_line(&describe(damage)).into_owned();
        lines.push(format!("{}: {what}", Meaning::Bad.paint("damaged")));
    }
    for path in &report.leftovers {
        let path = text::one_line(&path.display().to_string()).into_owned();
        lines.push(format!("unfinished: {path} (`repro store gc` removes it)"));
    }
    let verdict = if report.damage.is_empty() {
        Meaning::Good.paint("sound")
    } else {
        Meaning::Bad.paint("damaged")
    };
    let blobs = text::plural(report.blobs, "blob");
    let tags = text::plural(report.tags, "tag");
    lines.push(format!(
        "{verdict}: {blobs}, {}, {tags}",
        text::bytes(report.bytes)
    ));
    lines.join("\n")
}

fn describe(damage: &Damage) -> String {
    match damage {
        Damage::Corrupt { digest, found } => {
            format!("blob {digest}: its bytes have the digest {found}")
        }
        Damage::NotABlob { name } => format!("{name:?} among the blobs is none"),
        Damage::Missing { referrer, digest } => {
            format!("{referrer} needs blob {digest}, which is not there")
        }
        Damage::Document { path, reason } => format!("{}: {reason}", path.display()),
    }
}

/// What was removed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Collected {
    blobs: u64,
    bytes: u64,
    leftovers: u64,
    forgotten: u64,
    kept: u64,
    stale_runs: u64,
    snapshots: u64,
    containers: u64,
    engine_images: u64,
}

fn gc(args: GcArgs, store: &mut Store, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let executor = NativeExecutor::new(
        StageImage::capture()?,
        store.root(),
        // Nothing is put together here.
        Snapshots::By(Snapshotter::Overlay),
    )?;
    let client = match args.engine {
        None => None,
        Some(engine) => {
            let found = find(engine.kind(), &ambient::engines()).map_err(ExecutorError::from)?;
            Some(Client::connect(&found).map_err(ExecutorError::from)?)
        }
    };
    let (mut stale_runs, mut snapshots) = (0, 0);
    let mut cleaned = Cleaned::default();
    // Under the store's exclusive lock: no build can begin to use what is being removed.
    let report = store.gc(
        |store: &Store, report: &GcReport| -> Result<(), CommandError> {
            stale_runs = sweep(store, &executor)?;
            snapshots = executor.retain(&report.chains)?;
            snapshots += repro_engine::retain(store.root(), &report.chains)?;
            if let Some(client) = &client {
                cleaned = repro_engine::clean(client, &store_id(store)?, &store.runs()?)?;
            }
            Ok(())
        },
    )?;
    let collected = Collected {
        blobs: report.blobs,
        bytes: report.bytes,
        leftovers: report.leftovers,
        forgotten: report.forgotten,
        kept: report.kept,
        stale_runs,
        snapshots,
        containers: cleaned.containers,
        engine_images: cleaned.images,
    };
    match output.format() {
        Format::Json => output.json("cli/store-gc/v1", &collected)?,
        Format::Text => output.text(&removed(&collected))?,
    }
    Ok(ExitStatus::Done)
}

fn removed(collected: &Collected) -> String {
    let counts = BTreeMap::from([
        ("blob", collected.blobs),
        ("unfinished file", collected.leftovers),
        ("remembered result", collected.forgotten),
        ("stale run", collected.stale_runs),
        ("snapshot", collected.snapshots),
        ("container", collected.containers),
        ("image of the engine", collected.engine_images),
    ]);
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| text::plural(count, name))
        .collect();
    let kept = text::plural(collected.kept, "blob");
    if counts.is_empty() {
        return format!("nothing to remove, {kept} kept");
    }
    format!(
        "removed {}: {}; {kept} kept",
        counts.join(", "),
        text::bytes(collected.bytes)
    )
}
