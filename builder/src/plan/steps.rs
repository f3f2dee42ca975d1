//! Every instruction of the needed stages, expanded and spelt out.

use std::collections::BTreeMap;

use repro_core::{
    build::{BuildRequest, MakeDirSpec, Owner, RunSpec},
    digest::ChainId,
    epoch::{Epoch, Tick},
    image::ImageConfig,
};

use super::{
    BaseImage, CopyFrom, Outline, Plan, PlanError, PlanFault, Stage, StageBase, Step, Work,
    mounts::{Mounts, Place},
    outline::{Origin, StageOutline},
    paths::join,
};
use crate::dockerfile::{
    CommandLine, CopyPaths, Dockerfile, GlobalScope, Instruction, InstructionKind, RunArgs,
    StageScope, Template, parse_ports, unused_build_args,
};

/// What the names from outside turned out to be.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    /// Images, by name.
    pub images: BTreeMap<String, BaseImage>,
    /// Trees of files, by name: the chain of their layers.
    pub trees: BTreeMap<String, Vec<ChainId>>,
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
    };
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
}

/// What the instructions of one stage build up.
struct StageState<'a> {
    scope: StageScope<'a>,
    config: ImageConfig,
    /// Whether this stage has set `CMD`: an `ENTRYPOINT` resets one that it inherited.
    own_cmd: bool,
    tick: Tick,
}

impl<'a> Planner<'a> {
    fn stage(&mut self, outline: &StageOutline) -> Result<(), PlanError> {
        let parsed = &self.file.stages[outline.index];
        let (base, mut building) = self.begin(outline)?;
        let stage = self.plan.stages.len();
        for (position, instruction) in parsed.instructions.iter().enumerate() {
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
                    return Err(PlanError::at(
                        self.file,
                        from,
                        PlanFault::InputAsBase(name.clone()),
                    ));
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
        Ok((
            base,
            StageState {
                scope,
                config,
                own_cmd: false,
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
                let argv = argv(command);
                let text = format!("CMD {}", shown_json(&argv));
                state.config.config.cmd = Some(argv);
                state.own_cmd = true;
                config(text)
            }
            InstructionKind::Entrypoint(command) => {
                let argv = argv(command);
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
                let path = join(&state.config.config.working_dir, &some(path, &state.scope)?);
                state.config.config.working_dir.clone_from(&path);
                let text = format!("WORKDIR {path}");
                if path == "/" {
                    return config(text);
                }
                let owner = state.config.config.user.clone();
                Ok((text, Work::MakeDir(MakeDirSpec { path, owner })))
            }
            InstructionKind::Run(args) => self.run(state, args, |mount| {
                self.copy_from(outline.mounts.get(&(position, mount)))
            }),
            InstructionKind::Copy(args) => {
                let paths = args.check(&state.scope)?;
                let from = self.copy_from(outline.copies.get(&position))?;
                Ok(copy(state, args.from.as_deref(), from, paths))
            }
        }
    }

    fn run(
        &self,
        state: &StageState<'a>,
        args: &RunArgs,
        from: impl FnMut(usize) -> Result<CopyFrom, PlanFault>,
    ) -> Result<(String, Work), PlanFault> {
        let command = &args.command;
        let cwd = working_dir(&state.config).to_owned();
        let place = Place {
            scope: &state.scope,
            cwd: &cwd,
            request: self.request,
        };
        let mounts = Mounts::new(args, &place, from)?;
        let argv = argv(command);
        let text = match command {
            CommandLine::Shell(_) => argv.join(" "),
            CommandLine::Exec(argv) => shown_json(argv),
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
                mounts: mounts.mounts,
                secret_env: mounts.secret_env,
            }),
        ))
    }

    fn copy_from(&self, origin: Option<&Origin>) -> Result<CopyFrom, PlanFault> {
        Ok(match origin {
            None => CopyFrom::Context,
            // The outline follows each of these; a stage that it found is planned before this one.
            Some(Origin::Stage(index)) => CopyFrom::Stage(self.indices[index]),
            Some(Origin::Scratch) => CopyFrom::Tree(Vec::new()),
            Some(Origin::Outside(name)) => match self.bases.images.get(name) {
                Some(image) => CopyFrom::Tree(image.chain.clone()),
                None => CopyFrom::Tree(
                    self.bases
                        .trees
                        .get(name)
                        .cloned()
                        .ok_or_else(|| PlanFault::Empty(name.clone()))?,
                ),
            },
        })
    }
}

fn copy(
    state: &StageState<'_>,
    from_text: Option<&str>,
    from: CopyFrom,
    paths: CopyPaths,
) -> (String, Work) {
    let mut words = vec!["COPY".to_owned()];
    words.extend(from_text.map(|from| format!("--from={from}")));
    words.extend(paths.chown.as_ref().map(|chown| format!("--chown={chown}")));
    words.extend(paths.mode.map(|mode| format!("--chmod={mode:o}")));
    words.extend(paths.sources.iter().cloned());
    let text = format!("{} {} # repro", words.join(" "), paths.destination);
    let is_directory = paths.is_directory();
    let mut destination = join(working_dir(&state.config), &paths.destination);
    if is_directory && !destination.ends_with('/') {
        destination.push('/');
    }
    // Without --chown the owner stays: that of the stage, or 0:0, to whom the context belongs.
    let owner = paths.chown.map_or(Owner::Keep, Owner::Named);
    let work = Work::Copy {
        from,
        patterns: paths.sources,
        destination,
        owner,
        mode: paths.mode,
    };
    (text, work)
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

fn argv(command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
        CommandLine::Exec(argv) => argv.clone(),
    }
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
