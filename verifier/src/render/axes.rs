//! What is said of variation, in the same words in every form.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{build::Axis, event::counted};

use super::words;
use crate::{
    bisect::Breaks,
    compare::Difference,
    report::{BisectionReport, BrokenPath, CauseSummary, Report, WhyNot},
};

/// The axes that were not varied, those with one reason together: the axes and the reason.
pub(super) fn not_varied(report: &Report) -> Vec<String> {
    let reasons: BTreeSet<WhyNot> = report.axes.reasons.values().copied().collect();
    let mut lines: Vec<String> = reasons
        .into_iter()
        .map(|reason| {
            let axes = report.axes.reasons.iter();
            let of: Vec<Axis> = axes
                .filter(|(_, why)| **why == reason)
                .map(|(axis, _)| *axis)
                .collect();
            format!("{}: {}", words::axes(&of), reason.words())
        })
        .collect();
    let known = &report.axes.reasons;
    let others = report.axes.not_varied.iter();
    let others: Vec<Axis> = others
        .filter(|axis| !known.contains_key(axis))
        .copied()
        .collect();
    if !others.is_empty() {
        lines.push(words::axes(&others));
    }
    lines
}

/// What runs showed of a cause beyond what it is: a clause, or nothing.
pub(super) fn of_cause(cause: &CauseSummary) -> Option<String> {
    if cause.without_variation.is_some_and(|count| count > 0) {
        let all = cause.without_variation >= Some(cause.count.max(1));
        let is_time = cause.axis == Some(Axis::Clock) && cause.code.is_time();
        let words = match (is_time, all) {
            // The runs are seconds apart without variation too: that is no chance.
            (true, true) => "time passes between any two runs",
            (true, false) => "time passes between any two runs, which shows in some of it",
            (false, true) => "differs without variation too",
            (false, false) => "some of it differs without variation too",
        };
        return Some(words.to_owned());
    }
    match (cause.axis, cause.axis_proven) {
        (Some(axis), true) => Some(format!("broken by the axis {axis}")),
        _ => None,
    }
}

/// What runs with some of the axes showed of a difference.
pub(super) fn of_row(report: &Report, row: &Difference) -> Option<String> {
    let bisection = report.bisection.as_ref()?;
    let found = bisection.paths.iter().find(|found| found.is_of(row))?;
    Some(match found.breaks {
        Breaks::Chance if is_dated(report, row) => TIME_PASSES.to_owned(),
        _ => breaks(&found.breaks),
    })
}

/// What makes a date differ that was written down while a step ran: with no axis at all it does.
const TIME_PASSES: &str = "as time passes";

/// Whether a row that differs without variation does so because a date is in it, or in the file that it
/// follows from.
fn is_dated(report: &Report, row: &Difference) -> bool {
    let of_clock = |row: &Difference| row.cause.is_time();
    let Some(origin) = &row.derived_from else {
        return of_clock(row);
    };
    let by_chance = |row: &Difference| {
        let mut found = report.bisection.iter().flat_map(|found| &found.paths);
        found.any(|found| found.breaks == Breaks::Chance && found.is_of(row))
    };
    let mut from = report
        .differences
        .iter()
        .filter(|row| row.spot() == origin.spot())
        .filter(|row| by_chance(row))
        .peekable();
    of_clock(row) || from.peek().is_some() && from.all(of_clock)
}

/// What makes a path differ, of which there can be several rows.
fn of_path(report: &Report, found: &BrokenPath) -> String {
    let mut rows = report
        .differences
        .iter()
        .filter(|row| found.is_of(row))
        .peekable();
    let dated = rows.peek().is_some() && rows.all(|row| is_dated(report, row));
    match found.breaks {
        Breaks::Chance if dated => TIME_PASSES.to_owned(),
        _ => breaks(&found.breaks),
    }
}

/// What makes something differ, in a few words.
pub(super) fn breaks(breaks: &Breaks) -> String {
    match breaks {
        Breaks::Chance => "by chance".to_owned(),
        Breaks::Axis { axis } => format!("by {axis}"),
        Breaks::Together { axes } => {
            let axes: Vec<Axis> = axes.iter().copied().collect();
            format!("by several axes together, of {}", words::axes(&axes))
        }
    }
}

/// What the control run showed.
pub(super) fn control(report: &Report) -> Option<String> {
    let control = report.control.as_ref()?;
    if control.equal {
        return Some("run a once more: the same image".to_owned());
    }
    let paths = counted(control.differing_paths, "path differs", "paths differ");
    let only = if control.only_here.is_empty() {
        String::new()
    } else {
        format!(", only there: {}", control.only_here.join(", "))
    };
    let mut by_chance = report.causes.iter().filter(|cause| {
        let is_time = cause.axis == Some(Axis::Clock) && cause.code.is_time();
        !is_time && cause.without_variation.is_some_and(|count| count > 0)
    });
    let how = if only.is_empty() && by_chance.next().is_none() {
        TIME_PASSES
    } else {
        "without variation"
    };
    Some(format!("run a once more: {paths} {how}{only}"))
}

/// What runs with some of the axes showed, a line for each axis that breaks something.
pub(super) fn bisection(report: &Report) -> Vec<String> {
    let Some(bisection) = &report.bisection else {
        return Vec::new();
    };
    let ways = ways(report, bisection).into_iter();
    let ways = ways.map(|(way, count)| {
        let paths = counted(count, "path differs", "paths differ");
        format!("{paths} {way}")
    });
    more_runs(bisection).chain(ways).collect()
}

/// The same in one sentence.
pub(super) fn bisection_in_short(report: &Report) -> Option<String> {
    let bisection = report.bisection.as_ref()?;
    let ways = ways(report, bisection).into_iter();
    let ways = ways.map(|(way, count)| format!("{way} {count}"));
    let ways = ways.collect::<Vec<_>>().join(", ");
    let paths = (!ways.is_empty()).then(|| format!("paths differ {ways}"));
    Some(
        more_runs(bisection)
            .chain(paths)
            .collect::<Vec<_>>()
            .join("; "),
    )
}

/// How many runs there were, and what makes the build fail if something does.
fn more_runs(bisection: &BisectionReport) -> impl Iterator<Item = String> {
    let runs = bisection.runs.len() as u64;
    let runs = format!("{} with fewer axes", counted(runs, "more run", "more runs"));
    let failure = bisection.failure.as_ref();
    let failure = failure.map(|failure| format!("the failure is made {}", breaks(failure)));
    std::iter::once(runs).chain(failure)
}

/// What makes paths differ, and how many.
fn ways(report: &Report, bisection: &BisectionReport) -> BTreeMap<String, u64> {
    // A path of which two causes differ in one way is one path.
    let mut ways: BTreeMap<String, BTreeSet<(Option<u32>, &str)>> = BTreeMap::new();
    for found in &bisection.paths {
        let paths = ways.entry(of_path(report, found)).or_default();
        paths.insert((found.step, &found.path));
    }
    let counted = |(way, paths): (String, BTreeSet<_>)| (way, paths.len() as u64);
    ways.into_iter().map(counted).collect()
}
