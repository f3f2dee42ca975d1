//! The orchestrator's side: starts stages, feeds them, and keeps account of trees.

mod agents;
mod layout;
mod mask;
mod probe;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader, BufWriter, Read as _},
    net::{Shutdown, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use repro_core::{
    build::{
        CopySource, Executor, ExecutorError, Grants, InvocationId, RunId, SecretValue,
        SnapshotInfo, SnapshotName, Snapshotter, StepAction, StepExit, StepListener, StepNetwork,
        StepObserver, StepResult, StepSpec, UserIds, Variation,
    },
    digest::{ChainId, Digest},
    tree::{EntryReader, EntrySink, EntrySource, EntryWriter},
};

pub(crate) use self::mask::Masked;
use self::{
    agents::Agents,
    layout::Layout,
    session::{Session, Stop},
};
use crate::{
    StageImage,
    channel::MAX_FDS,
    mapping::{self, IdMapping},
    policy::policy_digest,
    protocol::{Action, Done, Job, Secret, StepJob},
};

/// Buffer of a stream of entries.
const STREAM_BUFFER: usize = 256 * 1024;
/// Most bytes of secrets in one step: half of what a message to a stage holds.
const MAX_SECRETS: usize = 2 << 20;

/// Runs steps in namespaces of this machine, without a daemon and without being root.
#[derive(Debug)]
pub struct NativeExecutor {
    image: StageImage,
    mapping: IdMapping,
    layout: Layout,
    running: Mutex<Running>,
    grants: Grants,
    snapshotter: Snapshotter,
    /// Why overlayfs was not taken.
    overlay_refused: Option<ExecutorError>,
}

/// Who says how trees are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// The machine: by overlayfs, and where it is refused by plain copies.
    AsPossible,
    /// The caller.
    By(Snapshotter),
}

/// Stages at work.
#[derive(Debug, Default)]
struct Running {
    /// Once set, nothing new is started: a step that was about to start when the user gave up must
    /// not run on.
    cancelled: bool,
    /// The same, for single runs.
    stopped: BTreeSet<RunKey>,
    next: u64,
    stops: BTreeMap<u64, (Option<RunKey>, Stop)>,
}

/// A run, by the name of its directory in the invocation's.
type RunKey = (InvocationId, RunId);

impl Running {
    fn is_over(&self, run: Option<&RunKey>) -> bool {
        self.cancelled || run.is_some_and(|run| self.stopped.contains(run))
    }
}

impl NativeExecutor {
    /// An executor that keeps its trees in `snapshots` and `runs` below `root`, the store's directory.
    ///
    /// Both lie below one directory because a stage can carry but one into its mount namespace. The
    /// directory must exist.
    pub fn new(
        image: StageImage,
        root: &Path,
        snapshots: Snapshots,
    ) -> Result<Self, ExecutorError> {
        let mapping = IdMapping::detect()?;
        let layout = Layout::create(root, &mapping)?;
        let mut executor = Self {
            image,
            mapping,
            layout,
            running: Mutex::default(),
            grants: Grants::default(),
            snapshotter: Snapshotter::Overlay,
            overlay_refused: None,
        };
        match (snapshots, executor.mapping.user_ids()) {
            // Owners are written down by file, and a file of an overlay changes with its first change.
            (Snapshots::By(Snapshotter::Overlay), UserIds::One) => {
                return Err(ExecutorError::Machine {
                    what: "steps with one id for all users cannot start from overlays".to_owned(),
                    hint: format!("use --snapshotter plain-copy; or, {}", mapping::hint()),
                    source: None,
                });
            }
            (Snapshots::AsPossible, UserIds::One) => {
                executor.snapshotter = Snapshotter::PlainCopy;
            }
            (Snapshots::By(snapshotter), _) => executor.snapshotter = snapshotter,
            (Snapshots::AsPossible, UserIds::Range) => {
                executor.overlay_refused = executor.try_overlay()?;
                if executor.overlay_refused.is_some() {
                    executor.snapshotter = Snapshotter::PlainCopy;
                }
            }
        }
        Ok(executor)
    }

    /// Why overlayfs cannot be had, if it cannot. What else is the matter shows with plain copies
    /// too, and is an error.
    fn try_overlay(&self) -> Result<Option<ExecutorError>, ExecutorError> {
        let directory = self.layout.snapshots();
        let job = Job::TryOverlay { directory };
        let session = Session::start(&self.image, self.layout.root(), &self.mapping, job)?;
        match session.finish() {
            Ok(Done::Overlay) => Ok(None),
            Ok(other) => Err(unexpected(&other)),
            Err(error @ ExecutorError::Machine { .. }) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// Why trees are copied where nobody asked for it.
    #[must_use]
    pub const fn overlay_refused(&self) -> Option<&ExecutorError> {
        self.overlay_refused.as_ref()
    }

    /// The same, with secrets and agents for the steps that name them. A step that names others is
    /// refused.
    #[must_use]
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Whether steps of `invocation` left trees in the store at `root`, which only an executor of this kind
    /// can remove.
    #[must_use]
    pub fn left_trees(root: &Path, invocation: &InvocationId) -> bool {
        Layout::trees_of(root, invocation).exists()
    }

    /// The id mapping of all steps.
    #[must_use]
    pub const fn mapping(&self) -> &IdMapping {
        &self.mapping
    }

    /// Removes the stored trees of every chain that is not in `keep`, for this user's id mapping;
    /// gives how many. Nothing may be running.
    pub fn retain(&self, keep: &BTreeSet<ChainId>) -> Result<u64, ExecutorError> {
        let keep: BTreeSet<String> = keep.iter().map(|chain| chain.0.hex()).collect();
        let names = self.layout.stored_names()?;
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| !keep.contains(name))
            .collect();
        let removed = names.len() as u64;
        if removed > 0 {
            let directory = self.layout.snapshots();
            self.remove(Job::Remove { directory, names })?;
        }
        Ok(removed)
    }

    /// Not among those that `cancel` stops: what is left of a cancelled build is removed too.
    fn remove(&self, job: Job) -> Result<(), ExecutorError> {
        let session = Session::start(&self.image, self.layout.root(), &self.mapping, job)?;
        match session.finish()? {
            Done::Nothing => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What it guards is valid at every moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a stage that [`Executor::cancel`] stops, and [`Executor::stop`] that of a run.
    fn start(
        &self,
        job: Job,
        run: Option<RunKey>,
    ) -> Result<(Session, Registered<'_>), ExecutorError> {
        let session = Session::start(&self.image, self.layout.root(), &self.mapping, job)?;
        let mut running = self.running();
        let stop = session.stop()?;
        if running.is_over(run.as_ref()) {
            stop.now();
            return Err(ExecutorError::Cancelled);
        }
        let id = running.next;
        running.next += 1;
        running.stops.insert(id, (run.clone(), stop));
        drop(running);
        let guard = Registered {
            executor: self,
            id,
            run,
        };
        Ok((session, guard))
    }

    fn paths(&self, names: &[SnapshotName]) -> Vec<String> {
        names.iter().map(|name| self.layout.tree(name)).collect()
    }

    fn step_job(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
    ) -> Result<Job, ExecutorError> {
        let action = match &spec.action {
            StepAction::Run(run) => Action::Run(run.with_trees(|trees| self.paths(trees))),
            StepAction::MakeDir(make) => Action::MakeDir(make.clone()),
            StepAction::Copy(copy) => {
                let (CopySource::Context { trees } | CopySource::Tree { trees }) = &copy.source;
                Action::Copy {
                    spec: copy.clone(),
                    trees: self.paths(trees),
                }
            }
        };
        let SnapshotName::Step {
            invocation,
            run,
            index,
        } = &spec.output
        else {
            return Err(ExecutorError::Internal {
                what: format!("a step cannot write the stored tree {}", spec.output),
                source: None,
            });
        };
        Ok(Job::Step(Box::new(StepJob {
            snapshotter: self.snapshotter,
            parents: self.paths(&spec.parents),
            directory: self.layout.invocation(invocation, &self.mapping)?,
            names: [run.to_string(), index.to_string()],
            action,
            layer: spec.layer,
            variation: variation.clone(),
            secrets: self.secrets(spec)?,
            network: network.map(|network| network.kit().clone()),
        })))
    }

    /// The values of the secrets that a step names.
    fn secrets(&self, spec: &StepSpec) -> Result<BTreeMap<String, Secret>, ExecutorError> {
        let mut secrets = BTreeMap::new();
        let mut bytes = 0;
        for id in spec.secrets() {
            let value = self.grants.secret(id)?;
            bytes += value.expose().len();
            secrets.insert(id.to_owned(), Secret(value.expose().to_vec()));
        }
        if bytes > MAX_SECRETS {
            return Err(ExecutorError::Refused(format!(
                "the secrets of one step have {bytes} bytes together, and at most {MAX_SECRETS}"
            )));
        }
        Ok(secrets)
    }

    fn secret(&self, id: &str) -> Option<&SecretValue> {
        self.grants.secrets.get(id)
    }

    /// The sockets of the agents that a step names, in the order of its mounts.
    fn agents(&self, spec: &StepSpec) -> Result<Vec<&Path>, ExecutorError> {
        let agents = self.grants.agents_of(spec)?;
        if agents.len() > MAX_FDS {
            return Err(ExecutorError::Refused(format!(
                "a step has at most {MAX_FDS} ssh mounts"
            )));
        }
        Ok(agents)
    }
}

/// Takes a stage off the list of those that can be stopped.
struct Registered<'a> {
    executor: &'a NativeExecutor,
    id: u64,
    run: Option<RunKey>,
}

impl Registered<'_> {
    /// Takes over what a step prints and makes, while its agents are served; its network is from here.
    fn attend(
        &self,
        mut session: Session,
        network: Option<&dyn StepNetwork>,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let served = match network {
            Some(network) => Some(Served::start(network, self.told(session.network())?)?),
            None => None,
        };
        session.forward_log(observer)?;
        // The program has ended, and whoever it left behind is of no account any more.
        drop(served);
        let received = receive(&session, layer);
        let received = match received {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                // The sink wants no more, and the stage shall not wait for it.
                drop(session.stream().shutdown(Shutdown::Both));
                drop(session.finish());
                return self.told(Err(broken_layer(error)));
            }
            received => received,
        };
        let answer = session.finish();
        match (self.told(answer)?, received) {
            (Done::Step(result), Ok(())) => Ok(result),
            // A program that failed has no layer, not even an empty one.
            (Done::Step(result), Err(_)) if result.exit != StepExit::Success => Ok(result),
            (Done::Step(_), Err(error)) => Err(broken_layer(error)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Whatever a stopped stage says, it was stopped.
    fn told<T>(&self, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        if self.executor.running().is_over(self.run.as_ref()) {
            return Err(ExecutorError::Cancelled);
        }
        result
    }
}

/// A network at the service of a step; dropping it ends the service.
struct Served<'a>(&'a dyn StepNetwork);

impl<'a> Served<'a> {
    fn start(network: &'a dyn StepNetwork, listener: TcpListener) -> Result<Self, ExecutorError> {
        let served = Self(network);
        network
            .serve(StepListener::Step(listener))
            .map_err(|error| ExecutorError::Exhausted {
                what: "cannot serve the step's network".to_owned(),
                source: Some(error),
            })?;
        Ok(served)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.executor.running().stops.remove(&self.id);
    }
}

impl Executor for NativeExecutor {
    fn policy(&self) -> Digest {
        policy_digest(self.user_ids())
    }

    fn name(&self) -> &'static str {
        "native"
    }

    fn user_ids(&self) -> UserIds {
        self.mapping.user_ids()
    }

    fn snapshotter(&self) -> Snapshotter {
        self.snapshotter
    }

    fn stored(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        let path = self.layout.info(chain);
        let input = |source| ExecutorError::Input {
            what: format!("cannot read {}", path.display()),
            source: Some(source),
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(input(error)),
        };
        let owner = file.metadata().map_err(input)?.uid();
        let (root, _) = self.mapping.root();
        if owner != root {
            // Its files would belong to nobody inside, and a step would make another image of them.
            return Err(ExecutorError::Input {
                what: format!(
                    "{} belongs to user {owner} and not to {root}, the root of a step: the store \
                     was copied without its owners; remove its snapshots directory, it is made anew",
                    path.display()
                ),
                source: None,
            });
        }
        let mut json = Vec::new();
        file.read_to_end(&mut json).map_err(input)?;
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| input(error.into()))
    }

    fn unpack(
        &self,
        parents: &[ChainId],
        chain: ChainId,
        layer: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError> {
        if let Some(info) = self.stored(chain)? {
            return Ok(info);
        }
        let parents: Vec<_> = parents.iter().copied().map(SnapshotName::Stored).collect();
        let job = Job::Unpack {
            snapshotter: self.snapshotter,
            parents: self.paths(&parents),
            directory: self.layout.snapshots(),
            name: chain.0.hex(),
        };
        let (session, registered) = self.start(job, None)?;
        if let Err(error) = send(layer, &session) {
            // The stage waits for entries that will never come.
            drop(session.stream().shutdown(Shutdown::Both));
            drop(session.finish());
            return registered.told(Err(ExecutorError::Input {
                what: "cannot read the layer to unpack".to_owned(),
                source: Some(error),
            }));
        }
        let answer = session.finish();
        match registered.told(answer)? {
            Done::Unpacked(info) => Ok(info),
            other => Err(unexpected(&other)),
        }
    }

    fn run(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let agents = self.agents(spec)?;
        // A step without a program reaches for nothing.
        let network = network.filter(|_| matches!(spec.action, StepAction::Run(_)));
        let run = match &spec.output {
            SnapshotName::Step {
                invocation, run, ..
            } => Some((invocation.clone(), *run)),
            SnapshotName::Stored(_) => None,
        };
        let (mut session, registered) =
            self.start(self.step_job(spec, variation, network)?, run)?;
        let masked = Masked::new(observer, spec.secrets().filter_map(|id| self.secret(id)));
        let result = if agents.is_empty() {
            registered.attend(session, network, layer, &masked)
        } else {
            let listeners = registered.told(session.listeners())?;
            std::thread::scope(|scope| {
                let _served = Agents::serve(scope, listeners, agents).map_err(|error| {
                    ExecutorError::Exhausted {
                        what: "cannot serve the step's ssh agents".to_owned(),
                        source: Some(error),
                    }
                })?;
                registered.attend(session, network, layer, &masked)
            })
        };
        masked.finish();
        result
    }

    fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        self.running().stopped.retain(|(of, _)| of != invocation);
        let Some(name) = self.layout.existing_invocation(invocation)? else {
            return Ok(());
        };
        self.remove(Job::Remove {
            directory: name.clone(),
            names: Layout::run_names(),
        })?;
        self.layout.remove_invocation(&name)
    }

    fn stop(&self, invocation: &InvocationId, run: RunId) {
        let mut running = self.running();
        let key = (invocation.clone(), run);
        for (of, stop) in running.stops.values() {
            if of.as_ref() == Some(&key) {
                stop.now();
            }
        }
        running.stopped.insert(key);
    }

    fn cancel(&self) {
        let mut running = self.running();
        running.cancelled = true;
        for (_, stop) in running.stops.values() {
            stop.now();
        }
    }
}

/// Gives all entries of `layer` to the stage. The stage says itself what it did not like; here only the
/// source's own errors count.
fn send(layer: &mut dyn EntrySource, session: &Session) -> io::Result<()> {
    let mut writer = EntryWriter::new(BufWriter::with_capacity(STREAM_BUFFER, session.stream()));
    let mut refused = false;
    loop {
        let more = layer.next_entry(&mut |entry, content| {
            writer.entry(entry, content).inspect_err(|error| {
                refused = matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                );
            })
        });
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if refused => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    match writer.finish(&[]) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes all entries from the stage.
fn receive(session: &Session, layer: &mut dyn EntrySink) -> io::Result<()> {
    let mut reader = EntryReader::new(BufReader::with_capacity(STREAM_BUFFER, session.stream()));
    reader.copy_to(layer)
}

pub(crate) fn broken_layer(error: io::Error) -> ExecutorError {
    let what = "cannot take over the layer of the step".to_owned();
    if error.kind() == io::ErrorKind::StorageFull {
        return ExecutorError::Exhausted {
            what,
            source: Some(error),
        };
    }
    ExecutorError::Internal {
        what,
        source: Some(error),
    }
}

fn unexpected(done: &Done) -> ExecutorError {
    ExecutorError::Internal {
        what: format!("a stage answered something else: {done:?}"),
        source: None,
    }
}
