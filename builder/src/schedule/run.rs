//! One run of a plan, from its first step to an image.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use repro_core::{
    build::{
        Clock, CopySource, CopySpec, Executor, ExecutorError, Failure, ImageRecord, InvocationId,
        LayerPolicy, NetworkObservation, RunId, RunRecord, SnapshotName, StepAction, StepExit,
        StepNetwork, StepRecord, StepResult, StepSpec, Variation, as_written,
    },
    digest::{ChainId, DiffId, Digest},
    epoch::Epoch,
    event::{Event, EventSink},
    layer::{BuildLayerError, LayerBuilder, StoredLayer},
    ruleset::Ruleset,
    store::{BlobError, BlobStore},
};
use repro_toolchains::capture::{Network, Refusal, StepSession, Traffic, UsedFetch};

use super::{
    assemble::{AssembleError, HistoryStep, assemble},
    board::{Board, Ending, Turn},
    log::StepLog,
    order::order,
    queue::{Queue, StopOnPanic},
    stages::Stages,
};
use crate::plan::{CopyFrom, Plan, Step, Work};

/// Why a run cannot go on. A step whose program fails is no error but a [`Failure`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The executor cannot run a step.
    #[error("line {line}: {instruction}")]
    Executor {
        /// Line in the Dockerfile.
        line: u32,
        /// The instruction.
        instruction: String,
        /// Why.
        #[source]
        source: ExecutorError,
    },
    /// A step asked for something that nobody was to answer. What became of the step does not matter:
    /// one that goes on without what it asked for is another one.
    #[error("line {line}: {instruction}: {}", list(refused))]
    Refused {
        /// Line in the Dockerfile.
        line: u32,
        /// The instruction.
        instruction: String,
        /// Each of the requests.
        refused: Vec<Refusal>,
    },
    /// A layer cannot be kept.
    #[error("cannot keep the layer of line {line}")]
    Layer {
        /// Line in the Dockerfile.
        line: u32,
        /// Why.
        #[source]
        source: BuildLayerError,
    },
    /// A log cannot be kept.
    #[error("cannot keep the log of a step")]
    Log(#[from] BlobError),
    /// The image cannot be put together.
    #[error("cannot put the image together")]
    Assemble(#[from] AssembleError),
}

/// The first of them, a line each where there are several.
fn list(refused: &[Refusal]) -> String {
    const SHOWN: usize = 10;
    if let [refusal] = refused {
        return refusal.to_string();
    }
    let mut text = format!("{} requests were not answered:", refused.len());
    for refusal in refused.iter().take(SHOWN) {
        // A String takes everything.
        let _ = write!(text, "\n  {refusal}");
    }
    if refused.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", refused.len() - SHOWN);
    }
    text
}

/// What both runs share.
pub(crate) struct RunContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) context: Vec<ChainId>,
    /// Directories given as contexts, by name.
    pub(crate) named: &'a BTreeMap<String, Vec<ChainId>>,
    pub(crate) invocation: &'a InvocationId,
    /// Of the manifest.
    pub(crate) annotations: &'a BTreeMap<String, String>,
    pub(crate) epoch: Epoch,
    pub(crate) ruleset: Ruleset,
    pub(crate) executor: &'a dyn Executor,
    /// Who answers what steps ask servers for, if anybody does.
    pub(crate) network: Option<&'a Network>,
    /// What was answered, with the step.
    pub(crate) used: &'a Mutex<BTreeMap<UsedFetch, u32>>,
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) events: &'a dyn EventSink,
    pub(crate) clock: &'a dyn Clock,
    /// Most steps that one run has going at a time.
    pub(crate) jobs: NonZeroUsize,
}

/// How a run ended where it was not an error.
#[derive(Debug)]
pub(crate) enum RunEnd {
    /// To the end, or to a step that failed.
    Done(Box<RunRecord>),
    /// Run A failed first.
    Stopped,
}

/// Runs the whole plan once.
pub(crate) fn run(
    context: &RunContext<'_>,
    id: RunId,
    variation: &Variation,
    board: Option<&Board>,
) -> Result<RunEnd, RunError> {
    let guard = board.filter(|_| id == RunId::A).map(EndGuard);
    let executor = context.executor.of_run(id).unwrap_or(context.executor);
    let mut record = RunRecord {
        id,
        invocation_id: format!("{}/{id}", context.invocation),
        executor: executor.name().to_owned(),
        user_ids: executor.user_ids(),
        snapshotter: executor.snapshotter(),
        policy: executor.policy(),
        variation: variation.clone(),
        started_on: context.clock.rfc3339(),
        finished_on: String::new(),
        steps: Vec::new(),
        image: None,
        failure: None,
    };
    let running = Running {
        context,
        id,
        variation,
        board,
        stages: Stages::new(&context.plan.stages),
        queue: Queue::new(order(context.plan), variation.scheduling),
        ended: Mutex::default(),
    };
    let threads = context.jobs.get().min(context.plan.steps.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| running.work());
        }
        running.work();
    });
    // What steps side by side came to is told in the order of the file.
    for ended in std::mem::take(&mut *running.ended()).into_values() {
        match ended? {
            Ended::Stopped => return Ok(RunEnd::Stopped),
            Ended::Nothing | Ended::Cut => {}
            Ended::Layer(step) => record.steps.push(*step),
            Ended::Failed(failure) => {
                record.failure.get_or_insert(failure);
            }
        }
    }
    if record.failure.is_none() {
        record.image = Some(running.image()?);
        if let Some(EndGuard(board)) = &guard {
            board.ended(Ending::Complete);
        }
    }
    record.finished_on = context.clock.rfc3339();
    Ok(RunEnd::Done(Box::new(record)))
}

/// Tells run B that there will be no more steps, however run A ends.
struct EndGuard<'a>(&'a Board);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.ended(Ending::Failed);
    }
}

struct Running<'a> {
    context: &'a RunContext<'a>,
    id: RunId,
    variation: &'a Variation,
    board: Option<&'a Board>,
    stages: Stages<'a>,
    queue: Queue,
    /// How each step ended that was begun.
    ended: Mutex<BTreeMap<u32, Result<Ended, RunError>>>,
}

enum Ended {
    Nothing,
    Layer(Box<StepRecord>),
    Failed(Failure),
    /// Another step of the run failed meanwhile.
    Cut,
    /// Run A failed.
    Stopped,
}

impl Running<'_> {
    fn ended(&self) -> MutexGuard<'_, BTreeMap<u32, Result<Ended, RunError>>> {
        // Entries are added whole.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out steps until none is left. Where one fails, those that are under way are stopped,
    /// here and in the run that would be compared with this one.
    fn work(&self) {
        let _guard = StopOnPanic(&self.queue);
        while let Some(index) = self.queue.next() {
            let ended = self.step(index);
            match &ended {
                Ok(Ended::Nothing | Ended::Layer(_)) => self.queue.done(index),
                Ok(Ended::Failed(_) | Ended::Cut | Ended::Stopped) | Err(_) => self.stop(),
            }
            self.ended().insert(index, ended);
        }
    }

    fn stop(&self) {
        let RunContext {
            executor,
            invocation,
            ..
        } = self.context;
        self.queue.stop();
        executor.stop(invocation, self.id);
        if let (RunId::A, Some(board)) = (self.id, self.board) {
            board.ended(Ending::Failed);
            executor.stop(invocation, RunId::B);
        }
    }

    /// What became of a step that the executor was told to stop.
    fn cut(&self) -> Option<Ended> {
        if self.queue.is_stopped() {
            return Some(Ended::Cut);
        }
        let of_b = self.board.filter(|_| self.id == RunId::B);
        of_b.filter(|board| board.has_failed())
            .map(|_| Ended::Stopped)
    }

    fn step(&self, index: u32) -> Result<Ended, RunError> {
        let step = &self.context.plan.steps[index as usize];
        let Some(action) = self.action(&step.work) else {
            self.stages.add(step.stage, |stage| {
                stage.history.push(HistoryStep::empty(&step.history));
            });
            return Ok(Ended::Nothing);
        };
        if self.wait(index) == Turn::Stop {
            return Ok(Ended::Stopped);
        }
        self.context.events.event(Event::StepStarted {
            run: self.id,
            index,
            instruction: step.history.clone(),
            line: step.line,
        });
        let output = SnapshotName::Step {
            invocation: self.context.invocation.clone(),
            run: self.id,
            index,
        };
        let spec = StepSpec {
            parents: self.stages.trees(step.stage),
            output: output.clone(),
            action,
            layer: LayerPolicy {
                epoch: self.context.epoch,
                tick: step.tick,
            },
        };
        let log = StepLog::new(self.id, index, self.context.blobs, self.context.events)?;
        let layer_error = |source| RunError::Layer {
            line: step.line,
            source,
        };
        let mut layer = LayerBuilder::new(self.context.blobs, self.context.ruleset);
        let network = self.network(index, step);
        let result = self.context.executor.run(
            &spec,
            self.variation,
            network.as_ref().map(|network| network as &dyn StepNetwork),
            &mut layer,
            &log,
        );
        let log = log.finish()?;
        let traffic = network.map(|network| network.traffic());
        if let Some(traffic) = &traffic {
            self.seen(index, step, traffic)?;
        }
        let result = match result {
            Ok(result) if result.exit == StepExit::Success => result,
            Ok(result) => {
                let message = how(result.exit) + &unanswered(traffic.as_ref());
                let failure = Failure {
                    exit: Some(result.exit),
                    network: result.network,
                    wall_ms: Some(result.usage.wall_ms),
                    ..plain_failure(index, message, log)
                };
                return Ok(self.failed(failure));
            }
            Err(ExecutorError::Refused(message)) => {
                return Ok(self.failed(plain_failure(index, message, log)));
            }
            Err(source) => {
                if let (ExecutorError::Cancelled, Some(ended)) = (&source, self.cut()) {
                    self.context.events.event(Event::StepStopped {
                        run: self.id,
                        index,
                    });
                    return Ok(ended);
                }
                let instruction = step.history.clone();
                return Err(RunError::Executor {
                    line: step.line,
                    instruction,
                    source,
                });
            }
        };
        let layer = layer.finish().map_err(layer_error)?;
        let mut result = result;
        result.network.replayed = traffic.map(|traffic| traffic.answered);
        Ok(Ended::Layer(Box::new(
            self.keep(index, step, output, layer, result, log),
        )))
    }

    /// The network of a step that runs a program.
    fn network(&self, index: u32, step: &Step) -> Option<StepSession> {
        let network = self.context.network?;
        let key = self.context.plan.step_key(index)?;
        debug_assert!(matches!(step.work, Work::Run(_)));
        Some(network.step(self.id, &key))
    }

    /// Takes over what a step asked for. A step that another one's end cut short is no witness.
    fn seen(&self, index: u32, step: &Step, traffic: &Traffic) -> Result<(), RunError> {
        if !traffic.refused.is_empty() && self.cut().is_none() {
            return Err(RunError::Refused {
                line: step.line,
                instruction: as_written(&step.history).into_owned(),
                refused: traffic.refused.clone(),
            });
        }
        let mut used = self
            .context
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for fetch in &traffic.used {
            let first = used.entry(fetch.clone()).or_insert(index);
            *first = index.min(*first);
        }
        Ok(())
    }

    fn failed(&self, failure: Failure) -> Ended {
        self.context.events.event(Event::StepFailed {
            run: self.id,
            index: failure.index,
            message: failure.message.clone(),
        });
        Ended::Failed(failure)
    }

    fn wait(&self, index: u32) -> Turn {
        let Some(board) = self.board else {
            return Turn::Go;
        };
        match self.id {
            RunId::B => {
                board.wait_turn(index, Duration::from_millis(self.variation.start_delay_ms))
            }
            RunId::A | RunId::BRepeat | RunId::Control | RunId::Bisect | RunId::Setup => {
                board.started(index);
                Turn::Go
            }
        }
    }

    fn keep(
        &self,
        index: u32,
        step: &Step,
        output: SnapshotName,
        layer: Option<StoredLayer>,
        result: StepResult,
        log: Option<Digest>,
    ) -> StepRecord {
        let diff_id = layer.as_ref().map(|layer| layer.diff_id);
        self.stages.add(step.stage, |stage| {
            stage.history.push(HistoryStep {
                created_by: step.history.clone(),
                layer: diff_id,
            });
            if let Some(layer) = &layer {
                stage.trees.push(output);
                stage.layers.push(layer.descriptor());
            }
        });
        self.report(index, diff_id, result.usage.wall_ms);
        StepRecord {
            index,
            diff_id,
            blob: layer.as_ref().map(|layer| layer.blob.digest),
            blob_size: layer.as_ref().map(|layer| layer.blob.size),
            network: result.network,
            hindrances: result.hindrances,
            normalised: result.normalised,
            usage: result.usage,
            log,
        }
    }

    fn report(&self, index: u32, diff_id: Option<DiffId>, wall_ms: u64) {
        let events = self.context.events;
        events.event(Event::StepFinished {
            run: self.id,
            index,
            diff_id,
            wall_ms,
        });
        let compared = self
            .board
            .and_then(|board| board.finished(self.id, index, diff_id));
        if let Some(comparison) = compared {
            events.event(Event::StepCompared { index, comparison });
        }
    }

    fn action(&self, work: &Work) -> Option<StepAction> {
        match work {
            Work::Nothing => None,
            Work::Run(spec) => Some(StepAction::Run(spec.with_trees(|from| self.trees(from)))),
            Work::MakeDir(spec) => Some(StepAction::MakeDir(spec.clone())),
            Work::Copy { from, what } => {
                let trees = self.trees(from);
                let source = match from {
                    CopyFrom::Context | CopyFrom::Named(_) => CopySource::Context { trees },
                    CopyFrom::Stage(_) | CopyFrom::Tree(_) => CopySource::Tree { trees },
                };
                Some(StepAction::Copy(CopySpec {
                    source,
                    patterns: what.patterns.clone(),
                    files: what.files.clone(),
                    destination: what.destination.clone(),
                    owner: what.owner.clone(),
                    mode: what.mode.clone(),
                    layout: what.layout,
                    exclude: what.exclude.clone(),
                    archives: what.archives,
                    placement: what.placement,
                }))
            }
        }
    }

    /// The trees of this run that a copy or mount reads, lowest first.
    fn trees(&self, from: &CopyFrom) -> Vec<SnapshotName> {
        let stored = |chain: &[ChainId]| chain.iter().copied().map(SnapshotName::Stored).collect();
        match from {
            CopyFrom::Context => stored(&self.context.context),
            CopyFrom::Named(name) => {
                let named = self.context.named.get(name);
                named.map(|chain| stored(chain)).unwrap_or_default()
            }
            CopyFrom::Stage(stage) => self.stages.trees(*stage),
            CopyFrom::Tree(chain) => stored(chain),
        }
    }

    fn image(&self) -> Result<ImageRecord, RunError> {
        let target = self.context.plan.target;
        let state = self.stages.get(target);
        let config = &self.context.plan.stages[target].config;
        let image = assemble(
            self.context.blobs,
            config,
            &state.layers,
            &state.history,
            self.context.annotations,
            self.context.epoch,
        )?;
        Ok(image)
    }
}

/// What servers did not answer: it may be why a step failed.
fn unanswered(traffic: Option<&Traffic>) -> String {
    match traffic.map(|traffic| traffic.failed.as_slice()) {
        None | Some([]) => String::new(),
        Some([(url, why), rest @ ..]) => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(", nor did {more} more"),
            };
            format!("; {url} gave no answer ({why}){more}")
        }
    }
}

fn how(exit: StepExit) -> String {
    match exit {
        StepExit::Success => "ended well".to_owned(),
        StepExit::Code(code) => format!("exited with code {code}"),
        StepExit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// The failure of a step of which no program ran to its end.
fn plain_failure(index: u32, message: String, log: Option<Digest>) -> Failure {
    Failure {
        index,
        exit: None,
        message,
        log,
        network: NetworkObservation::default(),
        wall_ms: None,
    }
}
