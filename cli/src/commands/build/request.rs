//! From options, `repro.toml` and the surroundings to everything that a build needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use repro_core::{
    build::{Axis, BuildRequest, EpochChoice, Grants, InvocationId, LockMode, NamedText, Runs},
    platform::Platform,
    redact::Redactor,
    ruleset::Ruleset,
};
use repro_toolchains::{
    Pins,
    lock::ProjectLock,
    project::{EpochSetting, Project},
};

use repro_verifier::pack::{self, PackInputs};

use super::{
    Args,
    annotation::annotations,
    grants::grants,
    lineage::lineage,
    outputs::Outputs,
    place::{Files, PROJECT, Place},
    redaction,
    values::{EpochArg, Pair, RunCount, seconds},
};
use crate::{
    ambient,
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
    git,
    settings::Settings,
};

/// What the user asked for, once every file of the project that says something on it was read.
#[derive(Debug)]
pub(crate) struct Asked {
    /// For the builder.
    pub(crate) request: BuildRequest,
    /// `repro.toml`.
    pub(crate) project: Project,
    /// `repro.lock`.
    pub(crate) lock: Option<ProjectLock>,
    /// What images mean, whatever the lock says.
    pub(crate) pins: Pins,
    /// What steps are lent.
    pub(crate) grants: Grants,
    /// What the user says of the data.
    pub(crate) lineage: BTreeMap<String, String>,
    /// What must not be signed.
    pub(crate) redactor: Redactor,
    /// For whoever builds again.
    pub(crate) inputs: PackInputs,
}

/// Reads the project and decides everything.
pub(crate) fn asked(
    args: &Args,
    settings: &Settings,
    place: &Place,
    invocation: InvocationId,
) -> Result<Asked, CommandError> {
    let project = place.project()?;
    let Files {
        dockerfile,
        ignore,
        lock,
    } = place.files(args, &project)?;
    let platform = args.platform.clone().unwrap_or_else(Platform::host);
    let evidence = absolute(&args.evidence)?;
    // A killed run can leave the unfinished pack, beside the one that it was to become.
    let mut exclude = vec![pack::unfinished(&evidence), evidence];
    if let Ok(store) = settings.store_dir() {
        exclude.push(absolute(store)?);
    }
    // What a rebuild wrote where it was started.
    let rebuilt = absolute(Path::new(super::REBUILD_EVIDENCE))?;
    exclude.extend(Some(rebuilt).filter(|path| is_pack(path)));
    let grants = grants(&args.secrets, &args.agents)?;
    let build_args = build_args(&args.arguments)?;
    let lineage = lineage(&args.lineage, &settings.lineage, &project)?;
    let request = BuildRequest {
        version: 1,
        invocation,
        ignore,
        dockerfile,
        exclude,
        context_modes: project.build.context_modes,
        lock_mode: if args.locked {
            LockMode::Locked
        } else {
            LockMode::Open
        },
        // Filled in once the store is open.
        contexts: BTreeMap::new(),
        target: args.target.clone(),
        allowed_args: args.allowed.iter().cloned().collect(),
        labels: labels(&args.labels),
        annotations: annotations(&args.annotations, &platform)?,
        settings: args.same.settings(),
        secrets: grants.secrets.keys().cloned().collect(),
        agents: grants.agents.keys().cloned().collect(),
        platform,
        tags: args
            .tags
            .iter()
            .chain(Outputs(&args.output).names())
            .cloned()
            .collect(),
        epoch: epoch(args, &build_args, settings, &project, place)?,
        build_args,
        runs: runs(args)?,
        vary: vary(args, &project)?,
        ruleset: Ruleset::default(),
        context: place.context(),
    };
    let redactor = Redactor::new(&project.redaction)
        .map_err(|error| CommandError::new(ErrorKind::Usage, &error))?
        .waiving(redaction::waived(&request));
    redaction::refuse(&redactor, &request, &lineage)?;
    let inputs = PackInputs {
        dockerfile: Some(request.dockerfile.text.clone()),
        project: place.read(PROJECT)?,
        lock: place.lock_text(lock.as_ref())?,
        contexts: BTreeMap::new(),
    };
    let lock_name = lock.as_ref().map_or("repro.lock", ProjectLock::file);
    let names = [request.dockerfile.name.as_str(), PROJECT, lock_name];
    let inputs = redaction::texts(&redactor, project.redaction.texts, names, inputs)?;
    Ok(Asked {
        request,
        project,
        lock,
        pins: Pins::new(),
        grants,
        lineage,
        redactor,
        inputs,
    })
}

/// Whether an evidence pack lies there.
pub(crate) fn is_pack(path: &Path) -> bool {
    path.join(pack::layout::INDEX_BUNDLE).is_file()
}

/// Dockerfile, ignore file and lock of a context that is a directory.
pub(super) fn directory_files(
    args: &Args,
    project: &Project,
    context: &Path,
) -> Result<Files, CommandError> {
    let dockerfile = dockerfile(args, context, project);
    let text = files::read(&dockerfile, Limit::Project).map_err(|error| {
        if args.file.is_some() || project.build.dockerfile.is_some() {
            return error;
        }
        error.hint("name the Dockerfile: -f FILE")
    })?;
    Ok(Files {
        lock: ProjectLock::load(&dockerfile)?,
        ignore: ignore(&dockerfile, context)?,
        dockerfile: NamedText {
            name: name_of(&dockerfile, context),
            text,
        },
    })
}

/// The context, absolute and without links in it: what is excluded from it is found by path.
pub(crate) fn context(path: &Path) -> Result<PathBuf, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot use {} as the context", path.display()))
    };
    let context = path.canonicalize().map_err(failed)?;
    if !context.is_dir() {
        let message = format!("the context {} is not a directory", path.display());
        return Err(
            CommandError::usage(message).hint("to build with another Dockerfile: -f FILE CONTEXT")
        );
    }
    Ok(context)
}

/// Absolute, links in its existing part resolved, whether or not it is there yet.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(io_kind(&error), &error).context(format!("cannot use {}", path.display()))
    };
    let path = std::path::absolute(path).map_err(failed)?;
    let mut rest = Vec::new();
    let mut here = path.as_path();
    loop {
        if let Ok(real) = here.canonicalize() {
            return Ok(rest.iter().rev().fold(real, |path, name| path.join(name)));
        }
        match (here.parent(), here.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                here = parent;
            }
            _ => return Ok(path),
        }
    }
}

/// `-f`, relative to the working directory as in Docker; else what `repro.toml` says, relative
/// to the context.
pub(crate) fn dockerfile(args: &Args, context: &Path, project: &Project) -> PathBuf {
    match (&args.file, &project.build.dockerfile) {
        (Some(file), _) => file.clone(),
        (None, Some(file)) => context.join(file),
        (None, None) => context.join("Dockerfile"),
    }
}

/// Relative to the context where it lies there: a name that does not depend on the machine.
fn name_of(path: &Path, context: &Path) -> String {
    let real = path.canonicalize().ok();
    let inside = real
        .as_deref()
        .and_then(|path| path.strip_prefix(context).ok());
    inside.unwrap_or(path).display().to_string()
}

/// The ignore file of this Dockerfile, else that of the context, as in Docker.
fn ignore(dockerfile: &Path, context: &Path) -> Result<Option<NamedText>, CommandError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        if path.symlink_metadata().is_ok() {
            let text = files::read(&path, Limit::Project)?;
            return Ok(Some(NamedText {
                name: name_of(&path, context),
                text,
            }));
        }
    }
    Ok(None)
}

/// The last value of a name counts. A name alone takes the caller's variable, and is not set
/// where that is not: as in Docker.
fn build_args(pairs: &[Pair]) -> Result<BTreeMap<String, String>, CommandError> {
    let mut args = BTreeMap::new();
    for Pair { name, value } in pairs {
        if let Some(value) = value {
            args.insert(name.clone(), value.clone());
        } else if let Some(value) = ambient::build_argument(name) {
            let value = value
                .into_string()
                .map_err(|_| CommandError::usage(format!("the variable {name} is not UTF-8")))?;
            args.insert(name.clone(), value);
        }
    }
    Ok(args)
}

fn labels(pairs: &[Pair]) -> BTreeMap<String, String> {
    let pair = |pair: &Pair| (pair.name.clone(), pair.value.clone().unwrap_or_default());
    pairs.iter().map(pair).collect()
}

/// Rule 1 of ruleset 1: the flag, the build argument, the caller's variable, `repro.toml`; what the
/// inputs say is the builder's to find. The order of the first three is Docker's.
fn epoch(
    args: &Args,
    build_args: &BTreeMap<String, String>,
    settings: &Settings,
    project: &Project,
    place: &Place,
) -> Result<EpochChoice, CommandError> {
    let commit = || {
        match place.directory() {
        Some(dir) => git::committer_time(dir),
        None => Err(CommandError::usage(
            "the time of a commit is asked for, and the context on standard input is in no repository",
        )
        .hint("give a number: --source-date-epoch SECONDS")),
    }
    };
    match args.source_date_epoch {
        Some(EpochArg::Seconds(epoch)) => return Ok(EpochChoice::Flag(epoch)),
        Some(EpochArg::Git) => return Ok(EpochChoice::Git(commit()?)),
        None => {}
    }
    let given = build_args.get("SOURCE_DATE_EPOCH");
    if let Some(value) = given.filter(|value| !value.is_empty()) {
        let epoch = seconds(value).map_err(|error| {
            CommandError::new(ErrorKind::Usage, &error)
                .context("the build argument SOURCE_DATE_EPOCH cannot be used")
                .hint("set it to seconds since 1970; for the last commit: --source-date-epoch git")
        })?;
        return Ok(EpochChoice::BuildArg(epoch));
    }
    if let Some(value) = &settings.source_date_epoch {
        let epoch = seconds(&value.to_string_lossy()).map_err(|error| {
            CommandError::new(ErrorKind::Usage, &error)
                .context("the variable SOURCE_DATE_EPOCH cannot be used")
                .hint("unset it, or set it to seconds since 1970")
        })?;
        return Ok(EpochChoice::Environment(epoch));
    }
    Ok(match project.build.epoch {
        Some(EpochSetting::Number(epoch)) => EpochChoice::Config(epoch),
        Some(EpochSetting::Git) => EpochChoice::Git(commit()?),
        None => EpochChoice::Base,
    })
}

/// How often to build. More runs than two are for what the second one shows.
fn runs(args: &Args) -> Result<Runs, CommandError> {
    let more = |flag: &str| {
        CommandError::message(
            ErrorKind::Usage,
            format!("{flag} goes with two runs that are compared, and one was asked for"),
        )
        .hint("leave out `--runs 1` (or REPRO_RUNS)")
    };
    let asked = [
        ("--control", args.more.control),
        ("--bisect-axes", args.more.bisect_axes),
        ("--suggest", args.suggest),
    ];
    let needs_two = asked.into_iter().find(|(_, asked)| *asked);
    match (args.runs, needs_two) {
        (RunCount::One, Some((flag, _))) => Err(more(flag)),
        (RunCount::One, None) => Ok(Runs::One),
        (RunCount::Two, _) if args.more.control => Ok(Runs::TwoAndControl),
        (RunCount::Two, _) => Ok(Runs::Two),
    }
}

/// The axes that are varied. To look for the one that matters there must be some.
fn vary(args: &Args, project: &Project) -> Result<BTreeSet<Axis>, CommandError> {
    let vary = match (&args.vary, &project.build.vary) {
        (Some(vary), _) => vary.0.clone(),
        (None, Some(vary)) => vary.clone(),
        (None, None) => Axis::VARIED.into(),
    };
    if args.more.bisect_axes && vary.is_empty() {
        return Err(CommandError::message(
            ErrorKind::Usage,
            "--bisect-axes goes with axes that are varied, and none is".to_owned(),
        )
        .hint("leave out `--vary none` (or REPRO_VARY, or `vary` in repro.toml)"));
    }
    Ok(vary)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs};

    use clap::Parser as _;
    use repro_core::epoch::Epoch;

    use super::*;
    use crate::{ambient::Ambient, args::Cli, commands::Command, settings::Settings};

    /// What `repro build OPTIONS CONTEXT` asks for.
    fn ask(context: &Path, options: &[&str], ambient: &Ambient) -> Result<Asked, CommandError> {
        let mut words = vec![OsString::from("repro"), "build".into()];
        words.extend(options.iter().map(OsString::from));
        words.push(context.into());
        let cli = Cli::try_parse_from(words).unwrap();
        let settings = Settings::resolve(&cli.global, cli.command.forms(), ambient).unwrap();
        let Command::Build(args) = cli.command else {
            panic!("not a build")
        };
        let place = Place::open(&args, || unreachable!("not standard input"))?;
        asked(
            &args,
            &settings,
            &place,
            InvocationId::try_from("test".to_owned()).unwrap(),
        )
    }

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    const SCRATCH: &str = "FROM scratch\n";

    #[test]
    fn what_a_comparison_is_for_needs_two_runs_and_bisection_an_axis() {
        let dir = project(&[("Dockerfile", SCRATCH)]);
        let none = Ambient::default();
        for (options, said) in [
            (
                &["--runs", "1", "--suggest"][..],
                "--suggest goes with two runs",
            ),
            (
                &["--runs", "1", "--control"],
                "--control goes with two runs",
            ),
            (
                &["--runs", "1", "--bisect-axes"],
                "--bisect-axes goes with two runs",
            ),
            (
                &["--vary", "none", "--bisect-axes"],
                "--bisect-axes goes with axes",
            ),
            (
                &["--vary", "clock,-clock", "--bisect-axes"],
                "--bisect-axes goes with axes",
            ),
        ] {
            let error = ask(dir.path(), options, &none).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().starts_with(said), "{error}");
        }
        for options in [
            &["--suggest", "--vary", "none"][..],
            &["--bisect-axes", "--vary", "clock"],
        ] {
            assert!(ask(dir.path(), options, &none).is_ok());
        }
        let toml = "[build]\nvary = ['none']\n";
        let dir = project(&[("Dockerfile", SCRATCH), ("repro.toml", toml)]);
        assert!(ask(dir.path(), &["--bisect-axes"], &none).is_err());
    }

    #[test]
    fn flag_before_argument_before_environment_before_project() {
        let toml = "[build]\nsource-date-epoch = 5000\nvary = ['none']\n";
        let dir = project(&[("Dockerfile", SCRATCH), ("repro.toml", toml)]);
        let epoch = |seconds| Epoch::new(seconds).unwrap();
        let set = Ambient {
            source_date_epoch: Some("6000".into()),
            ..Ambient::default()
        };
        let flags = ["--source-date-epoch", "7000", "--vary", "all,-clock"];
        let asked = ask(dir.path(), &flags, &set).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::Flag(epoch(7000)));
        assert_eq!(asked.vary.len(), Axis::VARIED.len() - 1);
        let argument = ["--build-arg", "SOURCE_DATE_EPOCH=6500"];
        let both = [&flags[..], &argument[..]].concat();
        let asked = ask(dir.path(), &both, &set).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::Flag(epoch(7000)));
        let asked = ask(dir.path(), &argument, &set).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::BuildArg(epoch(6500)));
        let empty = ["--build-arg", "SOURCE_DATE_EPOCH="];
        let asked = ask(dir.path(), &empty, &set).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::Environment(epoch(6000)));
        for value in ["context", "-1", "0"] {
            let argument = format!("SOURCE_DATE_EPOCH={value}");
            let error = ask(dir.path(), &["--build-arg", &argument], &set).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{value}");
        }
        let asked = ask(dir.path(), &[], &set).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::Environment(epoch(6000)));
        assert!(asked.vary.is_empty());
        let asked = ask(dir.path(), &[], &Ambient::default()).unwrap().request;
        assert_eq!(asked.epoch, EpochChoice::Config(epoch(5000)));

        let bad = Ambient {
            source_date_epoch: Some("soon".into()),
            ..Ambient::default()
        };
        assert_eq!(
            ask(dir.path(), &[], &bad).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }

    #[test]
    fn the_dockerfile_and_its_ignore_file_are_found_as_in_docker() {
        let dir = project(&[
            ("Dockerfile", SCRATCH),
            (".dockerignore", "common"),
            ("docker/App", "FROM x\n"),
            ("docker/App.dockerignore", "own"),
        ]);
        let plain = Ambient::default();
        let asked = ask(dir.path(), &[], &plain).unwrap().request;
        assert_eq!(asked.dockerfile.name, "Dockerfile");
        assert_eq!(asked.ignore.unwrap().text, b"common");

        let file = dir.path().join("docker/App");
        let asked = ask(dir.path(), &["-f", file.to_str().unwrap()], &plain)
            .unwrap()
            .request;
        assert_eq!(
            (
                asked.dockerfile.name.as_str(),
                asked.dockerfile.text.as_slice()
            ),
            ("docker/App", b"FROM x\n".as_slice())
        );
        assert_eq!(asked.ignore.unwrap().name, "docker/App.dockerignore");

        fs::write(
            dir.path().join("repro.toml"),
            "[build]\ndockerfile = 'docker/App'\n",
        )
        .unwrap();
        let asked = ask(dir.path(), &[], &plain).unwrap().request;
        assert_eq!(asked.dockerfile.name, "docker/App");
    }

    #[test]
    fn evidence_and_store_are_never_part_of_the_context() {
        let dir = project(&[("Dockerfile", SCRATCH)]);
        let real = dir.path().canonicalize().unwrap();
        let evidence = dir.path().join("out/pack");
        let store = dir.path().join("store");
        let options = [
            "--evidence",
            evidence.to_str().unwrap(),
            "--store",
            store.to_str().unwrap(),
        ];
        let asked = ask(dir.path(), &options, &Ambient::default())
            .unwrap()
            .request;
        let unfinished = pack::unfinished(&real.join("out/pack"));
        assert_eq!(
            asked.exclude,
            [unfinished, real.join("out/pack"), real.join("store")]
        );
    }

    #[test]
    fn what_cannot_be_built_is_wrong_usage() {
        let dir = project(&[("Dockerfile", SCRATCH), ("file", "")]);
        let plain = Ambient::default();
        let kind =
            |context: &Path, options: &[&str]| ask(context, options, &plain).unwrap_err().kind();
        assert_eq!(kind(&dir.path().join("file"), &[]), ErrorKind::Usage);
        assert_eq!(kind(&dir.path().join("none"), &[]), ErrorKind::Input);
        assert_eq!(
            kind(dir.path(), &["-f", "/nonexistent/Dockerfile"]),
            ErrorKind::Input
        );
        let host = Platform::host().to_string();
        assert!(ask(dir.path(), &["--platform", &host], &plain).is_ok());
    }

    #[test]
    fn arguments_and_labels_keep_the_last_value() {
        let dir = project(&[("Dockerfile", SCRATCH)]);
        let options = [
            "--build-arg",
            "A=1",
            "--build-arg",
            "A=2",
            "--build-arg",
            "REPRO_UNSET_NAME",
            "--label",
            "x",
            "--label",
            "y=1=2",
        ];
        let asked = ask(dir.path(), &options, &Ambient::default())
            .unwrap()
            .request;
        assert_eq!(asked.build_args, [("A".to_owned(), "2".to_owned())].into());
        let labels = [
            ("x".to_owned(), String::new()),
            ("y".to_owned(), "1=2".to_owned()),
        ];
        assert_eq!(asked.labels, labels.into());
    }
}
