//! `repro toolchain lock`

use std::{fmt::Write as _, path::PathBuf};

use repro_toolchains::{
    fetch::Mirror,
    lock::{PackageChange, ToolchainLock},
};
use serde_json::json;

use super::choice::{self, Chosen};
use crate::{
    args::{JsonArgs, ProgressArgs},
    commands::Context,
    error::CommandError,
    exit::ExitStatus,
    files::{self, Limit},
    locksmith::with_locksmith,
    output::Format,
    settings::Forms,
    text,
    trust::TrustArgs,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  repro toolchain lock tools.toml\n  \
                 repro toolchain lock --mirror http://127.0.0.1:3142/debian debian-c")]
pub(super) struct Args {
    /// The toolchains; the lock of NAME.toml is NAME.lock beside it
    #[arg(value_name = "TOOLCHAIN", required = true)]
    toolchains: Vec<String>,
    /// Write the lock to FILE
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take releases from this mirror, and not from those of the machine's apt sources; repeat
    /// for several
    #[arg(
        long = "mirror",
        value_name = "URL",
        env = "REPRO_MIRROR",
        value_delimiter = ' '
    )]
    mirrors: Vec<Mirror>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    json: JsonArgs,
}

impl Args {
    /// In which forms the command writes.
    pub(super) const fn forms(&self) -> Forms {
        Forms::new(self.progress.progress, self.json)
    }
}

/// A lock that was made, and what became of its file.
struct Written {
    lock: ToolchainLock,
    file: PathBuf,
    outcome: Outcome,
}

enum Outcome {
    /// There was none, or none that can be read.
    New,
    /// The file has this lock already, and was left alone.
    Unchanged,
    /// Another lock, which differs in these packages.
    Changed(Vec<PackageChange>),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    if args.output.is_some() && args.toolchains.len() > 1 {
        return Err(CommandError::usage("--output is for one toolchain"));
    }
    let chosen = args
        .toolchains
        .iter()
        .map(|name| choice::definition(name))
        .collect::<Result<Vec<_>, _>>()?;
    let locks = make(args, &chosen, context)?;
    let mut written = Vec::with_capacity(locks.len());
    for (lock, chosen) in locks.into_iter().zip(&chosen) {
        let file = args.output.as_ref().unwrap_or(&chosen.lock).clone();
        written.push(write(lock, file)?);
    }
    report(&written, context)?;
    Ok(ExitStatus::Done)
}

fn make(
    args: &Args,
    chosen: &[Chosen],
    context: &Context,
) -> Result<Vec<ToolchainLock>, CommandError> {
    let store = context.open_store()?;
    with_locksmith(context, &store, &args.mirrors, &args.trust, |locksmith| {
        let locks = chosen.iter();
        locks
            .map(|one| locksmith.toolchain(&one.definition, one.digest))
            .collect()
    })
}

/// Writes a lock, unless the file means the same already: its digest names a toolchain, and does
/// not change for a comment.
fn write(lock: ToolchainLock, file: PathBuf) -> Result<Written, CommandError> {
    let name = file.display().to_string();
    let before = if file.exists() {
        let text = files::read_text(&file, Limit::Project)?;
        ToolchainLock::parse(&name, &text).ok()
    } else {
        None
    };
    let outcome = match before {
        Some(before) if before == lock => Outcome::Unchanged,
        Some(before) => Outcome::Changed(lock.changes_since(&before)),
        None => Outcome::New,
    };
    if !matches!(outcome, Outcome::Unchanged) {
        files::write(&file, lock.to_toml().as_bytes())?;
    }
    Ok(Written {
        lock,
        file,
        outcome,
    })
}

fn report(written: &[Written], context: &Context) -> Result<(), CommandError> {
    let output = &context.settings.output;
    match output.format() {
        Format::Json => {
            let locks: Vec<_> = written.iter().map(document).collect();
            output.json("cli/toolchain-lock/v1", &json!({"locks": locks}))
        }
        Format::Text => output.text(&written.iter().map(page).collect::<String>()),
    }
}

fn document(written: &Written) -> serde_json::Value {
    let Written {
        lock,
        file,
        outcome,
    } = written;
    let (outcome, changes) = match outcome {
        Outcome::New => ("new", &[][..]),
        Outcome::Unchanged => ("unchanged", &[][..]),
        Outcome::Changed(changes) => ("changed", changes.as_slice()),
    };
    json!({
        "name": lock.name,
        "file": file.display().to_string(),
        "outcome": outcome,
        "changes": changes,
        "date": lock.archive.date,
        "signedBy": lock.archive.signed_by,
        "packages": lock.packages.len(),
        "downloadSize": lock.download_size(),
    })
}

fn page(written: &Written) -> String {
    let Written {
        lock,
        file,
        outcome,
    } = written;
    let word = match outcome {
        Outcome::New => "written",
        Outcome::Unchanged => "unchanged",
        Outcome::Changed(_) => "changed",
    };
    let mut page = format!(
        "{}: {word}; {}, {}, {} of {}, signed by {}\n",
        file.display(),
        text::plural(lock.packages.len() as u64, "package"),
        text::bytes(lock.download_size()),
        lock.archive.suite,
        lock.archive.date,
        text::plural(lock.archive.signed_by.len() as u64, "key"),
    );
    if let Outcome::Changed(changes) = outcome {
        for change in changes {
            let line = match (&change.from, &change.to) {
                (Some(from), Some(to)) => format!("{} {from} -> {to}", change.name),
                (None, Some(to)) => format!("{} {to}, new", change.name),
                (from, _) => {
                    let from = from.as_deref().unwrap_or_default();
                    format!("{} {from}, gone", change.name)
                }
            };
            let written = writeln!(page, "  {line}");
            debug_assert!(written.is_ok(), "a String takes every write");
        }
    }
    page
}
