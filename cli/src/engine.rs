//! What runs steps and brings files, ready to work and ready to be stopped.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use repro_core::{
    build::{Executor, Grants, InvocationId, Snapshotter},
    store::{RunDir, Store},
};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage};
use repro_toolchains::fetch::{FetchSettings, Fetcher, Mirror, RetryPolicy, machine_mirrors};

use crate::{commands::Context, error::CommandError, place::PlaceArgs};

/// Where the machine's own package sources are listed.
pub(crate) const APT: &str = "/etc/apt";

/// Executor and downloads of one invocation. A signal stops both.
pub(crate) struct Engine {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) fetcher: Fetcher,
    /// Set when a signal comes, for what else has to end then.
    pub(crate) cancelled: Arc<AtomicBool>,
    invocation: InvocationId,
    /// Locked while it lives: if this process is killed, the next one knows what to sweep.
    scratch: RunDir,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("executor", &self.executor.name())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Gets ready, with what steps are lent, and removes what killed processes left.
    pub(crate) fn start(
        context: &Context,
        store: &Store,
        invocation: &InvocationId,
        mirrors: &[Mirror],
        grants: &Grants,
        place: &PlaceArgs,
    ) -> Result<Self, CommandError> {
        let executor = place.executor(context, store, grants)?;
        sweep(store, &*executor)?;
        let scratch = store.create_run(invocation)?;
        executor.sweep(&store.runs()?)?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let fetcher = Fetcher::new(FetchSettings {
            mirrors: all_mirrors(mirrors),
            partial: store.blobs().tmp().to_owned(),
            retry: RetryPolicy::default(),
            cancelled: Arc::clone(&cancelled),
        });
        let stopped = Arc::clone(&executor);
        let stop = Arc::clone(&cancelled);
        context.interrupts.on_signal(move || {
            stop.store(true, Ordering::SeqCst);
            stopped.cancel();
        });
        Ok(Self {
            executor,
            fetcher,
            cancelled,
            invocation: invocation.clone(),
            scratch,
        })
    }

    /// Removes what the steps left, and gives `result` back: where there is an error already, it
    /// is the one to tell.
    pub(crate) fn finish<T>(self, result: Result<T, CommandError>) -> Result<T, CommandError> {
        let swept = self
            .executor
            .discard(&self.invocation)
            .map_err(CommandError::from)
            .and_then(|()| Ok(self.scratch.remove()?));
        let value = result?;
        swept?;
        Ok(value)
    }
}

/// Removes what builds left whose process was killed; gives how many they were.
pub(crate) fn sweep(store: &Store, executor: &dyn Executor) -> Result<u64, CommandError> {
    let mut swept = 0;
    for stale in store.stale_runs()? {
        let invocation = stale.invocation();
        executor.discard(invocation)?;
        repro_engine::forget(store.root(), invocation)?;
        if NativeExecutor::left_trees(store.root(), invocation) {
            // Its steps ran in the sandbox, which the executor of this process is not.
            let snapshots = Snapshots::By(Snapshotter::Overlay);
            NativeExecutor::new(StageImage::capture()?, store.root(), snapshots)?
                .discard(invocation)?;
        }
        stale.remove()?;
        swept += 1;
    }
    Ok(swept)
}

/// The mirrors of the caller, then those that the machine installs its own packages from.
fn all_mirrors(given: &[Mirror]) -> Vec<Mirror> {
    let mut mirrors = given.to_vec();
    // A machine without readable apt sources has other mirrors, or has all files already.
    match machine_mirrors(Path::new(APT)) {
        Ok(own) => mirrors.extend(own),
        Err(error) => tracing::info!(%error, "the machine's package sources cannot be read"),
    }
    mirrors
}

/// The mirrors whose releases a lock is made from: those of the caller alone, if there are any,
/// since a state that was chosen must not silently become another one.
pub(crate) fn release_mirrors(given: &[Mirror]) -> Result<Vec<Mirror>, CommandError> {
    if given.is_empty() {
        Ok(machine_mirrors(Path::new(APT))?)
    } else {
        Ok(given.to_vec())
    }
}
