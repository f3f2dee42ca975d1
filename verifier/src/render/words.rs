//! Words that all forms of the report share.

use std::collections::BTreeSet;

use repro_core::{
    build::{Axis, Reason},
    event::counted,
};

use crate::{
    compare::{Difference, Ratio},
    report::{Hermetic, NetworkMode, Report, RunReport},
};

/// The verdict as a sentence without a full stop.
pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Reproduced => "both runs gave the same image, bit for bit",
        Reason::Differs => "the two runs gave different images",
        Reason::NotCompared => "one run was asked for, so nothing was compared",
        Reason::NotVaried => {
            "both runs gave the same image, and nothing was varied between them, which proves little"
        }
        Reason::DiffersByChance => {
            "runs a and b agree, and the control run, which is equal to run a, came out differently \
             (shown as b)"
        }
        Reason::FailsUnderVariation => {
            "run b failed in the varied environment and succeeded in the plain one"
        }
        Reason::StepFailed => "a step failed",
        Reason::Configuration => "the configuration is wrong",
        Reason::Input => "an input is missing or not what it should be",
        Reason::Machine => "this machine lacks something",
        Reason::Exhausted => "the machine ran out of something; try again",
        Reason::Cancelled => "the build was stopped",
        Reason::Internal => "repro failed; this is a bug",
    }
}

/// What was measured about the network.
pub(super) fn hermetic(hermetic: &Hermetic) -> String {
    let attempts = counted(hermetic.attempts_blocked, "attempt", "attempts");
    match (hermetic.measured, hermetic.attempts_blocked) {
        (true, 0) if hermetic.network == Some(NetworkMode::Replay) => {
            "yes, measured: steps got what repro.lock has, and reached for nothing else".into()
        }
        (true, 0) => "yes, measured: no step tried to reach the network".into(),
        (true, _) => format!("yes, measured: {attempts} to reach the network, all blocked"),
        (false, 0) => "not measured to the end".into(),
        (false, _) => format!("not measured to the end; {attempts} blocked so far"),
    }
}

/// `Dockerfile:7`.
pub(super) fn position(report: &Report, line: u32) -> String {
    format!("{}:{line}", report.dockerfile)
}

pub(super) fn axes(axes: &[Axis]) -> String {
    let names: Vec<&str> = axes.iter().map(|axis| axis.name()).collect();
    names.join(", ")
}

/// Time of all steps of a run, that of one that failed included; none where no step was timed.
pub(super) fn run_time(run: &RunReport) -> Option<String> {
    let failed = run.failure.as_ref().and_then(|failure| failure.wall_ms);
    let times = run.steps.iter().map(|step| step.wall_ms).chain(failed);
    times.reduce(u64::saturating_add).map(seconds)
}

pub(super) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        return format!("{milliseconds} ms");
    }
    let tenths = milliseconds.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// Where a difference lies, for people.
pub(super) fn place(report: &Report, row: &Difference) -> String {
    let step = row.step.and_then(|step| report.step(step));
    let step = step.map(|step| position(report, step.line));
    let layer = row.layer.map(|layer| format!("layer {layer}"));
    match (step, layer) {
        (Some(step), Some(layer)) => format!("{step}, {layer}"),
        (Some(step), None) => format!("{step}, not in the image"),
        (None, Some(layer)) => layer,
        (None, None) => "configuration".into(),
    }
}

/// What a row without a path of its own is about.
pub(super) fn path(row: &Difference) -> &str {
    match (row.path.as_str(), row.layer, row.step) {
        ("", None, None) => "the document",
        ("", _, _) => "/",
        (path, _, _) => path,
    }
}

/// The path of a row with the part of the file in which it lies.
pub(super) fn path_inside(row: &Difference) -> String {
    let evidence = row.evidence.as_ref();
    match evidence.and_then(|evidence| evidence.inside.as_deref()) {
        Some(inside) => format!("{}!{inside}", path(row)),
        None => path(row).to_owned(),
    }
}

/// The line of the Dockerfile of a step that a run ended or failed in.
pub(super) fn line(report: &Report, step: u32) -> Option<u32> {
    let failed = || {
        let mut failures = report.runs.iter().filter_map(|run| run.failure.as_ref());
        failures.find(|failure| failure.index == step)
    };
    let line = report.step(step).map(|step| step.line);
    line.or_else(|| failed().map(|failure| failure.line))
}

/// The lines of the Dockerfile that a cause comes from, each once.
pub(super) fn lines(report: &Report, steps: &[u32]) -> Vec<String> {
    let lines: BTreeSet<u32> = steps
        .iter()
        .filter_map(|step| line(report, *step))
        .collect();
    lines
        .into_iter()
        .map(|line| position(report, line))
        .collect()
}

/// How much is equal, as a sentence without a full stop.
pub(super) fn ratio(ratio: Ratio) -> String {
    format!(
        "{} of {} layers and {} of {} entries are equal",
        ratio.layers_equal, ratio.layers, ratio.files_equal, ratio.files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_that_fits() {
        assert_eq!(seconds(0), "0 ms");
        assert_eq!(seconds(999), "999 ms");
        assert_eq!(seconds(1_250), "1.3 s");
        assert_eq!(seconds(u64::MAX), "18446744073709551.6 s");
    }
}
