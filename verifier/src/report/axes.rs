//! What the report says of variation: what was varied, what was not and why, and what runs without
//! variation, or with a part of it, showed.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::build::{Axis, BuildRecord, Reason, RunId, RunRecord, Snapshotter};
use serde::{Deserialize, Serialize};

use super::model::CauseSummary;
use crate::{
    bisect::{self, Bisection, Breaks, Known, Place},
    causes::Cause,
    compare::{Comparison, Difference},
    predicate::reproducibility::{AxisValues, varied},
};

/// What differed between runs A and B on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AxesReport {
    /// The axes on which they differed, with both values.
    pub varied: BTreeMap<Axis, AxisValues>,
    /// The axes on which they did not, so that silence is not taken for a test.
    pub not_varied: Vec<Axis>,
    /// Why, for each of these.
    #[serde(default)]
    pub reasons: BTreeMap<Axis, WhyNot>,
}

/// Why an axis was not varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// There was no run B, or it came to nothing.
    OneRun,
    /// It was left out.
    LeftOut,
    /// Trees were copied, and copies lie on one file system.
    PlainCopies,
    /// A container engine ran the steps, and cannot vary it.
    Engine,
}

impl WhyNot {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OneRun => "no second run",
            Self::LeftOut => "left out",
            Self::PlainCopies => "steps start from plain copies, which lie on one file system",
            Self::Engine => "a container engine cannot vary it",
        }
    }
}

/// A run equal to A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlReport {
    /// Whether it made the image of run A.
    pub equal: bool,
    /// Paths that differ from run A's.
    pub differing_paths: u64,
    /// The first of those that do not differ between A and B, printable: there chance was on A's side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_here: Vec<String>,
}

/// Runs with some of the axes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BisectionReport {
    /// The runs, in their order.
    pub runs: Vec<AxisRun>,
    /// Why the build fails, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Breaks>,
    /// What makes each path differ, for each of its causes.
    pub paths: Vec<BrokenPath>,
}

/// One run with some of the axes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AxisRun {
    /// On what it differed from run A.
    pub axes: BTreeSet<Axis>,
    /// Whether it failed.
    pub failed: bool,
    /// Paths that differed.
    pub differing_paths: u64,
}

/// A path and what makes it differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokenPath {
    /// Index of the step in the plan; absent for the image's documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Printable.
    pub path: String,
    /// Which of its causes; absent in reports that did not tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What makes it differ.
    pub breaks: Breaks,
}

impl BrokenPath {
    /// Whether it says what makes `row` differ.
    #[must_use]
    pub fn is_of(&self, row: &Difference) -> bool {
        (self.step, self.path.as_str()) == row.spot()
            && self.cause.is_none_or(|cause| cause == row.cause)
    }
}

/// Paths of [`ControlReport::only_here`].
const MAX_ONLY_HERE: usize = 20;

/// What no container engine can vary: who answers system calls, and who makes namespaces, is its own.
const BEYOND_ENGINES: [Axis; 5] = [
    Axis::BootTime,
    Axis::DirectoryOrder,
    Axis::Pids,
    Axis::KernelName,
    Axis::InodeNumbers,
];

/// The axes of the runs.
pub(super) fn axes(record: &BuildRecord) -> AxesReport {
    let run = |id| find(record, id);
    let varied = match (run(RunId::A), run(RunId::B)) {
        (Some(a), Some(b)) => varied(a.variation.values(), &b.variation.values()),
        _ => BTreeMap::new(),
    };
    let not_varied: Vec<Axis> = Axis::VARIED
        .into_iter()
        .filter(|axis| !varied.contains_key(axis))
        .collect();
    let why = |axis: &Axis| match run(RunId::B) {
        None => WhyNot::OneRun,
        Some(b) if *axis == Axis::InodeNumbers && b.snapshotter == Snapshotter::PlainCopy => {
            WhyNot::PlainCopies
        }
        Some(b) if b.snapshotter == Snapshotter::Engine && BEYOND_ENGINES.contains(axis) => {
            WhyNot::Engine
        }
        Some(_) => WhyNot::LeftOut,
    };
    let reasons = not_varied.iter().map(|axis| (*axis, why(axis))).collect();
    AxesReport {
        varied,
        not_varied,
        reasons,
    }
}

/// What the control run showed.
pub(super) fn control(
    record: &BuildRecord,
    comparison: Option<&Comparison>,
    control: Option<&Comparison>,
) -> Option<ControlReport> {
    let run = find(record, RunId::Control)?;
    let a = find(record, RunId::A)?;
    let places = |comparison: Option<&Comparison>| -> BTreeSet<Place> {
        let rows = comparison.into_iter().flat_map(|found| &found.differences);
        rows.map(Place::of).collect()
    };
    let (known, here) = (places(comparison), places(control));
    let known: BTreeSet<_> = known.iter().filter_map(Place::path).collect();
    let found: BTreeSet<_> = here.iter().filter_map(Place::path).collect();
    let only_here = found.difference(&known).map(|(_, path)| (*path).to_owned());
    Some(ControlReport {
        equal: run.image.is_some() && run.image == a.image,
        differing_paths: (found.len() as u64)
            .saturating_add(control.map_or(0, |found| found.not_listed.total())),
        only_here: only_here.take(MAX_ONLY_HERE).collect(),
    })
}

/// What runs with some of the axes showed.
pub(super) fn bisection(bisection: &Bisection) -> BisectionReport {
    let runs = bisection.runs.iter().map(|run| AxisRun {
        axes: run.axes.clone(),
        failed: run.differs.contains(&Place::Failure),
        differing_paths: bisect::paths(&run.differs),
    });
    let paths = bisection
        .found
        .iter()
        .filter_map(|(place, breaks)| match place {
            Place::Failure => None,
            Place::Path { step, path, cause } => Some(BrokenPath {
                step: *step,
                path: path.clone(),
                cause: Some(*cause),
                breaks: breaks.clone(),
            }),
        });
    BisectionReport {
        runs: runs.collect(),
        failure: bisection.found.get(&Place::Failure).cloned(),
        paths: paths.collect(),
    }
}

/// Puts into `causes` what runs showed of their differences: which differ without variation too, and
/// which axis they have in common.
pub(super) fn attribute(
    causes: &mut [CauseSummary],
    differences: &[Difference],
    unvaried: Option<&BTreeSet<Place>>,
    bisection: Option<&Bisection>,
) {
    for cause in causes {
        let rows = differences.iter().filter(|row| row.cause == cause.code);
        let mut places: BTreeSet<Place> = rows.map(Place::of).collect();
        if places.is_empty() {
            // The one cause without a row.
            places.insert(Place::Failure);
        }
        if let Some(unvaried) = unvaried {
            cause.without_variation = Some(places.intersection(unvaried).count() as u64);
        }
        let Some(bisection) = bisection else {
            continue;
        };
        let found: BTreeSet<Option<Axis>> = places
            .iter()
            .filter_map(|place| bisection.found.get(place))
            .map(Breaks::axis)
            .collect();
        match (found.len(), found.first()) {
            (1, Some(Some(axis))) => {
                cause.axis = Some(*axis);
                cause.axis_proven = true;
                cause.remedy = cause.advice();
            }
            // Time passes between any two runs: what shows it differs by chance, and is of the clock.
            (1, Some(None)) if !cause.code.is_time() => cause.axis = None,
            _ => {}
        }
    }
}

/// What differed in a run without variation, if one was compared; of what differs in `shown`, under the
/// causes that it has there.
pub(super) fn unvaried(
    record: &BuildRecord,
    shown: &[Difference],
    control: Option<&Comparison>,
    bisection: Option<&Bisection>,
) -> Option<BTreeSet<Place>> {
    let plain = |bisection: &Bisection| {
        let runs = bisection.runs.iter();
        let mut plain = runs.filter(|run| run.axes.is_empty()).peekable();
        plain.peek()?;
        Some(plain.flat_map(|run| run.differs.iter().cloned()).collect())
    };
    let by_control = find(record, RunId::Control).map(|run| {
        let rows = control.into_iter().flat_map(|found| &found.differences);
        let failure = run.failure.as_ref().map(|_| Place::Failure);
        let seen = rows.map(Place::of).chain(failure).collect();
        Known::of(shown).recognised(seen)
    });
    // A run B that failed was repeated; what else differs was not looked at.
    by_control.or_else(|| bisection.and_then(plain))
}

/// Whether the differences shown are those of the control run.
pub(super) fn shows_control(record: &BuildRecord) -> bool {
    record.outcome.reason == Reason::DiffersByChance
}

fn find(record: &BuildRecord, id: RunId) -> Option<&RunRecord> {
    record.runs.iter().find(|run| run.id == id)
}
