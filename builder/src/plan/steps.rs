//! Every instruction of the needed stages, expanded and spelt out.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{
    build::{
        Archives, BuildRequest, CopyLayout, InlineFile, MakeDirSpec, Owner, Placement, RunSpec,
    },
    digest::ChainId,
    epoch::{Epoch, Tick},
    image::ImageConfig,
    platform::Platform,
};

use super::{
    BaseImage, CopyFrom, CopyWork, Outline, Plan, PlanError, PlanFault, SourceKey, Stage,
    StageBase, Step, Work,
    lint::{self, Surroundings},
    mounts::{Mounts, Place},
    outline::{Origin, StageOutline},
    paths::join,
};
use crate::dockerfile::{
    AddArgs, CommandLine, CopyArgs, CopyError, CopyPaths, Dockerfile, GlobalScope, Heredoc,
    Instruction, InstructionKind, PlatformArgs, RunArgs, StageScope, Template, Volumes,
    check_signal, parse_ports, remote, unused_build_args,
};

/// What the names from outside turned out to be.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    /// Images.
    pub images: BTreeMap<SourceKey, BaseImage>,
    /// Trees of files: the chain of their layers.
    pub trees: BTreeMap<SourceKey, Vec<ChainId>>,
    /// Directories given as contexts.
    pub contexts: BTreeSet<SourceKey>,
}

/// The platforms of a build.
pub(crate) fn platforms(request: &BuildRequest) -> PlatformArgs {
    PlatformArgs {
        build: Platform::host(),
        target: request.platform.clone(),
    }
}

/// `PATH` of an image from `scratch`, and of a step whose image sets none: Docker's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Spells the build out.
pub fn plan(
    file: &Dockerfile,
    outline: &Outline,
    bases: &Bases,
    globals: &GlobalScope,
    request: &BuildRequest,
    epoch: Epoch,
) -> Result<Plan, PlanError> {
    let mut planner = Planner {
        file,
        bases,
        globals,
        request,
        epoch,
        indices: BTreeMap::new(),
        plan: Plan {
            stages: Vec::new(),
            target: 0,
            steps: Vec::new(),
            findings: Vec::new(),
        },
        scopes: Vec::new(),
        ticks: Vec::new(),
        own_workdirs: BTreeSet::new(),
    };
    lint::stages(
        file,
        globals,
        &platforms(request),
        request.target.as_deref(),
        &mut planner.plan.findings,
    );
    for stage in &outline.stages {
        planner.stage(stage)?;
    }
    let mut plan = planner.plan;
    plan.target = plan.stages.len() - 1;
    plan.stages[plan.target]
        .config
        .config
        .labels
        .extend(request.labels.clone());
    plan.findings
        .extend(unused_build_args(file, &request.build_args));
    Ok(plan)
}

struct Planner<'a> {
    file: &'a Dockerfile,
    bases: &'a Bases,
    globals: &'a GlobalScope,
    request: &'a BuildRequest,
    epoch: Epoch,
    /// Index in the file to index in the plan.
    indices: BTreeMap<usize, usize>,
    plan: Plan,
    scopes: Vec<StageScope<'a>>,
    ticks: Vec<Tick>,
    /// Stages, by their index in the file, with a `WORKDIR` in them or in what they start from.
    own_workdirs: BTreeSet<usize>,
}

/// What the instructions of one stage build up.
struct StageState<'a> {
    scope: StageScope<'a>,
    config: ImageConfig,
    /// Whether this stage has set `CMD`: an `ENTRYPOINT` resets one that it inherited.
    own_cmd: bool,
    /// Whether a `WORKDIR` of the file came before.
    own_workdir: bool,
    platform: Platform,
    tick: Tick,
}

impl<'a> Planner<'a> {
    fn stage(&mut self, outline: &StageOutline) -> Result<(), PlanError> {
        let parsed = &self.file.stages[outline.index];
        let (base, mut building) = self.begin(outline)?;
        let stage = self.plan.stages.len();
        for (position, instruction) in outline.instructions(self.file).enumerate() {
            let known = Surroundings {
                scope: &building.scope,
                config: &building.config,
                own_workdir: building.own_workdir,
            };
            lint::instruction(self.file, instruction, &known, &mut self.plan.findings);
            let (history, work) = self
                .instruction(&mut building, instruction, (outline, position))
                .map_err(|fault| PlanError::at(self.file, instruction, fault))?;
            let tick = building.tick;
            if work.is_filesystem() {
                building.tick = tick
                    .next()
                    .map_err(|error| PlanError::at(self.file, instruction, error))?;
            }
            self.plan.steps.push(Step {
                stage,
                line: instruction.line,
                history,
                work,
                tick,
            });
        }
        let name = parsed.from.kind.name.clone();
        let config = finished_config(&building);
        if building.own_workdir {
            self.own_workdirs.insert(outline.index);
        }
        self.indices.insert(outline.index, stage);
        self.plan.stages.push(Stage {
            name: name.unwrap_or_else(|| outline.index.to_string()),
            base,
            config,
        });
        self.scopes.push(building.scope);
        self.ticks.push(building.tick);
        Ok(())
    }

    fn begin(&self, outline: &StageOutline) -> Result<(StageBase, StageState<'a>), PlanError> {
        let (base, scope, config, tick) = match &outline.base {
            Origin::Scratch => {
                let mut config = ImageConfig::for_platform(&self.request.platform);
                "/".clone_into(&mut config.config.working_dir);
                let env = [("PATH".to_owned(), DEFAULT_PATH.to_owned())];
                (
                    StageBase::Scratch,
                    StageScope::new(self.globals, &env),
                    config,
                    Tick::FIRST,
                )
            }
            Origin::Stage(index) => {
                let base = self.indices[index];
                let config = self.plan.stages[base].config.clone();
                (
                    StageBase::Stage(base),
                    self.scopes[base].clone(),
                    config,
                    self.ticks[base],
                )
            }
            Origin::Outside(name) => {
                let Some(image) = self.bases.images.get(name) else {
                    let from = &self.file.stages[outline.index].from;
                    let fault = if self.bases.contexts.contains(name) {
                        PlanFault::ContextAsBase(name.name.clone())
                    } else {
                        PlanFault::InputAsBase(name.name.clone())
                    };
                    return Err(PlanError::at(self.file, from, fault));
                };
                let scope = StageScope::new(self.globals, &split_env(&image.config.config.env));
                (
                    StageBase::Image(Box::new(image.clone())),
                    scope,
                    image.config.clone(),
                    Tick::FIRST,
                )
            }
        };
        let mut config = config;
        // They are in the outline, and do not carry over.
        config.config.on_build.clear();
        let platform = outline.platform.clone();
        Ok((
            base,
            StageState {
                scope,
                config,
                own_cmd: false,
                own_workdir: match &outline.base {
                    Origin::Stage(index) => self.own_workdirs.contains(index),
                    Origin::Scratch | Origin::Outside(_) => false,
                },
                platform,
                tick,
            },
        ))
    }

    fn instruction(
        &mut self,
        state: &mut StageState<'a>,
        instruction: &Instruction,
        (outline, position): (&StageOutline, usize),
    ) -> Result<(String, Work), PlanFault> {
        let config = |text| Ok((text, Work::Nothing));
        match &instruction.kind {
            InstructionKind::Arg(definitions) => {
                let taken = state.scope.arg(definitions)?;
                config(format!(
                    "ARG {}",
                    taken.iter().map(shown_arg).collect::<Vec<_>>().join(" ")
                ))
            }
            InstructionKind::Env(pairs) => {
                let pairs = state.scope.env(pairs)?;
                config(format!("ENV {}", shown_pairs(&pairs)))
            }
            InstructionKind::Label(pairs) => {
                let pairs = state.scope.pairs(pairs)?;
                state.config.config.labels.extend(pairs.iter().cloned());
                config(format!("LABEL {}", shown_pairs(&pairs)))
            }
            InstructionKind::Expose(words) => {
                let ports = expose(words, &state.scope)?;
                state
                    .config
                    .config
                    .exposed_ports
                    .extend(ports.iter().cloned());
                config(format!("EXPOSE {}", ports.join(" ")))
            }
            InstructionKind::Cmd(command) => {
                let argv = argv(command, shell(&state.config));
                let text = format!("CMD {}", shown_json(&argv));
                state.config.config.cmd = Some(argv);
                state.own_cmd = true;
                config(text)
            }
            InstructionKind::Entrypoint(command) => {
                let argv = argv(command, shell(&state.config));
                let text = format!("ENTRYPOINT {}", shown_json(&argv));
                state.config.config.entrypoint = Some(argv);
                if !state.own_cmd {
                    state.config.config.cmd = None;
                }
                config(text)
            }
            InstructionKind::User(user) => {
                state.config.config.user = some(user, &state.scope)?;
                config(format!("USER {}", state.config.config.user))
            }
            InstructionKind::Workdir(path) => {
                state.own_workdir = true;
                let written = some(path, &state.scope)?;
                let path = join(&state.config.config.working_dir, &written);
                // The configuration says an absolute path as it is written, `/a/b/` too, as Docker
                // and `BuildKit` do.
                let shown = if written.starts_with('/') {
                    written
                } else {
                    path.clone()
                };
                let text = format!("WORKDIR {shown}");
                state.config.config.working_dir = shown;
                if path == "/" {
                    return config(text);
                }
                let owner = state.config.config.user.clone();
                Ok((text, Work::MakeDir(MakeDirSpec { path, owner })))
            }
            InstructionKind::Healthcheck(test) => {
                state.config.config.healthcheck = Some(test.config());
                config(format!("HEALTHCHECK {test}"))
            }
            InstructionKind::Maintainer(name) => {
                state.config.author = Some(name.clone());
                config(format!("MAINTAINER {name}"))
            }
            InstructionKind::Onbuild(text) => {
                state.config.config.on_build.push(text.clone());
                config(format!("ONBUILD {text}"))
            }
            InstructionKind::Shell(words) => {
                state.config.config.shell = Some(words.clone());
                config(format!("SHELL [{}]", words.join(" ")))
            }
            InstructionKind::Stopsignal(signal) => {
                let signal = some(signal, &state.scope)?;
                check_signal(&signal)?;
                state.config.config.stop_signal = Some(signal.clone());
                config(format!("STOPSIGNAL {signal}"))
            }
            InstructionKind::Volume(volumes) => {
                let paths = volume_paths(volumes, &state.scope)?;
                let text = format!("VOLUME [{}]", paths.join(" "));
                state.config.config.volumes.extend(paths);
                config(text)
            }
            InstructionKind::Run(args) => self.run(state, args, |mount| {
                self.copy_from(outline.mounts.get(&(position, mount)))
            }),
            InstructionKind::Copy(args) => {
                let paths = args.check(&state.scope)?;
                if let Some(address) = paths.sources.iter().find(|path| remote(path).is_some()) {
                    return Err(CopyError::Remote(address.clone()).into());
                }
                let from = self.copy_from(outline.copies.get(&position))?;
                Ok(copy(state, "COPY", args, from, paths, Archives::Copy))
            }
            InstructionKind::Add(args) => add(state, args),
        }
    }

    fn run(
        &self,
        state: &StageState<'a>,
        run: &RunArgs,
        from: impl FnMut(usize) -> Result<CopyFrom, PlanFault>,
    ) -> Result<(String, Work), PlanFault> {
        let machine = Platform::host();
        if state.platform != machine {
            return Err(PlanFault::ForeignRun {
                stage: state.platform.to_string(),
                machine: machine.to_string(),
            });
        }
        let command = &run.command;
        let cwd = join(working_dir(&state.config), "");
        let place = Place {
            scope: &state.scope,
            cwd: &cwd,
            request: self.request,
        };
        let mounts = Mounts::new(run, &place, from)?;
        let argv = argv(command, shell(&state.config));
        let text = match command {
            CommandLine::Shell(_) | CommandLine::Heredocs(..) => argv.join(" "),
            CommandLine::Exec(words) => shown_json(words),
        };
        let mut env = state.scope.env_for_run();
        let mut default = |name: &str, value: String| {
            if !env.iter().any(|(known, _)| known == name) {
                env.push((name.to_owned(), value));
            }
        };
        default("PATH", DEFAULT_PATH.to_owned());
        default("SOURCE_DATE_EPOCH", self.epoch.seconds().to_string());
        if let Some(socket) = mounts.agent_socket {
            default("SSH_AUTH_SOCK", socket);
        }
        let user = state.config.config.user.clone();
        Ok((
            format!("RUN {}{text} # repro", mounts.shown),
            Work::Run(RunSpec {
                argv,
                env,
                cwd,
                user,
                script: script(command),
                mounts: mounts.specs,
                secret_env: mounts.secret_env,
                settings: Box::new(self.request.settings.clone()),
            }),
        ))
    }

    fn copy_from(&self, origin: Option<&Origin>) -> Result<CopyFrom, PlanFault> {
        Ok(match origin {
            None => CopyFrom::Context,
            // The outline follows each of these; a stage that it found is planned before this one.
            Some(Origin::Stage(index)) => CopyFrom::Stage(self.indices[index]),
            Some(Origin::Scratch) => CopyFrom::Tree(Vec::new()),
            Some(Origin::Outside(name)) if self.bases.contexts.contains(name) => {
                CopyFrom::Named(name.name.clone())
            }
            Some(Origin::Outside(name)) => match self.bases.images.get(name) {
                Some(image) => CopyFrom::Tree(image.chain.clone()),
                None => CopyFrom::Tree(
                    self.bases
                        .trees
                        .get(name)
                        .cloned()
                        .ok_or_else(|| PlanFault::Empty(name.name.clone()))?,
                ),
            },
        })
    }
}

/// `ADD`: of the context alone. What would have to be fetched is not there while building.
fn add(state: &StageState<'_>, args: &AddArgs) -> Result<(String, Work), PlanFault> {
    let paths = args.copy.check(&state.scope)?;
    let checksum = args
        .checksum
        .as_ref()
        .map(|checksum| checksum.expand(&state.scope))
        .transpose()?;
    let is_remote = |path: &String| remote(path).is_some();
    let alone = paths.sources.len() == 1 && paths.files.is_empty();
    let checked = checksum.is_some_and(|checksum| !checksum.is_empty());
    if checked && !(alone && paths.sources.iter().all(is_remote)) {
        return Err(CopyError::Checksum.into());
    }
    for source in &paths.sources {
        if let Some(kind) = remote(source) {
            let address = source.clone();
            return Err(PlanFault::Unlocked { address, kind });
        }
    }
    let archives = match args.unpack {
        Some(false) => Archives::Copy,
        Some(true) | None => Archives::Unpack,
    };
    let from = CopyFrom::Context;
    Ok(copy(state, "ADD", &args.copy, from, paths, archives))
}

fn copy(
    state: &StageState<'_>,
    keyword: &str,
    args: &CopyArgs,
    from: CopyFrom,
    paths: CopyPaths,
    archives: Archives,
) -> (String, Work) {
    let is_directory = paths.is_directory();
    let mut words = vec![keyword.to_owned()];
    words.extend(args.from.as_ref().map(|from| format!("--from={from}")));
    words.extend(paths.chown.as_ref().map(|chown| format!("--chown={chown}")));
    words.extend(paths.chmod.as_ref().map(|mode| format!("--chmod={mode}")));
    let exclude = paths.exclude.iter();
    words.extend(exclude.map(|pattern| format!("--exclude={pattern}")));
    // As in BuildKit, which cannot change modes there.
    let placement = match paths.mode {
        None => args.placement,
        Some(_) => Placement::Merged,
    };
    for (flag, given) in [
        ("--link", args.placement == Placement::Linked),
        ("--parents", args.layout == CopyLayout::Parents),
        (
            "--unpack=false",
            keyword == "ADD" && archives == Archives::Copy,
        ),
    ] {
        words.extend(given.then(|| flag.to_owned()));
    }
    words.extend(paths.sources.iter().cloned());
    words.extend(paths.files.iter().map(|file| format!("<<{}", file.name)));
    let text = format!("{} {} # repro", words.join(" "), paths.destination);
    let mut destination = join(working_dir(&state.config), &paths.destination);
    if is_directory && !destination.ends_with('/') {
        destination.push('/');
    }
    let what = Box::new(CopyWork {
        patterns: paths.sources,
        files: paths.files,
        destination,
        // Without --chown the owner stays: that of the stage, or 0:0, to whom the context belongs.
        owner: paths.chown.map_or(Owner::Keep, Owner::Named),
        mode: paths.mode,
        layout: args.layout,
        exclude: paths.exclude,
        archives,
        placement,
    });
    (text, Work::Copy { from, what })
}

fn volume_paths(volumes: &Volumes, scope: &StageScope<'_>) -> Result<Vec<String>, PlanFault> {
    let paths = volumes.paths.iter();
    paths.map(|path| some(path, scope)).collect()
}

fn finished_config(state: &StageState<'_>) -> ImageConfig {
    let mut config = state.config.clone();
    let env = state.scope.image_env();
    config.config.env = env
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    config
}

fn split_env(env: &[String]) -> Vec<(String, String)> {
    env.iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair.clone(), String::new()),
        })
        .collect()
}

fn working_dir(config: &ImageConfig) -> &str {
    match config.config.working_dir.as_str() {
        "" => "/",
        path => path,
    }
}

fn some(template: &Template, scope: &StageScope<'_>) -> Result<String, PlanFault> {
    let text = template.expand(scope)?;
    if text.is_empty() {
        Err(PlanFault::Empty(template.raw().to_owned()))
    } else {
        Ok(text)
    }
}

fn expose(words: &[Template], scope: &StageScope<'_>) -> Result<Vec<String>, PlanFault> {
    let mut ports = std::collections::BTreeSet::new();
    for template in words {
        for word in template.expand_words(scope)? {
            ports.extend(parse_ports(&word)?);
        }
    }
    Ok(ports.iter().map(ToString::to_string).collect())
}

/// The shell of shell forms.
fn shell(config: &ImageConfig) -> &[String] {
    config.config.shell.as_deref().unwrap_or_default()
}

fn argv(command: &CommandLine, shell: &[String]) -> Vec<String> {
    let text = match command {
        CommandLine::Exec(argv) => return argv.clone(),
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Heredocs(text, heredocs) => match script(command) {
            Some(file) => format!("{}/{}", InlineFile::SCRIPT_DIR, file.name),
            None => with_heredocs(text, heredocs),
        },
    };
    let mut argv = if shell.is_empty() {
        vec!["/bin/sh".into(), "-c".into()]
    } else {
        shell.to_vec()
    };
    argv.push(text);
    argv
}

/// What the shell is given: of a heredoc alone its text, else the whole as it is written.
fn with_heredocs(text: &str, heredocs: &[Heredoc]) -> String {
    if let [heredoc] = heredocs
        && Heredoc::is_alone(text)
    {
        return heredoc.text();
    }
    let mut text = text.to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.content);
        text.push_str(&heredoc.name);
    }
    text
}

/// A heredoc alone that begins with `#!` is a program, which the shell is told to run.
fn script(command: &CommandLine) -> Option<InlineFile> {
    let CommandLine::Heredocs(text, heredocs) = command else {
        return None;
    };
    let [heredoc] = heredocs.as_slice() else {
        return None;
    };
    let content = heredoc.text();
    (Heredoc::is_alone(text) && content.starts_with("#!")).then(|| InlineFile {
        name: heredoc.name.clone(),
        content,
    })
}

fn shown_json(argv: &[String]) -> String {
    let items: Vec<String> = argv
        .iter()
        .map(|item| serde_json::Value::from(item.as_str()).to_string())
        .collect();
    format!("[{}]", items.join(" "))
}

fn shown_pairs(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn shown_arg((name, value): &(String, Option<String>)) -> String {
    match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    }
}
