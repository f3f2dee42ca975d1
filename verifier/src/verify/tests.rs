//! Packs as they are written, and everything that must not pass for one.

mod attempts;
mod beside;
mod derived;
mod forge;
mod fuzz;
mod mutation;
mod negative;
mod refusal;
mod terms;

use std::{fs, path::Path};

use super::*;
use crate::{
    keys::{KeyKind, SigningKey},
    pack::Signer,
    predicate::reproducibility::Verdict,
    testing::{Case, NOW, key, verify_pack, verify_packs},
};

fn signing() -> SigningKey {
    key(KeyKind::P256, 1)
}

fn verify(dir: &Path) -> VerifyReport {
    verify_pack(
        dir,
        &Terms::new(Trust::Keys(&[signing().public_key()]), NOW),
    )
    .unwrap()
}

fn status(report: &VerifyReport, code: CheckCode) -> Status {
    let check = report.checks.iter().find(|check| check.code == code);
    check.unwrap().status
}

/// All that a report says but the digest of the index's bundle, of which nobody keeps another.
fn says(report: &VerifyReport) -> VerifyReport {
    let mut report = report.clone();
    let index = crate::pack::layout::INDEX_BUNDLE;
    report
        .statements
        .retain(|statement| statement.path != index);
    report
}

/// The codes that failed.
fn failed(report: &VerifyReport) -> Vec<CheckCode> {
    let failed = report
        .checks
        .iter()
        .filter(|check| check.status == Status::Failed);
    failed.map(|check| check.code).collect()
}

#[test]
fn a_pack_is_verified_whatever_its_verdict() {
    for (case, verdict) in [
        (Case::reproducible(), Verdict::Reproducible),
        (Case::different(), Verdict::NotReproducible),
    ] {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("pack");
            let key = key(kind, 1);
            let written = case.write(&place, Signer::Key(&key)).unwrap();
            let report =
                verify_pack(&place, &Terms::new(Trust::Keys(&[key.public_key()]), NOW)).unwrap();
            assert_eq!(failed(&report), [], "{report:#?}");
            assert_eq!(report.conclusion, Conclusion::Verified);
            assert_eq!(report.verdict, Some(verdict));
            assert_eq!(report.signers, [KeyIdText::from(key.public_key().id())]);
            assert_eq!(written.key, key.public_key().id());
            let image = case.record.runs[0].image.as_ref().unwrap();
            assert_eq!(report.image, Some(image.manifest));
        }
    }
}

#[test]
fn a_control_run_is_one_more_witness() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, case: &Case| {
        let place = dir.path().join(name);
        case.write(&place, Signer::Key(&signing())).unwrap();
        place
    };
    let output = |case: &Case| case.record.runs[0].image.clone();
    let equal = Case::reproducible().with_control("same");
    assert_eq!(output(&equal), equal.record.runs[2].image);
    let place = write("equal", &equal);
    assert!(place.join("provenance/run-control.sigstore.json").is_file());
    let report = verify(&place);
    assert_eq!(report.conclusion, Conclusion::Verified, "{report:#?}");
    // It must be what it says: a run without variation, which agrees.
    let mut varied = Case::reproducible().with_control("same");
    varied.record.runs[2].variation = varied.record.runs[1].variation.clone();
    assert_eq!(
        failed(&verify(&write("varied", &varied))),
        [CheckCode::Runs]
    );
    let differs = Case::reproducible().with_control("otherwise");
    assert_eq!(
        failed(&verify(&write("differs", &differs))),
        [CheckCode::Runs]
    );
    // Then the verdict is another one, with another subject.
    let mut by_chance = Case::reproducible().with_control("otherwise");
    by_chance.findings.verdict = Verdict::NotReproducible;
    by_chance.report();
    let report = verify(&write("by-chance", &by_chance));
    assert_eq!(report.conclusion, Conclusion::Verified, "{report:#?}");
    // Its statement cannot be left out.
    fs::remove_file(place.join("provenance/run-control.sigstore.json")).unwrap();
    assert!(failed(&verify(&place)).contains(&CheckCode::Runs));
}

#[test]
fn every_code_is_reported_once_and_no_check_is_made_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    Case::reproducible()
        .write(&place, Signer::Key(&signing()))
        .unwrap();
    let report = verify(&place);
    let codes: Vec<&str> = report
        .checks
        .iter()
        .map(|check| check.code.code())
        .collect();
    let expected: Vec<String> = (1..=33).map(|n| format!("V{n:02}")).collect();
    assert_eq!(codes, expected);
    assert!(report.checks.iter().all(|check| !check.findings.is_empty()));
    for code in [
        CheckCode::Signature,
        CheckCode::Types,
        CheckCode::SubjectMatches,
        CheckCode::Parameters,
        CheckCode::Dependencies,
        CheckCode::Hermetic,
        CheckCode::Runs,
        CheckCode::Times,
        CheckCode::Pack,
        CheckCode::SomethingVerified,
    ] {
        assert_eq!(status(&report, code), Status::Passed, "{code}");
    }
    assert_eq!(status(&report, CheckCode::Quorum), Status::NotApplicable);
}

#[test]
fn only_a_build_that_copies_from_the_context_needs_it() {
    for (instruction, status_wanted) in [
        ("COPY x /x # repro", Status::Failed),
        ("COPY --chown=1 x /x # repro", Status::Failed),
        ("COPY --from=busybox x /x # repro", Status::Passed),
        ("WORKDIR /x", Status::Passed),
    ] {
        let mut case = Case::reproducible();
        case.record.plan[0].instruction = instruction.into();
        case.record.inputs.retain(|input| input.uri != "context");
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("pack");
        case.write(&place, Signer::Key(&signing())).unwrap();
        let report = verify(&place);
        assert_eq!(
            status(&report, CheckCode::Dependencies),
            status_wanted,
            "{instruction}"
        );
    }
}

#[test]
fn an_ephemeral_key_shows_integrity_and_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    let key = key(KeyKind::P256, 5);
    Case::reproducible()
        .write(&place, Signer::Ephemeral(&key))
        .unwrap();
    let report = verify_pack(&place, &Terms::new(Trust::Embedded, NOW)).unwrap();
    assert_eq!(failed(&report), []);
    assert_eq!(report.conclusion, Conclusion::IntegrityOnly);
    // A pack of a real key has none to offer.
    let other = dir.path().join("other");
    Case::reproducible()
        .write(&other, Signer::Key(&signing()))
        .unwrap();
    let report = verify_pack(&other, &Terms::new(Trust::Embedded, NOW)).unwrap();
    assert_eq!(report.conclusion, Conclusion::Refused);
}

#[test]
fn a_run_that_failed_leaves_a_signed_verdict() {
    let mut case = Case::different();
    for run in &mut case.record.runs {
        run.image = None;
        run.steps.pop();
    }
    case.findings.verdict = Verdict::BuildFailed;
    case.findings.first_divergence = None;
    case.report();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    case.write(&place, Signer::Key(&signing())).unwrap();
    let report = verify(&place);
    assert_eq!(failed(&report), [], "{report:#?}");
    assert_eq!(report.verdict, Some(Verdict::BuildFailed));
    assert_eq!(report.image, None);
    assert_eq!(status(&report, CheckCode::Hermetic), Status::NotApplicable);
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let place = dir.path().join(name);
        Case::reproducible()
            .write(&place, Signer::Key(&signing()))
            .unwrap()
            .index
    };
    assert_eq!(write("one"), write("two"));
}

#[test]
fn what_is_not_there_is_an_error_and_what_is_empty_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(verify_pack(&dir.path().join("none"), &Terms::new(Trust::Keys(&[]), NOW)).is_err());
    let report = verify(dir.path());
    assert_eq!(report.conclusion, Conclusion::Refused);
    assert!(failed(&report).contains(&CheckCode::SomethingVerified));
}
