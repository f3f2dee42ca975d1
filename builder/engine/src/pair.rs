//! Two executors for the two runs of one build: different technologies, one verdict.

use std::{collections::BTreeSet, fmt, sync::Arc};

use repro_core::{
    build::{
        Executor, ExecutorError, InvocationId, RunId, SnapshotInfo, SnapshotName, Snapshotter,
        StepNetwork, StepObserver, StepResult, StepSpec, UserIds, Variation,
    },
    digest::{ChainId, Digest},
    tree::{EntrySink, EntrySource},
};

use crate::EngineExecutor;

/// Run B in one executor, and every other run in another.
pub struct Pair {
    first: Arc<dyn Executor>,
    second: Arc<dyn Executor>,
    /// The one of both that keeps layers as they came; none where both keep trees, in one store.
    keeper: Option<Arc<EngineExecutor>>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [self.first.name(), self.second.name()];
        f.debug_tuple("Pair").field(&names).finish()
    }
}

impl Pair {
    /// `keeper` is one of both, the engine if one is; without any, both have their trees in the same store.
    #[must_use]
    pub fn new(
        first: Arc<dyn Executor>,
        second: Arc<dyn Executor>,
        keeper: Option<Arc<EngineExecutor>>,
    ) -> Self {
        Self {
            first,
            second,
            keeper,
        }
    }

    fn of(&self, run: RunId) -> &dyn Executor {
        match run {
            RunId::B => &*self.second,
            _ => &*self.first,
        }
    }

    /// Both, though the first has failed; the first error counts.
    fn both<T>(
        &self,
        work: impl Fn(&dyn Executor) -> Result<T, ExecutorError>,
    ) -> Result<(T, T), ExecutorError> {
        let (first, second) = (work(&*self.first), work(&*self.second));
        Ok((first?, second?))
    }
}

/// What is asked of the whole, and not of a run, is of the first.
impl Executor for Pair {
    fn name(&self) -> &'static str {
        self.first.name()
    }

    fn of_run(&self, run: RunId) -> Option<&dyn Executor> {
        Some(self.of(run))
    }

    fn sweep(&self, alive: &BTreeSet<InvocationId>) -> Result<u64, ExecutorError> {
        let (first, second) = self.both(|executor| executor.sweep(alive))?;
        Ok(first + second)
    }

    fn policy(&self) -> Digest {
        self.first.policy()
    }

    fn user_ids(&self) -> UserIds {
        self.first.user_ids()
    }

    fn snapshotter(&self) -> Snapshotter {
        self.first.snapshotter()
    }

    fn stored(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        let (first, second) = self.both(|executor| executor.stored(chain))?;
        Ok(first.and(second))
    }

    fn unpack(
        &self,
        parents: &[ChainId],
        chain: ChainId,
        layer: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError> {
        let Some(keeper) = &self.keeper else {
            return self.first.unpack(parents, chain, layer);
        };
        // A layer comes once, so the one that keeps it as it came is first.
        let info = keeper.unpack(parents, chain, layer)?;
        for executor in [&self.first, &self.second] {
            if executor.stored(chain)?.is_none() {
                executor.unpack(parents, chain, &mut keeper.entries(chain)?)?;
            }
        }
        Ok(info)
    }

    fn run(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let run = match &spec.output {
            SnapshotName::Step { run, .. } => *run,
            SnapshotName::Stored(_) => RunId::A,
        };
        self.of(run).run(spec, variation, network, layer, observer)
    }

    fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        self.both(|executor| executor.discard(invocation)).map(drop)
    }

    fn stop(&self, invocation: &InvocationId, run: RunId) {
        self.of(run).stop(invocation, run);
    }

    fn cancel(&self) {
        self.first.cancel();
        self.second.cancel();
    }
}
