//! Work on many items side by side.

use std::{
    num::NonZeroUsize,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Items that are handed from thread to thread at a time, and how many such parts may wait.
const PART: usize = 256;
const WAITING: usize = 4;

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

/// Calls `take` with what `items` gives, which another thread works out ahead if there is more than one.
pub(super) fn ahead<T: Send, R>(
    threads: NonZeroUsize,
    mut items: impl Iterator<Item = T> + Send,
    take: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> R {
    if threads.get() == 1 {
        return take(&mut items);
    }
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<T>>(WAITING);
        let give = move || {
            loop {
                let part: Vec<T> = items.by_ref().take(PART).collect();
                // Nobody takes any more once `take` has ended.
                if part.is_empty() || sender.send(part).is_err() {
                    return;
                }
            }
        };
        let giver = scope.spawn(give);
        let result = take(&mut receiver.into_iter().flatten());
        match giver.join() {
            Ok(()) => result,
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

    #[test]
    fn items_worked_out_ahead_are_all_taken_in_order_or_left() {
        for threads in [1, 2] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let all: Vec<u32> = ahead(threads, 0..5000, |items| items.collect());
            assert_eq!(all, (0..5000).collect::<Vec<_>>());
            assert_eq!(ahead(threads, 0.., |items| items.nth(2)), Some(2));
        }
    }
}
