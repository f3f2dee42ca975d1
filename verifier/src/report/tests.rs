use std::collections::BTreeSet;

use repro_core::build::{
    Axis, Cost, Failure, NetworkObservation, Outcome, Reason, RunId, Snapshotter, StepExit,
    Variation,
};

use super::{Compared, Report, ReportError, WhyNot};
use crate::{
    bisect::{BisectRun, Bisection, Breaks, Place},
    causes::Cause,
    compare::{
        Comparison,
        planted::{Build, Step, file, step},
    },
    predicate::reproducibility::Verdict,
    uris,
};

fn differing() -> Build {
    Build::new(&[
        step("COPY x /x", vec![file("x", "x")], vec![file("x", "x")]),
        step(
            "RUN hostname > out",
            vec![file("out", "repro-a\n"), file("odd", "yes")],
            vec![file("out", "repro-b-canary\n"), file("odd", "no")],
        ),
    ])
}

fn report(build: &Build) -> Report {
    let comparison = build.compare().unwrap();
    Report::build(&build.record, Some(&comparison)).unwrap()
}

#[test]
fn a_difference_is_reported_with_instruction_file_and_cause() {
    let report = report(&differing());
    assert_eq!(report.schema, uris::REPORT);
    assert_eq!(report.verdict, Verdict::NotReproducible);
    let first = report.first_divergence.unwrap();
    assert_eq!((first.index, first.line), (1, 3));
    assert_eq!(
        report.divergent_instruction(first),
        Some("RUN hostname > out")
    );
    let causes: Vec<Cause> = report.causes.iter().map(|cause| cause.code).collect();
    assert_eq!(causes, [Cause::EmbeddedHostname, Cause::Unknown]);
    assert_eq!(report.causes[0].paths, ["out"]);
    let findings = report.findings();
    assert_eq!(findings.counts.differences, 2);
    assert_eq!((findings.counts.files_equal, findings.counts.files), (1, 3));
    assert!(report.hermetic.measured);
}

/// A stage that differs is listed with its cause, and counted apart from the image.
#[test]
fn a_stage_that_differs_is_no_difference_of_the_image() {
    let build = Build::new(&[
        Step {
            in_image: false,
            ..step(
                "RUN make",
                vec![file("cache", "repro-a\n")],
                vec![file("cache", "repro-b-canary\n")],
            )
        },
        step("COPY x /x", vec![file("x", "x")], vec![file("x", "x")]),
    ]);
    let report = report(&build);
    assert_eq!(report.verdict, Verdict::Reproducible);
    let counts = report.findings().counts;
    assert_eq!((counts.differences, counts.differences_elsewhere), (0, 1));
    assert_eq!((counts.layers_equal, counts.layers), (1, 1));
    assert_eq!(report.causes[0].code, Cause::EmbeddedHostname);
    assert_eq!(report.first_divergence.unwrap().index, 0);
}

#[test]
fn the_document_has_the_promised_fields_and_comes_back() {
    let report = report(&differing());
    let bytes = report.to_json().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["verdict"], "not-reproducible");
    assert_eq!(value["image"]["platform"], "linux/amd64");
    assert_eq!(value["runs"][0]["id"], "a");
    assert_eq!(
        value["runs"][1]["variation"]["hostname"],
        "repro-b-canary repro-b-domain-canary"
    );
    let step = &value["runs"][0]["steps"][1];
    assert_eq!(step["instruction"], "RUN hostname > out");
    assert_eq!(step["line"], 3);
    assert_eq!(
        step["network"],
        serde_json::json!({"mode": "none", "attempts": 0})
    );
    assert!(step["diffId"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(step.get("cache"), None);
    assert_eq!(
        value["firstDivergence"],
        serde_json::json!({"index": 1, "line": 3})
    );
    let row = &value["differences"][1];
    assert_eq!(row["path"], "out");
    assert_eq!((&row["layer"], &row["step"]), (&1.into(), &1.into()));
    assert_eq!(row["kind"], "content");
    assert_eq!(row["cause"], "embedded-hostname");
    assert_eq!(row["confidence"], "certain");
    assert!(row["derivedFrom"].is_null());
    assert_eq!(
        row["evidence"],
        serde_json::json!({
            "offset": 6, "a": "repro-a", "b": "repro-b-canary",
            "around": {
                "a": {"offset": 0, "hex": "726570726f2d610a"},
                "b": {"offset": 0, "hex": "726570726f2d622d63616e6172790a"},
            },
        })
    );
    assert_eq!(value["causes"][0]["axis"], "hostname");
    assert_eq!(
        value["ratio"],
        serde_json::json!({"layersEqual": 1, "layers": 2, "filesEqual": 1, "files": 3})
    );
    assert_eq!(value["hermetic"]["attemptsBlocked"], 0);
    assert_eq!(serde_json::from_slice::<Report>(&bytes).unwrap(), report);
}

#[test]
fn a_verdict_that_the_runs_contradict_is_refused() {
    let mut build = differing();
    let comparison = build.compare().unwrap();
    assert_eq!(
        Report::build(&build.record, None),
        Err(ReportError::NotCompared)
    );
    build.record.outcome = Outcome::new(Reason::Reproduced, Cost::default());
    assert_eq!(
        Report::build(&build.record, Some(&comparison)),
        Err(ReportError::NotReproduced)
    );
    build.record.outcome = Outcome::new(Reason::FailsUnderVariation, Cost::default());
    assert_eq!(
        Report::build(&build.record, Some(&comparison)),
        Err(ReportError::NotFailing)
    );
    build.record.runs[1].image = build.record.runs[0].image.clone();
    build.record.outcome = Outcome::new(Reason::Differs, Cost::default());
    assert_eq!(
        Report::build(&build.record, Some(&comparison)),
        Err(ReportError::NotDifferent)
    );
}

#[test]
fn a_build_that_fails_under_variation_is_not_reproducible() {
    let mut build = differing();
    let mut repeat = build.record.runs[0].clone();
    repeat.id = RunId::BRepeat;
    build.record.runs.push(repeat);
    let run_b = &mut build.record.runs[1];
    run_b.image = None;
    run_b.steps.truncate(1);
    run_b.failure = Some(Failure {
        index: 1,
        exit: Some(StepExit::Code(2)),
        message: "exit code 2".into(),
        log: None,
        network: NetworkObservation {
            names: [("packages.example".to_owned(), 3)].into(),
            ..NetworkObservation::default()
        },
        wall_ms: Some(1_500),
    });
    build.record.outcome = Outcome::new(Reason::FailsUnderVariation, Cost::default());
    let report = Report::build(&build.record, None).unwrap();
    // What the failed step wanted is most of what there is to know.
    assert_eq!(report.hermetic.names, ["packages.example"]);
    assert_eq!(report.hermetic.attempts_blocked, 3);
    assert!(!report.hermetic.measured);
    assert_eq!(report.verdict, Verdict::NotReproducible);
    assert_eq!(report.causes[0].code, Cause::FailsUnderVariation);
    assert_eq!(report.causes[0].steps, [1]);
    assert_eq!(report.first_divergence.unwrap().index, 1);
    assert!(!report.hermetic.measured);
    assert_eq!(report.hermetic.network, None);
    // A step that failed took its time too.
    assert_eq!(report.runs[1].steps[0].wall_ms, 1_250);
    let text = crate::render::markdown(&report);
    assert!(text.contains("| time, run b | 2.8 s |"), "{text}");
}

#[test]
fn one_run_is_inconclusive_and_names_every_axis_as_not_varied() {
    let mut build = differing();
    build.record.runs.truncate(1);
    build.record.outcome = Outcome::new(Reason::NotCompared, Cost::default());
    let report = Report::build(&build.record, None).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(report.ratio, None);
    assert!(report.axes.varied.is_empty());
    let known = Axis::VARIED.len();
    assert_eq!(report.axes.not_varied.len(), known);
    assert_eq!(report.axes.reasons[&Axis::Cpus], WhyNot::OneRun);
}

#[test]
fn axes_that_were_not_varied_have_their_reasons() {
    let mut build = differing();
    let all = |axis: &Axis| !matches!(axis, Axis::Pids | Axis::InodeNumbers);
    let axes = Axis::VARIED.into_iter().filter(all).collect();
    for run in &mut build.record.runs {
        run.snapshotter = Snapshotter::PlainCopy;
    }
    build.record.runs[1].variation = Variation::run_b(&axes);
    let report = report(&build);
    assert_eq!(report.axes.reasons[&Axis::Pids], WhyNot::LeftOut);
    assert_eq!(
        report.axes.reasons[&Axis::InodeNumbers],
        WhyNot::PlainCopies
    );
    assert_eq!(report.axes.varied[&Axis::KernelName].a, "real");
    let page = crate::render::markdown(&report);
    assert!(page.contains("pids: left out"), "{page}");
}

/// A build whose step gives this in runs A and B, and in a run without variation; and the comparison
/// of the latter.
fn with_control(contents: [&str; 3]) -> (Build, Comparison) {
    with_control_at("out", contents)
}

fn with_control_at(path: &str, [a, b, control]: [&str; 3]) -> (Build, Comparison) {
    let build = |other: [&str; 2]| {
        Build::new(&[step(
            "RUN x > out",
            vec![file(path, a), file("host", "repro-a\n")],
            vec![file(path, other[0]), file("host", other[1])],
        )])
    };
    let mut varied = build([b, "repro-b-canary\n"]);
    let plain = build([control, "repro-a\n"]);
    let mut run = plain.record.runs[1].clone();
    run.id = RunId::Control;
    run.variation = Variation::run_a();
    varied.record.runs.push(run);
    (varied, plain.compare().unwrap())
}

#[test]
fn a_control_run_tells_chance_from_variation() {
    let (build, control) = with_control(["7f3a\n", "e19c\n", "55d0\n"]);
    let compared = Compared {
        b: Some(&build.compare().unwrap()),
        control: Some(&control),
        bisection: None,
    };
    let report = Report::on(&build.record, compared).unwrap();
    let shown = report.control.as_ref().unwrap();
    assert!(!shown.equal);
    assert_eq!(shown.differing_paths, 1);
    for cause in &report.causes {
        let of_chance = u64::from(cause.paths == ["out"]);
        assert_eq!(cause.without_variation, Some(of_chance), "{cause:?}");
    }
    let text = crate::render::markdown(&report);
    assert!(text.contains("differs without variation too"), "{text}");
}

#[test]
fn a_date_that_a_control_run_has_otherwise_is_of_the_clock_and_not_of_chance() {
    let date = |second| format!("Mon Nov 23 21:33:{second} UTC 2026\n");
    let dates = [20, 22, 25].map(date);
    let (build, control) = with_control([&dates[0], &dates[1], &dates[2]]);
    let compared = Compared {
        b: Some(&build.compare().unwrap()),
        control: Some(&control),
        bisection: None,
    };
    let report = Report::on(&build.record, compared).unwrap();
    let mut causes = report.causes.iter();
    let cause = causes.find(|cause| cause.paths == ["out"]).unwrap();
    assert_eq!(cause.axis, Some(Axis::Clock));
    let text = crate::render::markdown(&report);
    assert!(text.contains("time passes between any two runs"), "{text}");
    assert!(text.contains("1 path differs as time passes"), "{text}");
    assert!(!text.contains("without variation"), "{text}");
}

#[test]
fn what_only_a_place_tells_is_not_said_to_be_of_the_clock() {
    for (path, code) in [("tmp/x", Cause::TemporaryFile), (".git/x", Cause::GitState)] {
        let (build, control) = with_control_at(path, ["31337\n", "812\n", "22041\n"]);
        let compared = Compared {
            b: Some(&build.compare().unwrap()),
            control: Some(&control),
            bisection: None,
        };
        let report = Report::on(&build.record, compared).unwrap();
        assert!(report.causes.iter().any(|cause| cause.code == code));
        let text = crate::render::markdown(&report);
        assert!(text.contains("differs without variation too"), "{text}");
        assert!(!text.contains("time passes"), "{text}");
    }
}

#[test]
fn runs_that_agree_by_luck_are_not_reproducible() {
    let mut build = Build::new(&[step(
        "RUN x > out",
        vec![file("out", "one\n")],
        vec![file("out", "one\n")],
    )]);
    let other = Build::new(&[step(
        "RUN x > out",
        vec![file("out", "one\n")],
        vec![file("out", "two\n")],
    )]);
    let mut control = other.record.runs[1].clone();
    control.id = RunId::Control;
    control.variation = Variation::run_a();
    build.record.runs.push(control);
    build.record.outcome = Outcome::new(Reason::DiffersByChance, Cost::default());
    let (b, control) = (build.compare().unwrap(), other.compare().unwrap());
    let compared = Compared {
        b: Some(&b),
        control: Some(&control),
        bisection: None,
    };
    let report = Report::on(&build.record, compared).unwrap();
    assert_eq!(report.verdict, Verdict::NotReproducible);
    assert_eq!(report.differences[0].path, "out");
    assert_eq!(report.control.unwrap().only_here, ["out"]);
    assert_eq!(report.first_divergence.unwrap().index, 0);
    assert_eq!(
        Report::build(&build.record, Some(&b)),
        Err(ReportError::NotCompared)
    );
    // One that failed has no image to compare.
    let run = &mut build.record.runs[2];
    run.image = None;
    run.failure = Some(Failure {
        index: 0,
        exit: Some(StepExit::Code(2)),
        message: "exit code 2".into(),
        log: None,
        network: NetworkObservation::default(),
        wall_ms: None,
    });
    let report = Report::build(&build.record, Some(&b)).unwrap();
    assert_eq!(report.causes[0].code, Cause::FailsByChance);
}

#[test]
fn an_axis_that_was_found_takes_the_place_of_the_catalogues() {
    let build = differing();
    let b = build.compare().unwrap();
    let place = |path: &str, cause| Place::Path {
        step: Some(1),
        path: path.into(),
        cause,
    };
    let found = [
        (
            place("out", Cause::EmbeddedHostname),
            Breaks::Axis {
                axis: Axis::Hostname,
            },
        ),
        (
            place("odd", Cause::Unknown),
            Breaks::Axis { axis: Axis::Pids },
        ),
    ];
    let bisection = Bisection {
        runs: vec![BisectRun {
            axes: BTreeSet::new(),
            differs: BTreeSet::new(),
        }],
        found: found.into_iter().collect(),
    };
    let compared = Compared {
        b: Some(&b),
        control: None,
        bisection: Some(&bisection),
    };
    let report = Report::on(&build.record, compared).unwrap();
    let axes: Vec<_> = report
        .causes
        .iter()
        .map(|cause| (cause.code, cause.axis, cause.axis_proven))
        .collect();
    assert_eq!(
        axes,
        [
            (Cause::EmbeddedHostname, Some(Axis::Hostname), true),
            (Cause::Unknown, Some(Axis::Pids), true),
        ]
    );
    assert_eq!(report.causes[0].without_variation, Some(0));
    let page = crate::render::markdown(&report);
    assert!(page.contains("broken by the axis pids"), "{page}");
    let bytes = report.to_json().unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&bytes).unwrap(), report);
}
