//! The orchestrator's side: starts stages, feeds them, and keeps account of trees.

mod layout;
mod session;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufReader, BufWriter},
    net::Shutdown,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use repro_core::{
    build::{
        CopySource, Executor, ExecutorError, InvocationId, LayerPolicy, RunId, RunSpec,
        SnapshotInfo, SnapshotName,
        StepAction, StepExit, StepObserver, StepResult, StepSpec, Variation,
    },
    digest::ChainId,
    epoch::{Epoch, Tick},
    tree::{Entry, EntryReader, EntrySink, EntrySource, EntryWriter},
};

use self::{
    layout::Layout,
    session::{Session, Stop},
};
use crate::{
    StageImage,
    mapping::IdMapping,
    protocol::{Action, Done, Job, StepJob},
};

/// Buffer of a stream of entries.
const STREAM_BUFFER: usize = 256 * 1024;

/// Runs steps in namespaces of this machine, without a daemon and without being root.
#[derive(Debug)]
pub struct NativeExecutor {
    image: StageImage,
    mapping: IdMapping,
    layout: Layout,
    running: Mutex<Running>,
}

/// Stages at work.
#[derive(Debug, Default)]
struct Running {
    /// Once set, nothing new is started: a step that was about to start when the user gave up must
    /// not run on.
    cancelled: bool,
    next: u64,
    stops: BTreeMap<u64, Stop>,
}

impl NativeExecutor {
    /// An executor that keeps its trees in `snapshots` and `runs` below `root`, the store's directory.
    ///
    /// Both lie below one directory because a stage can carry but one into its mount namespace. The
    /// directory must exist; its file system must let overlayfs write to it.
    pub fn new(image: StageImage, root: &Path) -> Result<Self, ExecutorError> {
        let mapping = IdMapping::detect()?;
        let layout = Layout::create(root, &mapping)?;
        Ok(Self {
            image,
            mapping,
            layout,
            running: Mutex::default(),
        })
    }

    /// The id mapping of all steps.
    #[must_use]
    pub const fn mapping(&self) -> &IdMapping {
        &self.mapping
    }

    /// Tries everything that a step needs from the machine, on an empty tree.
    ///
    /// A tree without a program: that it is missed is the last thing that can fail, so nothing before
    /// it did. `invocation` is discarded afterwards.
    pub fn probe(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        let spec = StepSpec {
            parents: Vec::new(),
            output: SnapshotName::Step {
                invocation: invocation.clone(),
                run: RunId::Setup,
                index: 0,
            },
            action: StepAction::Run(RunSpec {
                argv: vec!["/nothing".to_owned()],
                env: Vec::new(),
                cwd: "/".to_owned(),
                user: String::new(),
            }),
            layer: LayerPolicy {
                epoch: Epoch::MIN,
                tick: Tick::FIRST,
            },
        };
        let result = self.run(&spec, &Variation::run_a(), &mut NoLayer, &NoOutput);
        let discarded = self.discard(invocation);
        match result {
            Err(ExecutorError::Refused(_)) => discarded,
            Err(error) => Err(error),
            Ok(_) => Err(ExecutorError::Internal {
                what: "an empty tree ran a program".to_owned(),
                source: None,
            }),
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What it guards is valid at every moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a stage that [`Executor::cancel`] stops.
    fn start(&self, job: Job) -> Result<(Session, Registered<'_>), ExecutorError> {
        let session = Session::start(&self.image, self.layout.root(), &self.mapping, job)?;
        let mut running = self.running();
        let stop = session.stop()?;
        if running.cancelled {
            stop.now();
            return Err(ExecutorError::Cancelled);
        }
        let id = running.next;
        running.next += 1;
        running.stops.insert(id, stop);
        let guard = Registered { executor: self, id };
        Ok((session, guard))
    }

    /// Whatever a stopped stage says, it was stopped.
    fn told<T>(&self, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        if self.running().cancelled {
            return Err(ExecutorError::Cancelled);
        }
        result
    }

    fn paths(&self, names: &[SnapshotName]) -> Vec<String> {
        names.iter().map(|name| self.layout.tree(name)).collect()
    }

    fn step_job(&self, spec: &StepSpec, variation: &Variation) -> Result<Job, ExecutorError> {
        let action = match &spec.action {
            StepAction::Run(run) => Action::Run(run.clone()),
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
            parents: self.paths(&spec.parents),
            directory: self.layout.invocation(invocation, &self.mapping)?,
            names: vec![run.to_string(), index.to_string()],
            action,
            layer: spec.layer,
            variation: variation.clone(),
        })))
    }
}

/// Takes no entries: a program that is not there leaves none.
struct NoLayer;

impl EntrySink for NoLayer {
    fn entry(&mut self, _: &Entry, _: &mut dyn io::Read) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes output nowhere.
struct NoOutput;

impl StepObserver for NoOutput {
    fn output(&self, _: &[u8]) {}
}

/// Takes a stage off the list of those that can be stopped.
struct Registered<'a> {
    executor: &'a NativeExecutor,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.executor.running().stops.remove(&self.id);
    }
}

impl Executor for NativeExecutor {
    fn name(&self) -> &'static str {
        "native"
    }

    fn stored(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        let path = self.layout.info(chain);
        let input = |source| ExecutorError::Input {
            what: format!("cannot read {}", path.display()),
            source: Some(source),
        };
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|error| input(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(input(error)),
        }
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
        let (session, _guard) = self.start(Job::Unpack {
            parents: self.paths(&parents),
            directory: self.layout.snapshots(),
            name: chain.0.hex(),
        })?;
        let sent = send(layer, &session);
        let answer = session.finish();
        match (self.told(answer)?, sent) {
            (Done::Unpacked(info), Ok(())) => Ok(info),
            (_, Err(error)) => Err(ExecutorError::Input {
                what: "cannot read the layer to unpack".to_owned(),
                source: Some(error),
            }),
            (other, Ok(())) => Err(unexpected(&other)),
        }
    }

    fn run(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let (mut session, _guard) = self.start(self.step_job(spec, variation)?)?;
        session.forward_log(observer)?;
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

    fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        let Some(name) = self.layout.existing_invocation(invocation)? else {
            return Ok(());
        };
        // Not among those that `cancel` stops: what is left of a cancelled build is removed too.
        let job = Job::Remove {
            directory: name.clone(),
            names: Layout::run_names(),
        };
        let session = Session::start(&self.image, self.layout.root(), &self.mapping, job)?;
        match session.finish()? {
            Done::Nothing => self.layout.remove_invocation(&name),
            other => Err(unexpected(&other)),
        }
    }

    fn cancel(&self) {
        let mut running = self.running();
        running.cancelled = true;
        for stop in running.stops.values() {
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

fn broken_layer(error: io::Error) -> ExecutorError {
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
