//! From arguments, settings and `repro.toml` to a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use repro_core::{
    build::{Axis, BuildRequest, EpochChoice, InvocationId, LockMode, NamedText, Runs},
    platform::Platform,
    ruleset::Ruleset,
};
use repro_toolchains::project::{EpochSetting, Project};
use repro_verifier::pack;

use super::{
    Args, git,
    values::{self, EpochArg, Pair},
};
use crate::{
    ambient,
    error::{CommandError, ErrorKind},
    files::{self, Limit},
    settings::Settings,
};

/// A request, and the file that its lock lies beside.
pub(super) struct Asked {
    pub(super) request: BuildRequest,
    pub(super) project: Project,
    pub(super) dockerfile: PathBuf,
}

pub(super) fn asked(
    args: &Args,
    settings: &Settings,
    invocation: InvocationId,
) -> Result<Asked, CommandError> {
    let context = absolute(&args.context)?;
    let project = Project::load(&args.context)?;
    let dockerfile = dockerfile_path(args, &project);
    let host = Platform::host();
    let platform = args.platform.clone().unwrap_or_else(|| host.clone());
    if platform != host {
        return Err(CommandError::usage(format!(
            "{platform} cannot be built here: this machine runs {host}"
        ))
        .hint("build on a machine of that platform"));
    }
    let vary = match (&args.vary, &project.build.vary) {
        (Some(flag), _) => flag.0.clone(),
        (None, Some(config)) => config.clone(),
        (None, None) => Axis::VARIED.into(),
    };
    let evidence = absolute(&args.evidence)?;
    let request = BuildRequest {
        version: 1,
        invocation,
        dockerfile: NamedText {
            name: shown(&dockerfile, &args.context),
            text: files::read(&dockerfile, Limit::Project).map_err(|error| {
                error.hint("name the Dockerfile with -f, and the context last: repro build -f FILE CONTEXT")
            })?,
        },
        ignore: ignore_file(&dockerfile, &args.context)?,
        exclude: vec![pack::unfinished(&evidence), evidence],
        context,
        context_modes: project.build.context_modes,
        lock_mode: if args.locked { LockMode::Locked } else { LockMode::Open },
        target: args.target.clone(),
        build_args: build_args(&args.build_args)?,
        allowed_args: args.allowed_args.iter().cloned().collect(),
        labels: labels(&args.labels),
        platform,
        tags: args.tags.clone(),
        epoch: epoch(args, settings, &project)?,
        runs: Runs::from(args.runs),
        vary: if Runs::from(args.runs) == Runs::One { BTreeSet::new() } else { vary },
        ruleset: Ruleset::V1,
    };
    Ok(Asked { request, project, dockerfile })
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map(|path| path.components().collect()).map_err(|error| {
        CommandError::new(crate::error::io_kind(&error), &error)
            .context(format!("cannot use {}", path.display()))
    })
}

fn dockerfile_path(args: &Args, project: &Project) -> PathBuf {
    match (&args.file, &project.build.dockerfile) {
        (Some(file), _) => file.clone(),
        (None, Some(name)) => args.context.join(name),
        (None, None) => args.context.join("Dockerfile"),
    }
}

/// The Dockerfile's name in messages and evidence: relative to the context where it lies there,
/// so that the evidence does not depend on where the context lies.
fn shown(dockerfile: &Path, context: &Path) -> String {
    dockerfile.strip_prefix(context).unwrap_or(dockerfile).display().to_string()
}

/// `NAME.dockerignore` beside the Dockerfile, else `.dockerignore` of the context.
fn ignore_file(dockerfile: &Path, context: &Path) -> Result<Option<NamedText>, CommandError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        if path.symlink_metadata().is_ok() {
            let text = files::read(&path, Limit::Project)?;
            return Ok(Some(NamedText { name: shown(&path, context), text }));
        }
    }
    Ok(None)
}

fn build_args(pairs: &[Pair]) -> Result<BTreeMap<String, String>, CommandError> {
    let mut args = BTreeMap::new();
    for pair in pairs {
        let value = match &pair.value {
            Some(value) => Some(value.clone()),
            None => ambient::build_argument(&pair.name).map_err(CommandError::usage)?,
        };
        // As in Docker: a name that the environment does not have is no build argument.
        if let Some(value) = value {
            args.insert(pair.name.clone(), value);
        }
    }
    Ok(args)
}

fn labels(pairs: &[Pair]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|pair| (pair.name.clone(), pair.value.clone().unwrap_or_default()))
        .collect()
}

/// Rule 1: the flag, else the environment, else `repro.toml`, else the base image.
fn epoch(
    args: &Args,
    settings: &Settings,
    project: &Project,
) -> Result<EpochChoice, CommandError> {
    match args.source_date_epoch {
        Some(EpochArg::Seconds(epoch)) => return Ok(EpochChoice::Flag(epoch)),
        Some(EpochArg::Git) => return Ok(EpochChoice::Git(git::committer_time(&args.context)?)),
        None => {}
    }
    if let Some(text) = settings.source_date_epoch.as_ref().filter(|text| !text.is_empty()) {
        let text = text.to_string_lossy();
        let epoch = values::seconds(&text).map_err(|error| {
            CommandError::new(ErrorKind::Usage, &error)
                .context("the environment variable SOURCE_DATE_EPOCH cannot be used")
                .hint("unset it, or give --source-date-epoch")
        })?;
        return Ok(EpochChoice::Environment(epoch));
    }
    match project.build.epoch {
        Some(EpochSetting::Number(epoch)) => Ok(EpochChoice::Config(epoch)),
        Some(EpochSetting::Git) => Ok(EpochChoice::Git(git::committer_time(&args.context)?)),
        None => Ok(EpochChoice::Base),
    }
}
