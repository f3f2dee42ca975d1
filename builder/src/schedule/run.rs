//! One run of a plan, from its first step to an image.

use std::{collections::BTreeMap, time::Duration};

use repro_core::{
    build::{
        Clock, CopySource, CopySpec, Executor, ExecutorError, Failure, ImageRecord, InvocationId,
        LayerPolicy, RunId, RunRecord, SnapshotName, StepAction, StepExit, StepRecord, StepResult,
        StepSpec, Variation,
    },
    digest::{ChainId, DiffId, Digest},
    epoch::Epoch,
    event::{Event, EventSink},
    image::LayerDescriptor,
    layer::{BuildLayerError, LayerBuilder, StoredLayer},
    ruleset::Ruleset,
    store::{BlobError, BlobStore},
};

use super::{
    assemble::{AssembleError, HistoryStep, assemble},
    board::{Board, Ending, Turn},
    log::StepLog,
};
use crate::plan::{CopyFrom, Plan, StageBase, Step, Work};

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

/// What both runs share.
pub(crate) struct RunContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) context: Vec<ChainId>,
    /// Directories given as contexts, by name.
    pub(crate) named: &'a BTreeMap<String, Vec<ChainId>>,
    pub(crate) invocation: &'a InvocationId,
    pub(crate) epoch: Epoch,
    pub(crate) ruleset: Ruleset,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) events: &'a dyn EventSink,
    pub(crate) clock: &'a dyn Clock,
}

/// How a run ended where it was not an error.
#[derive(Debug)]
pub(crate) enum RunEnd {
    /// To the end, or to a step that failed.
    Done(Box<RunRecord>),
    /// Run A failed first.
    Stopped,
}

/// The layers of one stage in one run.
#[derive(Debug, Default, Clone)]
struct StageState {
    trees: Vec<SnapshotName>,
    layers: Vec<LayerDescriptor>,
    history: Vec<HistoryStep>,
}

/// Runs the whole plan once.
pub(crate) fn run(
    context: &RunContext<'_>,
    id: RunId,
    variation: &Variation,
    board: Option<&Board>,
) -> Result<RunEnd, RunError> {
    let guard = board.filter(|_| id == RunId::A).map(EndGuard);
    let mut record = RunRecord {
        id,
        invocation_id: format!("{}/{id}", context.invocation),
        executor: context.executor.name().to_owned(),
        policy: context.executor.policy(),
        variation: variation.clone(),
        started_on: context.clock.rfc3339(),
        finished_on: String::new(),
        steps: Vec::new(),
        image: None,
        failure: None,
    };
    let mut running = Running {
        context,
        id,
        variation,
        board,
        stages: Vec::new(),
    };
    for (index, step) in (0_u32..).zip(&context.plan.steps) {
        running.enter(step.stage);
        match running.step(index, step)? {
            Ended::Stopped => return Ok(RunEnd::Stopped),
            Ended::Nothing => {}
            Ended::Layer(step) => record.steps.push(*step),
            Ended::Failed(failure) => {
                context.events.event(Event::StepFailed {
                    run: id,
                    index,
                    message: failure.message.clone(),
                });
                record.failure = Some(failure);
                break;
            }
        }
    }
    if record.failure.is_none() {
        running.enter(context.plan.target);
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
    stages: Vec<StageState>,
}

enum Ended {
    Nothing,
    Layer(Box<StepRecord>),
    Failed(Failure),
    Stopped,
}

impl Running<'_> {
    /// Makes sure that all stages up to `stage` have begun.
    fn enter(&mut self, stage: usize) {
        while self.stages.len() <= stage {
            let begun = match &self.context.plan.stages[self.stages.len()].base {
                StageBase::Scratch => StageState::default(),
                StageBase::Stage(base) => self.stages[*base].clone(),
                StageBase::Image(image) => StageState {
                    trees: image
                        .chain
                        .iter()
                        .copied()
                        .map(SnapshotName::Stored)
                        .collect(),
                    layers: image.layers.clone(),
                    history: Vec::new(),
                },
            };
            self.stages.push(begun);
        }
    }

    fn step(&mut self, index: u32, step: &Step) -> Result<Ended, RunError> {
        let Some(action) = self.action(&step.work) else {
            self.stages[step.stage]
                .history
                .push(HistoryStep::empty(&step.history));
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
            parents: self.stages[step.stage].trees.clone(),
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
        let result = self
            .context
            .executor
            .run(&spec, self.variation, &mut layer, &log);
        let log = log.finish()?;
        let result = match result {
            Ok(result) if result.exit == StepExit::Success => result,
            Ok(result) => return Ok(Ended::Failed(failed(index, result.exit, log))),
            Err(ExecutorError::Refused(message)) => {
                return Ok(Ended::Failed(Failure {
                    index,
                    exit: None,
                    message,
                    log,
                }));
            }
            Err(source) => {
                let instruction = step.history.clone();
                return Err(RunError::Executor {
                    line: step.line,
                    instruction,
                    source,
                });
            }
        };
        let layer = layer.finish().map_err(layer_error)?;
        Ok(Ended::Layer(Box::new(
            self.keep(index, step, output, layer, result, log),
        )))
    }

    fn wait(&self, index: u32) -> Turn {
        let Some(board) = self.board else {
            return Turn::Go;
        };
        match self.id {
            RunId::B => {
                board.wait_turn(index, Duration::from_millis(self.variation.start_delay_ms))
            }
            RunId::A | RunId::BRepeat | RunId::Setup => {
                board.started(index);
                Turn::Go
            }
        }
    }

    fn keep(
        &mut self,
        index: u32,
        step: &Step,
        output: SnapshotName,
        layer: Option<StoredLayer>,
        result: StepResult,
        log: Option<Digest>,
    ) -> StepRecord {
        let diff_id = layer.as_ref().map(|layer| layer.diff_id);
        let stage = &mut self.stages[step.stage];
        stage.history.push(HistoryStep {
            created_by: step.history.clone(),
            layer: diff_id,
        });
        if let Some(layer) = &layer {
            stage.trees.push(output);
            stage.layers.push(layer.descriptor());
        }
        self.report(index, diff_id, result.usage.wall_ms);
        StepRecord {
            index,
            diff_id,
            blob: layer.as_ref().map(|layer| layer.blob.digest),
            blob_size: layer.as_ref().map(|layer| layer.blob.size),
            network: result.network,
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
            Work::Run(spec) => Some(StepAction::Run(spec.clone())),
            Work::MakeDir(spec) => Some(StepAction::MakeDir(spec.clone())),
            Work::Copy { from, what } => {
                let stored =
                    |chain: &[ChainId]| chain.iter().copied().map(SnapshotName::Stored).collect();
                let source = match from {
                    CopyFrom::Context => CopySource::Context {
                        trees: stored(&self.context.context),
                    },
                    CopyFrom::Named(name) => CopySource::Context {
                        trees: self
                            .context
                            .named
                            .get(name)
                            .map(|chain| stored(chain))
                            .unwrap_or_default(),
                    },
                    CopyFrom::Stage(stage) => CopySource::Tree {
                        trees: self.stages[*stage].trees.clone(),
                    },
                    CopyFrom::Tree(chain) => CopySource::Tree {
                        trees: stored(chain),
                    },
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

    fn image(&self) -> Result<ImageRecord, RunError> {
        let target = self.context.plan.target;
        let state = &self.stages[target];
        let config = &self.context.plan.stages[target].config;
        let image = assemble(
            self.context.blobs,
            config,
            &state.layers,
            &state.history,
            self.context.epoch,
        )?;
        Ok(image)
    }
}

fn failed(index: u32, exit: StepExit, log: Option<Digest>) -> Failure {
    let message = match exit {
        StepExit::Success => "ended well".to_owned(),
        StepExit::Code(code) => format!("exited with code {code}"),
        StepExit::Signal(signal) => format!("was ended by signal {signal}"),
    };
    Failure {
        index,
        exit: Some(exit),
        message,
        log,
    }
}
