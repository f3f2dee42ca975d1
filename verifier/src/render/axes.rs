//! What is said of variation, in the same words in every form.

use std::collections::BTreeSet;

use repro_core::{build::Axis, event::counted};

use super::words;
use crate::{
    bisect::Breaks,
    compare::Difference,
    report::{BrokenPath, CauseSummary, Report, WhyNot},
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
        let words = match (cause.axis == Some(Axis::Clock), all) {
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
    let mut paths = bisection.paths.iter();
    let found = paths.find(|found| found.step == row.step && found.path == row.path)?;
    Some(match found.breaks {
        Breaks::Chance if row.cause.info().axis == Some(Axis::Clock) => TIME_PASSES.to_owned(),
        _ => breaks(&found.breaks),
    })
}

/// What makes a date differ that was written down while a step ran: with no axis at all it does.
const TIME_PASSES: &str = "as time passes";

/// What makes a path differ, of which there can be several rows.
fn of_path(report: &Report, found: &BrokenPath) -> String {
    let mut rows = report
        .differences
        .iter()
        .filter(|row| row.step == found.step && row.path == found.path)
        .peekable();
    let dated = rows.peek().is_some() && rows.all(|row| row.cause.info().axis == Some(Axis::Clock));
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
        cause.axis != Some(Axis::Clock) && cause.without_variation.is_some_and(|count| count > 0)
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
    let mut by: Vec<(String, u64)> = Vec::new();
    for found in &bisection.paths {
        let text = of_path(report, found);
        match by.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => by.push((text, 1)),
        }
    }
    let runs = bisection.runs.len() as u64;
    let mut lines = vec![format!(
        "{} with fewer axes",
        counted(runs, "more run", "more runs")
    )];
    if let Some(failure) = &bisection.failure {
        lines.push(format!("the failure is made {}", breaks(failure)));
    }
    by.sort();
    lines.extend(by.into_iter().map(|(text, count)| {
        let paths = counted(count, "path differs", "paths differ");
        format!("{paths} {text}")
    }));
    lines
}
