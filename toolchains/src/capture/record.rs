//! What a capture has seen.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use repro_core::{digest::Digest, platform::Platform};

use super::StepKey;
use crate::lock::{FetchKey, LockedFetch, LockedStep, StepName};

/// Takes answers of all steps, from any thread.
#[derive(Default)]
pub(super) struct Recorder(Mutex<BTreeMap<StepName, Captured>>);

struct Captured {
    instruction: Digest,
    fetches: Vec<LockedFetch>,
}

impl Recorder {
    fn steps_mut(&self) -> MutexGuard<'_, BTreeMap<StepName, Captured>> {
        // Answers are added whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, step: &StepKey, fetch: LockedFetch) {
        self.steps_mut()
            .entry(step.name.clone())
            .or_insert_with(|| Captured {
                instruction: step.instruction,
                fetches: Vec::new(),
            })
            .fetches
            .push(fetch);
    }

    /// Everything, as a lock has it.
    pub(super) fn steps(&self, platform: &Platform) -> Vec<LockedStep> {
        let steps = self.steps_mut();
        let steps = steps.iter().map(|(name, captured)| LockedStep {
            platform: platform.clone(),
            name: name.clone(),
            instruction: captured.instruction,
            fetches: renumbered(&captured.fetches),
        });
        steps.collect()
    }
}

/// Turns without gaps: a request that got no answer had a turn, and is not in the lock. Where all
/// answers to a key are equal, one stands for all of them.
fn renumbered(fetches: &[LockedFetch]) -> Vec<LockedFetch> {
    let mut by_key: BTreeMap<&FetchKey, Vec<&LockedFetch>> = BTreeMap::new();
    for fetch in fetches {
        by_key.entry(&fetch.key).or_default().push(fetch);
    }
    let mut list = Vec::with_capacity(fetches.len());
    for mut answers in by_key.into_values() {
        answers.sort_by_key(|fetch| fetch.turn);
        let Some(first) = answers.first().copied() else {
            continue;
        };
        if answers.iter().all(|answer| answer.same_answer(first)) {
            answers.truncate(1);
        }
        list.extend((1..).zip(answers).map(|(turn, fetch)| LockedFetch {
            turn,
            ..fetch.clone()
        }));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(url: &str, turn: u32, body: &[u8]) -> LockedFetch {
        LockedFetch {
            key: FetchKey {
                url: url.to_owned(),
                method: "GET".to_owned(),
                body: None,
                accept: None,
            },
            turn,
            status: 200,
            size: body.len() as u64,
            sha256: Digest::of(body),
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn turns_are_counted_without_gaps_and_equal_answers_are_one() {
        let seen = [
            answer("http://b", 3, b"later"),
            answer("http://a", 2, b"x"),
            answer("http://b", 1, b"first"),
            answer("http://a", 1, b"x"),
        ];
        let list = renumbered(&seen);
        let shown: Vec<(&str, u32)> = list
            .iter()
            .map(|fetch| (fetch.key.url.as_str(), fetch.turn))
            .collect();
        assert_eq!(shown, [("http://a", 1), ("http://b", 1), ("http://b", 2)]);
        assert_eq!(list[1].sha256, Digest::of(b"first"));
    }
}
