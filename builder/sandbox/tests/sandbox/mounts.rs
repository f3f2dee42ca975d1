//! What steps ask to be mounted: seen inside, and in no layer.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    thread,
};

use repro_core::{
    build::{
        Executor as _, ExecutorError, Grants, MountAccess, MountFacts, MountSource, MountSpec,
        RunId, RunSpec, SecretValue, SecretVariable, SnapshotName, Snapshotter, StepAction,
        StepExit, Variation,
    },
    tree::EntryKind,
};

use crate::{
    bench::{Bench, Layer, SNAPSHOTTER, Seen, image, sh},
    probe,
};

crate::trials![
    a_bind_shows_other_trees_and_cannot_be_written,
    what_is_written_to_a_bind_is_gone,
    a_file_can_be_bound,
    a_cache_begins_empty_and_is_shared_within_a_run,
    memory_has_its_size_and_mode,
    secrets_are_files_and_variables,
    secrets_are_masked_in_what_is_printed,
    an_agent_answers_and_ends_with_the_step,
    what_is_not_lent_is_refused,
    places_are_made_and_are_in_no_layer,
    targets_that_lead_out_stay_inside,
    sources_that_lead_out_stay_inside,
    mounts_lie_in_mounts,
    a_mount_point_cannot_be_moved_or_removed,
    nothing_of_a_mount_is_left_in_the_store,
];

const RO: MountAccess = MountAccess::ReadOnly;
const RW: MountAccess = MountAccess::ReadWrite;
const SECRET: &str = "hunter2-correct-horse";

fn facts(mode: u16, uid: u32, gid: u32) -> MountFacts {
    MountFacts { mode, uid, gid }
}

fn mount(target: &str, access: MountAccess, source: MountSource) -> MountSpec {
    MountSpec {
        target: target.into(),
        access,
        source,
    }
}

fn bind(bench: &Bench, target: &str, access: MountAccess, path: &str) -> MountSpec {
    let trees = vec![SnapshotName::Stored(bench.unpack(&[], "files", &files()))];
    let path = path.into();
    mount(target, access, MountSource::Bind { trees, path })
}

fn cache(target: &str, id: &str, facts: MountFacts) -> MountSpec {
    let source = MountSource::Cache {
        id: id.into(),
        trees: None,
        path: "/".into(),
        facts,
    };
    mount(target, RW, source)
}

fn tmpfs(target: &str, size: Option<u64>) -> MountSpec {
    mount(target, RW, MountSource::Tmpfs { size })
}

fn secret(target: &str, facts: MountFacts) -> MountSpec {
    let id = "s".into();
    mount(target, RO, MountSource::Secret { id, facts })
}

/// Another tree, to bind from.
fn files() -> Layer {
    let mut layer = Layer::default();
    layer.dir("d");
    layer.file("d/f", 0o644, b"from the other tree\n");
    layer.link("d/out", "../../../../../etc");
    layer.dir("etc");
    layer.file("etc/inside", 0o644, b"inside\n");
    layer.link("root", "/");
    layer
}

fn lending() -> Grants {
    let value = SecretValue::new(format!("{SECRET}\n").into_bytes().into()).unwrap();
    Grants {
        secrets: [("s".to_owned(), value)].into(),
        ..Grants::default()
    }
}

fn with(script: &str, mounts: Vec<MountSpec>) -> RunSpec {
    RunSpec {
        mounts,
        ..sh(script)
    }
}

/// Runs a script that must succeed.
#[track_caller]
fn good(bench: &Bench, script: &str, mounts: Vec<MountSpec>) -> Seen {
    let seen = bench.run(with(script, mounts)).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success, "{}", seen.output);
    seen
}

#[track_caller]
fn refused(bench: &Bench, mounts: Vec<MountSpec>) -> String {
    match bench.run(with("true", mounts)) {
        Err(ExecutorError::Refused(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn a_bind_shows_other_trees_and_cannot_be_written() {
    let bench = Bench::new();
    let script = "cat /mnt/f; ! touch /mnt/f && ! touch /mnt/new && ! rm /mnt/f && ! rmdir /mnt";
    let seen = good(&bench, script, vec![bind(&bench, "/mnt", RO, "/d")]);
    assert!(
        seen.output.starts_with("from the other tree\n"),
        "{}",
        seen.output
    );
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    let missing = refused(&bench, vec![bind(&bench, "/mnt", RO, "/nope")]);
    assert!(missing.contains("\"/nope\""), "{missing}");
}

fn what_is_written_to_a_bind_is_gone() {
    let bench = Bench::new();
    let script =
        "echo changed > /mnt/f && echo new > /mnt/new && cat /mnt/f /mnt/new && echo x > /kept";
    let mounts = vec![bind(&bench, "/mnt", RW, "/d")];
    let seen = good(&bench, script, mounts.clone());
    assert_eq!(seen.output, "changed\nnew\n");
    assert_eq!(seen.layer.paths(), ["kept"]);
    let again = good(&bench, "cat /mnt/f; ls /mnt", mounts);
    assert_eq!(again.output, "from the other tree\nf\nout\n");
}

fn a_file_can_be_bound() {
    let bench = Bench::new();
    let over = vec![
        bind(&bench, "/etc/passwd", RO, "/d/f"),
        bind(&bench, "/new/file", RW, "/etc/inside"),
    ];
    let script = "cat /etc/passwd; echo more >> /new/file; cat /new/file; ! rm /etc/passwd";
    let seen = good(&bench, script, over);
    assert!(
        seen.output
            .starts_with("from the other tree\ninside\nmore\n")
    );
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    for (target, path) in [("/etc", "/d/f"), ("/etc/passwd", "/d")] {
        let what = refused(&bench, vec![bind(&bench, target, RO, path)]);
        assert!(what.contains("in the image"), "{what}");
    }
}

fn a_cache_begins_empty_and_is_shared_within_a_run() {
    let bench = Bench::new();
    let mounts = || {
        vec![
            cache("/c", "one", facts(0o750, 1000, 1000)),
            cache("/again", "one", facts(0o755, 0, 0)),
            cache("/other", "two", facts(0o755, 0, 0)),
        ]
    };
    let script =
        "stat -c '%a %u:%g' /c; ls -A /c; echo kept > /c/x; cat /again/x; ls /other; rm /c/x";
    for _ in 0..2 {
        let seen = good(&bench, script, mounts());
        assert_eq!(seen.output, "750 1000:1000\nkept\n");
        assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    }
    // What a step leaves in it is there for the next of its run, and for no other run.
    good(&bench, "echo left > /c/left", mounts());
    let list = "ls -A /c /other";
    assert_eq!(
        good(&bench, list, mounts()).output,
        "/c:\nleft\n\n/other:\n"
    );
    let mut other_run = bench.spec(StepAction::Run(with(list, mounts())));
    other_run.output = bench.output(RunId::B);
    let seen = bench.run_spec(&other_run, &Variation::run_a()).unwrap();
    assert_eq!(seen.output, "/c:\n\n/other:\n");
    let MountSource::Bind { trees, .. } = bind(&bench, "/c", RO, "/").source else {
        panic!("a bind")
    };
    let source = MountSource::Cache {
        id: "x".into(),
        trees: Some(trees),
        path: "/d".into(),
        facts: facts(0o755, 0, 0),
    };
    let again = source.clone();
    let seen = good(
        &bench,
        "ls /c && echo x > /c/new && ! touch /r/no && ls /r",
        vec![mount("/c", RW, source.clone()), mount("/r", RO, source)],
    );
    assert!(seen.output.starts_with("f\nout\n") && seen.output.ends_with("f\nnew\nout\n"));
    let seen = good(&bench, "ls /c", vec![mount("/c", RO, again)]);
    assert_eq!(seen.output, "f\nnew\nout\n");
    let beyond = refused(&bench, vec![cache("/c", "x", facts(0o755, 70_000, 0))]);
    assert!(beyond.contains("70000"), "{beyond}");
}

fn memory_has_its_size_and_mode() {
    let bench = Bench::new();
    let script = "stat -c %a /m /home/ann /tmp; ! dd if=/dev/zero of=/m/big bs=64k count=64 2>/dev/null; \
                  stat -c %s /m/big; cp /bin/busybox /tmp/true && /tmp/true && grep ' /m tmpfs' /proc/mounts";
    let mounts = vec![
        tmpfs("/m", Some(1 << 20)),
        tmpfs("/home/ann", None),
        tmpfs("/tmp", None),
    ];
    let seen = good(&bench, script, mounts);
    let lines: Vec<&str> = seen.output.lines().collect();
    // Its own where there was nothing, that of the directory where there was one.
    assert_eq!(&lines[..4], ["1777", "755", "1777", "1048576"]);
    assert!(
        lines[4].contains("nosuid,nodev") && lines[4].contains("size=1024k"),
        "{}",
        lines[4]
    );
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
}

fn secrets_are_files_and_variables() {
    let bench = Bench::new().lending(lending());
    let mounts = vec![
        secret("/run/secrets/s", facts(0o400, 0, 0)),
        secret("/home/ann/key", facts(0o440, 1000, 50)),
    ];
    // Digests, since values are masked.
    let script = "stat -c '%a %u:%g %s' /run/secrets/s /home/ann/key; \
                  test \"$(cat /run/secrets/s)\" = \"hunter2-correct-\"horse && cmp /run/secrets/s /home/ann/key; \
                  test \"$(printf %s \"$TOKEN\")\" = \"$(cat /run/secrets/s)\" && echo same; \
                  ! sh -c 'echo x > /run/secrets/s' 2>/dev/null && ! chmod 666 /run/secrets/s 2>/dev/null; \
                  grep ' /run/secrets/s ' /proc/mounts; su ann -c 'test -r /home/ann/key && ! test -r /run/secrets/s'";
    let mut run = with(script, mounts);
    run.secret_env = vec![SecretVariable {
        name: "TOKEN".into(),
        id: "s".into(),
    }];
    let seen = bench.run(run).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success, "{}", seen.output);
    let lines: Vec<&str> = seen.output.lines().collect();
    assert_eq!(&lines[..3], ["400 0:0 22", "440 1000:50 22", "same"]);
    assert!(lines[3].contains("ro,nosuid,nodev,noexec"), "{}", lines[3]);
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
}

fn secrets_are_masked_in_what_is_printed() {
    let bench = Bench::new().lending(lending());
    let script = "cat /s; echo before $(cat /s) after; printf 'hunter2-'; sleep 0.1; echo correct-horse; echo hunter2-corr";
    let seen = good(&bench, script, vec![secret("/s", facts(0o400, 0, 0))]);
    assert_eq!(seen.output, "***\nbefore *** after\n***\nhunter2-corr\n");
    // A step that is not given the secret has nothing to hide.
    assert_eq!(
        bench.sh(&format!("echo {SECRET}")).output,
        format!("{SECRET}\n")
    );
}

fn an_agent_answers_and_ends_with_the_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    let agent = thread::spawn(move || {
        // One connection that is answered, and one that the step leaves open.
        let (mut first, _) = listener.accept().unwrap();
        let mut question = [0; 4];
        first.read_exact(&mut question).unwrap();
        first.write_all(b"re:").unwrap();
        first.write_all(&question).unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let mut rest = Vec::new();
        second.read_to_end(&mut rest).unwrap();
        rest
    });
    let mut layer = image();
    probe::add_to(&mut layer);
    let bench = Bench::with(&layer).lending(Grants {
        agents: [("default".to_owned(), path)].into(),
        ..Grants::default()
    });
    let source = MountSource::Agent {
        id: "default".into(),
        facts: facts(0o600, 1000, 0),
    };
    let mut run = probe::step(&["agent", "/run/agent"]);
    run.mounts = vec![mount("/run/agent", RW, source.clone())];
    let seen = bench.run(run).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success, "{}", seen.output);
    assert_eq!(seen.output, "re:ping\n");
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    assert_eq!(seen.result.network.attempts(), 0);
    assert_eq!(agent.join().unwrap(), b"left");
    let script = "stat -c '%F %a %u' /run/agent";
    let seen = good(&bench, script, vec![mount("/run/agent", RW, source)]);
    assert_eq!(seen.output, "socket 600 1000\n");
}

fn what_is_not_lent_is_refused() {
    let bench = Bench::new();
    let what = refused(&bench, vec![secret("/s", facts(0o400, 0, 0))]);
    assert!(what.contains("the secret s"), "{what}");
    let source = MountSource::Agent {
        id: "default".into(),
        facts: facts(0o600, 0, 0),
    };
    let what = refused(&bench, vec![mount("/a", RW, source)]);
    assert!(what.contains("agent default"), "{what}");
}

fn places_are_made_and_are_in_no_layer() {
    let bench = Bench::new();
    let mounts = || {
        vec![
            tmpfs("/a/b/c", None),
            tmpfs("/etc/new/x", None),
            tmpfs("/home/ann/d", None),
        ]
    };
    let seen = good(
        &bench,
        "stat -c '%a %u' /a /a/b /etc/new; touch /a/b/c/x",
        mounts(),
    );
    assert_eq!(seen.output, "755 0\n755 0\n755 0\n");
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    // Beside a place things can be made, and bring the directories with them.
    let seen = good(
        &bench,
        "touch /a/b/beside; chmod 700 /a; stat -c '%U %a' /home/ann",
        mounts(),
    );
    assert_eq!(seen.output, "ann 755\n");
    assert_eq!(seen.layer.paths(), ["a", "a/b", "a/b/beside"]);
    assert_eq!(seen.layer.0[0].0.meta.mode, 0o700);
    assert!(
        seen.layer.0[..2]
            .iter()
            .all(|(entry, _)| entry.kind == EntryKind::Directory)
    );
    // On nothing at all.
    let mut spec = bench.spec(StepAction::Run(RunSpec {
        argv: vec!["/tools/busybox".into(), "true".into()],
        ..with(
            "",
            vec![mount(
                "/tools",
                RO,
                MountSource::Bind {
                    trees: vec![SnapshotName::Stored(bench.image)],
                    path: "/bin".into(),
                },
            )],
        )
    }));
    spec.parents.clear();
    let seen = bench.run_spec(&spec, &Variation::run_a()).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success);
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
}

fn targets_that_lead_out_stay_inside() {
    let outside = tempfile::tempdir().unwrap();
    let out = outside.path().display().to_string();
    let mut layer = image();
    layer.link("abs", &out);
    layer.link("loop", "loop");
    layer.link("root", "/");
    layer.link("up", "../../../../../../..");
    layer.link("upout", &format!("../../../../../..{out}"));
    layer
        .0
        .sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    let bench = Bench::with(&layer);
    for (target, place) in [
        ("/up/x", "/x".to_owned()),
        ("/root/up/y/z", "/y/z".to_owned()),
        ("/abs", out.clone()),
        ("/upout/x", format!("{out}/x")),
    ] {
        let script = format!("touch {place}/mark; ls {place}; grep ' {place} ' /proc/mounts");
        let seen = good(&bench, &script, vec![tmpfs(target, None)]);
        assert!(
            seen.output.starts_with("mark\n"),
            "{target}: {}",
            seen.output
        );
        assert!(
            seen.layer.0.is_empty(),
            "{target}: {:?}",
            seen.layer.paths()
        );
    }
    assert!(
        repro_core::fs::sorted_names(outside.path())
            .unwrap()
            .is_empty()
    );
    for target in [
        "/up",
        "/root",
        "/loop/x",
        "/root/proc/self",
        "/up/dev/null",
        "/bin/busybox/x",
    ] {
        refused(&bench, vec![tmpfs(target, None)]);
    }
}

fn sources_that_lead_out_stay_inside() {
    let bench = Bench::new();
    let seen = good(
        &bench,
        "cat /m/inside; ! test -e /m/passwd",
        vec![bind(&bench, "/m", RO, "/d/out")],
    );
    assert_eq!(seen.output, "inside\n");
    let seen = good(
        &bench,
        "ls /m",
        vec![bind(&bench, "/m", RO, "/root/../../root")],
    );
    assert_eq!(seen.output, "d\netc\nroot\n");
    // The link is the tree's, and a program of the step that follows it stays in the step.
    let seen = good(
        &bench,
        "cat /m/out/passwd | head -n 1",
        vec![bind(&bench, "/m", RO, "/d")],
    );
    assert!(seen.output.starts_with("root:x:0:0"), "{}", seen.output);
}

fn mounts_lie_in_mounts() {
    let bench = Bench::new();
    // In any order, the last of one place on top.
    let mounts = vec![
        secretless_cache("/m/deep/cache"),
        tmpfs("/m", None),
        bind(&bench, "/m/deep/cache/files", RO, "/d"),
        tmpfs("/same", Some(1 << 20)),
        bind(&bench, "/same", RO, "/d"),
        tmpfs("/dev/shm", Some(1 << 20)),
        tmpfs("/dev/mine/x", None),
    ];
    let seen = good(
        &bench,
        "cat /m/deep/cache/files/f; ls /same; touch /m/deep/cache/y /dev/mine/x/z; dd if=/dev/zero of=/dev/shm/big bs=64k count=64 2>/dev/null; stat -c %s /dev/shm/big",
        mounts,
    );
    assert!(
        seen.output.starts_with("from the other tree\nf\nout\n"),
        "{}",
        seen.output
    );
    assert!(seen.output.ends_with("1048576\n"), "{}", seen.output);
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    // A place is made in what can be written, and never through a link of another mount.
    let inner = |access, target: &str| vec![bind(&bench, "/m", access, "/d"), tmpfs(target, None)];
    good(&bench, "touch /m/new/x", inner(RW, "/m/new"));
    let what = refused(&bench, inner(RO, "/m/new"));
    assert!(what.contains("read-only"), "{what}");
    let what = refused(&bench, inner(RW, "/m/out/x"));
    assert!(what.contains("through a link"), "{what}");
    let what = refused(&bench, inner(RW, "/m/f"));
    assert!(what.contains("is a file"), "{what}");
}

fn secretless_cache(target: &str) -> MountSpec {
    cache(target, target, facts(0o755, 0, 0))
}

fn a_mount_point_cannot_be_moved_or_removed() {
    let bench = Bench::new();
    // What cleaning up would then do to a link in its place is what CVE-2024-23652 was.
    let script = "! rmdir /a/b 2>/dev/null; ! mv /a/b /c 2>/dev/null; ! mv /a /d 2>/dev/null; \
                  rm -rf /a 2>/dev/null; ! ln -sfn / /a/b/../b 2>/dev/null; \
                  { test -d /a/b && ! test -L /a || moved; } && ! umount /a/b 2>/dev/null";
    // The directory that holds it can be, and it goes along; overlayfs moves no directory of an image.
    let script = match SNAPSHOTTER.get() {
        Snapshotter::Overlay => script.replace("moved", "false"),
        Snapshotter::PlainCopy | Snapshotter::Engine => {
            script.replace("moved", "test -d /d/b && ! test -L /d")
        }
    };
    let seen = good(&bench, &script, vec![tmpfs("/a/b", None)]);
    assert!(
        seen.layer.paths().iter().all(|path| !path.contains("a/b")),
        "{:?}",
        seen.layer.paths()
    );
}

fn nothing_of_a_mount_is_left_in_the_store() {
    let bench = Bench::new().lending(lending());
    let mounts = vec![
        secret("/s", facts(0o400, 0, 0)),
        bind(&bench, "/m", RW, "/d"),
        cache("/c", "c", facts(0o755, 0, 0)),
    ];
    let script = "cat /s > /m/leak; cat /s > /c/leak; cat /s > /dev/shm/leak; cat /s";
    let seen = good(&bench, script, mounts);
    assert_eq!(seen.output, "***\n");
    let found = || {
        let found = std::process::Command::new("grep")
            .args(["-rlaF", SECRET])
            .arg(bench.store.path())
            .output()
            .unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    // What a step puts into a cache stays for the next steps, and goes with the run.
    assert!(found().lines().all(|path| path.contains("/caches/")));
    bench.executor.discard(&bench.invocation).unwrap();
    assert_eq!(found(), "");
}
