//! The commands, one file each.

mod attest;
pub(crate) mod build;
mod completions;
mod diff;
mod doctor;
mod explain;
mod export;
mod import;
mod inspect;
mod keygen;
mod lock;
mod man;
mod policy;
mod pull;
mod push;
mod store;
mod toolchain;
mod verify;

pub(crate) use pull::referrers_name;
pub(crate) use verify::refuse_idle;

use std::io;

use clap::Subcommand;
use repro_core::store::Store;

use crate::{
    args::JsonArgs,
    error::CommandError,
    exit::ExitStatus,
    interrupt::Interrupts,
    settings::{Forms, Settings},
};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// What was decided before.
    pub(crate) settings: Settings,
    /// Whether the program was asked to end.
    pub(crate) interrupts: Interrupts,
}

impl Context {
    /// Opens the store, which is made if it is not there.
    pub(crate) fn open_store(&self) -> Result<Store, CommandError> {
        let dir = self.settings.store_dir()?;
        // Steps run elsewhere than this process: every path that reaches them is absolute.
        let absolute = std::path::absolute(dir).map_err(|error: io::Error| {
            CommandError::new(crate::error::io_kind(&error), &error)
                .context(format!("cannot use {} as a store", dir.display()))
        })?;
        Ok(Store::open(&absolute)?)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image twice, compare the runs and write signed evidence
    Build(Box<build::Args>),
    /// Pin everything that a build takes from outside
    Lock(Box<lock::Args>),
    /// Check an image by its evidence, or an evidence pack, under your keys and your policy
    Verify(Box<verify::Args>),
    /// Look at policies of `repro verify`, and exchange their images with Kyverno
    Policy(policy::Args),
    /// Put evidence beside an image that is already in a registry or a layout
    Attest(attest::Args),
    /// Compare two images, archives, layers or directories, and name the causes
    Diff(diff::Args),
    /// Explain a cause of a difference, and what to do about it
    Explain(explain::Args),
    /// Bring an image into the store
    Import(import::Args),
    /// Write an image of the store to a file or directory
    Export(export::Args),
    /// Bring an image from a registry into the store
    Pull(pull::Args),
    /// Send an image of the store to a registry
    Push(push::Args),
    /// Show the configuration, layers and files of an image
    Inspect(inspect::Args),
    /// List, show and make the toolchains that are shipped with repro
    Toolchain(toolchain::Args),
    /// Look after the store
    Store(store::Args),
    /// Say what this machine lacks for builds, and what to do about it
    Doctor(doctor::Args),
    /// Make a key pair for signing evidence
    Keygen(keygen::Args),
    /// Write the completion script of a shell
    Completions(completions::Args),
    /// Write the manual page
    Man(man::Args),
}

impl Command {
    /// In which forms the command writes.
    pub(crate) const fn forms(&self) -> Forms {
        match self {
            Self::Build(args) => Forms::new(args.progress.progress, args.json),
            Self::Lock(args) => Forms::new(args.progress.progress, args.json),
            Self::Store(args) => args.forms(),
            Self::Toolchain(args) => args.forms(),
            Self::Pull(args) => Forms::new(args.progress.progress, args.json),
            Self::Push(args) => Forms::new(args.progress.progress, args.json),
            Self::Attest(args) => Forms::new(args.progress.progress, args.json),
            Self::Verify(args) => args.forms(),
            Self::Policy(args) => args.forms(),
            Self::Diff(args) => Forms::of(args.json),
            Self::Explain(args) => Forms::of(args.json),
            Self::Import(args) => Forms::of(args.json),
            Self::Inspect(args) => Forms::of(args.json),
            Self::Doctor(args) => Forms::of(args.json),
            Self::Keygen(args) => Forms::of(args.json),
            Self::Export(_) | Self::Completions(_) | Self::Man(_) => {
                Forms::of(JsonArgs { json: false })
            }
        }
    }

    /// Does it.
    pub(crate) fn run(&self, context: &Context) -> Result<ExitStatus, CommandError> {
        match self {
            Self::Build(args) => build::run(args, context),
            Self::Lock(args) => lock::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Attest(args) => attest::run(args, context),
            Self::Policy(args) => policy::run(args, context),
            Self::Diff(args) => diff::run(args, context),
            Self::Explain(args) => explain::run(args, context),
            Self::Import(args) => import::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Pull(args) => pull::run(args, context),
            Self::Push(args) => push::run(args, context),
            Self::Inspect(args) => inspect::run(args, context),
            Self::Store(args) => store::run(args, context),
            Self::Toolchain(args) => toolchain::run(args, context),
            Self::Doctor(_) => doctor::run(context),
            Self::Keygen(args) => keygen::run(args, context),
            Self::Completions(args) => completions::run(*args, context),
            Self::Man(_) => man::run(context),
        }
    }
}
