//! What the stages of one run have come to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use repro_core::{build::SnapshotName, image::LayerDescriptor};

use super::assemble::HistoryStep;
use crate::plan::{Stage, StageBase};

/// The layers of one stage.
#[derive(Debug, Default, Clone)]
pub(super) struct StageState {
    /// Lowest first.
    pub(super) trees: Vec<SnapshotName>,
    /// Lowest first.
    pub(super) layers: Vec<LayerDescriptor>,
    /// Without that of the base image.
    pub(super) history: Vec<HistoryStep>,
}

/// All stages of one run, for the threads that carry out its steps.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    plan: &'a [Stage],
    /// `None` until the stage begins, which is when the one that it starts from has ended.
    states: Mutex<Vec<Option<StageState>>>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(plan: &'a [Stage]) -> Self {
        Self {
            plan,
            states: Mutex::new(vec![None; plan.len()]),
        }
    }

    /// Adds to a stage.
    pub(super) fn add(&self, stage: usize, change: impl FnOnce(&mut StageState)) {
        change(begun(self.plan, &mut self.states(), stage));
    }

    /// The stage as it is now.
    pub(super) fn get(&self, stage: usize) -> StageState {
        begun(self.plan, &mut self.states(), stage).clone()
    }

    /// Its trees, lowest first.
    pub(super) fn trees(&self, stage: usize) -> Vec<SnapshotName> {
        begun(self.plan, &mut self.states(), stage).trees.clone()
    }

    fn states(&self) -> MutexGuard<'_, Vec<Option<StageState>>> {
        // A thread that panicked ends the whole run.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begun<'s>(
    plan: &[Stage],
    states: &'s mut [Option<StageState>],
    stage: usize,
) -> &'s mut StageState {
    if states[stage].is_none() {
        let begin = match &plan[stage].base {
            StageBase::Scratch => StageState::default(),
            StageBase::Stage(base) => begun(plan, states, *base).clone(),
            StageBase::Image(image) => {
                let trees = image.chain.iter().copied().map(SnapshotName::Stored);
                StageState {
                    trees: trees.collect(),
                    layers: image.layers.clone(),
                    history: Vec::new(),
                }
            }
        };
        states[stage] = Some(begin);
    }
    states[stage].get_or_insert_default()
}
