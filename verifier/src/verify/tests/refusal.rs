//! Packs that are well signed and wrong: each refused with its own code.

use std::{fs, os::unix::fs::symlink, path::Path};

use repro_core::build::Variation;
use serde_json::{Value, json};

use super::{
    forge::{RUN_A, RUN_B, written},
    *,
};
use crate::{pack::layout, verify::files::PackFiles};

fn seal(place: &Path) {
    forge::seal(place, &signing());
}

fn forge(place: &Path, path: &str, edit: &dyn Fn(&mut Value)) {
    forge::forge(place, &signing(), path, edit);
}

/// What is wrong, by whom it is refused.
#[test]
fn provenance_that_says_too_much_or_too_little() {
    type Edit = fn(&mut Value);
    let table: [(&str, CheckCode, Edit); 17] = [
        ("builder id empty", CheckCode::Builder, |p| {
            p["runDetails"]["builder"]["id"] = "".into();
        }),
        ("builder id with a slash behind", CheckCode::Builder, |p| {
            let id = format!("{}/", crate::uris::BUILDER_LOCAL);
            p["runDetails"]["builder"]["id"] = id.into();
        }),
        ("another build type", CheckCode::Parameters, |p| {
            p["buildDefinition"]["buildType"] = "https://example.com/b/v1".into();
        }),
        ("an unknown parameter", CheckCode::Parameters, |p| {
            p["buildDefinition"]["externalParameters"]["cacheFrom"] = "x".into();
        }),
        ("a parameter of another type", CheckCode::Parameters, |p| {
            p["buildDefinition"]["externalParameters"]["buildArgs"]["LEVEL"] = 2.into();
        }),
        ("a parameter missing", CheckCode::Parameters, |p| {
            let parameters = &mut p["buildDefinition"]["externalParameters"];
            parameters.as_object_mut().unwrap().remove("platform");
        }),
        ("a parameter of run a only", CheckCode::Runs, |p| {
            p["buildDefinition"]["externalParameters"]["target"] = "x".into();
        }),
        (
            "a dependency without digest",
            CheckCode::Dependencies,
            |p| {
                let dependency = &mut p["buildDefinition"]["resolvedDependencies"][0];
                dependency.as_object_mut().unwrap().remove("digest");
            },
        ),
        ("no context", CheckCode::Dependencies, |p| {
            let all = p["buildDefinition"]["resolvedDependencies"]
                .as_array_mut()
                .unwrap();
            all.retain(|dependency| dependency["name"] != "context");
        }),
        ("another dependency than run b", CheckCode::Runs, |p| {
            let digest = &mut p["buildDefinition"]["resolvedDependencies"][0]["digest"];
            digest["sha256"] = "0".repeat(64).into();
        }),
        ("hermetic not measured", CheckCode::Hermetic, |p| {
            let metadata = p["runDetails"]["metadata"].as_object_mut().unwrap();
            metadata.remove("repro_hermetic");
        }),
        ("a step without measurement", CheckCode::Hermetic, |p| {
            let step = &mut p["runDetails"]["metadata"]["repro_steps"][1];
            step.as_object_mut().unwrap().remove("network");
        }),
        ("a step with a network", CheckCode::Types, |p| {
            p["runDetails"]["metadata"]["repro_steps"][1]["network"]["mode"] = "host".into();
        }),
        ("started after it finished", CheckCode::Times, |p| {
            p["runDetails"]["metadata"]["startedOn"] = "2027-01-15T07:30:01Z".into();
        }),
        ("finished in the future", CheckCode::Times, |p| {
            p["runDetails"]["metadata"]["finishedOn"] = "2027-01-16T00:00:00Z".into();
        }),
        ("not in UTC", CheckCode::Times, |p| {
            p["runDetails"]["metadata"]["finishedOn"] = "2027-01-15T08:30:00+01:00".into();
        }),
        (
            "the layers of another run",
            CheckCode::SubjectMatches,
            |p| {
                let step = &mut p["runDetails"]["metadata"]["repro_steps"][1];
                step["diffId"] = format!("sha256:{}", "0".repeat(64)).into();
            },
        ),
    ];
    for (name, code, edit) in table {
        let (_dir, place) = written(&Case::reproducible());
        forge(&place, RUN_A, &|value| edit(&mut value["predicate"]));
        let report = verify(&place);
        assert!(
            failed(&report).contains(&code),
            "{name}: {:?}",
            failed(&report)
        );
        assert_eq!(report.conclusion, Conclusion::Refused, "{name}");
    }
}

#[test]
fn predicate_types_are_compared_whole() {
    for bad in [
        "https://slsa.dev/provenance/v0.2",
        "https://slsa.dev/provenance/v1.0",
        "https://slsa.dev/provenance/v1/",
        "https://slsa.dev/verification_summary/v1",
        crate::uris::REPRODUCIBILITY,
    ] {
        let (_dir, place) = written(&Case::reproducible());
        forge(&place, RUN_A, &|value| value["predicateType"] = bad.into());
        assert!(failed(&verify(&place)).contains(&CheckCode::Types), "{bad}");
    }
}

#[test]
fn verdicts_that_do_not_follow() {
    type Edit = fn(&mut Value);
    let table: [(&str, Edit); 11] = [
        ("one invocation id for both", |p| {
            p["runs"][1]["invocationId"] = p["runs"][0]["invocationId"].clone();
        }),
        ("run b is run a again", |p| {
            p["runs"][1] = p["runs"][0].clone();
        }),
        ("nothing varied", |p| p["axes"] = json!({})),
        ("an axis with one value", |p| {
            p["axes"]["cpus"]["b"] = "all".into();
        }),
        ("an axis that was not varied", |p| {
            p["axes"]["boot-time"] = json!({"a": "real", "b": "shifted"});
        }),
        ("another verdict than the manifests", |p| {
            p["verdict"] = "not-reproducible".into();
        }),
        ("a cause in spite of the verdict", |p| {
            p["causes"] = json!([{"code": "x", "count": 1, "primary": true}]);
        }),
        ("a path that differs", |p| {
            p["counts"]["differences"] = 1.into();
            p["counts"]["differencesElsewhere"] = 1.into();
        }),
        ("fewer layers equal", |p| {
            p["counts"]["layersEqual"] = 1.into();
        }),
        ("another report", |p| {
            p["report"]["digest"]["sha256"] = "0".repeat(64).into();
        }),
        ("a manifest that is not run b's", |p| {
            p["runs"][1]["manifest"] = format!("sha256:{}", "0".repeat(64)).into();
        }),
    ];
    for (name, edit) in table {
        let (_dir, place) = written(&Case::reproducible());
        forge(&place, layout::REPRODUCIBILITY, &|value| {
            edit(&mut value["predicate"]);
        });
        let report = verify(&place);
        assert!(
            failed(&report).contains(&CheckCode::Runs),
            "{name}: {:?}",
            failed(&report)
        );
    }
}

#[test]
fn a_build_compared_with_itself_is_refused() {
    let mut case = Case::reproducible();
    case.record.runs[1].variation = Variation::run_a();
    let (_dir, place) = written(&case);
    assert_eq!(failed(&verify(&place)), [CheckCode::Runs]);
    let mut case = Case::reproducible();
    case.record.runs[1].invocation_id = case.record.runs[0].invocation_id.clone();
    let (_dir, place) = written(&case);
    assert_eq!(failed(&verify(&place)), [CheckCode::Runs]);
}

#[test]
fn the_provenance_of_the_runs_cannot_be_swapped() {
    let (_dir, place) = written(&Case::reproducible());
    let (a, b) = (place.join(RUN_A), place.join(RUN_B));
    let bytes = fs::read(&a).unwrap();
    fs::copy(&b, &a).unwrap();
    fs::write(&b, bytes).unwrap();
    seal(&place);
    // The traces of their networks fit the other one then.
    assert_eq!(
        failed(&verify(&place)),
        [CheckCode::Hermetic, CheckCode::Runs]
    );
}

#[test]
fn the_image_is_the_one_that_was_signed() {
    // Another image, well formed, under a pack that is about the first.
    let (_dir, place) = written(&Case::reproducible());
    let (_other, other) = written(&Case::different());
    fs::remove_dir_all(place.join(layout::IMAGE)).unwrap();
    copy(&other.join(layout::IMAGE), &place.join(layout::IMAGE));
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::SubjectMatches]);
    // None at all.
    fs::remove_dir_all(place.join(layout::IMAGE)).unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::SubjectMatches]);
    // A blob that belongs to nothing.
    let (_dir, place) = written(&Case::reproducible());
    let loose = place
        .join(layout::IMAGE)
        .join("blobs/sha256")
        .join("0".repeat(64));
    fs::write(loose, "x").unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::SubjectMatches]);
}

fn copy(from: &Path, to: &Path) {
    for path in PackFiles::list(from).unwrap().paths() {
        let target = to.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(path), target).unwrap();
    }
}

#[test]
fn a_layer_with_another_content_is_refused_though_every_digest_was_signed_anew() {
    let (_dir, place) = written(&Case::reproducible());
    let blobs = place.join(layout::IMAGE).join("blobs/sha256");
    for path in PackFiles::list(&blobs).unwrap().paths() {
        let blob = blobs.join(path);
        let bytes = fs::read(&blob).unwrap();
        let mut changed = bytes.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        fs::write(&blob, changed).unwrap();
        seal(&place);
        assert_eq!(
            failed(&verify(&place)),
            [CheckCode::SubjectMatches],
            "{path}"
        );
        fs::write(&blob, bytes).unwrap();
    }
}

#[test]
fn a_pack_has_its_files_and_no_others() {
    let (_dir, place) = written(&Case::reproducible());
    fs::write(place.join("note.txt"), "x").unwrap();
    assert_eq!(failed(&verify(&place)), [CheckCode::Pack]);
    fs::remove_file(place.join("note.txt")).unwrap();
    symlink("index.json", place.join("link")).unwrap();
    assert!(failed(&verify(&place)).contains(&CheckCode::Pack));
    fs::remove_file(place.join("link")).unwrap();
    assert_eq!(failed(&verify(&place)), []);
    // A statement at a place of its own, listed and signed: not passed over.
    fs::copy(
        place.join(RUN_A),
        place.join("provenance/run-c.sigstore.json"),
    )
    .unwrap();
    seal(&place);
    assert_eq!(failed(&verify(&place)), [CheckCode::SomethingVerified]);
}

#[test]
fn missing_evidence_is_refused() {
    for path in [RUN_A, RUN_B, layout::REPRODUCIBILITY] {
        let (_dir, place) = written(&Case::reproducible());
        fs::remove_file(place.join(path)).unwrap();
        seal(&place);
        let report = verify(&place);
        assert!(
            failed(&report).contains(&CheckCode::SomethingVerified),
            "{path}"
        );
    }
}

/// A hole costs its maker nothing, and would cost hours to read.
#[test]
fn a_file_of_another_size_is_not_read() {
    for path in ["reproducibility/report.md", "logs/run-a/01.log"] {
        let (_dir, place) = written(&Case::reproducible());
        let file = fs::File::options().write(true).open(place.join(path));
        file.unwrap().set_len(1 << 42).unwrap();
        let report = verify(&place);
        assert_eq!(failed(&report), [CheckCode::Pack], "{path}");
        let check = report.check(CheckCode::Pack).unwrap();
        assert!(check.findings.iter().any(|one| one.on == path), "{check:?}");
    }
}

#[test]
fn another_key_or_none_is_refused() {
    let (_dir, place) = written(&Case::reproducible());
    let other = key(KeyKind::P256, 9).public_key();
    for keys in [vec![], vec![other]] {
        let report = verify_pack(&place, &Terms::new(Trust::Keys(&keys), NOW)).unwrap();
        assert!(failed(&report).contains(&CheckCode::Signature));
        assert!(failed(&report).contains(&CheckCode::SomethingVerified));
        assert_eq!(report.verdict, None);
        assert_eq!(status(&report, CheckCode::Types), Status::Skipped);
    }
}

/// Envelope and bundle faults, each with the code of its own.
#[test]
fn bundles_that_are_none() {
    type Edit = fn(&mut Value);
    let table: [(&str, CheckCode, Edit); 9] = [
        ("version 0.4", CheckCode::BundleVersion, |b| {
            b["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json".into();
        }),
        ("no material", CheckCode::BundleVersion, |b| {
            b.as_object_mut().unwrap().remove("verificationMaterial");
        }),
        ("a log entry", CheckCode::BundleVersion, |b| {
            b["verificationMaterial"]["tlogEntries"] = json!([{}]);
        }),
        ("two signatures", CheckCode::SignatureCount, |b| {
            let one = b["dsseEnvelope"]["signatures"][0].clone();
            b["dsseEnvelope"]["signatures"] = json!([one, one]);
        }),
        ("no signature", CheckCode::SignatureCount, |b| {
            b["dsseEnvelope"]["signatures"] = json!([]);
        }),
        ("another payload type", CheckCode::PayloadType, |b| {
            b["dsseEnvelope"]["payloadType"] = "application/json".into();
        }),
        ("no base64", CheckCode::Base64, |b| {
            b["dsseEnvelope"]["payload"] = "é".into();
        }),
        ("empty payload", CheckCode::Base64, |b| {
            b["dsseEnvelope"]["payload"] = "".into();
        }),
        ("another payload", CheckCode::Signature, |b| {
            b["dsseEnvelope"]["payload"] = "e30=".into();
        }),
    ];
    for (name, code, edit) in table {
        let (_dir, place) = written(&Case::reproducible());
        let path = place.join(RUN_A);
        let mut bundle: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut bundle);
        fs::write(&path, serde_json::to_vec(&bundle).unwrap()).unwrap();
        seal(&place);
        assert!(failed(&verify(&place)).contains(&code), "{name}");
    }
    let (_dir, place) = written(&Case::reproducible());
    let path = place.join(RUN_A);
    for (name, bytes) in [
        ("twice", fs::read(&path).unwrap().repeat(2)),
        ("deep", b"[".repeat(100_000)),
        (
            "a key twice",
            br#"{"mediaType":"","mediaType":""}"#.to_vec(),
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        seal(&place);
        assert!(
            failed(&verify(&place)).contains(&CheckCode::StrictJson),
            "{name}"
        );
    }
}
