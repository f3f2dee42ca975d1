//! The whole of one build, from a request to a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::Path,
};

use repro_core::{
    build::{
        BuildRecord, BuildRequest, Clock, ContextPlace, CopyLayout, Cost, EpochChoice, EpochRecord,
        EpochSource, Executor, Finding, InputKind, InputRecord, MountSource, NamedContext,
        NamedText, Outcome, PlannedStep, Reason, RunId, RunRecord, Runs, UserIds, Variation,
    },
    digest::{ChainId, Digest},
    epoch::Epoch,
    event::{Event, EventSink},
    reference::ImageRef,
    store::Store,
    tree::TreePath,
};
use repro_toolchains::{Sources, lock::LockBasis};

use crate::{
    context::{
        ArchiveSpec, Context, ContextSpec, IgnoreFile, Ignored, check_source, take, take_archive,
    },
    dockerfile::{
        self, ArgDefinition, Asked, Diagnostic, Dockerfile, GlobalScope, Instruction, Rule,
        Scope as _, Severity, looks_like_secret,
    },
    error::BuildError,
    plan::{
        self, Bases, CopyFrom, Outline, Plan, PlanError, PlanFault, SourceKey, SourceName,
        StageBase, Triggers, Work,
    },
    schedule::{Board, RunContext, RunEnd, run},
    source::{Resolved, Resolver, unpack},
};

/// What a build works with.
#[derive(Clone, Copy)]
pub struct Builder<'a> {
    /// Where bytes are kept.
    pub store: &'a Store,
    /// Who runs the steps.
    pub executor: &'a dyn Executor,
    /// What the project declares.
    pub sources: &'a Sources<'a>,
    /// Who watches.
    pub events: &'a dyn EventSink,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Most steps that each run has going at a time. It changes no byte of the image.
    pub jobs: NonZeroUsize,
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("executor", &self.executor.name())
            .finish_non_exhaustive()
    }
}

/// Everything that has to be there before a step can run.
struct Prepared {
    plan: Plan,
    context: Option<Context>,
    named: BTreeMap<String, Vec<ChainId>>,
    inputs: Vec<InputRecord>,
    epoch: EpochRecord,
    findings: Vec<Finding>,
}

/// A Dockerfile with everything that it names.
struct Examined {
    file: Dockerfile,
    plan: Plan,
    contexts: BTreeMap<String, Context>,
    inputs: Vec<InputRecord>,
    epoch: EpochRecord,
    epoch_finding: Option<Finding>,
    findings: Vec<Finding>,
}

/// What names from outside turned out to be, so far.
#[derive(Default)]
struct Found {
    bases: Bases,
    triggers: Triggers,
    records: Vec<InputRecord>,
    /// Directories that were taken, by name.
    contexts: BTreeMap<String, Context>,
    /// Each name with the newest time in it.
    newest: BTreeMap<SourceKey, u64>,
    /// The newest time of what stages start from.
    newest_base: u64,
}

impl Builder<'_> {
    /// Builds. What the steps leave is the caller's to discard, since it is the caller who knows
    /// when an invocation is over. A step that fails is a record with that outcome; an error is everything that kept
    /// the build from coming so far.
    pub fn build(&self, request: &BuildRequest) -> Result<BuildRecord, BuildError> {
        let prepared = self.prepare(request)?;
        self.events.event(Event::Planned {
            steps: (0..)
                .zip(&prepared.plan.steps)
                .filter(|(_, step)| step.work.is_filesystem())
                .map(|(index, _)| index)
                .collect(),
            runs: match request.runs {
                Runs::One => 1,
                Runs::Two => 2,
            },
        });
        let runs = self.runs(request, &prepared)?;
        let record = record(request, prepared, runs);
        self.events.event(Event::Finished {
            outcome: record.outcome,
        });
        Ok(record)
    }

    /// Holds the Dockerfile to the rules, and builds nothing. Names are looked up as for a build,
    /// since what a base sets decides on some rules; files of the context are not.
    pub fn check(&self, request: &BuildRequest) -> Result<Vec<Finding>, BuildError> {
        let Examined {
            file,
            plan,
            findings,
            ..
        } = self.examine(request)?;
        let mut findings: Vec<Finding> = findings
            .into_iter()
            .chain(ignored_sources(&file, request, &plan))
            .filter(|finding| Rule::of_code(&finding.code).is_some())
            .collect();
        findings.sort_by_key(|finding| finding.line);
        Ok(findings)
    }

    /// Everything that can be known without the files of the context.
    fn examine(&self, request: &BuildRequest) -> Result<Examined, BuildError> {
        refuse_secrets(request)?;
        let NamedText { name, text } = &request.dockerfile;
        let asked = Asked::of_build_args(&request.build_args)?;
        let file = dockerfile::parse_asked(name, text, &asked)?;
        let globals = globals(&file, request)?;
        let mut inputs = vec![dockerfile_input(request)];
        let mut found = Found::default();
        // A base can have triggers that name more; those bases only copy, so this ends.
        let outline = loop {
            let outline = plan::outline(&file, request, &globals, &found.triggers)?;
            let locked = self.check_lock(request, &outline);
            match self.bases(request, &outline, &mut found) {
                Ok(true) => {}
                // A lock that does not fit says more than a name that is not found for it.
                result => {
                    locked?;
                    result?;
                    break outline;
                }
            }
        };
        let Found {
            bases,
            records,
            contexts,
            newest_base,
            ..
        } = found;
        inputs.extend(records);
        let choice = match request.epoch {
            EpochChoice::Base => epoch_of_file(&file, &globals)?,
            chosen => chosen,
        };
        let (epoch, finding) = epoch(choice, newest_base);
        let plan = plan::plan(&file, &outline, &bases, &globals, request, epoch.value)?;
        let mut findings = file.findings.clone();
        findings.extend(plan.findings.iter().cloned());
        Ok(Examined {
            file,
            plan,
            contexts,
            inputs,
            epoch,
            epoch_finding: finding,
            findings,
        })
    }

    fn prepare(&self, request: &BuildRequest) -> Result<Prepared, BuildError> {
        let Examined {
            file,
            plan,
            contexts,
            mut inputs,
            epoch,
            epoch_finding: finding,
            mut findings,
        } = self.examine(request)?;
        let context = self.context(request, &file, &plan, &contexts)?;
        inputs.extend(
            context
                .as_ref()
                .map(|context| context_input("context", None, context)),
        );
        let mut named = BTreeMap::new();
        for (name, context) in &contexts {
            let uri = format!("context:{name}");
            inputs.push(context_input(&uri, Some(name), context));
            let layer = context.layer.iter();
            let chain = layer.map(|layer| ChainId::base(layer.diff_id)).collect();
            named.insert(name.clone(), chain);
        }
        let named_findings = contexts.values().flat_map(|context| &context.findings);
        findings.extend(named_findings.cloned());
        findings.extend(context.iter().flat_map(|context| context.findings.clone()));
        findings.extend(finding);
        findings.extend(ignored_sources(&file, request, &plan));
        for finding in &findings {
            self.events.event(Event::Finding {
                finding: finding.clone(),
            });
        }
        if file.directives.checks.severity == Severity::Error {
            let broken = broken_rules(&file, &findings);
            if !broken.is_empty() {
                return Err(BuildError::Checks(broken));
            }
        }
        Ok(Prepared {
            plan,
            context,
            named,
            inputs,
            epoch,
            findings,
        })
    }

    /// A lock pins the names of one Dockerfile and project; made from others, it pins nothing.
    fn check_lock(&self, request: &BuildRequest, outline: &Outline) -> Result<(), BuildError> {
        let Some(lock) = self.sources.lock else {
            return Ok(());
        };
        let project = self.sources.project;
        let declared = |name: &String| {
            project.toolchains.contains_key(name) || project.inputs.contains_key(name)
        };
        let external: BTreeSet<ImageRef> = outline
            .names
            .iter()
            .filter(|name| !declared(&name.key.name))
            .filter(|name| !request.contexts.contains_key(&name.key.name))
            .filter_map(|name| name.key.name.parse().ok())
            .collect();
        let platforms = BTreeSet::from([request.platform.clone()]);
        let target = request.target.as_deref();
        let basis = LockBasis::new(project, &external, &platforms, target, request.ruleset);
        Ok(lock.check_fresh(&basis)?)
    }

    /// Looks up every name from outside that was not looked up yet, and unpacks what it means; says
    /// whether there was one.
    fn bases(
        &self,
        request: &BuildRequest,
        outline: &Outline,
        found: &mut Found,
    ) -> Result<bool, BuildError> {
        let mut more = false;
        for name in &outline.names {
            let newest = if let Some(newest) = found.newest.get(&name.key) {
                *newest
            } else {
                more = true;
                self.base(request, name, found)?
            };
            found.newest.insert(name.key.clone(), newest);
            if name.is_base {
                found.newest_base = found.newest_base.max(newest);
            }
        }
        Ok(more)
    }

    /// Looks up one name; gives the newest time in it.
    fn base(
        &self,
        request: &BuildRequest,
        name: &SourceName,
        found: &mut Found,
    ) -> Result<u64, BuildError> {
        let key = &name.key;
        if let Some(NamedContext::Directory { path, ignore }) = request.contexts.get(&key.name) {
            if !found.contexts.contains_key(&key.name) {
                let context = self.take(request, path, ignore.as_ref())?;
                found.contexts.insert(key.name.clone(), context);
            }
            found.bases.contexts.insert(key.clone());
            return Ok(0);
        }
        let resolver = Resolver {
            store: self.store,
            sources: self.sources,
            contexts: &request.contexts,
            platform: &key.platform,
            lock_mode: request.lock_mode,
        };
        let meaning = resolver.resolve(&key.name).map_err(|source| {
            let mut diagnostic = Box::new(name.diagnostic.clone());
            diagnostic.message = format!("cannot use {}", key.name);
            BuildError::Resolve {
                diagnostic,
                source: Box::new(source),
            }
        })?;
        let (layers, records) = match meaning {
            Resolved::Image { image, records } => {
                let layers = image.layers.clone();
                let triggers = image.config.config.on_build.clone();
                found.triggers.insert(key.clone(), triggers);
                found.bases.images.insert(key.clone(), *image);
                (layers, records)
            }
            Resolved::Tree { layer, records } => {
                let chain = vec![ChainId::base(layer.diff_id)];
                found.bases.trees.insert(key.clone(), chain);
                (vec![layer], records)
            }
        };
        found.records.extend(records);
        Ok(unpack(&layers, self.store, self.executor, self.events)?)
    }

    /// Takes the context if a step copies from it, and makes sure that it and the directories that
    /// have names have what is copied.
    fn context(
        &self,
        request: &BuildRequest,
        file: &Dockerfile,
        plan: &Plan,
        named: &BTreeMap<String, Context>,
    ) -> Result<Option<Context>, BuildError> {
        let needs_context = plan.steps.iter().any(|step| {
            let sources = local_sources(&step.work);
            sources
                .iter()
                .any(|source| matches!(source.from, CopyFrom::Context))
        });
        let context = needs_context
            .then(|| match &request.context {
                ContextPlace::Directory(root) => self.take(request, root, request.ignore.as_ref()),
                ContextPlace::Archive(file) => self.take_archive(request, file),
            })
            .transpose()?;
        for step in &plan.steps {
            for LocalSource {
                from,
                pattern,
                layout,
            } in local_sources(&step.work)
            {
                let source = match from {
                    CopyFrom::Context => context.as_ref(),
                    CopyFrom::Named(name) => named.get(name),
                    CopyFrom::Stage(_) | CopyFrom::Tree(_) => None,
                };
                let Some(source) = source else { continue };
                check_source(source, &pattern, layout).map_err(|missing| {
                    BuildError::MissingSource {
                        diagnostic: Box::new(file.diagnostic_at(
                            step.line,
                            missing.to_string(),
                            missing.hint.clone(),
                        )),
                        missing,
                    }
                })?;
            }
        }
        Ok(context)
    }

    /// Takes an archive into the store and unpacks it.
    fn take_archive(&self, request: &BuildRequest, file: &Path) -> Result<Context, BuildError> {
        let spec = ArchiveSpec {
            file,
            tmp: self.store.blobs().tmp(),
            ignore: &ignore_file(request.ignore.as_ref())?,
            modes: request.context_modes,
            ruleset: request.ruleset,
        };
        let context = take_archive(&spec, self.store.blobs(), self.events)?;
        self.unpack_context(&context)?;
        Ok(context)
    }

    fn unpack_context(&self, context: &Context) -> Result<(), BuildError> {
        if let Some(layer) = &context.layer {
            let layers = [layer.descriptor()];
            unpack(&layers, self.store, self.executor, self.events)?;
        }
        Ok(())
    }

    /// Takes a directory into the store and unpacks it.
    fn take(
        &self,
        request: &BuildRequest,
        root: &Path,
        ignore: Option<&NamedText>,
    ) -> Result<Context, BuildError> {
        let spec = ContextSpec {
            root,
            ignore: &ignore_file(ignore)?,
            exclude: &request.exclude,
            modes: request.context_modes,
            ruleset: request.ruleset,
        };
        let context = take(&spec, self.store.blobs(), self.events)?;
        self.unpack_context(&context)?;
        Ok(context)
    }

    fn runs(
        &self,
        request: &BuildRequest,
        prepared: &Prepared,
    ) -> Result<Vec<RunRecord>, BuildError> {
        let context = RunContext {
            plan: &prepared.plan,
            context: prepared
                .context
                .iter()
                .filter_map(|context| context.layer.as_ref())
                .map(|layer| ChainId::base(layer.diff_id))
                .collect(),
            named: &prepared.named,
            invocation: &request.invocation,
            annotations: &request.annotations.manifest,
            epoch: prepared.epoch.value,
            ruleset: request.ruleset,
            executor: self.executor,
            blobs: self.store.blobs(),
            events: self.events,
            clock: self.clock,
            jobs: self.jobs,
        };
        let plain = Variation::run_a();
        let (a, b) = match request.runs {
            Runs::One => (run(&context, RunId::A, &plain, None), None),
            Runs::Two => {
                let varied = Variation::run_b(&request.vary);
                let board = Board::default();
                std::thread::scope(|scope| {
                    let b = scope.spawn(|| run(&context, RunId::B, &varied, Some(&board)));
                    let a = run(&context, RunId::A, &plain, Some(&board));
                    (a, Some(b.join()))
                })
            }
        };
        let mut runs = Vec::new();
        // A first: where both fail, what happened to A is what the user should read.
        let a = finished(a?);
        let b = match b {
            None => None,
            Some(Ok(b)) => Some(b?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        };
        let a_built = a.as_ref().is_some_and(|a| a.failure.is_none());
        runs.extend(a);
        if let Some(b) = b.and_then(finished) {
            let repeat = a_built && b.failure.is_some();
            runs.push(b);
            if repeat {
                runs.extend(finished(run(&context, RunId::BRepeat, &plain, None)?));
            }
        }
        Ok(runs)
    }
}

/// Something that a step takes from a directory of the caller.
struct LocalSource<'a> {
    from: &'a CopyFrom,
    pattern: String,
    layout: CopyLayout,
}

/// What a step takes from directories of the caller, and from other places as well.
fn local_sources(work: &Work) -> Vec<LocalSource<'_>> {
    match work {
        Work::Copy { from, what } => {
            let patterns = what.patterns.iter().cloned();
            let source = |pattern| LocalSource {
                from,
                pattern,
                layout: what.layout,
            };
            patterns.map(source).collect()
        }
        Work::Run(spec) => {
            let mounts = spec.mounts.iter();
            let sources = mounts.filter_map(|mount| match &mount.source {
                MountSource::Bind { trees, path }
                | MountSource::Cache {
                    trees: Some(trees),
                    path,
                    ..
                } => Some(LocalSource {
                    from: trees,
                    pattern: escaped(path),
                    layout: CopyLayout::Contents,
                }),
                _ => None,
            });
            sources.collect()
        }
        Work::Nothing | Work::MakeDir(_) => Vec::new(),
    }
}

/// A pattern that matches this path alone: sources of mounts are no patterns.
fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn ignore_file(text: Option<&NamedText>) -> Result<IgnoreFile, BuildError> {
    let Some(text) = text else {
        return Ok(IgnoreFile::default());
    };
    IgnoreFile::parse(&text.text).map_err(|source| BuildError::Ignore {
        file: text.name.clone(),
        source,
    })
}

fn finished(end: RunEnd) -> Option<RunRecord> {
    match end {
        RunEnd::Done(record) => Some(*record),
        RunEnd::Stopped => None,
    }
}

/// A build argument is recorded in clear, since a rebuild needs it.
fn refuse_secrets(request: &BuildRequest) -> Result<(), BuildError> {
    for (name, value) in &request.build_args {
        if let Some(sign) = looks_like_secret(name, value)
            && !request.allowed_args.contains(name)
        {
            return Err(BuildError::SecretArg {
                name: name.clone(),
                sign,
            });
        }
    }
    Ok(())
}

/// What `# check=error=true` makes errors: the findings of BuildKit's rules.
fn broken_rules(file: &Dockerfile, findings: &[Finding]) -> Vec<Diagnostic> {
    let of_rule = |finding: &&Finding| {
        Rule::of_code(&finding.code).is_some_and(|rule| rule != Rule::UnusedBuildArg)
    };
    findings
        .iter()
        .filter(of_rule)
        .map(|finding| {
            let line = finding.line.unwrap_or(1);
            file.diagnostic_at(line, finding.message.clone(), None)
        })
        .collect()
}

/// Sources of copies that the ignore file leaves out. Exceptions in it make this too hard to tell
/// from the name alone, as BuildKit has it.
fn ignored_sources(file: &Dockerfile, request: &BuildRequest, plan: &Plan) -> Vec<Finding> {
    let ignore = request.ignore.as_ref();
    let Some(Ok(ignore)) = ignore.map(|text| IgnoreFile::parse(&text.text)) else {
        return Vec::new();
    };
    if file.directives.skips(Rule::CopyIgnoredFile) || ignore.has_exceptions() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for step in &plan.steps {
        let Work::Copy {
            from: CopyFrom::Context,
            what,
        } = &step.work
        else {
            continue;
        };
        for source in &what.patterns {
            let Ok(path) = TreePath::parse_clamped(source.as_bytes()) else {
                continue;
            };
            if !path.is_root() && ignore.excluded(&path, false) != Ignored::No {
                let message = format!("the ignore file leaves {source} out of the context");
                findings.push(Rule::CopyIgnoredFile.finding(message, Some(step.line)));
            }
        }
    }
    findings
}

/// What `FROM` sees.
fn globals(file: &Dockerfile, request: &BuildRequest) -> Result<GlobalScope, BuildError> {
    let platforms = plan::platforms(request);
    let mut globals = GlobalScope::new(&platforms, request.target.as_deref(), &request.build_args);
    for args in &file.global_args {
        globals
            .arg(&args.kind)
            .map_err(|error| PlanError::at(file, args, error))?;
    }
    Ok(globals)
}

fn context_input(uri: &str, name: Option<&String>, context: &Context) -> InputRecord {
    InputRecord {
        uri: uri.to_owned(),
        name: name.cloned(),
        digest: context.digest.0,
        kind: InputKind::Context,
        step: None,
        locked: false,
    }
}

fn dockerfile_input(request: &BuildRequest) -> InputRecord {
    InputRecord {
        uri: "dockerfile".into(),
        name: Some(request.dockerfile.name.clone()),
        digest: Digest::of(&request.dockerfile.text),
        kind: InputKind::Dockerfile,
        step: None,
        locked: false,
    }
}

/// An epoch that the Dockerfile has for those who choose none: `ARG SOURCE_DATE_EPOCH=...` above its
/// first `FROM`. BuildKit takes the name of a context or stage as well, and the time of what it
/// fetches for that; nothing is fetched here.
fn epoch_of_file(file: &Dockerfile, globals: &GlobalScope) -> Result<EpochChoice, PlanError> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let Some(text) = globals.get(NAME).filter(|text| !text.is_empty()) else {
        return Ok(EpochChoice::Base);
    };
    let refused = |fault: PlanFault| {
        let declares = |args: &&Instruction<Vec<ArgDefinition>>| {
            let mut names = args.kind.iter().filter_map(|arg| arg.name.literal());
            names.any(|name| name == NAME)
        };
        match file.global_args.iter().rev().find(declares) {
            Some(args) => PlanError::at(file, args, fault),
            None => PlanError::at(file, &file.stages[0].from, fault),
        }
    };
    let seconds = text
        .parse()
        .map_err(|_| refused(PlanFault::EpochText(text.to_owned())))?;
    let epoch = Epoch::new(seconds).map_err(|error| refused(error.into()))?;
    Ok(EpochChoice::Dockerfile(epoch))
}

/// Rule 1: the epoch in force, and a finding where it lies before the base.
fn epoch(choice: EpochChoice, newest_base: u64) -> (EpochRecord, Option<Finding>) {
    let (value, source) = match choice {
        EpochChoice::Flag(epoch) => (epoch, EpochSource::Flag),
        EpochChoice::BuildArg(epoch) => (epoch, EpochSource::BuildArg),
        EpochChoice::Environment(epoch) => (epoch, EpochSource::Environment),
        EpochChoice::Config(epoch) => (epoch, EpochSource::Config),
        EpochChoice::Git(epoch) => (epoch, EpochSource::Git),
        EpochChoice::Dockerfile(epoch) => (epoch, EpochSource::Dockerfile),
        EpochChoice::Base => match Epoch::new(newest_base) {
            Ok(epoch) if epoch > Epoch::MIN => (epoch, EpochSource::Base),
            _ => (Epoch::MIN, EpochSource::Minimum),
        },
    };
    let finding = (value.seconds() < newest_base).then(|| Finding {
        code: "epoch-before-base".into(),
        message: format!(
            "SOURCE_DATE_EPOCH {} is older than the newest file of the base ({newest_base}): new \
             files look older than those of the base",
            value.seconds()
        ),
        line: None,
    });
    (EpochRecord { value, source }, finding)
}

fn record(request: &BuildRequest, prepared: Prepared, runs: Vec<RunRecord>) -> BuildRecord {
    let Prepared {
        plan,
        inputs,
        epoch,
        mut findings,
        ..
    } = prepared;
    findings.extend(intermediate_differences(&plan, &runs));
    findings.extend(many_layers(&runs));
    findings.extend(one_id(&runs));
    let outcome = Outcome::new(reason(request.runs, &runs), cost(&runs));
    BuildRecord {
        version: 1,
        invocation: request.invocation.clone(),
        tags: request.tags.clone(),
        platform: request.platform.clone(),
        ruleset: request.ruleset,
        epoch,
        dockerfile: request.dockerfile.name.clone(),
        target: request.target.clone(),
        contexts: request
            .contexts
            .iter()
            .map(|(name, context)| (name.clone(), context.to_string()))
            .collect(),
        build_args: request.build_args.clone(),
        labels: request.labels.clone(),
        annotations: request.annotations.clone(),
        settings: request.settings.clone(),
        secrets: request.secrets.clone(),
        agents: request.agents.clone(),
        inputs: sorted(inputs),
        plan: planned(&plan),
        runs,
        findings,
        outcome,
    }
}

/// Each input once, by uri.
fn sorted(inputs: Vec<InputRecord>) -> Vec<InputRecord> {
    let by_key: BTreeMap<_, _> = inputs
        .into_iter()
        .map(|input| ((input.uri.clone(), input.digest), input))
        .collect();
    by_key.into_values().collect()
}

fn planned(plan: &Plan) -> Vec<PlannedStep> {
    let mut in_image = BTreeSet::from([plan.target]);
    let mut stage = plan.target;
    while let StageBase::Stage(base) = plan.stages[stage].base {
        in_image.insert(base);
        stage = base;
    }
    plan.steps
        .iter()
        .map(|step| PlannedStep {
            stage: plan.stages[step.stage].name.clone(),
            instruction: step.history.clone(),
            line: step.line,
            filesystem: step.work.is_filesystem(),
            in_image: in_image.contains(&step.stage),
            secrets: step.work.secrets(),
            agents: step.work.agents(),
        })
        .collect()
}

fn of(runs: &[RunRecord], id: RunId) -> Option<&RunRecord> {
    runs.iter().find(|run| run.id == id)
}

fn reason(asked: Runs, runs: &[RunRecord]) -> Reason {
    let Some(a) = of(runs, RunId::A) else {
        return Reason::Internal;
    };
    if a.failure.is_some() {
        return Reason::StepFailed;
    }
    if asked == Runs::One {
        return Reason::NotCompared;
    }
    match (of(runs, RunId::B), of(runs, RunId::BRepeat)) {
        (Some(b), _) if b.failure.is_none() => {
            if b.image != a.image {
                Reason::Differs
            } else if b.variation == a.variation {
                Reason::NotVaried
            } else {
                Reason::Reproduced
            }
        }
        (Some(_), Some(repeat)) if repeat.failure.is_none() => Reason::FailsUnderVariation,
        (Some(_), Some(_)) => Reason::StepFailed,
        (Some(_) | None, _) => Reason::Internal,
    }
}

/// Layers that an image can have without a word. Docker's storage driver takes 125 at most, and an
/// image of just as many could not be built upon.
const MAX_LAYERS: usize = 120;

/// An image that Docker will not load, or will not let anyone add to. It builds: other engines take
/// more.
fn many_layers(runs: &[RunRecord]) -> Option<Finding> {
    let image = of(runs, RunId::A)?.image.as_ref()?;
    let layers = image.diff_ids.len();
    (layers > MAX_LAYERS).then(|| Finding {
        code: "layers-exceed-docker".into(),
        message: format!(
            "the image has {layers} layers; Docker takes 125, those of images built on this one \
             included: join RUN instructions, or copy the result into a new stage"
        ),
        line: None,
    })
}

/// Users of a step that are one to the kernel: a program that counts on being denied something may
/// have got it.
fn one_id(runs: &[RunRecord]) -> Option<Finding> {
    let ids = runs.iter().find(|run| run.user_ids == UserIds::One);
    ids.map(|_| Finding {
        code: "users-not-kept-apart".into(),
        message:
            "the user who built has one id, which stood for all users of the steps: owners were \
                  written down, and a file of one user could be read by another"
                .into(),
        line: None,
    })
}

/// A stage that is copied from may differ in files that never reach the image: the verdict is on
/// the image, and the user learns of the rest.
fn intermediate_differences(plan: &Plan, runs: &[RunRecord]) -> Vec<Finding> {
    let (Some(a), Some(b)) = (of(runs, RunId::A), of(runs, RunId::B)) else {
        return Vec::new();
    };
    if a.image != b.image || a.image.is_none() {
        return Vec::new();
    }
    a.steps
        .iter()
        .zip(&b.steps)
        .filter(|(a, b)| a.diff_id != b.diff_id)
        .map(|(a, _)| Finding {
            code: "intermediate-differs".into(),
            message: "the layers of this step differ, but nothing of it reaches the image".into(),
            line: plan.steps.get(a.index as usize).map(|step| step.line),
        })
        .collect()
}

fn cost(runs: &[RunRecord]) -> Cost {
    runs.iter()
        .flat_map(|run| &run.steps)
        .fold(Cost::default(), |cost, step| Cost {
            cpu_ms: cost.cpu_ms + step.usage.cpu_ms,
            peak_rss_bytes: cost.peak_rss_bytes.max(step.usage.peak_rss_bytes),
            layer_bytes: cost.layer_bytes + step.blob_size.unwrap_or(0),
        })
}

#[cfg(test)]
pub(crate) mod tests;
