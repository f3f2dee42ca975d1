//! What is decided before the first step.

use std::collections::BTreeMap;

use repro_core::{
    build::{EpochSource, ImageRecord, Reason},
    digest::DiffId,
    epoch::Epoch,
    platform::Platform,
};

use super::{record::*, *};
use crate::dockerfile::{PlatformArgs, parse};

/// The epoch that a Dockerfile has for those who choose none.
pub(crate) fn epoch_of(text: &str) -> Result<Option<Epoch>, String> {
    let file = parse("Dockerfile", text.as_bytes()).unwrap();
    let platforms = PlatformArgs {
        build: Platform::host(),
        target: Platform::host(),
    };
    let mut globals = GlobalScope::new(&platforms, None, &BTreeMap::new());
    for args in &file.global_args {
        globals.arg(&args.kind).unwrap();
    }
    match epoch_of_file(&file, &globals) {
        Ok(EpochChoice::Dockerfile(epoch)) => Ok(Some(epoch)),
        Ok(EpochChoice::Base) => Ok(None),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn rule_1_the_epoch_is_the_chosen_else_the_newest_of_1980_and_the_base() {
    let newest = 1_700_000_000;
    let given = Epoch::new(1_600_000_000).unwrap();
    for (choice, base, value, source) in [
        (EpochChoice::Flag(given), 0, given, EpochSource::Flag),
        (
            EpochChoice::BuildArg(given),
            0,
            given,
            EpochSource::BuildArg,
        ),
        (
            EpochChoice::Environment(given),
            0,
            given,
            EpochSource::Environment,
        ),
        (EpochChoice::Config(given), 0, given, EpochSource::Config),
        (EpochChoice::Git(given), 0, given, EpochSource::Git),
        (
            EpochChoice::Dockerfile(given),
            0,
            given,
            EpochSource::Dockerfile,
        ),
        (EpochChoice::Base, 0, Epoch::MIN, EpochSource::Minimum),
        (
            EpochChoice::Base,
            315_532_800,
            Epoch::MIN,
            EpochSource::Minimum,
        ),
        (
            EpochChoice::Base,
            newest,
            Epoch::new(newest).unwrap(),
            EpochSource::Base,
        ),
    ] {
        let (found, finding) = epoch(choice, base);
        assert_eq!(found, EpochRecord { value, source }, "{choice:?}");
        assert_eq!(finding, None, "{choice:?}");
    }
}

#[test]
fn rule_1_an_epoch_before_the_base_is_used_and_found() {
    let given = Epoch::new(1_600_000_000).unwrap();
    let (found, finding) = epoch(EpochChoice::Flag(given), 1_600_000_001);
    assert_eq!(found.value, given);
    assert_eq!(finding.unwrap().code, "epoch-before-base");
    let (_, finding) = epoch(EpochChoice::Flag(given), 1_600_000_000);
    assert_eq!(finding, None);
}

/// What is recorded of a build with one run that gave an image of so many layers.
fn recorded(layers: usize) -> BuildRecord {
    let request = crate::plan::tests::request("FROM scratch\n");
    let prepared = Prepared {
        plan: crate::plan::tests::good("FROM scratch\n"),
        context: None,
        named: BTreeMap::new(),
        taken: BTreeMap::new(),
        inputs: Vec::new(),
        epoch: EpochRecord {
            value: Epoch::MIN,
            source: EpochSource::Minimum,
        },
        findings: Vec::new(),
        used: Mutex::default(),
    };
    let digest = Digest::of(b"");
    let run = RunRecord {
        id: RunId::A,
        invocation_id: "test-a".into(),
        executor: "none".into(),
        user_ids: repro_core::build::UserIds::Range,
        snapshotter: repro_core::build::Snapshotter::Overlay,
        policy: digest,
        variation: Variation::run_a(),
        started_on: String::new(),
        finished_on: String::new(),
        steps: Vec::new(),
        image: Some(ImageRecord {
            manifest: digest,
            manifest_size: 0,
            config: digest,
            diff_ids: vec![DiffId(digest); layers],
        }),
        failure: None,
    };
    record(&request, &prepared, vec![run])
}

#[test]
fn limits_more_layers_than_docker_takes_are_found() {
    assert_eq!(recorded(120).findings, []);
    let findings = recorded(121).findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "layers-exceed-docker");
}

#[test]
fn a_control_run_that_differs_decides_where_the_others_agree() {
    let a = recorded(1).runs.remove(0);
    let other = |id: RunId, layers: usize| RunRecord {
        id,
        ..recorded(layers).runs.remove(0)
    };
    let reason = |b: usize, control: usize| {
        let mut runs = vec![
            a.clone(),
            other(RunId::B, b),
            other(RunId::Control, control),
        ];
        runs[1].variation = Variation::run_b(&Axis::VARIED.into());
        super::record::reason(Runs::TwoAndControl, &runs)
    };
    assert_eq!(reason(1, 1), Reason::Reproduced);
    assert_eq!(reason(1, 2), Reason::DiffersByChance);
    assert_eq!(reason(2, 1), Reason::Differs);
    assert_eq!(reason(2, 2), Reason::Differs);
}
