//! Which case ends how, for each verdict.

use repro_core::build::{Cost, Failure, NetworkObservation, Outcome, Reason, RunId, StepExit};

use super::{pair, report, stamp};
use crate::{
    compare::planted::{Build, Step, file, step},
    render::{junit, pair_junit},
    report::Report,
};

fn counts(xml: &str) -> [u32; 4] {
    ["tests", "failures", "errors", "skipped"].map(|name| {
        let value = xml.split(&format!(" {name}=\"")).nth(1).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    })
}

#[test]
fn a_step_that_differs_fails_with_cause_values_and_remedy() {
    let shown = junit(&report(&stamp()));
    assert_eq!(counts(&shown), [3, 2, 0, 0], "{shown}");
    for part in [
        "<testcase name=\"Dockerfile:3 RUN date &gt; /stamp/date\"",
        "<failure type=\"not-reproducible\" message=\"embedded-timestamp\">",
        "  a  Mon Nov 23 21:33:25 UTC 2026\n  b  Mon Nov 23 21:33:27 UTC 2026\n",
        "  fix: Use SOURCE_DATE_EPOCH",
        "<property name=\"axis.cpus.b\" value=\"1\">",
        "timestamp=\"2026-11-23T21:33:20\"",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = pair_junit(&pair(&stamp()));
    assert_eq!(counts(&shown), [3, 1, 0, 0], "{shown}");
    assert!(shown.contains("<testcase name=\"layer 1\""), "{shown}");
}

#[test]
fn a_stage_that_differs_fails_nothing_where_the_image_is_equal() {
    let same = || vec![file("x", "x")];
    let build = Build::new(&[
        Step {
            in_image: false,
            ..step(
                "RUN make",
                vec![file("c", "repro-a")],
                vec![file("c", "repro-b-canary")],
            )
        },
        step("COPY x /x", same(), same()),
    ]);
    let shown = junit(&report(&build));
    assert_eq!(counts(&shown), [3, 0, 0, 0], "{shown}");
    assert!(
        shown.contains("differs without reaching the image: Dockerfile:2"),
        "{shown}"
    );
}

#[test]
fn where_nothing_was_compared_all_is_skipped() {
    let mut build = stamp();
    build.record.runs.truncate(1);
    build.record.outcome = Outcome::new(Reason::NotCompared, Cost::default());
    let shown = junit(&Report::build(&build.record, None).unwrap());
    assert_eq!(counts(&shown), [3, 0, 0, 3], "{shown}");
}

#[test]
fn a_step_that_fails_is_an_error_and_one_that_fails_under_variation_a_failure() {
    let mut build = stamp();
    let failed = build.record.runs[1].clone();
    let repeat = build.record.runs[0].clone();
    build.record.runs[1].image = None;
    build.record.runs[1].steps.truncate(1);
    build.record.runs[1].failure = Some(Failure {
        index: 1,
        exit: Some(StepExit::Code(2)),
        message: "exit code 2\x1b[31m".into(),
        log: None,
        network: NetworkObservation::default(),
        wall_ms: Some(2_500),
    });
    build.record.runs.push(repro_core::build::RunRecord {
        id: RunId::BRepeat,
        ..repeat
    });
    build.record.outcome = Outcome::new(Reason::FailsUnderVariation, Cost::default());
    let shown = junit(&Report::build(&build.record, None).unwrap());
    assert_eq!(counts(&shown)[1..3], [1, 0], "{shown}");
    assert!(
        shown.contains("message=\"run b failed\">exit code 2\\x1b[31m<"),
        "{shown}"
    );

    build.record.runs.pop();
    build.record.runs[0] = failed;
    build.record.runs[0].id = RunId::A;
    build.record.runs[0].image = None;
    build.record.outcome = Outcome::new(Reason::StepFailed, Cost::default());
    let shown = junit(&Report::build(&build.record, None).unwrap());
    assert_eq!(counts(&shown)[1..3], [0, 1], "{shown}");
}
