//! Statements that follow from others, well signed and saying something else.

use std::{collections::BTreeMap, fs, path::Path};

use repro_core::build::RunId;
use serde_json::{Value, json};

use super::{
    forge::{self, written},
    *,
};
use crate::{link, link::Link, pack::layout};

fn seal(place: &Path) {
    forge::seal(place, &signing());
}

fn forge(place: &Path, path: &str, edit: &dyn Fn(&mut Value)) {
    forge::forge(place, &signing(), path, edit);
}

fn network_a() -> String {
    layout::network(RunId::A)
}

fn sbom() -> (String, String) {
    layout::sbom("docker.io/library/example:latest")
}

#[test]
fn each_derived_statement_is_checked_and_passes() {
    let (_dir, place) = written(&Case::reproducible());
    let report = verify(&place);
    for (code, path) in [
        (CheckCode::Tests, layout::TEST_RESULT.to_owned()),
        (CheckCode::Tests, layout::ATTRIBUTES.to_owned()),
        (CheckCode::Hermetic, network_a()),
        (CheckCode::Sbom, sbom().0),
        (CheckCode::SubjectMatches, link_of(&place, RunId::B)),
    ] {
        let check = report.checks.iter().find(|check| check.code == code);
        let finding = check
            .unwrap()
            .findings
            .iter()
            .find(|finding| finding.on == path);
        let status = finding.map(|finding| finding.status);
        assert_eq!(status, Some(Status::Passed), "{code} {path}");
    }
    // Where the images differ there is no attribute, and tests that failed are good evidence.
    let (_dir, place) = written(&Case::different());
    assert!(!place.join(layout::ATTRIBUTES).exists());
    assert_eq!(failed(&verify(&place)), []);
}

fn link_of(place: &Path, run: RunId) -> String {
    let name = link::file_name(run, &signing().public_key());
    let path = format!("{}/{name}", layout::LINKS);
    assert!(place.join(&path).is_file(), "{path}");
    path
}

#[test]
fn what_does_not_follow_is_refused() {
    type Edit = fn(&mut Value);
    let table: [(&str, String, CheckCode, Edit); 18] = [
        (
            "a failed test that passed",
            layout::TEST_RESULT.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["failedTests"] = json!(["image"]);
                p["predicate"]["result"] = "FAILED".into();
            },
        ),
        (
            "a test left out",
            layout::TEST_RESULT.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["passedTests"].as_array_mut().unwrap().pop();
            },
        ),
        (
            "a test of one's own",
            layout::TEST_RESULT.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["passedTests"]
                    .as_array_mut()
                    .unwrap()
                    .push("more".into());
            },
        ),
        (
            "an unknown result",
            layout::TEST_RESULT.into(),
            CheckCode::Types,
            |p| {
                p["predicate"]["result"] = "ERRED".into();
            },
        ),
        (
            "tests of another image",
            layout::TEST_RESULT.into(),
            CheckCode::SubjectMatches,
            |p| {
                p["subject"][0]["digest"]["sha256"] = "0".repeat(64).into();
            },
        ),
        (
            "another attribute",
            layout::ATTRIBUTES.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["attributes"][0]["attribute"] = "PERFECT".into();
            },
        ),
        (
            "an attribute more",
            layout::ATTRIBUTES.into(),
            CheckCode::Tests,
            |p| {
                let one = p["predicate"]["attributes"][0].clone();
                p["predicate"]["attributes"]
                    .as_array_mut()
                    .unwrap()
                    .push(one);
            },
        ),
        (
            "other evidence",
            layout::ATTRIBUTES.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["attributes"][0]["evidence"]["digest"]["sha256"] =
                    "0".repeat(64).into();
            },
        ),
        (
            "more axes",
            layout::ATTRIBUTES.into(),
            CheckCode::Types,
            |p| {
                p["predicate"]["attributes"][0]["conditions"]["variedAxes"] = json!(["weather"]);
            },
        ),
        (
            "another producer",
            layout::ATTRIBUTES.into(),
            CheckCode::Tests,
            |p| {
                p["predicate"]["producer"]["uri"] = "https://example.com/builder".into();
            },
        ),
        ("fewer attempts", network_a(), CheckCode::Hermetic, |p| {
            p["predicate"]["monitorLog"]["network"] = json!([]);
        }),
        (
            "a step that was not watched",
            network_a(),
            CheckCode::Hermetic,
            |p| {
                p["predicate"]["monitor"]["tracePolicy"]["steps"] = json!([]);
                p["predicate"]["monitorLog"]["network"] = json!([]);
            },
        ),
        ("events of no step", network_a(), CheckCode::Hermetic, |p| {
            p["predicate"]["monitorLog"]["network"][0]["kind"] = "address".into();
            let mut other = p["predicate"]["monitorLog"]["network"][0].clone();
            other["step"] = 9.into();
            p["predicate"]["monitorLog"]["network"]
                .as_array_mut()
                .unwrap()
                .push(other);
        }),
        (
            "another invocation",
            network_a(),
            CheckCode::Hermetic,
            |p| {
                p["predicate"]["monitoredProcess"]["event"] = "inv-1-b".into();
            },
        ),
        (
            "a package that is not there",
            sbom().0,
            CheckCode::Sbom,
            |p| {
                let one = p["predicate"]["packages"][0].clone();
                p["predicate"]["packages"].as_array_mut().unwrap().push(one);
            },
        ),
        ("a package left out", sbom().0, CheckCode::Sbom, |p| {
            p["predicate"]["packages"].as_array_mut().unwrap().pop();
        }),
        (
            "materials of another image",
            sbom().0,
            CheckCode::SubjectMatches,
            |p| {
                p["subject"][0]["digest"]["sha256"] = "0".repeat(64).into();
            },
        ),
        ("made by other rules", sbom().0, CheckCode::Sbom, |p| {
            p["predicate"]["creationInfo"]["comment"] = "inventory 0".into();
        }),
    ];
    for (name, path, code, edit) in table {
        let (_dir, place) = written(&Case::reproducible());
        forge(&place, &path, &|value| {
            edit(value);
            // The document beside it, as a signer with the key could write it too.
            if path == sbom().0 {
                let mut bytes = repro_core::json::canonical(&value["predicate"]).unwrap();
                bytes.push(b'\n');
                fs::write(place.join(sbom().1), bytes).unwrap();
            }
        });
        let found = failed(&verify(&place));
        assert!(found.contains(&code), "{name}: {found:?}");
    }
}

#[test]
fn an_attribute_beside_another_verdict_is_refused() {
    let (_good, good) = written(&Case::reproducible());
    let (_dir, place) = written(&Case::different());
    fs::copy(
        good.join(layout::ATTRIBUTES),
        place.join(layout::ATTRIBUTES),
    )
    .unwrap();
    seal(&place);
    assert!(failed(&verify(&place)).contains(&CheckCode::Tests));
}

#[test]
fn a_document_is_the_one_that_was_signed() {
    let (bundle, document) = sbom();
    let (_dir, place) = written(&Case::reproducible());
    let whole = fs::read_to_string(place.join(&document)).unwrap();
    fs::write(place.join(&document), whole.replace("SPDX-2.3", "SPDX-2.2")).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::Sbom]);
    fs::remove_file(place.join(&document)).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::Sbom]);
    fs::write(place.join(&document), &whole).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), []);
    fs::remove_file(place.join(&bundle)).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::Sbom]);
    // Without either nothing is claimed.
    fs::remove_file(place.join(&document)).unwrap();
    seal(&place);
    let report = verify(&place);
    assert_eq!(failed(&report), []);
    assert_eq!(status(&report, CheckCode::Sbom), Status::NotApplicable);
}

#[test]
fn links_say_what_the_provenance_says() {
    let (_dir, place) = written(&Case::reproducible());
    let path = link_of(&place, RunId::A);
    let bytes = fs::read(place.join(&path)).unwrap();
    let keys = [signing().public_key()];
    let (link, _) = Link::verify(&bytes, &keys).unwrap();
    assert_eq!(
        link.products.len(),
        4,
        "manifest, configuration, two layers"
    );
    let put = |bytes: &[u8]| {
        fs::write(place.join(&path), bytes).unwrap();
        seal(&place);
        failed(&verify(&place))
    };
    let mut other = link.clone();
    other.materials.remove("busybox");
    assert_eq!(
        put(&other.sign(&signing()).unwrap()),
        [CheckCode::SubjectMatches]
    );
    let mut other = link.clone();
    other.products.pop_first();
    assert_eq!(
        put(&other.sign(&signing()).unwrap()),
        [CheckCode::SubjectMatches]
    );
    let mut other = link.clone();
    other.name = "run-b".into();
    assert_eq!(
        put(&other.sign(&signing()).unwrap()),
        [CheckCode::SubjectMatches]
    );
    let foreign = key(KeyKind::P256, 9);
    assert_eq!(
        put(&link.clone().sign(&foreign).unwrap()),
        [CheckCode::Signature]
    );
    let text = String::from_utf8(bytes.clone()).unwrap();
    for (from, to, code) in [
        (
            "\"command\":[]",
            "\"command\":[\"x\"]",
            CheckCode::Signature,
        ),
        ("\"command\":[]", "\"command\":[],\"x\":1", CheckCode::Types),
        ("\"sig\":\"", "\"sig\":\"x", CheckCode::Base64),
        (
            "\"signatures\":[",
            "\"signatures\":[{\"keyid\":\"\",\"sig\":\"\"},",
            CheckCode::SignatureCount,
        ),
        (
            "{\"signatures\"",
            "{\"signed\":1,\"signatures\"",
            CheckCode::StrictJson,
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert_eq!(put(changed.as_bytes()), [code], "{to}");
    }
    // A link under a name that no verifier of layouts would look at.
    fs::write(place.join(&path), &bytes).unwrap();
    fs::write(place.join("links/run-a.link"), &bytes).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::SubjectMatches]);
}

#[test]
fn lineage_is_shown_and_is_one_in_both_runs() {
    let mut case = Case::reproducible();
    let lineage: BTreeMap<String, String> =
        [("source".to_owned(), "s3://exports/2026-11".to_owned())].into();
    case.record.lineage = lineage.clone();
    let (_dir, place) = written(&case);
    let report = verify(&place);
    assert_eq!(failed(&report), []);
    assert_eq!(report.lineage, lineage);
    forge(&place, "provenance/run-b.sigstore.json", &|value| {
        value["predicate"]["runDetails"]["metadata"]["repro_lineage"]["source"] = "x".into();
    });
    assert!(failed(&verify(&place)).contains(&CheckCode::Runs));
}
