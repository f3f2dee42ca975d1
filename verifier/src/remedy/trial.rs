//! What a build with a change shows of it.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::is_leftover;
use crate::{
    causes::Cause,
    compare::{ABSENT, Comparison, Difference, DifferenceKind},
    report::Report,
};

/// What came of a change of the Dockerfile that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// A step fails that did not before.
    Fails {
        /// The instruction, expanded.
        instruction: String,
        /// What happened, in words.
        message: String,
    },
    /// Paths of the image are otherwise that were the same in both runs: the change means something
    /// else than what was there.
    Alters(BTreeSet<String>),
    /// Every path that differed still does.
    Vain,
    /// Paths that differed are equal.
    Helps {
        /// How many.
        equal: u64,
        /// Those that still differ, with their causes.
        left: BTreeMap<String, BTreeSet<Cause>>,
    },
}

impl Trial {
    /// What two runs with a change showed in `after`, where `before` is the report that the change was
    /// made for. `changed` compares run A of both, where both made an image.
    #[must_use]
    pub fn of(before: &Report, after: &Report, changed: Option<&Comparison>) -> Self {
        if let Some(failure) = after.runs.iter().find_map(|run| run.failure.as_ref()) {
            return Self::Fails {
                instruction: failure.instruction.clone(),
                message: failure.message.clone(),
            };
        }
        let known: BTreeSet<&str> = paths(&before.differences).collect();
        let altered: BTreeSet<String> = changed
            .iter()
            .flat_map(|found| &found.differences)
            .filter(|row| row.step.is_some() && row.layer.is_some() && !row.path.is_empty())
            .filter(|row| !(is_gone(row) && is_leftover(&row.path)))
            .map(|row| row.path.as_str())
            .filter(|path| !known.iter().any(|known| is_part(known, path)))
            .map(str::to_owned)
            .collect();
        if !altered.is_empty() {
            return Self::Alters(altered);
        }
        let mut left: BTreeMap<String, BTreeSet<Cause>> = BTreeMap::new();
        for row in in_image(&after.differences) {
            left.entry(row.path.clone()).or_default().insert(row.cause);
        }
        let before: BTreeSet<&str> = in_image(&before.differences)
            .map(|row| row.path.as_str())
            .collect();
        let equal = before.iter().filter(|path| !left.contains_key(**path));
        match equal.count() as u64 {
            0 => Self::Vain,
            equal => Self::Helps { equal, left },
        }
    }
}

fn is_gone(row: &Difference) -> bool {
    let b = row.evidence.as_ref().map(|evidence| evidence.b.as_str());
    row.kind == DifferenceKind::Missing && b == Some(ABSENT)
}

fn in_image(rows: &[Difference]) -> impl Iterator<Item = &Difference> {
    rows.iter().filter(|row| row.layer.is_some())
}

/// The paths in layers, also of those that only a stage has: what is copied from them keeps its name
/// or lies below another.
fn paths(rows: &[Difference]) -> impl Iterator<Item = &str> {
    let rows = rows
        .iter()
        .filter(|row| row.step.is_some() && !row.path.is_empty());
    rows.map(|row| row.path.as_str())
}

/// Whether one of two paths is the other or lies below it: a directory that holds nothing but what
/// differed may go with it.
fn is_part(known: &str, path: &str) -> bool {
    let below = |above: &str, path: &str| {
        path.strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(known, path) || below(path, known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::planted::{Build, Planted, file, step};

    fn report(a: &[Planted], b: &[Planted]) -> Report {
        let build = Build::new(&[step("RUN x", a.to_vec(), b.to_vec())]);
        let comparison = build.compare().unwrap();
        Report::build(&build.record, Some(&comparison)).unwrap()
    }

    /// What is said of a change after which the runs make these files.
    fn tried(before: (&[Planted], &[Planted]), after: (&[Planted], &[Planted])) -> Trial {
        let changed = Build::new(&[step("RUN x", before.0.to_vec(), after.0.to_vec())]);
        Trial::of(
            &report(before.0, before.1),
            &report(after.0, after.1),
            Some(&changed.compare().unwrap()),
        )
    }

    #[test]
    fn a_change_is_judged_by_what_it_does() {
        let (a, b) = ("2026-11-23 21:33:25", "2026-11-23 21:33:27");
        let keep = file("keep", "1");
        let of = |x: &str, y: &str| vec![file("d/x", x), file("d/y", y), keep.clone()];
        let (run_a, run_b) = (of(a, a), of(b, b));
        let before = (&run_a[..], &run_b[..]);
        let fixed = of("0", "0");
        let none = BTreeMap::new();
        assert_eq!(
            tried(before, (&fixed, &fixed)),
            Trial::Helps {
                equal: 2,
                left: none.clone()
            }
        );
        // What differed may go, and a directory that held nothing else.
        let gone = [keep.clone()];
        assert_eq!(
            tried(before, (&gone, &gone)),
            Trial::Helps {
                equal: 2,
                left: none
            }
        );
        assert_eq!(
            tried(before, (&of("0", a), &of("0", b))),
            Trial::Helps {
                equal: 1,
                left: [("d/y".into(), [Cause::EmbeddedTimestamp].into())].into()
            }
        );
        assert_eq!(tried(before, before), Trial::Vain);
        // Of a cache nothing is left, and what is not removed from it is as it was.
        let cached = |content: &str| file("root/.npm/_cacache/y", content);
        let cache = |x: &str| vec![file("root/.npm/_cacache/x", x), cached("1"), keep.clone()];
        let (cache_a, cache_b) = (cache(a), cache(b));
        let before_cache = (&cache_a[..], &cache_b[..]);
        assert!(matches!(
            tried(before_cache, (&gone, &gone)),
            Trial::Helps { .. }
        ));
        let other = [cached("2"), keep.clone()];
        assert_eq!(
            tried(before_cache, (&other, &other)),
            Trial::Alters(["root/.npm/_cacache/y".to_owned()].into())
        );
        // What was equal in both runs is otherwise, or gone, or new.
        for (other, path) in [
            (vec![file("keep", "2")], "keep"),
            (vec![], "keep"),
            (vec![keep.clone(), file("new", "")], "new"),
        ] {
            assert_eq!(
                tried(before, (&other, &other)),
                Trial::Alters([path.to_owned()].into())
            );
        }
    }
}
