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
    compare::{ABSENT, Comparison, Difference, DifferenceKind},
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

    /// Step, cause and the directory that it is in.
    fn directory(&self) -> Option<(Option<u32>, Cause, &str)> {
        match self {
            Self::Failure => None,
            Self::Path { step, path, cause } => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                Some((*step, *cause, parent))
            }
        }
    }

    fn is_planted(&self) -> bool {
        matches!(self, Self::Path { cause, .. } if PLANTED.contains(cause))
    }
}

/// Causes that are told by a value that an axis plants: it is found whatever else is in the file.
const PLANTED: [Cause; 2] = [Cause::EmbeddedHostname, Cause::EmbeddedKernel];

/// What differed between runs A and B, to find it again in what other runs show.
#[derive(Debug, Clone, Default)]
pub struct Known {
    places: BTreeSet<Place>,
    /// Those of entries that run A has not.
    new: BTreeSet<Place>,
    /// Those that follow from another path of their step.
    follows: BTreeMap<Place, String>,
}

impl Known {
    /// Those of `rows`.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Difference>) -> Self {
        let mut known = Self::default();
        for row in rows {
            let place = Place::of(row);
            if row.kind == DifferenceKind::Missing {
                let origin = row.derived_from.as_ref();
                if let Some(origin) = origin.filter(|origin| origin.step == row.step) {
                    known.follows.insert(place.clone(), origin.path.clone());
                }
                if row.evidence.as_ref().is_some_and(|found| found.a == ABSENT) {
                    known.new.insert(place.clone());
                }
            }
            known.places.insert(place);
        }
        known
    }

    /// What another run shows of these places, when compared with run A: `seen` with the causes and names
    /// that they have here.
    ///
    /// A part of a file can be taken for something else when the rest of the file is equal, so a cause that
    /// its path is not known for may be any of that path. And an entry with a name that only run B gave it
    /// has another name in another run.
    #[must_use]
    pub fn recognised(&self, mut seen: BTreeSet<Place>) -> BTreeSet<Place> {
        let strange = || seen.difference(&self.places);
        let paths: BTreeSet<_> = strange().filter_map(Place::path).collect();
        let named: BTreeSet<_> = strange().filter_map(Place::directory).collect();
        let is_meant = |place: &&Place| {
            let by_path = place.path().is_some_and(|path| paths.contains(&path));
            let by_name = || {
                place
                    .directory()
                    .is_some_and(|place| named.contains(&place))
            };
            by_path && !place.is_planted() || self.new.contains(*place) && by_name()
        };
        let mut meant = self.places.iter().filter(is_meant).cloned().collect();
        seen.append(&mut meant);
        // What lies below a directory that is shown is shown: those above come first.
        let shown = self.places.iter().filter(|place| seen.contains(*place));
        let mut shown: BTreeSet<_> = shown.filter_map(Place::path).collect();
        for (place, origin) in &self.follows {
            if let Some((step, path)) = place.path()
                && shown.contains(&(step, origin.as_str()))
            {
                shown.insert((step, path));
                seen.insert(place.clone());
            }
        }
        seen
    }
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
    /// What differs between them.
    known: Known,
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
        let mut known = Known::of(rows());
        known.places.extend(failure(b));
        Self {
            varied,
            hints,
            known,
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
        let differs = self.known.recognised(differs);
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
        if self.known.places.is_empty() {
            return (Step::Done, found);
        }
        if self.seen(&BTreeSet::new()).is_none() {
            return (Step::Run(BTreeSet::new()), found);
        }
        let plain = || self.runs.iter().filter(|run| run.axes.is_empty());
        let mut rest = BTreeSet::new();
        for place in &self.known.places {
            if plain().any(|run| run.differs.contains(place)) {
                found.insert(place.clone(), Breaks::Chance);
            } else {
                rest.insert(place);
            }
        }
        let step = match self.explore(&self.varied, rest, &mut found) {
            Step::Done => {
                for (place, breaks) in &mut found {
                    if self.is_now_and_then(place) {
                        *breaks = Breaks::Chance;
                    }
                }
                self.confirm(&found)
            }
            run @ Step::Run(_) => run,
        };
        (step, found)
    }

    /// Whether a run does not show the place that another one with fewer axes shows, or with the same.
    /// (A run without the axis that was found may show it: two axes can each be enough.)
    fn is_now_and_then(&self, place: &Place) -> bool {
        let (shown, not): (Vec<_>, Vec<_>) = self
            .runs
            .iter()
            .partition(|run| run.differs.contains(place));
        shown
            .iter()
            .any(|shown| not.iter().any(|not| shown.axes.is_subset(&not.axes)))
    }

    /// Runs that were made once and must come out the same again. What differs now and then looks like any
    /// axis, so one that the cause does not name needs more than one run with it and one without.
    fn confirm(&self, found: &BTreeMap<Place, Breaks>) -> Step {
        let named = |place: &Place, axis: Axis| matches!(place, Place::Path { cause, .. } if cause.info().axis == Some(axis));
        let unsure: BTreeSet<BTreeSet<Axis>> = found
            .iter()
            .filter_map(|(place, breaks)| match breaks {
                Breaks::Chance => None,
                Breaks::Axis { axis } if named(place, *axis) => None,
                Breaks::Axis { axis } => Some([*axis].into()),
                Breaks::Together { .. } => Some(BTreeSet::new()),
            })
            .collect();
        let plain = (!unsure.is_empty()).then(BTreeSet::new);
        let once = |axes: &BTreeSet<Axis>| {
            let runs = self.runs.iter().filter(|run| run.axes == *axes);
            runs.count() < 2
        };
        let mut again = plain.into_iter().chain(unsure);
        again.find(once).map_or(Step::Done, Step::Run)
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
    let rows = comparison.into_iter();
    rows.flat_map(|comparison| &comparison.differences)
        .map(Place::of)
        .chain(failure(run))
        .collect()
}

fn failure(run: &RunRecord) -> Option<Place> {
    run.failure.as_ref().map(|_| Place::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        causes::Confidence,
        compare::{Evidence, Origin},
    };

    fn place(path: &str) -> Place {
        let cause = match path {
            "date" => Cause::EmbeddedTimestamp,
            "host" => Cause::EmbeddedHostname,
            _ => Cause::Unknown,
        };
        of(path, cause)
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
            known: Known {
                places: differs(&varied),
                ..Known::default()
            },
            varied,
            hints: hints.iter().copied().collect(),
            runs: Vec::new(),
        };
        while let Some(axes) = bisector.next() {
            let again = bisector.runs.iter().filter(|run| run.axes == axes);
            assert!(again.count() < 2, "{axes:?} thrice");
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
                // Two of them confirm what no cause names.
                assert!(runs <= 9, "{axis}: {runs}");
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
        assert!(runs <= 10, "{runs}");
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
            known: Known {
                places: suspects.clone(),
                ..Known::default()
            },
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

    /// A planted value is itself wherever it is, so another cause in its file is not it.
    #[test]
    fn a_planted_value_is_not_taken_for_what_differs_beside_it() {
        let host = of("x", Cause::EmbeddedHostname);
        let found = parts(&[host.clone()].into(), |axes| {
            let shown = axes.contains(&Axis::Hostname).then(|| host.clone());
            let date = of("x", Cause::EmbeddedTimestamp);
            shown.into_iter().chain([date]).collect()
        });
        assert_eq!(found[&host].axis(), Some(Axis::Hostname));
    }

    /// What differs now and then, whatever is varied: `shows` are the runs in which it does, from the
    /// second bit on.
    #[test]
    fn what_one_run_shows_and_another_does_not_is_no_axis() {
        for shows in [0b1_0010_u32, 0b10_0000, 0b1_0000_0100, 0b100] {
            let turn = std::cell::Cell::new(0);
            let found = parts(&[place("coin")].into(), |_| {
                turn.set(turn.get() + 1);
                let shown = shows >> turn.get() & 1 == 1;
                shown.then(|| place("coin")).into_iter().collect()
            });
            let breaks = &found[&place("coin")];
            assert!(breaks.axis().is_none(), "{shows:b}: {breaks:?}");
        }
    }

    #[test]
    fn of_two_axes_that_are_each_enough_one_is_named() {
        let both = BTreeSet::from([Axis::Clock, Axis::AddressSpace]);
        let (found, _) = search(&["x"], &[], |_, axes| !axes.is_disjoint(&both));
        let axis = found[&place("x")].axis();
        assert!(axis.is_some_and(|axis| both.contains(&axis)), "{axis:?}");
    }

    #[test]
    fn each_run_gives_its_entries_new_names() {
        let row = |path: &str, in_a: bool, origin: Option<&str>| {
            let sides = [ABSENT, "directory"].map(str::to_owned);
            let [a, b] = if in_a {
                sides.map(|_| "x".into())
            } else {
                sides
            };
            Difference {
                path: path.into(),
                platform: None,
                layer: Some(0),
                step: Some(1),
                kind: DifferenceKind::Missing,
                cause: Cause::MissingFile,
                confidence: Confidence::Likely,
                derived_from: origin.map(|path| Origin {
                    step: Some(1),
                    path: path.into(),
                }),
                evidence: Some(Evidence {
                    offset: None,
                    inside: None,
                    a,
                    b,
                    around: None,
                }),
            }
        };
        let known = Known::of(&[
            row("d/a1", true, None),
            row("d/b1", false, None),
            row("d/b1/s", false, Some("d/b1")),
            row("d/b1/s/f", false, Some("d/b1/s")),
            row("e/b2", false, None),
        ]);
        let of = |path: &str| of(path, Cause::MissingFile);
        let seen = known.recognised([of("d/a1"), of("d/c1")].into());
        assert_eq!(
            seen,
            ["d/a1", "d/c1", "d/b1", "d/b1/s", "d/b1/s/f"]
                .map(of)
                .into()
        );
        assert_eq!(known.recognised([of("d/a1")].into()), [of("d/a1")].into());
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
    fn each_axis_that_breaks_something_is_found_with_at_most_three_runs_each() {
        let names: Vec<String> = Axis::VARIED.iter().map(ToString::to_string).collect();
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let (found, runs) = search(&paths, &[], |path, axes| {
            axes.iter().any(|axis| axis.name() == path)
        });
        assert_eq!(found.len(), Axis::VARIED.len());
        for (path, axis) in paths.iter().zip(Axis::VARIED) {
            assert_eq!(found[&place(path)].axis(), Some(axis));
        }
        assert!(runs <= 3 * Axis::VARIED.len() + 1, "{runs}");
    }
}
