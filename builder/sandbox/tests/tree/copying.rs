//! `COPY` and `WORKDIR`, and whom files belong to.

use std::{
    fs::{self, File},
    os::{
        fd::AsFd,
        unix::{
            fs::{MetadataExt, symlink},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use repro_core::{
    build::{Archives, CopyLayout, CopySource, CopySpec, ModeChange, Owner, Placement},
    tree::{Entry, EntryKind},
};
use repro_sandbox::{
    tree::{CopyReport, Root, TimeRule, TreeError, copy, make_dir},
    users::{UserError, resolve, resolve_owner},
};

use crate::{
    Outcome, Scenario,
    lab::{Lab, Step, at, bare, file, policy, tick},
    view::view,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("copy/directory_is_its_contents", directory_is_its_contents),
    ("copy/destination_rules", destination_rules),
    ("copy/patterns", patterns),
    ("copy/links", links),
    ("copy/replacing", replacing),
    ("copy/owner_and_mode", owner_and_mode),
    ("copy/times", times),
    ("copy/special_files", special_files),
    ("copy/errors", errors),
    ("copy/make_dir", workdir),
    ("users/of_the_tree", users),
    ("users/hostile_databases", hostile_databases),
];

pub(crate) fn spec(patterns: &[&str], destination: &str) -> CopySpec {
    CopySpec {
        source: CopySource::Tree { trees: Vec::new() },
        patterns: patterns.iter().map(|&pattern| pattern.into()).collect(),
        files: Vec::new(),
        destination: destination.into(),
        owner: Owner::Keep,
        mode: None,
        layout: CopyLayout::Contents,
        exclude: Vec::new(),
        archives: Archives::Copy,
        placement: Placement::Merged,
    }
}

pub(crate) type Copied = Result<(Step, CopyReport), Box<dyn std::error::Error>>;

/// Copies from `source` onto `trees` as a step does.
pub(crate) fn run(lab: &Lab, trees: &[PathBuf], source: &Path, spec: &CopySpec) -> Copied {
    let mut report = CopyReport::default();
    let step = lab.step(trees, TimeRule::Ignored, &[], |root| {
        let (source, dest) = (File::open(source)?, File::open(root)?);
        let dest = dest.as_fd();
        report = copy(
            spec,
            Root::new(source.as_fd()),
            Root::new(dest),
            Root::new(dest),
            policy(trees.len()),
        )?;
        Ok(())
    })?;
    Ok((step, report))
}

/// The error of a copy.
pub(crate) fn fails(lab: &Lab, trees: &[PathBuf], source: &Path, spec: &CopySpec) -> TreeError {
    let error = run(lab, trees, source, spec).expect_err("the copy must fail");
    *error.downcast().expect("an error of the tree")
}

pub(crate) fn source() -> Vec<(Entry, Vec<u8>)> {
    let mut program = file("src/bin/tool", "#!");
    program.0.meta.mode = 0o750;
    program.0.meta.uid = 11;
    program.0.meta.gid = 12;
    let mut closed = bare("src/bin", EntryKind::Directory);
    closed.0.meta.mode = 0o700;
    let mut src = bare("src", EntryKind::Directory);
    src.0.meta.mode = 0o711;
    src.0.meta.uid = 13;
    vec![
        src,
        closed,
        program,
        bare(
            "src/bin/same",
            EntryKind::Hardlink {
                target: at("src/bin/tool"),
            },
        ),
        file("src/main.c", "int"),
        bare(
            "src/link",
            EntryKind::Symlink {
                target: b"main.c".to_vec(),
            },
        ),
        file("a.txt", "a"),
        file("b.txt", "b"),
        bare(
            "to-a",
            EntryKind::Symlink {
                target: b"a.txt".to_vec(),
            },
        ),
        bare(
            "to-src",
            EntryKind::Symlink {
                target: b"/src".to_vec(),
            },
        ),
        file("odd[1]", "odd"),
    ]
}

fn directory_is_its_contents(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let (step, report) = run(lab, &[], &source, &spec(&["src"], "/app"))?;
    let expected = [
        "d app",
        "d app/bin",
        "f app/bin/same",
        "h app/bin/tool app/bin/same",
        "l app/link main.c",
        "f app/main.c",
    ];
    assert_eq!(step.layer.lines(), expected);
    assert_eq!(report.entries, 6);
    let app = &step.layer.get("app").meta;
    assert_eq!(
        (app.mode, app.uid),
        (0o755, 0),
        "the destination is made, not copied"
    );
    assert_eq!(step.layer.get("app/bin").meta.mode, 0o700);
    let (step, _) = run(lab, &[], &source, &spec(&["/"], "/"))?;
    assert!(step.layer.lines().contains(&"f src/main.c".to_owned()));
    Ok(())
}

fn destination_rules(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let below = [lab.tree(
        &[],
        &[
            bare("dir", EntryKind::Directory),
            bare(
                "l",
                EntryKind::Symlink {
                    target: b"/dir".to_vec(),
                },
            ),
            bare(
                "lf",
                EntryKind::Symlink {
                    target: b"../../dir/f".to_vec(),
                },
            ),
        ],
    )?];
    for (destination, expected) in [
        ("/new", &["f new"][..]),
        ("/new/", &["d new", "f new/a.txt"]),
        ("/new/.", &["d new", "f new/a.txt"]),
        ("/x/y/z", &["d x", "d x/y", "f x/y/z"]),
        ("/dir", &["f dir/a.txt"]),
        ("/l", &["f dir/a.txt"]),
        ("/l/n/", &["d dir/n", "f dir/n/a.txt"]),
        ("/lf", &["f dir/f"]),
        ("/../../up", &["f up"]),
    ] {
        let (step, _) = run(lab, &below, &source, &spec(&["a.txt"], destination))?;
        assert_eq!(step.layer.lines(), expected, "{destination}");
    }
    let (step, _) = run(lab, &below, &source, &spec(&["a.txt", "b.txt"], "/t/"))?;
    assert_eq!(step.layer.lines(), ["d t", "f t/a.txt", "f t/b.txt"]);
    Ok(())
}

fn patterns(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    for (pattern, expected) in [
        ("*.txt", &["d t", "f t/a.txt", "f t/b.txt"][..]),
        ("[b-z].txt", &["d t", "f t/b.txt"]),
        ("odd[[]1]", &["d t", "f t/odd[1]"]),
        ("s?c/*.c", &["d t", "f t/main.c"]),
        ("to-src/*.c", &["d t", "f t/main.c"]),
        // A link is not entered where a wildcard matched it.
        ("to-s*/*.c", &[]),
        ("nothing*", &[]),
        ("../../a.txt", &["d t", "f t/a.txt"]),
        ("src/b*", &["d t", "f t/same", "h t/tool t/same"]),
    ] {
        let (step, report) = run(lab, &[], &source, &spec(&[pattern], "/t/"))?;
        assert_eq!(step.layer.lines(), expected, "{pattern}");
        assert_eq!(
            report.unmatched.is_empty(),
            !expected.is_empty(),
            "{pattern}"
        );
    }
    Ok(())
}

fn links(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let (step, _) = run(lab, &[], &source, &spec(&["to-a"], "/t/"))?;
    assert_eq!(
        step.layer.lines(),
        ["d t", "f t/to-a"],
        "followed, under its own name"
    );
    assert_eq!(step.layer.0[1].1, b"a");
    let (step, _) = run(lab, &[], &source, &spec(&["to-src"], "/t/"))?;
    assert!(step.layer.lines().contains(&"f t/main.c".to_owned()));
    Ok(())
}

fn replacing(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let mut existing = bare("app/bin", EntryKind::Directory);
    existing.0.meta.mode = 0o777;
    let below = [lab.tree(
        &[],
        &[
            bare("app", EntryKind::Directory),
            existing,
            file("app/bin/kept", "k"),
            file("app/main.c", "int"),
            bare(
                "app/link",
                EntryKind::Symlink {
                    target: b"elsewhere".to_vec(),
                },
            ),
            file("file", ""),
        ],
    )?];
    let (step, _) = run(lab, &below, &source, &spec(&["src"], "/app"))?;
    let expected = [
        "d app/bin",
        "f app/bin/same",
        "h app/bin/tool app/bin/same",
        "l app/link main.c",
    ];
    assert_eq!(
        step.layer.lines(),
        expected,
        "what is equal but for its time is no change"
    );
    assert_eq!(
        step.layer.get("app/bin").meta.mode,
        0o700,
        "as the one copied"
    );
    let error = fails(lab, &below, &source, &spec(&["src"], "/file"));
    assert!(matches!(error, TreeError::DirectoryOverFile(path) if path == at("file")));
    let error = fails(lab, &below, &source, &spec(&["src"], "/file/x"));
    assert!(matches!(error, TreeError::NotADirectory(path) if path == at("file")));
    let nested = lab.tree(&[], &[file("s/main.c/x", "")])?;
    let error = fails(lab, &below, &nested, &spec(&["s"], "/app"));
    assert!(matches!(error, TreeError::DirectoryOverFile(path) if path == at("app/main.c")));
    let nested = lab.tree(&[], &[file("s/bin", "")])?;
    let error = fails(lab, &below, &nested, &spec(&["s"], "/app"));
    assert!(matches!(error, TreeError::FileOverDirectory(path) if path == at("app/bin")));
    // A link to a directory is not entered below the destination, as in BuildKit.
    let below = [lab.tree(
        &[],
        &[
            bare("usr/bin", EntryKind::Directory),
            bare(
                "bin",
                EntryKind::Symlink {
                    target: b"usr/bin".to_vec(),
                },
            ),
        ],
    )?];
    let error = fails(lab, &below, &source, &spec(&["src"], "/"));
    assert!(matches!(error, TreeError::DirectoryOverFile(path) if path == at("bin")));
    Ok(())
}

fn owner_and_mode(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let below = [lab.tree(&[], &[file("etc/passwd", "app:x:42:43::/home/app:\n")])?];
    let (step, _) = run(lab, &below, &source, &spec(&["src"], "/new/app"))?;
    let meta = &step.layer.get("new/app/bin/same").meta;
    assert_eq!((meta.uid, meta.gid, meta.mode), (11, 12, 0o750));
    let mut named = spec(&["src"], "/new/app");
    named.owner = Owner::Named("app".into());
    named.mode = Some(ModeChange::Bits(0o4711));
    let (step, _) = run(lab, &below, &source, &named)?;
    for (entry, _) in &step.layer.0 {
        assert_eq!((entry.meta.uid, entry.meta.gid), (42, 43), "{}", entry.path);
        let expected = match (&entry.kind, entry.path.to_string().as_str()) {
            (_, "new" | "new/app") => 0o755,
            (EntryKind::Symlink { .. }, _) => 0o777,
            _ => 0o4711,
        };
        assert_eq!(entry.meta.mode, expected, "{}", entry.path);
    }
    named.owner = Owner::Named("nobody-here".into());
    let error = fails(lab, &below, &source, &named);
    assert!(matches!(error, TreeError::User(UserError::NoUser(name)) if name == "nobody-here"));
    Ok(())
}

fn times(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let (step, _) = run(lab, &[], &source, &spec(&["src"], "/app"))?;
    assert_eq!(step.layer.get("app").meta.mtime, tick(0));
    for path in ["app/bin", "app/main.c", "app/link"] {
        assert_eq!(step.layer.get(path).meta.mtime, 1000, "{path}");
    }
    let mut context = spec(&["src"], "/app");
    context.source = CopySource::Context { trees: Vec::new() };
    let (step, _) = run(lab, &[], &source, &context)?;
    for (entry, _) in &step.layer.0 {
        assert_eq!(entry.meta.mtime, tick(0), "{}", entry.path);
    }
    assert_eq!(step.counts, std::collections::BTreeMap::new());
    Ok(())
}

fn special_files(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &[bare("s/pipe", EntryKind::Fifo), file("s/f", "")])?;
    UnixListener::bind(source.join("s/socket"))?;
    let (step, report) = run(lab, &[], &source, &spec(&["s"], "/t"))?;
    assert_eq!(step.layer.lines(), ["d t", "f t/f", "p t/pipe"]);
    assert_eq!(report.sockets, 1);
    let error = fails(lab, &[], &source, &spec(&["s/socket"], "/t"));
    assert!(matches!(error, TreeError::Socket(path) if path == at("s/socket")));
    Ok(())
}

fn errors(lab: &Lab) -> Outcome {
    let source = lab.tree(&[], &source())?;
    let error = fails(lab, &[], &source, &spec(&["src/Main.c"], "/t"));
    let text = error.to_string();
    assert_eq!(text, "\"src/Main.c\" is not there; there is main.c");
    let error = fails(lab, &[], &source, &spec(&["gone/*.c"], "/t/"));
    assert!(matches!(error, TreeError::NoSource { .. }));
    let error = fails(lab, &[], &source, &spec(&["a.txt", "b.txt"], "/t"));
    assert!(matches!(error, TreeError::SeveralSources(path) if path == "/t"));
    let error = fails(lab, &[], &source, &spec(&["[a"], "/t"));
    assert!(matches!(error, TreeError::Pattern(_)));
    symlink("loop", source.join("loop"))?;
    let error = fails(lab, &[], &source, &spec(&["loop"], "/t"));
    assert!(matches!(error, TreeError::Links(_)));
    symlink("nowhere", source.join("dangling"))?;
    for pattern in ["dangling", "dang*"] {
        let error = fails(lab, &[], &source, &spec(&[pattern], "/t/"));
        let text = error.to_string();
        let expected = "\"dangling\" is a link to \"nowhere\", which is not there";
        assert_eq!(text, expected, "{pattern}");
    }
    Ok(())
}

fn workdir(lab: &Lab) -> Outcome {
    let below = [lab.tree(
        &[],
        &[
            file("etc/passwd", "app:x:42:43::/home/app:\n"),
            bare("srv", EntryKind::Directory),
            bare(
                "l",
                EntryKind::Symlink {
                    target: b"/srv".to_vec(),
                },
            ),
            file("file", ""),
        ],
    )?];
    let make = |path: &str, owner: &str| {
        lab.step(&below, TimeRule::Ignored, &[], |root| {
            make_dir(Root::new(File::open(root)?.as_fd()), path, owner, policy(1))?;
            Ok(())
        })
    };
    let step = make("/l/a/b", "app")?;
    assert_eq!(step.layer.lines(), ["d srv/a", "d srv/a/b"]);
    for (entry, _) in &step.layer.0 {
        let meta = &entry.meta;
        assert_eq!((meta.uid, meta.gid, meta.mode), (42, 43, 0o755));
        assert_eq!(meta.mtime, tick(1));
    }
    assert!(
        make("/srv", "app")?.layer.0.is_empty(),
        "one that is there is left alone"
    );
    assert!(make("/", "")?.layer.0.is_empty());
    assert!(make("/file/x", "").is_err());
    let number = make("/n", "7")?;
    assert_eq!(number.layer.get("n").meta.gid, 7);
    Ok(())
}

fn users(lab: &Lab) -> Outcome {
    let passwd = "# comment\n\nroot:x:0:0:root:/root:/bin/sh\nbroken\n\
                  app:x:42:43:App:/home/app:/bin/sh\nbad:x:no:1::/:\n12:x:50:51::/twelve:\n";
    let group = "root:x:0:\nstaff:x:50:app,root\nwheel:x:10:app\n43g:x:60:other\n";
    let tree = lab.tree(
        &[],
        &[
            file("data/passwd", passwd),
            bare(
                "etc/passwd",
                EntryKind::Symlink {
                    target: b"/data/passwd".to_vec(),
                },
            ),
            file("etc/group", group),
        ],
    )?;
    let root = File::open(&tree)?;
    let user = |spec: &str| {
        resolve(root.as_fd(), spec).map(|user| {
            let home = String::from_utf8_lossy(&user.home).into_owned();
            (user.uid, user.gid, user.groups, home)
        })
    };
    let app = |gid, groups: &[u32]| (42, gid, groups.to_vec(), "/home/app".to_owned());
    assert_eq!(user("")?, (0, 0, vec![0, 50], "/root".into()));
    assert_eq!(user("app")?, app(43, &[43, 50, 10]));
    assert_eq!(user("42")?, app(43, &[43, 50, 10]));
    assert_eq!(user("app:staff")?, app(50, &[50]));
    assert_eq!(user("app:77")?, app(77, &[77]));
    assert_eq!(user("1234")?, (1234, 0, vec![0], "/".into()));
    assert_eq!(user("1234:5")?, (1234, 5, vec![5], "/".into()));
    assert_eq!(
        user("12")?,
        (12, 0, vec![0], "/".into()),
        "a number is no name"
    );
    assert!(matches!(user("who"), Err(UserError::NoUser(name)) if name == "who"));
    assert!(matches!(user("bad"), Err(UserError::NoUser(_))));
    assert!(matches!(user("app:who"), Err(UserError::NoGroup(name)) if name == "who"));
    assert!(matches!(user("-1"), Err(UserError::Range(_))));
    assert!(matches!(user("2147483648"), Err(UserError::Range(_))));
    assert!(matches!(user("app:4294967296"), Err(UserError::Range(_))));
    let owner = |spec: &str| resolve_owner(root.as_fd(), spec);
    assert_eq!(owner("")?, (0, 0));
    assert_eq!(owner("42")?, (42, 42), "a number alone is its own group");
    assert_eq!(owner("app")?, (42, 43));
    assert_eq!(owner("app:wheel")?, (42, 10));
    assert_eq!(owner(":wheel")?, (0, 10));
    assert!(matches!(owner("who"), Err(UserError::NoUser(_))));
    Ok(())
}

fn hostile_databases(lab: &Lab) -> Outcome {
    let pipe = lab.tree(&[], &[bare("etc/passwd", EntryKind::Fifo)])?;
    let result = resolve(File::open(pipe)?.as_fd(), "app");
    assert!(matches!(result, Err(UserError::Open { .. })), "{result:?}");
    let outside = lab.directory();
    fs::write(outside.join("passwd"), "app:x:1:1::/:\n")?;
    let target = outside.join("passwd").into_os_string().into_encoded_bytes();
    let link = lab.tree(&[], &[bare("etc/passwd", EntryKind::Symlink { target })])?;
    let result = resolve(File::open(link)?.as_fd(), "app");
    assert!(matches!(result, Err(UserError::NoUser(_))), "{result:?}");
    let large = lab.tree(&[], &[file("etc/passwd", "")])?;
    File::options()
        .write(true)
        .open(large.join("etc/passwd"))?
        .set_len((8 << 20) + 1)?;
    let result = resolve(File::open(&large)?.as_fd(), "app");
    assert!(
        matches!(result, Err(UserError::TooLarge { .. })),
        "{result:?}"
    );
    let empty = lab.directory();
    assert_eq!(resolve(File::open(&empty)?.as_fd(), "7")?.uid, 7);
    assert_eq!(fs::metadata(&empty)?.uid(), 0);
    assert!(view(&empty)?.len() == 1);
    Ok(())
}
