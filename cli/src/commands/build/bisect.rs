//! `--control` and `--bisect-axes`: runs the build again as it was or with fewer axes, and looks at
//! what differs then.

use std::collections::BTreeSet;

use repro_builder::Build;
use repro_core::{
    build::{Axis, BuildRecord, Reason, RunId, RunRecord},
    store::Store,
};
use repro_verifier::{
    bisect::{Bisection, Bisector},
    compare::{Comparison, Options, compare_run},
    predicate::reproducibility::varied,
};

use crate::error::CommandError;

/// Runs beside the two.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct MoreRuns {
    /// Run the build once more exactly as the first time: what differs then too, differs by chance
    #[arg(long, help_heading = "Comparison", env = "REPRO_CONTROL")]
    pub(crate) control: bool,
    /// If the runs differ, run the build again with fewer axes until each difference has its axis
    ///
    /// Takes two runs where one axis breaks the build and its cause is known. Where not it takes a few more, of
    /// which two confirm the axis that was found.
    #[arg(long, help_heading = "Comparison", env = "REPRO_BISECT_AXES")]
    pub(crate) bisect_axes: bool,
}

/// What was compared with run A.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Run B, if both made an image.
    pub(crate) b: Option<Comparison>,
    /// The control run, if both made an image.
    pub(crate) control: Option<Comparison>,
    /// Runs with fewer axes.
    pub(crate) bisection: Option<Bisection>,
}

/// Compares the runs of `record`.
pub(crate) fn compare(
    record: &BuildRecord,
    store: &Store,
    options: &Options,
) -> Result<Findings, CommandError> {
    let with = |id| {
        let run = find(record, id);
        run.map_or(Ok(None), |run| of(record, run, store, options))
    };
    Ok(Findings {
        b: with(RunId::B)?,
        control: with(RunId::Control)?,
        bisection: None,
    })
}

/// Compares `run` with run A, where both made an image.
pub(super) fn of(
    record: &BuildRecord,
    run: &RunRecord,
    store: &Store,
    options: &Options,
) -> Result<Option<Comparison>, CommandError> {
    let a_built = find(record, RunId::A).is_some_and(|a| a.image.is_some());
    if !a_built || run.image.is_none() {
        return Ok(None);
    }
    Ok(Some(compare_run(store.blobs(), record, run, options)?))
}

/// Runs `build` again until what makes its runs differ is known.
pub(super) fn bisect(
    build: &Build<'_>,
    record: &BuildRecord,
    store: &Store,
    options: &Options,
    findings: &Findings,
) -> Result<Option<Bisection>, CommandError> {
    let differs = matches!(
        record.outcome.reason,
        Reason::Differs | Reason::FailsUnderVariation
    );
    let (Some(a), Some(b)) = (find(record, RunId::A), find(record, RunId::B)) else {
        return Ok(None);
    };
    if !differs {
        return Ok(None);
    }
    let axes = varied(a.variation.values(), &b.variation.values());
    let axes: BTreeSet<Axis> = axes.into_keys().collect();
    let mut bisector = Bisector::new(axes, b, findings.b.as_ref());
    // Runs without variation that were made already.
    if let Some(control) = find(record, RunId::Control) {
        bisector.observe(BTreeSet::new(), control, findings.control.as_ref());
    } else if let Some(repeat) = find(record, RunId::BRepeat) {
        bisector.observe(
            BTreeSet::new(),
            repeat,
            of(record, repeat, store, options)?.as_ref(),
        );
    }
    let mut turn = 0;
    while let Some(axes) = bisector.next() {
        turn += 1;
        let run = build.again(&axes, turn)?;
        let comparison = of(record, &run, store, options)?;
        bisector.observe(axes, &run, comparison.as_ref());
    }
    Ok(Some(bisector.finish()))
}

pub(super) fn find(record: &BuildRecord, id: RunId) -> Option<&RunRecord> {
    record.runs.iter().find(|run| run.id == id)
}
