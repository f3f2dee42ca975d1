//! Finding the answer that a lock has.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{digest::Digest, platform::Platform};

use super::StepKey;
use crate::lock::{FetchKey, LockedFetch, LockedStep};

/// The answers of a lock for one platform.
pub(super) struct Book(Vec<LockedStep>);

/// Which request of its key a request is.
pub(super) type Turns = BTreeMap<FetchKey, u32>;

/// What the lock says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// This.
    Answer(&'a LockedFetch),
    /// Nothing.
    Nothing,
    /// The step asked more often than when it was captured, and got different answers then.
    TooOften,
    /// Several steps asked for it and got different answers, and which of them this is cannot be told.
    Ambiguous,
}

impl Book {
    /// The answers for the platform; `None` if there are none.
    pub(super) fn new(steps: &[LockedStep], platform: &Platform) -> Option<Self> {
        let steps: Vec<_> = steps
            .iter()
            .filter(|step| step.platform == *platform && !step.fetches.is_empty())
            .cloned()
            .collect();
        (!steps.is_empty()).then_some(Self(steps))
    }

    pub(super) fn bodies(&self) -> BTreeSet<Digest> {
        let fetches = self.0.iter().flat_map(|step| &step.fetches);
        fetches.map(|fetch| fetch.sha256).collect()
    }

    /// The answer to the next request of a step for `key`, whose `accept` is what the client says.
    ///
    /// The step's own entries come first. A step that was edited, or is new, gets what all other steps
    /// of the lock agree on.
    pub(super) fn next(&self, step: &StepKey, key: &FetchKey, turns: &mut Turns) -> Found<'_> {
        if let Some(own) = self.own(step) {
            let answers = of_key(&own.fetches, key);
            if let Some(first) = answers.first() {
                return in_turn(&answers, turns.entry(first.key.clone()).or_default());
            }
        }
        let all: Vec<&LockedFetch> = self
            .0
            .iter()
            .flat_map(|step| of_key(&step.fetches, key))
            .collect();
        match agreed(&all) {
            Found::Nothing if key.method == "HEAD" => {
                // The headers of the whole are those of HEAD.
                let get = FetchKey {
                    method: "GET".to_owned(),
                    ..key.clone()
                };
                let all = self.0.iter().flat_map(|step| of_key(&step.fetches, &get));
                agreed(&all.collect::<Vec<_>>())
            }
            found => found,
        }
    }

    /// The step of the lock that this one is: of the same place and text, else of the same text, in the
    /// same stage rather than in another one.
    fn own(&self, step: &StepKey) -> Option<&LockedStep> {
        let same = |other: &&LockedStep| other.instruction == step.instruction;
        let named = self.0.iter().find(|other| other.name == step.name);
        let beside = || {
            let mut of_stage = self.0.iter().filter(same);
            of_stage.find(|other| other.name.stage == step.name.stage)
        };
        named
            .filter(same)
            .or_else(beside)
            .or_else(|| self.0.iter().find(same))
    }
}

/// The entries that are for a request: those for what it accepts, else those for anything.
fn of_key<'a>(fetches: &'a [LockedFetch], key: &FetchKey) -> Vec<&'a LockedFetch> {
    let fits = |fetch: &&LockedFetch| {
        let own = &fetch.key;
        own.url == key.url && own.method == key.method && own.body == key.body
    };
    let of = |accept: &Option<String>| -> Vec<&LockedFetch> {
        let fitting = fetches.iter().filter(fits);
        fitting
            .filter(|fetch| fetch.key.accept == *accept)
            .collect()
    };
    let exact = of(&key.accept);
    if exact.is_empty() { of(&None) } else { exact }
}

fn in_turn<'a>(answers: &[&'a LockedFetch], turns: &mut u32) -> Found<'a> {
    *turns = turns.saturating_add(1);
    let index = usize::try_from(*turns - 1).unwrap_or(usize::MAX);
    match (answers.get(index), agreed(answers)) {
        (Some(answer), _) => Found::Answer(answer),
        (None, Found::Answer(answer)) => Found::Answer(answer),
        (None, _) => Found::TooOften,
    }
}

/// The answer, if all are the same.
fn agreed<'a>(answers: &[&'a LockedFetch]) -> Found<'a> {
    match answers {
        [] => Found::Nothing,
        [first, rest @ ..] if rest.iter().all(|answer| answer.same_answer(first)) => {
            Found::Answer(first)
        }
        _ => Found::Ambiguous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(url: &str, turn: u32, body: &str) -> LockedFetch {
        LockedFetch {
            key: key("GET", url, None),
            turn,
            status: 200,
            size: body.len() as u64,
            sha256: Digest::of(body.as_bytes()),
            headers: BTreeMap::new(),
        }
    }

    fn key(method: &str, url: &str, accept: Option<&str>) -> FetchKey {
        FetchKey {
            url: url.to_owned(),
            method: method.to_owned(),
            body: None,
            accept: accept.map(str::to_owned),
        }
    }

    fn locked(name: &str, text: &str, fetches: Vec<LockedFetch>) -> LockedStep {
        LockedStep {
            platform: "linux/amd64".parse().unwrap(),
            name: name.parse().unwrap(),
            instruction: Digest::of(text.as_bytes()),
            fetches,
        }
    }

    fn step(name: &str, text: &str) -> StepKey {
        StepKey {
            name: name.parse().unwrap(),
            instruction: Digest::of(text.as_bytes()),
        }
    }

    fn book(steps: &[LockedStep]) -> Book {
        Book::new(steps, &"linux/amd64".parse().unwrap()).unwrap()
    }

    fn body(found: &Found<'_>) -> Option<Digest> {
        match found {
            Found::Answer(fetch) => Some(fetch.sha256),
            _ => None,
        }
    }

    #[test]
    fn turns_are_the_steps_own() {
        let book = book(&[locked(
            "0/1",
            "RUN a",
            vec![fetch("http://h", 1, "one"), fetch("http://h", 2, "two")],
        )]);
        let (this, key) = (step("0/1", "RUN a"), key("GET", "http://h", None));
        let mut turns = Turns::new();
        for expected in ["one", "two"] {
            let found = book.next(&this, &key, &mut turns);
            assert_eq!(body(&found), Some(Digest::of(expected.as_bytes())));
        }
        assert_eq!(book.next(&this, &key, &mut turns), Found::TooOften);
        // The other run begins anew.
        assert!(body(&book.next(&this, &key, &mut Turns::new())).is_some());
    }

    #[test]
    fn equal_answers_are_given_as_often_as_asked() {
        let book = book(&[locked("0/1", "RUN a", vec![fetch("http://h", 1, "x")])]);
        let mut turns = Turns::new();
        for _ in 0..5 {
            let found = book.next(
                &step("0/1", "RUN a"),
                &key("GET", "http://h", None),
                &mut turns,
            );
            assert!(body(&found).is_some());
        }
    }

    #[test]
    fn an_edited_step_gets_what_the_others_agree_on() {
        let book = book(&[
            locked(
                "0/1",
                "RUN a",
                vec![fetch("http://h", 1, "x"), fetch("http://i", 1, "1")],
            ),
            locked(
                "b/1",
                "RUN b",
                vec![fetch("http://h", 1, "x"), fetch("http://i", 1, "2")],
            ),
        ]);
        let next = |step: &StepKey, url| {
            let mut turns = Turns::new();
            match book.next(step, &key("GET", url, None), &mut turns) {
                Found::Answer(fetch) => Ok(fetch.sha256),
                other => Err(format!("{other:?}")),
            }
        };
        let edited = step("0/1", "RUN a and more");
        assert_eq!(next(&edited, "http://h"), Ok(Digest::of(b"x")));
        assert_eq!(next(&edited, "http://i"), Err("Ambiguous".to_owned()));
        assert_eq!(next(&edited, "http://j"), Err("Nothing".to_owned()));
        // One that only moved is known by its text.
        assert_eq!(
            next(&step("0/3", "RUN b"), "http://i"),
            Ok(Digest::of(b"2"))
        );
    }

    #[test]
    fn what_is_accepted_counts_where_the_server_says_so() {
        let mut json = fetch("http://h", 1, "json");
        json.key.accept = Some("application/json".to_owned());
        let book = book(&[locked(
            "0/1",
            "RUN a",
            vec![fetch("http://h", 1, "any"), json],
        )]);
        let next = |accept| {
            let mut turns = Turns::new();
            body(&book.next(
                &step("0/1", "RUN a"),
                &key("GET", "http://h", accept),
                &mut turns,
            ))
        };
        assert_eq!(next(Some("application/json")), Some(Digest::of(b"json")));
        assert_eq!(next(Some("text/html")), Some(Digest::of(b"any")));
        assert_eq!(next(None), Some(Digest::of(b"any")));
    }

    #[test]
    fn head_is_answered_by_the_whole() {
        let book = book(&[locked("0/1", "RUN a", vec![fetch("http://h", 1, "x")])]);
        let found = &mut Turns::new();
        let found = book.next(&step("0/1", "RUN a"), &key("HEAD", "http://h", None), found);
        assert!(body(&found).is_some());
    }
}
