use repro_core::{build::RunId, store::put_bytes, tree::EntryKind};

use super::{
    CompareError, Difference, DifferenceKind as Kind, NotListed, Options, View, compare_images,
    compare_runs, first_divergence,
    planted::{Build, Planted, Step, file, other, step},
};
use crate::causes::{Cause, Confidence, Facts};

/// Path, kind and cause of every row.
fn rows(a: Vec<Planted>, b: Vec<Planted>) -> Vec<(String, Kind, Cause)> {
    let build = Build::new(&[step("RUN make", a, b)]);
    let found = build.compare().unwrap();
    found
        .differences
        .iter()
        .map(|row| (row.path.clone(), row.kind, row.cause))
        .collect()
}

#[test]
fn every_kind_of_difference_is_found() {
    let symlink = |target: &str| {
        let target = target.into();
        other("x", EntryKind::Symlink { target })
    };
    let mode = |mode| file("x", "same").meta(|meta| meta.mode = mode);
    let table: Vec<(Vec<Planted>, Vec<Planted>, Kind, Cause)> = vec![
        (
            vec![file("x", "on repro-a\n")],
            vec![file("x", "on repro-b-canary\n")],
            Kind::Content,
            Cause::EmbeddedHostname,
        ),
        (
            vec![mode(0o644)],
            vec![mode(0o664)],
            Kind::Mode,
            Cause::ModeUmask,
        ),
        (
            vec![file("x", "").meta(|meta| meta.uid = 1)],
            vec![file("x", "").meta(|meta| meta.gid = 1)],
            Kind::Owner,
            Cause::OwnerId,
        ),
        (
            vec![file("x", "").meta(|meta| meta.mtime = 1)],
            vec![file("x", "").meta(|meta| meta.mtime = 2)],
            Kind::Mtime,
            Cause::FileTime,
        ),
        (
            vec![file("x", "")],
            vec![file("x", "").meta(|meta| {
                meta.xattrs.insert(b"user.a".to_vec(), b"1".to_vec());
            })],
            Kind::Xattr,
            Cause::ExtendedAttribute,
        ),
        (
            vec![symlink("on-repro-a")],
            vec![symlink("on-repro-b-canary")],
            Kind::Link,
            Cause::EmbeddedHostname,
        ),
        (
            vec![file("x", "")],
            vec![other("x", EntryKind::Fifo)],
            Kind::Type,
            Cause::Unknown,
        ),
        (
            vec![file("w", ""), file("x", "")],
            vec![file("w", "")],
            Kind::Missing,
            Cause::MissingFile,
        ),
    ];
    for (a, b, kind, cause) in table {
        let found = rows(a, b);
        assert!(
            found.contains(&("x".into(), kind, cause)),
            "{kind}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|(_, found, _)| *found == kind || kind == Kind::Type),
            "{kind}: {found:?}"
        );
    }
}

#[test]
fn a_line_of_a_list_follows_the_file_that_it_names() {
    let list = |digit: &str| {
        let name = format!("usr/share/{}/x", "long".repeat(20));
        format!("{}  {name}\n", digit.repeat(64))
    };
    let long = format!("usr/share/{}/x", "long".repeat(20));
    let of = |text: &str, digit: &str| {
        vec![
            file("SHA256SUMS", list(digit)),
            file("a", text),
            file(&long, text),
        ]
    };
    let build = Build::new(&[step("RUN make", of("left", "a"), of("right", "b"))]);
    let found = build.compare().unwrap();
    let row = found
        .differences
        .iter()
        .find(|row| row.path == "SHA256SUMS");
    let origin = row.unwrap().derived_from.as_ref();
    assert_eq!(origin.unwrap().path, long);
    assert_eq!(row.unwrap().cause, Cause::DerivedChecksum);
}

#[test]
fn identical_runs_have_no_difference_and_count_as_equal() {
    let same = || vec![file("a", "21:33:25 repro-b-canary 8"), file("b", "")];
    let build = Build::with_base(
        &[step("RUN make", same(), same())],
        &[vec![file("base", "x")]],
    );
    let found = build.compare().unwrap();
    assert!(found.image_is_equal());
    assert_eq!((found.ratio.layers_equal, found.ratio.layers), (2, 2));
    assert_eq!((found.ratio.files_equal, found.ratio.files), (2, 2));
    assert_eq!(first_divergence(&build.record, RunId::B), None);
}

/// What is written must not be told as a time that differs, nor as an entry that is missing.
#[test]
fn an_entry_that_one_layer_leaves_to_those_below_is_written_by_the_other() {
    let dir = |time| other("etc", EntryKind::Directory).meta(|meta| meta.mtime = time);
    let at = |time, content: &str| file("etc/p", content).meta(|meta| meta.mtime = time);
    let added = || file("etc/new", "n");
    let base = [vec![dir(1), at(1, "1"), file("etc/old", "o")]];
    let rows = |a: Vec<Planted>, b: Vec<Planted>| {
        let found = Build::with_base(&[step("RUN x", a, b)], &base).compare();
        let rows = found.unwrap().differences.into_iter();
        let rows = rows.filter(|row| row.step.is_some());
        rows.map(|row| {
            let values = row.evidence.map(|found| (found.a, found.b));
            (row.path, row.cause, values)
        })
        .collect::<Vec<_>>()
    };
    let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
    let write = Cause::OneSidedWrite;
    assert_eq!(
        rows(vec![dir(2), at(2, "1"), added()], vec![dir(2), added()]),
        [("etc/p".into(), write, pair("written", "left as it was"))]
    );
    assert_eq!(
        rows(vec![dir(2)], vec![added()]),
        [("etc/new".into(), Cause::MissingFile, pair("absent", "file"))],
        "its directory is written for it"
    );
    assert_eq!(
        rows(vec![], vec![dir(2)]),
        [("etc".into(), write, pair("left as it was", "written"))]
    );
    let found = rows(
        vec![dir(2), at(2, "repro-a"), added()],
        vec![dir(2), added()],
    );
    let causes: Vec<_> = found
        .iter()
        .map(|(path, cause, _)| (path.as_str(), *cause))
        .collect();
    assert_eq!(
        causes,
        [("etc/p", Cause::Unknown)],
        "another content is no mere write"
    );
}

#[test]
fn as_many_differences_are_listed_as_are_asked_for() {
    let files = |content: &str| (0..120).map(|n| file(format!("f{n}"), content)).collect();
    let build = Build::new(&[step("RUN x", files("repro-a"), files("repro-b-canary"))]);
    let scratch = tempfile::tempdir().unwrap();
    for (most, listed) in [(200, 100), (usize::MAX, 120)] {
        let options = Options {
            most,
            ..Options::new(scratch.path().to_owned())
        };
        let found = compare_runs(&build.blobs, &build.record, &options).unwrap();
        assert_eq!(found.differences.len(), listed);
        assert_eq!(found.not_listed.image, 120 - listed as u64);
    }
}

#[test]
fn layers_and_steps_are_counted_above_the_base() {
    let build = Build::with_base(
        &[
            step("COPY . /", vec![file("src", "x")], vec![file("src", "x")]),
            step("RUN true", vec![], vec![]),
            step(
                "RUN make",
                vec![file("keep", "k"), file("out", "repro-a")],
                vec![file("keep", "k"), file("out", "repro-b-canary")],
            ),
        ],
        &[vec![file("base", "x")]],
    );
    let found = build.compare().unwrap();
    assert_eq!(found.differences.len(), 1);
    let row = &found.differences[0];
    assert_eq!((row.layer, row.step), (Some(2), Some(2)));
    assert_eq!(
        (row.cause, row.confidence),
        (Cause::EmbeddedHostname, Confidence::Certain)
    );
    assert_eq!((found.ratio.layers_equal, found.ratio.layers), (2, 3));
    assert_eq!((found.ratio.files_equal, found.ratio.files), (2, 3));
    let first = first_divergence(&build.record, RunId::B).unwrap();
    assert_eq!((first.index, first.line), (2, 4));
}

#[test]
fn one_file_has_a_row_for_each_cause() {
    let found = rows(
        vec![file(
            "stamp",
            "Mon Nov 23 21:33:25 UTC 2026\nrepro-a\n8\n9f86d081884c7d65\n",
        )],
        vec![file(
            "stamp",
            "Mon Nov 23 21:33:27 UTC 2026\nrepro-b-canary\n1\n60303ae22b998861\n",
        )],
    );
    let mut causes: Vec<Cause> = found.iter().map(|(_, _, cause)| *cause).collect();
    causes.sort();
    assert_eq!(
        causes,
        [
            Cause::EmbeddedTimestamp,
            Cause::EmbeddedHostname,
            Cause::EmbeddedCpuCount,
            Cause::RandomContent
        ]
    );
}

/// A stage that is not part of the image differs, and its file is copied on.
#[test]
fn what_is_copied_on_is_derived() {
    let (a, b) = ("by repro-a", "by repro-b-canary");
    let build = Build::new(&[
        Step {
            in_image: false,
            ..step("RUN make", vec![file("out/x", a)], vec![file("out/x", b)])
        },
        step(
            "COPY --from=0 /out /",
            vec![file("x", a)],
            vec![file("x", b)],
        ),
    ]);
    let found = build.compare().unwrap().differences;
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].layer, found[0].step), (None, Some(0)));
    assert_eq!(found[0].derived_from, None);
    assert_eq!((found[1].layer, found[1].step), (Some(0), Some(1)));
    let origin = found[1].derived_from.as_ref().unwrap();
    assert_eq!((origin.step, origin.path.as_str()), (Some(0), "out/x"));
}

/// The same without the copy: the stage differs and the image does not.
#[test]
fn what_no_stage_copies_on_is_no_difference_of_the_image() {
    let build = Build::new(&[
        Step {
            in_image: false,
            ..step(
                "RUN make",
                vec![file("cache", "repro-a"), file("out", "x")],
                vec![file("cache", "repro-b-canary"), file("out", "x")],
            )
        },
        step(
            "COPY --from=0 /out /",
            vec![file("out", "x")],
            vec![file("out", "x")],
        ),
    ]);
    let found = build.compare().unwrap();
    assert_eq!(found.differences.len(), 1);
    assert!(!found.differences[0].in_image());
    assert!(found.image_is_equal());
    assert_eq!(found.not_listed, NotListed::default());
}

#[test]
fn names_that_change_are_one_entry() {
    let directory = |name: &str| other(name, EntryKind::Directory);
    let found = rows(
        vec![
            directory("tmp.Xa3kPq9w"),
            file("tmp.Xa3kPq9w/log", ""),
            file("p.12", "x"),
        ],
        vec![
            directory("tmp.0ZbT9wLm"),
            file("tmp.0ZbT9wLm/log", ""),
            file("p.20021", "x"),
        ],
    );
    let named = |path: &str| {
        let row = found.iter().find(|(found, _, _)| found == path);
        row.map(|(_, kind, cause)| (*kind, *cause))
    };
    assert_eq!(
        named("p.12"),
        Some((Kind::Missing, Cause::EmbeddedProcessId))
    );
    assert_eq!(
        named("tmp.Xa3kPq9w"),
        Some((Kind::Missing, Cause::RandomContent))
    );
    assert_eq!(
        named("tmp.Xa3kPq9w/log"),
        Some((Kind::Missing, Cause::RandomContent))
    );
    assert_eq!(named("p.20021"), None);
}

#[test]
fn no_excerpt_of_what_may_be_secret() {
    let key = |fill: &str| format!("-----BEGIN PRIVATE KEY-----\n{fill}repro-a\n");
    let secret = |path: &str, mode, a: &str, b: &str| -> Vec<Difference> {
        let planted = |content: &str| vec![file(path, content).meta(|meta| meta.mode = mode)];
        let build = Build::new(&[step("RUN make", planted(a), planted(b))]);
        build.compare().unwrap().differences
    };
    for found in [
        secret("etc/shadow", 0o644, "root:SALT1:1", "root:SALT2:1"),
        secret("etc/app.conf", 0o600, "password=SALT1", "password=SALT2"),
        secret("etc/app.conf", 0o644, &key("SALT1"), &key("SALT2")),
    ] {
        for row in found {
            let evidence = row.evidence.unwrap();
            assert!(evidence.a.starts_with("sha256:"), "{evidence:?}");
            assert!(evidence.b.starts_with("sha256:"), "{evidence:?}");
            assert!(evidence.offset.is_some());
        }
    }
}

#[test]
fn configurations_are_compared_by_field() {
    let build = Build::new(&[step("RUN make", vec![file("x", "")], vec![file("x", "")])]);
    let image = build.record.runs[0].image.clone().unwrap();
    let edit = |field: &str, value: serde_json::Value| {
        let read = |digest| {
            let bytes = repro_core::store::read_small(&build.blobs, digest, 1 << 20).unwrap();
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
        };
        let mut config = read(image.config);
        config[field] = value;
        let stored = put_bytes(&build.blobs, &serde_json::to_vec(&config).unwrap()).unwrap();
        let mut manifest = read(image.manifest);
        manifest["config"]["digest"] = stored.digest.to_string().into();
        manifest["config"]["size"] = stored.size.into();
        put_bytes(&build.blobs, &serde_json::to_vec(&manifest).unwrap())
            .unwrap()
            .digest
    };
    let a = edit("x-docker-field", "made on repro-a".into());
    let b = edit("x-docker-field", "made on elsewhere".into());
    let scratch = tempfile::tempdir().unwrap();
    let options = Options::new(scratch.path().to_owned());
    let found = compare_images(
        &build.blobs,
        a,
        b,
        View::Layers,
        &Facts::default(),
        &options,
    )
    .unwrap();
    assert_eq!(found.differences.len(), 1);
    let row = &found.differences[0];
    assert_eq!(
        (row.path.as_str(), row.kind),
        ("/x-docker-field", Kind::Config)
    );
    assert_eq!(row.evidence.as_ref().unwrap().b, "made on elsewhere");
    let same = compare_images(
        &build.blobs,
        a,
        a,
        View::Layers,
        &Facts::default(),
        &options,
    )
    .unwrap();
    assert!(same.image_is_equal());
}

#[test]
fn what_cannot_be_read_is_an_error_not_a_verdict() {
    let mut build = Build::new(&[step("RUN make", vec![file("x", "1")], vec![file("x", "2")])]);
    build.record.runs[0].steps[0].blob = Some(repro_core::digest::Digest::of(b"gone"));
    assert!(matches!(build.compare(), Err(CompareError::OpenLayer(_))));
    build.record.runs[0].steps[0].blob = None;
    assert!(matches!(
        build.compare(),
        Err(CompareError::NoBlob {
            run: RunId::A,
            step: 0
        })
    ));
    build.record.runs.truncate(1);
    assert!(matches!(
        build.compare(),
        Err(CompareError::NoRun(RunId::B))
    ));
}
