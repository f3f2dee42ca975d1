//! What a pack replaces, and what it leaves alone.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
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
            "links/run-a.e2e78b13.link",
            "links/run-b.e2e78b13.link",
            "logs/run-a/01.log",
            "logs/run-b/01.log",
            "network/run-a.sigstore.json",
            "network/run-b.sigstore.json",
            "provenance/run-a.sigstore.json",
            "provenance/run-b.sigstore.json",
            "reproducibility/attributes.sigstore.json",
            "reproducibility/report.json",
            "reproducibility/report.md",
            "reproducibility/reproducibility.sigstore.json",
            "reproducibility/test-result.sigstore.json",
            "sbom/sbom-example.sigstore.json",
            "sbom/sbom-example.spdx.json",
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

#[test]
fn what_a_killed_run_left_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    let holder = unfinished(&place);
    assert_eq!(holder, dir.path().join(".pack.unfinished"));
    // Killed while it wrote.
    let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    make(&holder);
    fs::create_dir_all(holder.join("pack/half")).unwrap();
    write(&place).unwrap();
    assert_eq!(names(dir.path()), ["pack"]);
    // Killed between moving the old pack aside and putting the new one there: a run that then
    // fails still gives the old pack back.
    make(&holder);
    fs::rename(&place, holder.join("replaced")).unwrap();
    let mut case = Case::reproducible();
    case.record.runs[0].steps[1].log = Some(Digest::of(b"not in the store"));
    assert!(
        case.write(&place, Signer::Key(&key(KeyKind::P256, 1)))
            .is_err()
    );
    assert!(place.join("index.json").exists());
    assert_eq!(names(dir.path()), ["pack"]);
}

#[test]
fn a_holder_that_others_can_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    fs::create_dir(unfinished(&place)).unwrap();
    fs::set_permissions(unfinished(&place), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(write(&place), Err(PackError::NotOurs { .. })));
    fs::remove_dir(unfinished(&place)).unwrap();
    symlink(dir.path(), unfinished(&place)).unwrap();
    assert!(matches!(write(&place), Err(PackError::NotOurs { .. })));
}

#[test]
fn two_runs_do_not_write_one_pack() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pack");
    let first = holder::Holder::take(&place).unwrap();
    assert!(matches!(write(&place), Err(PackError::Busy(path)) if path == place));
    drop(first);
    write(&place).unwrap();
}
