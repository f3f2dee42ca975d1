//! What a pack replaces, and what it leaves alone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::*;
use crate::{
    keys::KeyKind,
    testing::{Case, key},
    verify::files::PackFiles,
};

fn write(place: &Path) -> Result<WrittenPack, PackError> {
    Case::reproducible().write(place, Signer::Key(&key(KeyKind::P256, 1)))
}

/// Everything beside the pack: a run that failed or not leaves nothing there.
fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    repro_core::fs::sorted_names(dir).unwrap()
}

#[test]
fn the_files_of_a_pack() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("made/on/the/way/pack");
    let written = write(&place).unwrap();
    let files = PackFiles::list(&place).unwrap();
    let paths: Vec<&str> = files
        .paths()
        .iter()
        .map(String::as_str)
        .filter(|path| !path.starts_with("image/blobs/"))
        .collect();
    assert_eq!(
        paths,
        [
            "image/index.json",
            "image/oci-layout",
            "index.json",
            "index.sigstore.json",
            "logs/run-a/01.log",
            "logs/run-b/01.log",
            "provenance/run-a.sigstore.json",
            "provenance/run-b.sigstore.json",
            "reproducibility/report.json",
            "reproducibility/report.md",
            "reproducibility/reproducibility.sigstore.json",
        ]
    );
    assert_eq!(written.files + 2, files.paths().len() as u64);
    assert_eq!(names(place.parent().unwrap()), ["pack"]);
    let mode = |path: &str| fs::metadata(place.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode(""), mode("logs"), mode("index.json")),
        (0o755, 0o755, 0o644)
    );
}

#[test]
fn a_pack_replaces_a_pack_and_an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    fs::create_dir(&place).unwrap();
    let first = write(&place).unwrap();
    fs::remove_file(place.join("logs/run-a/01.log")).unwrap();
    assert_eq!(write(&place).unwrap(), first);
    assert!(place.join("logs/run-a/01.log").exists());
    assert_eq!(names(dir.path()), ["pack"]);
}

#[test]
fn anything_else_is_left_alone() {
    type Make = fn(&Path);
    let dir = tempfile::tempdir().unwrap();
    let make: [(&str, Make); 5] = [
        ("file", |place| fs::write(place, "mine").unwrap()),
        ("link", |place| symlink("/nowhere", place).unwrap()),
        ("directory", |place| {
            fs::create_dir(place).unwrap();
            fs::write(place.join("mine"), "mine").unwrap();
        }),
        ("index", |place| {
            fs::create_dir(place).unwrap();
            fs::write(place.join("index.json"), r#"{"schemaVersion":2}"#).unwrap();
        }),
        ("added", |place| {
            write(place).unwrap();
            fs::write(place.join("notes"), "mine").unwrap();
        }),
    ];
    for (name, make) in make {
        let place = dir.path().join(name);
        make(&place);
        let before = names(dir.path());
        match write(&place) {
            Err(PackError::NotOurs { path, .. }) => assert_eq!(path, place),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(names(dir.path()), before, "{name}");
        assert!(place.symlink_metadata().is_ok(), "{name}");
    }
    assert_eq!(fs::read(dir.path().join("added/notes")).unwrap(), b"mine");
}

#[test]
fn a_pack_that_cannot_be_made_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    write(&place).unwrap();
    let index = fs::read(place.join("index.json")).unwrap();
    let key = key(KeyKind::P256, 1);
    let mut case = Case::reproducible();
    case.record.runs[1].steps[1].log = Some(Digest::of(b"not in the store"));
    assert!(matches!(
        case.write(&place, Signer::Key(&key)),
        Err(PackError::Blob(BlobError::Missing(_)))
    ));
    let mut case = Case::reproducible();
    case.reports.remove(&ReportFormat::Json);
    assert!(matches!(
        case.write(&place, Signer::Key(&key)),
        Err(PackError::NoReport)
    ));
    let mut case = Case::reproducible();
    case.record.runs[1].executor = "elsewhere".into();
    assert!(matches!(
        case.write(&place, Signer::Key(&key)),
        Err(PackError::Provenance { run: RunId::B, .. })
    ));
    assert_eq!(fs::read(place.join("index.json")).unwrap(), index);
    assert_eq!(names(dir.path()), ["pack"]);
}
