//! Which axis of variation breaks what: the next run to make, and what all runs so far show.
//!
//! The runs of a build differ on many axes at once, which is cheap and says of a difference only that
//! one of them made it. This asks for more runs, each with some of the axes, until every difference has
//! its axis. First comes a run with none: what differs then too, differs by chance. The rest is split:
//! axes that the causes found speak of on one side, or halves; what differs with one side has its axis
//! there, all else on the other. All differences go through the same runs.
//!
//! An axis is named only after a run with it alone. So one axis costs two or three runs where its
//! cause was recognised, and some `log2(axes) + 2` where not; when each axis breaks something, twice as
//! many runs as there are axes. Rejected: each axis alone, which always costs as many runs as there are
//! axes; and adding one after the other for as long as nothing breaks, as reprotest does, which costs
//! the same and stops telling differences apart with the first that stays.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::build::{Axis, RunRecord};
use serde::{Deserialize, Serialize};

use crate::{
    causes::Cause,
    compare::{Comparison, Difference},
};

/// What differs. One file can hold several things that different axes break, such as a date and a host
/// name; each is looked for by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The build fails.
    Failure,
    /// A path of the layer of a step, or of the image's documents.
    Path {
        /// Index of the step in the plan.
        step: Option<u32>,
        /// Printable.
        path: String,
        /// What it is in it.
        cause: Cause,
    },
}

impl Place {
    /// The place of a difference.
    #[must_use]
    pub fn of(difference: &Difference) -> Self {
        Self::Path {
            step: difference.step,
            path: difference.path.clone(),
            cause: difference.cause,
        }
    }

    /// Step and path, if it has a path.
    #[must_use]
    pub fn path(&self) -> Option<(Option<u32>, &str)> {
        match self {
            Self::Failure => None,
            Self::Path { step, path, .. } => Some((*step, path)),
        }
    }
}

/// What another run shows of `known` places: `seen` with the causes that these have.
///
/// A part of a file can be taken for something else when the rest of the file is equal. What a run shows
/// under a cause that its path is not known for may be anything of that path that it does not show by name,
/// so all of that counts as shown.
#[must_use]
pub fn recognised(seen: BTreeSet<Place>, known: &BTreeSet<Place>) -> BTreeSet<Place> {
    let strange: BTreeSet<_> = seen.difference(known).filter_map(Place::path).collect();
    let meant: Vec<Place> = known
        .iter()
        .filter(|place| place.path().is_some_and(|path| strange.contains(&path)))
        .cloned()
        .collect();
    seen.into_iter().chain(meant).collect()
}

/// Number of paths that `places` lie in; one in the layers of two steps counts twice.
#[must_use]
pub fn paths(places: &BTreeSet<Place>) -> u64 {
    let paths: BTreeSet<_> = places.iter().filter_map(Place::path).collect();
    paths.len() as u64
}

/// What makes a place differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Breaks {
    /// It differs without variation too.
    Chance,
    /// This axis, alone.
    Axis {
        /// Which.
        axis: Axis,
    },
    /// None of these axes alone: some of them together.
    Together {
        /// Which.
        axes: BTreeSet<Axis>,
    },
}

impl Breaks {
    /// The one axis, if it is one.
    #[must_use]
    pub const fn axis(&self) -> Option<Axis> {
        match self {
            Self::Axis { axis } => Some(*axis),
            Self::Chance | Self::Together { .. } => None,
        }
    }
}

/// One run with some of the axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BisectRun {
    /// On what it differed from run A.
    pub axes: BTreeSet<Axis>,
    /// What came out differently.
    pub differs: BTreeSet<Place>,
}

/// What all runs together show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bisection {
    /// The runs, in their order.
    pub runs: Vec<BisectRun>,
    /// Each place that differed between runs A and B.
    pub found: BTreeMap<Place, Breaks>,
}

/// The search.
#[derive(Debug)]
pub struct Bisector {
    /// On which runs A and B differ.
    varied: BTreeSet<Axis>,
    /// Those that causes speak of.
    hints: BTreeSet<Axis>,
    suspects: BTreeSet<Place>,
    runs: Vec<BisectRun>,
}

/// How far the search is.
enum Step {
    /// A run with these axes is missing.
    Run(BTreeSet<Axis>),
    /// Everything is known.
    Done,
}

impl Bisector {
    /// Looks for what made run B differ: `varied` are the axes between runs A and B.
    #[must_use]
    pub fn new(varied: BTreeSet<Axis>, b: &RunRecord, comparison: Option<&Comparison>) -> Self {
        let rows = || {
            let found = comparison.into_iter();
            found.flat_map(|comparison| &comparison.differences)
        };
        let hints = rows().filter_map(|row| row.cause.info().axis).collect();
        Self {
            varied,
            hints,
            suspects: places(b, comparison),
            runs: Vec::new(),
        }
    }

    /// Takes in a run that was made for another reason, or because [`Self::next`] asked for it.
    pub fn observe(
        &mut self,
        axes: BTreeSet<Axis>,
        run: &RunRecord,
        comparison: Option<&Comparison>,
    ) {
        self.add(axes, places(run, comparison));
    }

    fn add(&mut self, axes: BTreeSet<Axis>, differs: BTreeSet<Place>) {
        let differs = recognised(differs, &self.suspects);
        self.runs.push(BisectRun { axes, differs });
    }

    /// The axes of the next run; `None` when every difference has its reason.
    #[must_use]
    pub fn next(&self) -> Option<BTreeSet<Axis>> {
        match self.search().0 {
            Step::Run(axes) => Some(axes),
            Step::Done => None,
        }
    }

    /// What was found. Places whose runs were not made are left out.
    #[must_use]
    pub fn finish(self) -> Bisection {
        let (_, found) = self.search();
        Bisection {
            runs: self.runs,
            found,
        }
    }

    fn seen(&self, axes: &BTreeSet<Axis>) -> Option<&BTreeSet<Place>> {
        let run = self.runs.iter().find(|run| run.axes == *axes);
        run.map(|run| &run.differs)
    }

    fn search(&self) -> (Step, BTreeMap<Place, Breaks>) {
        let mut found = BTreeMap::new();
        if self.suspects.is_empty() {
            return (Step::Done, found);
        }
        let Some(chance) = self.seen(&BTreeSet::new()) else {
            return (Step::Run(BTreeSet::new()), found);
        };
        let mut rest = BTreeSet::new();
        for place in &self.suspects {
            if chance.contains(place) {
                found.insert(place.clone(), Breaks::Chance);
            } else {
                rest.insert(place);
            }
        }
        let step = self.explore(&self.varied, rest, &mut found);
        (step, found)
    }

    /// Looks for the axis of `places` among `axes`.
    fn explore(
        &self,
        axes: &BTreeSet<Axis>,
        places: BTreeSet<&Place>,
        found: &mut BTreeMap<Place, Breaks>,
    ) -> Step {
        if places.is_empty() || axes.is_empty() {
            return Step::Done;
        }
        let (first, rest) = self.split(axes);
        let Some(seen) = self.seen(&first) else {
            return Step::Run(first);
        };
        let (here, there): (BTreeSet<&Place>, BTreeSet<&Place>) =
            places.into_iter().partition(|place| seen.contains(*place));
        if rest.is_empty() {
            let alone = first.first().copied();
            for place in here {
                found.extend(alone.map(|axis| (place.clone(), Breaks::Axis { axis })));
            }
            // They differ with all axes, and with none of those that were tried alone.
            let axes = &self.varied;
            found.extend(there.into_iter().map(|place| {
                let axes = axes.clone();
                (place.clone(), Breaks::Together { axes })
            }));
            return Step::Done;
        }
        match self.explore(&first, here, found) {
            Step::Done => self.explore(&rest, there, found),
            run @ Step::Run(_) => run,
        }
    }

    /// Two parts; the second is empty where there is one axis.
    fn split(&self, axes: &BTreeSet<Axis>) -> (BTreeSet<Axis>, BTreeSet<Axis>) {
        let hinted: BTreeSet<Axis> = axes.intersection(&self.hints).copied().collect();
        let first: BTreeSet<Axis> = if hinted.is_empty() || hinted.len() == axes.len() {
            axes.iter().copied().take(axes.len().div_ceil(2)).collect()
        } else {
            hinted
        };
        let rest = axes.difference(&first).copied().collect();
        (first, rest)
    }
}

/// What came out differently in a run.
fn places(run: &RunRecord, comparison: Option<&Comparison>) -> BTreeSet<Place> {
    let failure = run.failure.as_ref().map(|_| Place::Failure);
    let rows = comparison.into_iter();
    rows.flat_map(|comparison| &comparison.differences)
        .map(Place::of)
        .chain(failure)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        of(path, Cause::Unknown)
    }

    fn of(path: &str, cause: Cause) -> Place {
        Place::Path {
            step: Some(1),
            path: path.into(),
            cause,
        }
    }

    /// Searches in a build in which `breaks` says whether a path differs under these axes; gives what
    /// was found and how many runs it took.
    fn search(
        paths: &[&str],
        hints: &[Axis],
        breaks: impl Fn(&str, &BTreeSet<Axis>) -> bool,
    ) -> (BTreeMap<Place, Breaks>, usize) {
        let differs = |axes: &BTreeSet<Axis>| {
            let differing = paths.iter().filter(|path| breaks(path, axes));
            differing.map(|path| place(path)).collect::<BTreeSet<_>>()
        };
        let varied = BTreeSet::from(Axis::VARIED);
        let mut bisector = Bisector {
            suspects: differs(&varied),
            varied,
            hints: hints.iter().copied().collect(),
            runs: Vec::new(),
        };
        while let Some(axes) = bisector.next() {
            assert!(bisector.seen(&axes).is_none(), "{axes:?} twice");
            let differing = differs(&axes);
            bisector.add(axes, differing);
        }
        let Bisection { runs, found } = bisector.finish();
        (found, runs.len())
    }

    #[test]
    fn an_axis_that_its_cause_names_takes_two_runs() {
        let (found, runs) = search(&["date"], &[Axis::Clock], |_, axes| {
            axes.contains(&Axis::Clock)
        });
        assert_eq!(found[&place("date")].axis(), Some(Axis::Clock));
        assert_eq!(runs, 2);
    }

    #[test]
    fn every_axis_alone_is_found_within_a_few_runs() {
        for axis in Axis::VARIED {
            for hints in [&[][..], &[Axis::Clock, Axis::Hostname]] {
                let (found, runs) = search(&["x"], hints, |_, axes| axes.contains(&axis));
                assert_eq!(found[&place("x")].axis(), Some(axis));
                assert!(runs <= 7, "{axis}: {runs}");
            }
        }
    }

    #[test]
    fn several_differences_share_their_runs() {
        let of = |path: &str| match path {
            "date" => Axis::Clock,
            "host" => Axis::Hostname,
            _ => Axis::Scheduling,
        };
        let hints = [Axis::Clock, Axis::Hostname];
        let (found, runs) = search(&["date", "host", "order"], &hints, |path, axes| {
            axes.contains(&of(path))
        });
        for path in ["date", "host", "order"] {
            assert_eq!(found[&place(path)].axis(), Some(of(path)));
        }
        assert!(runs <= 8, "{runs}");
    }

    #[test]
    fn what_differs_by_chance_takes_one_run() {
        let (found, runs) = search(&["uuid"], &[], |_, _| true);
        assert_eq!(found[&place("uuid")], Breaks::Chance);
        assert_eq!(runs, 1);
    }

    /// Looks for what makes `suspects` differ, in a build in which a run with these axes differs in what
    /// `differs` says.
    fn parts(
        suspects: &BTreeSet<Place>,
        differs: impl Fn(&BTreeSet<Axis>) -> BTreeSet<Place>,
    ) -> BTreeMap<Place, Breaks> {
        let mut bisector = Bisector {
            suspects: suspects.clone(),
            varied: BTreeSet::from(Axis::VARIED),
            hints: BTreeSet::new(),
            runs: Vec::new(),
        };
        while let Some(axes) = bisector.next() {
            let differing = differs(&axes);
            bisector.add(axes, differing);
        }
        bisector.finish().found
    }

    /// A tar of a directory in the order of the file system, with a date in it.
    #[test]
    fn each_cause_of_one_file_has_its_own_axis() {
        let made = [
            (Cause::EmbeddedTimestamp, None),
            (Cause::EmbeddedHostname, Some(Axis::Hostname)),
            (Cause::ArchiveOrder, Some(Axis::DirectoryOrder)),
        ];
        let suspects = made.map(|(cause, _)| of("o.tar", cause)).into();
        let found = parts(&suspects, |axes| {
            let shown = made
                .iter()
                .filter(|(_, axis)| axis.is_none_or(|axis| axes.contains(&axis)));
            shown.map(|(cause, _)| of("o.tar", *cause)).collect()
        });
        for (cause, axis) in made {
            let breaks = axis.map_or(Breaks::Chance, |axis| Breaks::Axis { axis });
            assert_eq!(found[&of("o.tar", cause)], breaks, "{cause}");
        }
    }

    /// With nothing else in its file, a part may look like something else.
    #[test]
    fn what_a_run_names_otherwise_is_still_seen() {
        let suspects = BTreeSet::from([of("x", Cause::RandomContent)]);
        let found = parts(&suspects, |_| [of("x", Cause::Unknown)].into());
        assert_eq!(found[&of("x", Cause::RandomContent)], Breaks::Chance);
    }

    #[test]
    fn what_takes_two_axes_is_said_to() {
        let both = BTreeSet::from([Axis::Clock, Axis::Pids]);
        let (found, _) = search(&["x"], &[], |_, axes| axes.is_superset(&both));
        assert!(matches!(found[&place("x")], Breaks::Together { .. }));
    }

    #[test]
    fn nothing_to_explain_takes_no_run() {
        let (found, runs) = search(&["x"], &[], |_, _| false);
        assert!(found.is_empty());
        assert_eq!(runs, 0);
    }

    #[test]
    fn each_axis_that_breaks_something_is_found_with_at_most_two_runs_each() {
        let names: Vec<String> = Axis::VARIED.iter().map(ToString::to_string).collect();
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let (found, runs) = search(&paths, &[], |path, axes| {
            axes.iter().any(|axis| axis.name() == path)
        });
        assert_eq!(found.len(), Axis::VARIED.len());
        for (path, axis) in paths.iter().zip(Axis::VARIED) {
            assert_eq!(found[&place(path)].axis(), Some(axis));
        }
        assert!(runs <= 2 * Axis::VARIED.len(), "{runs}");
    }
}
