//! Work on many items side by side.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Calls `work` with every item, on `threads` threads; the results are in the order of the items, so that
/// nothing shows how many threads there were.
pub(super) fn each<T: Sync, R: Send>(
    threads: NonZeroUsize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let helpers = threads.get().min(items.len()).saturating_sub(1);
    let mut results = thread::scope(|scope| {
        let running: Vec<_> = (0..helpers).map(|_| scope.spawn(take)).collect();
        let mut results = take();
        for helper in running {
            match helper.join() {
                Ok(part) => results.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Both of two pieces of work, side by side if there is more than one thread.
pub(super) fn both<A: Send, B: Send>(
    threads: NonZeroUsize,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if threads.get() == 1 {
        return (one(), other());
    }
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        match other.join() {
            Ok(other) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 2, 7] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let doubled = each(threads, &items, |item| 2 * item);
            assert!(doubled.iter().enumerate().all(|(at, item)| *item == 2 * at));
        }
        assert!(each(NonZeroUsize::MIN, &[] as &[u8], |_| ()).is_empty());
    }
}
