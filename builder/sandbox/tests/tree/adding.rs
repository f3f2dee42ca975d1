//! What `ADD` does besides copying, and the options of both.

use std::{
    fs::File,
    io::Write as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use repro_core::{
    build::{Archives, CopyLayout, CopySpec, InlineFile, Owner, Placement},
    layer::LayerWriter,
    ruleset::Ruleset,
    tree::{Entry, EntryKind, EntrySink as _},
};
use repro_sandbox::tree::{Root, TimeRule, TreeError, copy};

use crate::{
    Outcome, Scenario,
    copying::{Copied, fails, run, source, spec},
    lab::{EPOCH, Lab, at, bare, entry, file, policy, tick},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("add/archives_of_every_compression", every_compression),
    ("add/what_is_no_archive", no_archive),
    ("add/archive_onto_a_tree", onto_a_tree),
    ("add/hostile_archives", hostile_archives),
    ("copy/parents", parents),
    ("copy/exclude", exclude),
    ("copy/link", link),
    ("copy/inline_files", inline_files),
    ("copy/symbolic_modes", symbolic_modes),
];

type Content = Vec<(Entry, Vec<u8>)>;
type Test = fn(&TreeError) -> bool;

fn tar(entries: &Content) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Ruleset::default());
    for (entry, content) in entries {
        writer
            .entry(entry, &mut content.as_slice())
            .expect("memory takes it");
    }
    writer.finish().expect("memory takes it")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A tree with one file.
fn tree_of(lab: &Lab, name: &str, bytes: &[u8]) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let size = bytes.len() as u64;
    lab.tree(
        &[],
        &[(entry(name, EntryKind::File { size }), bytes.to_vec())],
    )
}

fn add(patterns: &[&str], destination: &str) -> CopySpec {
    CopySpec {
        archives: Archives::Unpack,
        ..spec(patterns, destination)
    }
}

fn sample() -> Content {
    let mut tool = file("d/tool", "#!");
    tool.0.meta.mode = 0o4755;
    tool.0.meta.uid = 7;
    let mut late = file("late", "x");
    late.0.meta.mtime = EPOCH + 1;
    vec![
        bare("d", EntryKind::Directory),
        tool,
        bare(
            "e",
            EntryKind::Hardlink {
                target: at("d/tool"),
            },
        ),
        file("empty", ""),
        late,
    ]
}

fn every_compression(lab: &Lab) -> Outcome {
    let plain = tar(&sample());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain)?;
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain)?;
    let zstd = ruzstd::encoding::compress_to_vec(
        plain.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    for (name, bytes) in [
        ("tar", plain.clone()),
        ("gzip", gzip(&plain)),
        ("bzip2", bzip2.finish()?),
        ("xz", xz.finish()?),
        ("zstd", zstd),
    ] {
        // The name says nothing.
        let source = tree_of(lab, "file.txt", &bytes)?;
        let (step, _) = run(lab, &[], &source, &add(&["file.txt"], "/opt"))?;
        assert_eq!(
            step.layer.lines(),
            [
                "d opt",
                "d opt/d",
                "f opt/d/tool",
                "h opt/e opt/d/tool",
                "f opt/empty",
                "f opt/late",
            ],
            "{name}"
        );
        let tool = &step.layer.get("opt/d/tool").meta;
        assert_eq!((tool.mode, tool.uid, tool.mtime), (0o4755, 7, 1000));
        let late = step.layer.get("opt/late").meta.mtime;
        assert_eq!(late, tick(0), "a time later than the epoch");
        // COPY, and ADD --unpack=false, take it as the file that it is.
        let (step, _) = run(lab, &[], &source, &spec(&["file.txt"], "/opt"))?;
        assert_eq!(step.layer.lines(), ["f opt"], "{name}");
    }
    Ok(())
}

fn no_archive(lab: &Lab) -> Outcome {
    let plain = tar(&sample());
    let gzip_of_text = gzip(b"text");
    for bytes in [
        &b""[..],
        b"text",
        b"BZh9",
        b"\x1f\x8b\x08",
        &[0; 2048],
        &plain[..300],
        &gzip_of_text,
    ] {
        let source = tree_of(lab, "a.tar", bytes)?;
        let (step, _) = run(lab, &[], &source, &add(&["a.tar"], "/t/"))?;
        assert_eq!(step.layer.lines(), ["d t", "f t/a.tar"], "{bytes:?}");
    }
    // In a directory an archive is a file as well.
    let size = plain.len() as u64;
    let inside = entry("dir/a.tar", EntryKind::File { size });
    let source = lab.tree(&[], &[bare("dir", EntryKind::Directory), (inside, plain)])?;
    let (step, _) = run(lab, &[], &source, &add(&["dir"], "/t"))?;
    assert_eq!(step.layer.lines(), ["d t", "f t/a.tar"]);
    Ok(())
}

fn onto_a_tree(lab: &Lab) -> Outcome {
    let below = [lab.tree(
        &[],
        &[
            bare("out", EntryKind::Directory),
            file("out/kept", "k"),
            bare("t", EntryKind::Directory),
            bare("t/d", EntryKind::Directory),
            file("t/d/kept", "k"),
            bare("t/e", EntryKind::Directory),
            file("t/e/gone", "g"),
            bare(
                "t/l",
                EntryKind::Symlink {
                    target: b"/d".to_vec(),
                },
            ),
        ],
    )?];
    let mut d = bare("d", EntryKind::Directory);
    d.0.meta.mode = 0o700;
    let content = vec![d, file("d/new", "n"), file("e", "file"), file("l/x", "x")];
    let source = tree_of(lab, "a", &tar(&content))?;
    let (step, _) = run(lab, &below, &source, &add(&["a"], "/t/"))?;
    assert_eq!(
        step.layer.lines(),
        ["d t/d", "f t/d/new", "f t/d/x", "f t/e"],
        "a file replaces a directory; a link leads where it leads below the destination"
    );
    assert_eq!(step.layer.get("t/d").meta.mode, 0o700);
    let mut owned = add(&["a"], "/t/");
    owned.owner = Owner::Named("5:6".into());
    let (step, _) = run(lab, &below, &source, &owned)?;
    let meta = &step.layer.get("t/d/new").meta;
    assert_eq!((meta.uid, meta.gid), (5, 6));
    Ok(())
}

fn hostile_archives(lab: &Lab) -> Outcome {
    let climbing = vec![
        bare(
            "up",
            EntryKind::Symlink {
                target: b"../../../../etc".to_vec(),
            },
        ),
        file("up/passwd", "evil"),
    ];
    let source = tree_of(lab, "a", &tar(&climbing))?;
    let (step, _) = run(lab, &[], &source, &add(&["a"], "/t/"))?;
    assert_eq!(
        step.layer.lines(),
        ["d t", "d t/etc", "f t/etc/passwd", "l t/up ../../../../etc"],
        "inside the destination"
    );
    let refused: [(Content, Test); 3] = [
        (vec![bare("gone", EntryKind::Whiteout)], |error| {
            matches!(error, TreeError::ReservedName(_))
        }),
        (
            vec![bare("dev", EntryKind::CharDevice { major: 1, minor: 3 })],
            |error| matches!(error, TreeError::Device { .. }),
        ),
        (
            vec![
                file("a", ""),
                bare(
                    "b",
                    EntryKind::Hardlink {
                        target: at("nothing"),
                    },
                ),
            ],
            |error| matches!(error, TreeError::Archive { .. }),
        ),
    ];
    for (content, test) in refused {
        let source = tree_of(lab, "a", &tar(&content))?;
        let error = fails(lab, &[], &source, &add(&["a"], "/t/"));
        assert!(test(&error), "{error:?}");
    }
    let mut cut = tar(&[file("a", &"x".repeat(5000))].to_vec());
    cut.truncate(2000);
    let source = tree_of(lab, "a", &gzip(&cut))?;
    let error = fails(lab, &[], &source, &add(&["a"], "/t/"));
    assert!(matches!(error, TreeError::Archive { .. }), "{error:?}");
    Ok(())
}

fn with_parents(patterns: &[&str], destination: &str) -> CopySpec {
    CopySpec {
        layout: CopyLayout::Parents,
        ..spec(patterns, destination)
    }
}

fn parents(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    for (pattern, expected) in [
        ("./src/main.c", &["d t", "d t/src", "f t/src/main.c"][..]),
        ("src/./main.c", &["d t", "f t/main.c"]),
        (
            "src/bin",
            &[
                "d t",
                "d t/src",
                "d t/src/bin",
                "f t/src/bin/same",
                "h t/src/bin/tool t/src/bin/same",
            ],
        ),
        ("**/*.c", &["d t", "d t/src", "f t/src/main.c"]),
        ("to-src/./*.c", &["d t", "f t/main.c"]),
        ("*.none", &["d t"]),
        ("../src/main.c", &["d t", "d t/src", "f t/src/main.c"]),
    ] {
        let (step, _) = run(lab, &[], &source, &with_parents(&[pattern], "/t/"))?;
        assert_eq!(step.layer.lines(), expected, "{pattern}");
    }
    let (step, _) = run(lab, &[], &source, &with_parents(&["src/bin/tool"], "/t/"))?;
    let src = &step.layer.get("t/src").meta;
    assert_eq!((src.mode, src.uid), (0o711, 13), "as in the source");
    assert_eq!(step.layer.get("t/src/bin").meta.mode, 0o700);
    let error = fails(lab, &[], &source, &with_parents(&["src/none"], "/t/"));
    assert!(matches!(error, TreeError::NoSource { .. }), "{error:?}");
    let error = fails(lab, &[], &source, &with_parents(&["a.txt/./x"], "/t/"));
    assert!(matches!(error, TreeError::NotADirectory(_)), "{error:?}");
    Ok(())
}

fn exclude(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let copied = |patterns: &[&str], exclude: &[&str], layout| -> Copied {
        let mut spec = spec(patterns, "/t/");
        spec.exclude = exclude.iter().map(|&pattern| pattern.into()).collect();
        spec.layout = layout;
        run(lab, &[], &source, &spec)
    };
    for (patterns, exclude, expected) in [
        (
            &["src"][..],
            &["bin"][..],
            &["d t", "l t/link main.c", "f t/main.c"][..],
        ),
        (
            &["src"],
            &["bin/tool", "link"],
            &["d t", "d t/bin", "f t/bin/same", "f t/main.c"],
        ),
        (
            &["src"],
            &["*", "!bin/tool"],
            &["d t", "d t/bin", "f t/bin/tool"],
        ),
        (&["*.txt"], &["b*"], &["d t", "f t/a.txt"]),
        (
            &["src"],
            &["**/*.c"],
            &[
                "d t",
                "d t/bin",
                "f t/bin/same",
                "h t/bin/tool t/bin/same",
                "l t/link main.c",
            ],
        ),
    ] {
        let (step, _) = copied(patterns, exclude, CopyLayout::Contents)?;
        assert_eq!(step.layer.lines(), expected, "{patterns:?} {exclude:?}");
    }
    let (step, _) = copied(&["src"], &["src/bin"], CopyLayout::Parents)?;
    let expected = ["d t", "d t/src", "l t/src/link main.c", "f t/src/main.c"];
    assert_eq!(step.layer.lines(), expected);
    let mut bad = spec(&["src"], "/t/");
    bad.exclude = vec!["[".into()];
    let error = fails(lab, &[], &source, &bad);
    assert!(matches!(error, TreeError::Exclude(_)), "{error:?}");
    Ok(())
}

/// Copies as `--link` does: into the changes themselves.
fn linked(lab: &Lab, trees: &[PathBuf], source: &Path, spec: &CopySpec) -> Copied {
    let upper = lab.upper(trees, |_| Ok(()))?;
    let names = File::open(trees.last().unwrap_or(&upper))?;
    let (from, dest) = (File::open(source)?, File::open(&upper)?);
    let policy = policy(trees.len());
    let report = copy(
        spec,
        Root::new(from.as_fd()),
        Root::new(dest.as_fd()),
        Root::new(names.as_fd()),
        policy,
    )?;
    let step = lab.diff(trees, upper, TimeRule::Ignored, &[])?;
    Ok((step, report))
}

fn link(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let mut tmp = bare("tmp", EntryKind::Directory);
    tmp.0.meta.mode = 0o1777;
    let below = [lab.tree(
        &[],
        &[
            bare("etc", EntryKind::Directory),
            file("etc/group", "app:x:43:\n"),
            file("etc/passwd", "app:x:42:43::/:\n"),
            bare(
                "lib",
                EntryKind::Symlink {
                    target: b"usr/lib".to_vec(),
                },
            ),
            tmp,
            file("tmp/kept", "k"),
            bare("usr", EntryKind::Directory),
        ],
    )?];
    let mut spec = spec(&["a.txt"], "/lib/");
    spec.placement = Placement::Linked;
    let (step, _) = linked(lab, &below, &source, &spec)?;
    assert_eq!(
        step.layer.lines(),
        ["d lib", "f lib/a.txt"],
        "the link is not followed"
    );
    spec.destination = "/tmp/".into();
    spec.owner = Owner::Named("app".into());
    let (step, _) = linked(lab, &below, &source, &spec)?;
    assert_eq!(step.layer.lines(), ["d tmp", "f tmp/a.txt"]);
    assert_eq!(
        step.layer.get("tmp").meta.mode,
        0o755,
        "as an image's layer says"
    );
    let meta = &step.layer.get("tmp/a.txt").meta;
    assert_eq!((meta.uid, meta.gid), (42, 43));
    Ok(())
}

fn inline_files(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let mut spec = spec(&["a.txt"], "/t/");
    spec.files = vec![
        InlineFile {
            name: "one".into(),
            content: "1\n".into(),
        },
        InlineFile {
            name: "a.txt".into(),
            content: String::new(),
        },
    ];
    spec.owner = Owner::Named("8".into());
    let (step, report) = run(lab, &[], &source, &spec)?;
    assert_eq!(step.layer.lines(), ["d t", "f t/a.txt", "f t/one"]);
    assert_eq!(step.layer.get("t/a.txt").content_size(), 0, "the later one");
    let meta = &step.layer.get("t/one").meta;
    assert_eq!((meta.mode, meta.uid, meta.mtime), (0o644, 8, tick(0)));
    assert_eq!(report.entries, 4);
    spec.patterns.clear();
    spec.files.truncate(1);
    spec.destination = "/x/y".into();
    spec.mode = Some("u+x".parse()?);
    let (step, _) = run(lab, &[], &source, &spec)?;
    assert_eq!(step.layer.lines(), ["d x", "f x/y"]);
    assert_eq!(step.layer.get("x/y").meta.mode, 0o744);
    Ok(())
}

fn symbolic_modes(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let mut spec = spec(&["src"], "/t");
    spec.mode = Some("a=,u=rwX,g+s".parse()?);
    let (step, _) = run(lab, &[], &source, &spec)?;
    let mode = |path: &str| step.layer.get(path).meta.mode;
    assert_eq!(mode("t/bin"), 0o2700);
    assert_eq!(mode("t/main.c"), 0o2600);
    assert_eq!(mode("t"), 0o755, "made for it");
    Ok(())
}
