//! Orders from provenance, and what a rebuild may say.

use std::{collections::BTreeMap, path::Path};

use repro_core::{
    build::{EpochChoice, InputKind, InputRecord, RunId},
    digest::Digest,
    epoch::Epoch,
};

use super::*;
use crate::{
    keys::KeyKind,
    pack::Signer,
    predicate::reproducibility::{LineageBy, RebuildOf, RebuildOutcome},
    testing::{Case, NOW, key},
    uris,
    verify::{CheckCode, Conclusion, Status, Terms, Trust, VerifyReport, look},
};

fn opened(dir: &Path, case: &Case) -> (VerifyReport, Option<VerifiedPack>) {
    let key = key(KeyKind::P256, 1);
    case.write(dir, Signer::Key(&key)).unwrap();
    let keys = [key.public_key()];
    let terms = Terms {
        trust: Trust::Keys(&keys),
        policy: None,
        now: NOW,
    };
    let looked = look(dir, &terms).unwrap();
    (looked.report, looked.pack)
}

fn order(
    change: impl FnOnce(&mut crate::predicate::provenance::BuildDefinition),
) -> Result<Order, OrderError> {
    let dir = tempfile::tempdir().unwrap();
    let (_, pack) = opened(&dir.path().join("pack"), &Case::reproducible());
    let mut pack = pack.unwrap();
    let signed = pack.provenance.as_mut().unwrap();
    change(&mut signed.predicate.build_definition);
    Order::of(&pack)
}

#[test]
fn an_order_is_what_the_provenance_says() {
    let order = order(|_| {}).unwrap();
    assert_eq!(
        order.epoch,
        EpochChoice::Flag(Epoch::new(1_700_000_000).unwrap())
    );
    assert_eq!(order.dockerfile, Digest::of(b"dockerfile"));
    assert_eq!(order.context.unwrap().0, Digest::of(b"context"));
    assert_eq!(order.build_args["LEVEL"], "2");
    assert_eq!(order.version.as_deref(), Some("0.1.0"));
    let ((reference, platform), manifest) = order.pins.first_key_value().unwrap();
    assert_eq!(reference.to_string(), "docker.io/library/busybox:latest");
    assert_eq!(platform.to_string(), "linux/amd64");
    assert_eq!(*manifest, Digest::of(b"pkg:docker/busybox@1.36"));
}

#[test]
fn rules_that_are_not_known_and_values_that_cannot_be_are_no_order() {
    type Change = fn(&mut crate::predicate::provenance::ExternalParameters);
    let unknown = order(|definition| definition.internal_parameters.ruleset = 7);
    assert_eq!(
        unknown.unwrap_err(),
        OrderError::Ruleset {
            number: 7,
            version: Some("0.1.0".into())
        }
    );
    let cases: [(&str, Change); 5] = [
        ("sourceDateEpoch", |external| {
            external.source_date_epoch = Some("soon".into());
        }),
        ("sourceDateEpoch", |external| {
            external.source_date_epoch = None;
        }),
        ("shmSize", |external| external.shm_size = Some("1g".into())),
        ("buildContexts.x", |external| {
            external
                .build_contexts
                .insert("x".into(), "https://example.org/x".into());
        }),
        ("buildContexts.x", |external| {
            external
                .build_contexts
                .insert("x".into(), "oci-layout://@sha256:1".into());
        }),
    ];
    for (expected, change) in cases {
        let found = order(|definition| change(&mut definition.external_parameters));
        match found.unwrap_err() {
            OrderError::Value { name, .. } => assert_eq!(name, expected),
            other => panic!("{expected}: {other}"),
        }
    }
    let chosen = order(|definition| {
        definition.internal_parameters.epoch_source = repro_core::build::EpochSource::Base;
    });
    assert!(
        matches!(chosen, Err(OrderError::Value { .. })),
        "{chosen:?}"
    );
}

#[test]
fn inputs_are_compared_one_by_one() {
    let order = order(|_| {}).unwrap();
    let mut found = Case::reproducible().record.inputs;
    assert_eq!(order.other_inputs(&found), []);
    // What steps asked for, and what was judged, are not known before.
    found.push(InputRecord {
        uri: "https://example.org/x".into(),
        name: None,
        digest: Digest::of(b"x"),
        kind: InputKind::Fetch,
        step: Some(1),
        locked: true,
    });
    assert_eq!(order.other_inputs(&found), []);
    found[1].digest = Digest::of(b"other");
    let source = InputRecord {
        kind: InputKind::Source,
        name: Some("zlib".into()),
        ..found[3].clone()
    };
    found.push(source);
    found.remove(2);
    let other = |input: &str, attested: Option<&str>, found: Option<&str>| OtherInput {
        input: input.into(),
        attested: attested.map(|text| Digest::of(text.as_bytes())),
        found: found.map(|text| Digest::of(text.as_bytes())),
    };
    assert_eq!(
        order.other_inputs(&found),
        [
            other("context", Some("context"), Some("other")),
            other("image busybox", Some("pkg:docker/busybox@1.36"), None),
            other("source zlib", None, Some("x")),
        ]
    );
}

fn again(outcome: RebuildOutcome, manifest: Option<Digest>, named: Option<Digest>) -> Case {
    let mut case = Case::reproducible();
    let image = case.record.runs[0].image.as_ref().unwrap().manifest;
    let provenance = Digest::of(b"judged");
    if let Some(digest) = named {
        case.record.inputs.push(InputRecord {
            uri: uris::JUDGED.into(),
            name: Some(uris::JUDGED.into()),
            digest,
            kind: InputKind::Judged,
            step: None,
            locked: true,
        });
    }
    case.rebuild_of = Some(RebuildOf {
        provenance,
        manifest: manifest.unwrap_or(image),
        builder: uris::BUILDER_LOCAL.into(),
        lineage: BTreeMap::from([("source".to_owned(), "s3://exports".to_owned())]),
        lineage_by: Some(LineageBy {
            builder: uris::BUILDER_LOCAL.into(),
            key_id: key(KeyKind::P256, 1).public_key().id().to_string(),
        }),
        outcome,
    });
    case
}

/// What the first builder said of the data is said on, however often it is built again.
#[test]
fn a_rebuild_says_the_lineage_of_what_it_judged() {
    let dir = tempfile::tempdir().unwrap();
    let case = again(RebuildOutcome::Agrees, None, Some(Digest::of(b"judged")));
    let (report, pack) = opened(&dir.path().join("pack"), &case);
    assert_eq!(report.lineage["source"], "s3://exports");
    let order = Order::of(&pack.unwrap()).unwrap();
    assert_eq!(order.lineage["source"], "s3://exports");
}

/// Who builds again passes on what he was told. It counts only as the word of a key that counts itself, and
/// of the same image.
#[test]
fn lineage_that_is_passed_on_counts_as_the_word_of_who_said_it() {
    let dir = tempfile::tempdir().unwrap();
    let judged = Some(Digest::of(b"judged"));
    let by = |change: fn(&mut LineageBy)| {
        let mut case = again(RebuildOutcome::Agrees, None, judged);
        let of = case.rebuild_of.as_mut().unwrap();
        change(of.lineage_by.as_mut().unwrap());
        case
    };
    let other_image = Some(Digest::of(b"other"));
    for (number, (case, counts)) in [
        (by(|_| {}), true),
        (
            by(|by| by.key_id = key(KeyKind::P256, 2).public_key().id().to_string()),
            false,
        ),
        (by(|by| by.key_id.clear()), false),
        (
            by(|by| by.builder = "https://other.example/builder".into()),
            false,
        ),
        (again(RebuildOutcome::Differs, other_image, judged), false),
    ]
    .into_iter()
    .enumerate()
    {
        let (report, _) = opened(&dir.path().join(number.to_string()), &case);
        assert_eq!(report.conclusion, Conclusion::Verified, "{number}");
        assert_eq!(report.lineage.contains_key("source"), counts, "{number}");
    }
    let mut nobodys = again(RebuildOutcome::Agrees, None, judged);
    nobodys.rebuild_of.as_mut().unwrap().lineage_by = None;
    let (report, _) = opened(&dir.path().join("nobody"), &nobodys);
    assert_eq!(report.conclusion, Conclusion::Refused);
}

/// What is said of somebody else's image follows from the digests, or the pack is refused.
#[test]
fn a_rebuild_says_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (judged, other) = (Some(Digest::of(b"judged")), Some(Digest::of(b"other")));
    let cases = [
        (again(RebuildOutcome::Agrees, None, judged), true),
        (again(RebuildOutcome::Differs, other, judged), true),
        (again(RebuildOutcome::Agrees, other, judged), false),
        (again(RebuildOutcome::Differs, None, judged), false),
        (again(RebuildOutcome::NotBuilt, other, judged), false),
        (again(RebuildOutcome::Agrees, None, other), false),
        (again(RebuildOutcome::Agrees, None, None), false),
    ];
    for (number, (case, good)) in cases.iter().enumerate() {
        let (report, pack) = opened(&dir.path().join(number.to_string()), case);
        assert_eq!(report.conclusion == Conclusion::Verified, *good, "{number}");
        assert_eq!(pack.is_some(), *good, "{number}");
        let failed = report
            .checks
            .iter()
            .filter(|check| check.status == Status::Failed);
        let failed: Vec<CheckCode> = failed.map(|check| check.code).collect();
        assert_eq!(failed, if *good { vec![] } else { vec![CheckCode::Runs] });
    }
    // And the other way round: provenance of a rebuild under a verdict that is none.
    let mut case = again(RebuildOutcome::Agrees, None, judged);
    case.rebuild_of = None;
    let (report, _) = opened(&dir.path().join("silent"), &case);
    assert_eq!(report.conclusion, Conclusion::Refused);
}

#[test]
fn a_build_without_an_image_is_no_order() {
    let dir = tempfile::tempdir().unwrap();
    let (_, pack) = opened(&dir.path().join("pack"), &Case::reproducible());
    let mut pack = pack.unwrap();
    pack.provenance = None;
    assert_eq!(Order::of(&pack).unwrap_err(), OrderError::NoImage);
    assert_eq!(pack.verdict.predicate.runs[0].id, RunId::A);
}
