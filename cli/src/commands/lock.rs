//! `repro lock`

mod draft;
mod formats;

use std::{
    collections::BTreeSet,
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use repro_builder::BuildError;
use repro_core::{
    build::{BuildRecord, RunId, Runs},
    platform::Platform,
};
use repro_toolchains::{
    capture::Allowed,
    fetch::Mirror,
    lock::{self, Change, LockDraft, ProjectLock},
    project::HostPattern,
};
use serde_json::json;
use tempfile::NamedTempFile;

use super::{
    Context,
    build::{
        self, ContextArg, Pair, SecretArg, SshArg,
        network::Wanted,
        place::Place,
        request::{self, Asked, asked},
        with_builder,
    },
};
use crate::{
    ambient::{self, SystemClock},
    args::{JsonArgs, ProgressArgs},
    error::{CommandError, ErrorKind, io_kind},
    exit::ExitStatus,
    locksmith::with_locksmith,
    output::Format,
    place::PlaceArgs,
    registries::RegistryArgs,
    trust::TrustArgs,
};
use draft::{Missing, Update, first_draft, keep};
use formats::{FormatArg, Imported};

/// Changes that are shown, a line each.
const SHOWN: usize = 200;

/// Pin everything that a build takes from outside
///
/// Runs the build once, with a proxy as its only way out: hosts that are allowed are asked, and what
/// they answer is kept in the store and named in repro.lock by URL and digest. `repro build` then gives
/// the steps the same answers, without a network. Bases, toolchains and inputs are pinned too. What the
/// lock has already stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro lock --allow deb.example --allow '*.pypi.example' .
  repro lock --update .
  repro lock --update deb.example .")]
pub(crate) struct Args {
    /// Directory with the files that the Dockerfile may copy
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub(crate) context: PathBuf,
    /// Read this Dockerfile; CONTEXT/Dockerfile unless given here or in repro.toml. The lock lies
    /// beside it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Let the steps ask this host, or all hosts below one: *.HOST; repeat for several
    ///
    /// Besides those that repro.toml has under [network]; in a CI (the variable CI is set) these alone
    /// count, since whoever proposes a change can edit repro.toml. An address that is not of the
    /// internet has to be allowed by itself, or as localhost, whatever name leads to it.
    #[arg(
        long = "allow",
        value_name = "HOST",
        env = "REPRO_ALLOW",
        value_delimiter = ' '
    )]
    pub(crate) allow: Vec<HostPattern>,
    /// Pin anew what the lock has already: everything, or one entry
    ///
    /// ENTRY is a base image, the name of an input, a host, a URL or a step as the lock names it.
    #[arg(long, value_name = "ENTRY", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) update: Option<String>,
    /// Write the lock that is there in another form, and lock nothing: buildkit-policy:FILE, a source
    /// policy for `docker buildx build`, or spdx:FILE, a list of all inputs in SPDX 2.3; repeat for both
    #[arg(long, value_name = "FORM:FILE", conflicts_with_all = ["update", "import"])]
    pub(crate) export: Vec<FormatArg>,
    /// Pin bases as a source policy of BuildKit does, and refuse files that are not what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// Lock this stage; the last one unless given
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Set a build argument; NAME alone takes the value from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) arguments: Vec<Pair>,
    /// Allow a build argument that looks like a secret
    #[arg(long = "allow-arg", value_name = "NAME")]
    pub(crate) allowed: Vec<String>,
    /// Lend a secret to the steps that mount it, as in `repro build`; it is not written into the lock
    #[arg(long = "secret", value_name = "id=NAME[,src=FILE|,env=VARIABLE]")]
    pub(crate) secrets: Vec<SecretArg>,
    /// Let the steps that ask for it talk to an ssh agent
    #[arg(long = "ssh", value_name = "default|NAME[=SOCKET]")]
    pub(crate) agents: Vec<SshArg>,
    /// Let a name of FROM and --from mean something else, as in `repro build`
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub(crate) contexts: Vec<ContextArg>,
    /// Lock for this platform
    #[arg(long, value_name = "OS/ARCH", env = "REPRO_PLATFORM", value_parser = build::one_platform)]
    pub(crate) platform: Option<Platform>,
    /// Have this many steps going at a time; as many as there are processors unless given
    #[arg(long, value_name = "N", env = "REPRO_JOBS")]
    pub(crate) jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Look for packages of toolchains and inputs on this mirror first; repeat for several
    #[arg(
        long = "mirror",
        value_name = "URL",
        env = "REPRO_MIRROR",
        value_delimiter = ' '
    )]
    pub(crate) mirrors: Vec<Mirror>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    if args.context == Path::new("-") || args.file.as_deref() == Some(Path::new("-")) {
        return Err(CommandError::usage(
            "a lock lies beside its Dockerfile, and standard input has no place for one",
        )
        .hint("name the directory: repro lock CONTEXT"));
    }
    let build_args = build::Args::of_lock(args);
    let place = Place::open(&build_args, || {
        Ok(context.open_store()?.blobs().tmp().to_owned())
    })?;
    let invocation = ambient::invocation_id(&SystemClock)?;
    let mut asked = asked(&build_args, &context.settings, &place, invocation)?;
    asked.request.runs = Runs::One;
    asked.request.vary = BTreeSet::new();
    let update = Update::of(args.update.as_deref());
    asked.request.lock_mode = update.lock_mode();
    let path = lock_path(&build_args, &asked, &place)?;
    let store = context.open_store()?;
    asked.request.contexts = build::contexts(&args.contexts, &store, &asked.request.platform)?;
    let old = asked.lock.take();
    if !args.export.is_empty() {
        return export(args, context, &path, old.as_ref());
    }
    let imported = Imported::read(context, args.import.as_deref())?;
    update.check(old.as_ref())?;
    let mut draft = first_draft(&asked, old.as_ref(), &update)?;
    imported.pin(&asked, &mut draft);
    let missing = Missing::of(&asked, &draft)?;
    if !missing.is_empty() {
        let made = with_locksmith(context, &store, &args.mirrors, &args.trust, |locksmith| {
            missing.make(locksmith)
        })?;
        draft.toolchains.extend(made.toolchains);
        draft.inputs.extend(made.inputs);
    }
    asked.lock = Some(parse(&path, &draft)?);
    let wanted = Wanted::Capture {
        allowed: allowed(args, &asked),
        known: keep(old.as_ref(), &update),
    };
    let (record, basis, steps) = with_builder(
        &build_args.means(),
        context,
        &asked,
        &store,
        wanted,
        |builder, request| {
            let record = builder.build(request)?;
            let basis = builder.lock_basis(request)?;
            let captured = builder
                .network
                .map(repro_toolchains::capture::Network::captured);
            Ok::<_, BuildError>((record, basis, captured.unwrap_or_default()))
        },
    )?;
    failed(&record)?;
    let draft = draft::finish(draft, &asked, &record, &basis, steps, old.as_ref());
    imported.check(&draft)?;
    let text = draft.to_toml();
    // What cannot be read back shall not be left behind.
    let new = parse(&path, &draft)?;
    let before = std::fs::read_to_string(&path).ok();
    let changed = before.as_deref() != Some(text.as_str());
    if changed {
        write(&path, &text)?;
    }
    build::network::remember(&store, &path, &new)?;
    say(
        context,
        &path,
        changed,
        &draft,
        &lock::changes(old.as_ref(), &new),
    )
}

/// Writes the lock that is there in other forms.
fn export(
    args: &Args,
    context: &Context,
    path: &Path,
    lock: Option<&ProjectLock>,
) -> Result<ExitStatus, CommandError> {
    let Some(lock) = lock else {
        let message = format!("{} is not there", path.display());
        return Err(
            CommandError::message(ErrorKind::Input, message).hint("write it first: repro lock")
        );
    };
    for form in &args.export {
        form.write(context, lock)?;
    }
    Ok(ExitStatus::Done)
}

/// A lock of the same name lies beside each Dockerfile.
fn lock_path(args: &build::Args, asked: &Asked, place: &Place) -> Result<PathBuf, CommandError> {
    let context = place.directory().ok_or_else(|| {
        CommandError::usage("a lock lies beside its Dockerfile, and this one has no place")
    })?;
    let dockerfile = request::dockerfile(args, context, &asked.project);
    let name = dockerfile.file_name().unwrap_or_default().to_string_lossy();
    Ok(dockerfile.with_file_name(lock::file_name(&name)))
}

fn parse(path: &Path, draft: &LockDraft) -> Result<ProjectLock, CommandError> {
    Ok(ProjectLock::parse(
        &path.display().to_string(),
        &draft.to_toml(),
    )?)
}

/// In a CI the project's own word is not enough.
fn allowed(args: &Args, asked: &Asked) -> Allowed {
    let of_project = asked.project.network.iter();
    let of_project = of_project.filter(|_| !ambient::in_ci()).cloned();
    Allowed::new(args.allow.iter().cloned().chain(of_project))
}

/// A build that did not come to its end has fetched a part of what it needs.
fn failed(record: &BuildRecord) -> Result<(), CommandError> {
    let a = record.runs.iter().find(|run| run.id == RunId::A);
    let Some(failure) = a.and_then(|run| run.failure.as_ref()) else {
        return Ok(());
    };
    let index = usize::try_from(failure.index).unwrap_or(usize::MAX);
    let step = record.plan.get(index).map_or_else(String::new, |step| {
        let instruction = repro_core::build::as_written(&step.instruction);
        format!("line {}: {instruction} ", step.line)
    });
    Err(CommandError::message(
        ErrorKind::StepFailed,
        format!("{step}{}", failure.message),
    )
    .hint("the lock was not written; what the step printed is above (--progress plain shows all of it)"))
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let written = || -> std::io::Result<()> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        // As files of a project are; a temporary file is for its owner alone.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot write {}", path.display()))
    })
}

fn say(
    context: &Context,
    path: &Path,
    written: bool,
    draft: &LockDraft,
    changes: &[Change],
) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let fetches: usize = draft.steps.iter().map(|step| step.fetches.len()).sum();
    let bytes: u64 = draft
        .steps
        .iter()
        .flat_map(|step| &step.fetches)
        .map(|fetch| fetch.size)
        .sum();
    match output.format() {
        Format::Json => output.json(
            "cli/lock/v1",
            &json!({
                "lock": path.display().to_string(),
                "changed": written,
                "bases": draft.bases.len(),
                "toolchains": draft.toolchains.len(),
                "inputs": draft.inputs.len(),
                "changes": changes,
                "fetches": fetches,
                "bytes": bytes,
            }),
        )?,
        Format::Text => {
            for change in changes.iter().take(SHOWN) {
                output.status(&change.to_string());
            }
            if changes.len() > SHOWN {
                output.status(&format!(
                    "and {} more; --json has all",
                    changes.len() - SHOWN
                ));
            }
            let what = if written { "written" } else { "unchanged" };
            output.status(&format!("{}: {what}", path.display()));
            output.status(&format!(
                "{} bases, {} toolchains, {} inputs, {fetches} fetches with {bytes} bytes",
                draft.bases.len(),
                draft.toolchains.len(),
                draft.inputs.len(),
            ));
            output.hint("commit it, and build without a network: repro build --locked");
        }
    }
    Ok(ExitStatus::Done)
}
