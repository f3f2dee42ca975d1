//! Several transfers at a time.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// Does `work` for every item, at most `most` at a time, in the order of the items. The first error
/// makes the others stop: `work` is given what says so. Of several errors the first that is not
/// `stopped`, which the others have only because of it, is the one that is given back.
pub(crate) fn each<T: Sync, E: Send>(
    items: &[T],
    most: usize,
    cancelled: &AtomicBool,
    work: impl Fn(&T, &(dyn Fn() -> bool + Sync)) -> Result<(), E> + Sync,
    stopped: impl Fn(&E) -> bool,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let stop = || failed.load(Ordering::Relaxed) || cancelled.load(Ordering::Relaxed);
    let worker = || -> Result<(), E> {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item, &stop).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..most.min(items.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let mut errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|error| stopped(error));
    errors.into_iter().next().map_or(Ok(()), Err)
}
