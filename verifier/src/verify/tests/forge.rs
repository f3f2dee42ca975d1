//! Packs changed and signed anew, as somebody with a key could.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use repro_core::{digest::Digest, json::canonical, store::StoredBlob};
use serde_json::{Map, Value};

use super::{super::files::PackFiles, signing};
use crate::{
    attestation::Attestation,
    keys::SigningKey,
    pack::{Signer, layout},
    predicate::{
        Predicate as _,
        evidence_index::{EvidenceIndex, PackIndex},
    },
    statement::{Statement, Subject},
    strict_json,
    testing::Case,
};

pub(super) const RUN_A: &str = "provenance/run-a.sigstore.json";
pub(super) const RUN_B: &str = "provenance/run-b.sigstore.json";

/// The pack of a case, by the usual key.
pub(super) fn written(case: &Case) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    case.write(&place, Signer::Key(&signing())).unwrap();
    (dir, place)
}

/// Makes the index anew over what lies there, as a signer with the key could.
pub(super) fn seal(place: &Path, key: &SigningKey) {
    let files = PackFiles::list(place).unwrap();
    let own = [layout::INDEX, layout::INDEX_BUNDLE];
    let listed: BTreeMap<String, StoredBlob> = files
        .paths()
        .iter()
        .filter(|path| !own.contains(&path.as_str()))
        .map(|path| {
            let bytes = fs::read(place.join(path)).unwrap();
            let blob = StoredBlob {
                digest: Digest::of(&bytes),
                size: bytes.len() as u64,
            };
            (path.clone(), blob)
        })
        .collect();
    let index = read(&place.join(layout::INDEX_BUNDLE));
    let signed: EvidenceIndex = serde_json::from_value(index["predicate"].clone()).unwrap();
    let bytes = canonical(&PackIndex::new(listed.clone())).unwrap();
    let statement = EvidenceIndex {
        files: listed.len() as u64,
        ..signed
    }
    .statement(vec![Subject {
        name: layout::INDEX.into(),
        digest: Digest::of(&bytes),
    }])
    .unwrap();
    fs::write(place.join(layout::INDEX), bytes).unwrap();
    sign(&place.join(layout::INDEX_BUNDLE), statement, key);
}

pub(super) fn sign(path: &Path, statement: Statement, key: &SigningKey) {
    let attestation = Attestation::sign(statement, key).unwrap();
    fs::write(path, attestation.to_bytes().unwrap()).unwrap();
}

/// The statement in a bundle, as JSON, whoever signed it.
pub(super) fn read(path: &Path) -> Value {
    let attestation = Attestation::parse(&fs::read(path).unwrap()).unwrap();
    let bytes = attestation.claims().unwrap().to_bytes().unwrap();
    strict_json::parse(&bytes, 1 << 20).unwrap()
}

/// A statement from its JSON.
pub(super) fn statement(value: &Value) -> Statement {
    let predicate: Map<String, Value> = serde_json::from_value(value["predicate"].clone()).unwrap();
    let subjects = value["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| Subject {
            name: subject["name"].as_str().unwrap().into(),
            digest: Digest::from_hex(subject["digest"]["sha256"].as_str().unwrap()).unwrap(),
        });
    Statement {
        subjects: subjects.collect(),
        predicate_type: value["predicateType"].as_str().unwrap().into(),
        predicate,
    }
}

/// Changes a signed statement, signs it again, and everything that names it.
pub(super) fn forge(place: &Path, key: &SigningKey, path: &str, edit: &dyn Fn(&mut Value)) {
    let full = place.join(path);
    let mut value = read(&full);
    edit(&mut value);
    sign(&full, statement(&value), key);
    if path.starts_with("provenance/") {
        let digest = Digest::of(&fs::read(&full).unwrap()).to_string();
        let number = usize::from(path.contains("run-b"));
        forge(place, key, layout::REPRODUCIBILITY, &|value| {
            value["predicate"]["runs"][number]["provenance"] = digest.as_str().into();
        });
        return;
    }
    seal(place, key);
}

/// Takes out what follows from other statements, and would have to be made again with them.
fn without_derived(place: &Path) {
    for path in [layout::TEST_RESULT, layout::ATTRIBUTES] {
        let path = place.join(path);
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
    for dir in ["network", layout::SBOM, layout::LINKS] {
        fs::remove_dir_all(place.join(dir)).unwrap();
    }
}

/// A pack of a case, by another key and another builder, with `edit` of both runs. It has no statements
/// that follow from others.
pub(super) fn by_builder(
    case: &Case,
    key: &SigningKey,
    builder: &str,
    edit: &dyn Fn(&mut Value),
) -> (tempfile::TempDir, PathBuf) {
    let (dir, place) = written(case);
    without_derived(&place);
    for path in [RUN_A, RUN_B] {
        forge(&place, key, path, &|value| {
            value["predicate"]["runDetails"]["builder"]["id"] = builder.into();
            edit(&mut value["predicate"]);
        });
    }
    (dir, place)
}

/// The same for a pack by the usual key and builder.
pub(super) fn edited(edit: &dyn Fn(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let builder = crate::uris::BUILDER_LOCAL;
    by_builder(&Case::reproducible(), &signing(), builder, edit)
}
