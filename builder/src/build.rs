//! The whole of one build, from a request to a record.

mod again;
mod checks;
mod epoch;
mod record;
mod take;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use repro_core::{
    build::{
        Axis, BuildRecord, BuildRequest, Clock, EpochChoice, EpochRecord, Executor, Finding,
        InputKind, InputRecord, NamedText, RunId, RunRecord, Runs, Variation,
    },
    digest::{ChainId, DiffId, Digest},
    event::{Event, EventSink},
    reference::ImageRef,
    store::Store,
};
use repro_toolchains::{
    Sources,
    capture::{Network, UsedFetch},
    lock::LockBasis,
};

pub use self::again::Build;
use self::{
    checks::{broken_rules, ignored_sources, refuse_secrets},
    epoch::{epoch, epoch_of_file},
};
use crate::{
    context::Context,
    dockerfile::{self, Asked, Dockerfile, GlobalScope, Rule, Severity},
    error::BuildError,
    plan::{self, Bases, Outline, Plan, PlanError, SourceKey, SourceName, Triggers},
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
    /// Whether the lock of the sources has to fit the project.
    pub lock_state: LockState,
    /// Who watches.
    pub events: &'a dyn EventSink,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Who answers what the steps ask servers for; without one they have no network at all.
    pub network: Option<&'a Network>,
    /// Most steps that each run has going at a time. It changes no byte of the image.
    pub jobs: NonZeroUsize,
}

/// What a lock is to a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockState {
    /// Written before: it has to have been made from the project as it is.
    #[default]
    Written,
    /// Being written by this build.
    InTheMaking,
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
    /// The context and those with names: canonical tar to its blob.
    taken: BTreeMap<DiffId, Digest>,
    inputs: Vec<InputRecord>,
    epoch: EpochRecord,
    findings: Vec<Finding>,
    /// What steps were given of what they asked servers for, each with the first step that was.
    used: Mutex<BTreeMap<UsedFetch, u32>>,
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
    basis: LockBasis,
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
    /// when an invocation is over. A step that fails is a record with that outcome; an error is
    /// everything that kept the build from coming so far.
    pub fn build(&self, request: &BuildRequest) -> Result<BuildRecord, BuildError> {
        self.start(request).map(Build::finish)
    }

    /// The same, to be finished by the caller, who may want to run it again with fewer axes.
    pub fn start<'b>(&'b self, request: &'b BuildRequest) -> Result<Build<'b>, BuildError> {
        self.start_from(request, |_| Ok(()))
    }

    /// The same, where it matters what the build starts from: `check` sees every input before the first
    /// step runs, but for what steps will ask servers for.
    pub fn start_from<'b, E: From<BuildError>>(
        &'b self,
        request: &'b BuildRequest,
        check: impl FnOnce(&[InputRecord]) -> Result<(), E>,
    ) -> Result<Build<'b>, E> {
        let prepared = self.prepare(request)?;
        check(&prepared.inputs)?;
        self.events.event(Event::Planned {
            steps: filesystem_steps(&prepared.plan),
            runs: request.runs.count(),
        });
        let runs = self.runs(request, &prepared)?;
        Ok(Build {
            builder: self,
            request,
            prepared,
            runs,
        })
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
            basis: self.basis(request, &outline),
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
            ..
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
        let all = context.iter().chain(contexts.values());
        let taken = all
            .filter_map(|context| context.layer.as_ref())
            .map(|layer| (layer.diff_id, layer.blob.digest))
            .collect();
        Ok(Prepared {
            plan,
            context,
            named,
            taken,
            inputs,
            epoch,
            findings,
            used: Mutex::default(),
        })
    }

    /// A lock pins the names of one Dockerfile and project; made from others, it pins nothing.
    fn check_lock(&self, request: &BuildRequest, outline: &Outline) -> Result<(), BuildError> {
        match (self.sources.lock, self.lock_state) {
            (Some(lock), LockState::Written) => {
                Ok(lock.check_fresh(&self.basis(request, outline))?)
            }
            (None, _) | (Some(_), LockState::InTheMaking) => Ok(()),
        }
    }

    /// What a lock of the build is made from.
    pub fn lock_basis(&self, request: &BuildRequest) -> Result<LockBasis, BuildError> {
        Ok(self.examine(request)?.basis)
    }

    fn basis(&self, request: &BuildRequest, outline: &Outline) -> LockBasis {
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
        LockBasis::new(project, &external, &platforms, target, request.ruleset)
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
        if !found.contexts.contains_key(&key.name)
            && let Some(context) = request.contexts.get(&key.name)
            && let Some(taken) = self.take_named(request, context)?
        {
            found.contexts.insert(key.name.clone(), taken);
        }
        if found.contexts.contains_key(&key.name) {
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

    fn context_of_runs<'r>(
        &'r self,
        request: &'r BuildRequest,
        prepared: &'r Prepared,
    ) -> RunContext<'r> {
        RunContext {
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
            network: self.network,
            used: &prepared.used,
            blobs: self.store.blobs(),
            events: self.events,
            clock: self.clock,
            jobs: self.jobs,
        }
    }

    /// The environment of a run that differs from run A's on `axes`, as far as its executor can make it.
    fn variation(&self, run: RunId, axes: &BTreeSet<Axis>) -> Variation {
        let executor = self.executor.of_run(run).unwrap_or(self.executor);
        Variation::run_b(axes).with_snapshotter(executor.snapshotter())
    }

    fn runs(
        &self,
        request: &BuildRequest,
        prepared: &Prepared,
    ) -> Result<Vec<RunRecord>, BuildError> {
        let context = self.context_of_runs(request, prepared);
        let plain = self.variation(RunId::A, &BTreeSet::new());
        let (a, b) = match request.runs {
            Runs::One => (run(&context, RunId::A, &plain, None), None),
            Runs::Two | Runs::TwoAndControl => {
                let varied = self.variation(RunId::B, &request.vary);
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
        // After both others: side by side with them it would run in less of the machine than A did.
        if a_built && request.runs == Runs::TwoAndControl {
            runs.extend(finished(run(&context, RunId::Control, &plain, None)?));
        }
        Ok(runs)
    }
}

/// Each answer that a step was given, with the first step that was.
fn fetched(used: &Mutex<BTreeMap<UsedFetch, u32>>) -> Vec<InputRecord> {
    let used = used.lock().unwrap_or_else(PoisonError::into_inner);
    let records = used.iter().map(|(fetch, step)| InputRecord {
        uri: fetch.url.clone(),
        name: None,
        digest: fetch.sha256,
        kind: InputKind::Fetch,
        step: Some(*step),
        locked: true,
    });
    records.collect()
}

/// Indices of the steps that work on files, ascending.
fn filesystem_steps(plan: &Plan) -> Vec<u32> {
    (0..)
        .zip(&plan.steps)
        .filter(|(_, step)| step.work.is_filesystem())
        .map(|(index, _)| index)
        .collect()
}

fn finished(end: RunEnd) -> Option<RunRecord> {
    match end {
        RunEnd::Done(record) => Some(*record),
        RunEnd::Stopped => None,
    }
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

#[cfg(test)]
pub(crate) mod tests;
