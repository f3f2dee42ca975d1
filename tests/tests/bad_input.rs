//! Input that is wrong: what is said, with which exit code, and that nothing of it is kept.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use repro_core::{digest::Digest, fs::sorted_names};
use repro_tests::{TestContext, User, tool};

/// Builds a project that must be refused, and leave nothing where evidence would be.
#[track_caller]
fn refused(context: &TestContext, files: &[(&str, &str)], code: i32, says: &[&str]) {
    let project = context.project("project", files);
    let (build, evidence) = context.build(&project);
    let output = build.run().exits(code);
    output.says(says.iter().copied());
    // A message that another one repeats has no use.
    let lines: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.len() > 20)
        .collect();
    for pair in lines.windows(2) {
        assert_ne!(pair[0], pair[1], "said twice\n{output}");
    }
    assert!(
        !evidence.exists(),
        "evidence of a build that did not happen"
    );
}

#[test]
fn a_typo_is_shown_where_it_is_with_what_was_meant() {
    let context = TestContext::new();
    refused(
        &context,
        &[("Dockerfile", "FROM busybox\n\nRNU true\n")],
        2,
        &["Dockerfile:3", "RNU true", "RUN"],
    );
}

#[test]
fn what_no_step_is_given_is_refused() {
    let context = TestContext::new();
    for (instruction, word) in [
        ("RUN --network=host true", "a step has no network"),
        ("RUN --network=default true", "a step has no network"),
        ("RUN --security=insecure true", "--security=insecure"),
        ("RUN --device=vendor.example/device true", "--device"),
    ] {
        let dockerfile = format!("FROM busybox\nRUN true\n{instruction}\n");
        refused(
            &context,
            &[("Dockerfile", &dockerfile)],
            2,
            &["Dockerfile:3", word],
        );
    }
}

#[test]
fn a_missing_source_of_copy_is_a_missing_input() {
    let context = TestContext::new();
    refused(
        &context,
        &[
            ("Dockerfile", "FROM busybox\nCOPY misteak.txt /\n"),
            ("mistake.txt", "x"),
        ],
        6,
        &["Dockerfile:2", "misteak.txt"],
    );
}

#[test]
fn a_base_that_is_nowhere_says_how_to_get_it() {
    let context = TestContext::new();
    refused(
        &context,
        &[("Dockerfile", "FROM nowhere/to/be:found\n")],
        6,
        &["Dockerfile:1", "nowhere/to/be:found", "repro import"],
    );
}

#[test]
fn no_name_of_a_toolchain_is_taken_for_granted() {
    let context = TestContext::new();
    refused(
        &context,
        &[("Dockerfile", "FROM debian-c\n"), ("repro.toml", "")],
        6,
        &["Dockerfile:1", "debian-c"],
    );
}

#[test]
fn an_unknown_key_is_shown_where_it_is() {
    let context = TestContext::new();
    refused(
        &context,
        &[
            ("Dockerfile", "FROM busybox\n"),
            (
                "repro.toml",
                "[build]\ndockerfile = \"Dockerfile\"\nsauce = 1\n",
            ),
        ],
        2,
        &["repro.toml:3", "sauce"],
    );
}

#[test]
fn a_build_argument_that_looks_like_a_secret_is_refused_and_not_repeated() {
    let context = TestContext::new();
    let project = context.project(
        "project",
        &[("Dockerfile", "FROM busybox\nARG DB_PASSWORD\n")],
    );
    let (build, evidence) = context.build(&project);
    let build = build.args(["--build-arg", "DB_PASSWORD=correct-horse"]);
    let output = build.run().exits(2);
    output.says(["DB_PASSWORD", "--allow-arg"]);
    assert!(!output.stderr.contains("correct-horse"), "{output}");
    assert!(!evidence.exists());
    build.args(["--allow-arg", "DB_PASSWORD"]).run().exits(0);
}

/// Changes one digit of the digest that follows `after` in a lock.
fn break_digest(path: &Path, after: &str) {
    let text = fs::read_to_string(path).unwrap();
    let start = text.find(after).unwrap();
    let at = start + text[start..].find("sha256:").unwrap() + "sha256:".len();
    let other = if text[at..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    fs::write(path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
}

#[test]
fn a_lock_with_another_digest_of_a_source_is_refused_and_nothing_is_kept() {
    let context = TestContext::with_packages(User::Caller);
    // The right bytes may be in the store already; they are not what this lock asks for.
    let project = context.example("zlib");
    let lock = project.join("repro.lock");
    let right = fs::read_to_string(&lock).unwrap();
    break_digest(&lock, "zlib_1.2.13.dfsg.orig.tar.bz2\"\npath");
    let before = blobs(context.store());
    let (build, evidence) = context.build(&project);
    let output = build.run().exits(6);
    output.says([
        "zlib_1.2.13.dfsg.orig.tar.bz2",
        "is expected",
        "Dockerfile:8",
    ]);
    assert!(!evidence.exists());
    for name in blobs(context.store()) {
        let bytes = fs::read(context.store().join("blobs/sha256").join(&name)).unwrap();
        assert_eq!(
            Digest::of(&bytes).hex(),
            name,
            "kept under a name that is not its own"
        );
    }
    let wrong = fs::read_to_string(&lock).unwrap();
    for name in blobs(context.store()) {
        // Neither under the digest that was asked for nor under the one that came. The other files
        // of the lock are what it says.
        assert!(
            before.contains(&name) || right.contains(&name) == wrong.contains(&name),
            "{name} was kept"
        );
    }
    context.assert_sound();
}

fn blobs(store: &Path) -> Vec<String> {
    sorted_names(&store.join("blobs/sha256"))
        .unwrap()
        .into_iter()
        .map(|name| name.into_string().unwrap())
        .collect()
}

#[test]
fn a_lock_of_another_toolchain_is_refused() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let lock = project.join("repro.lock");
    break_digest(&lock, "use = \"busybox\"");
    let (build, _) = context.build(&project);
    build
        .run()
        .exits(6)
        .says(["repro.lock:10", "busybox", "repro lock"]);
}

#[test]
fn a_lock_of_other_names_is_stale() {
    let context = TestContext::new();
    let project = context.example("static-hello");
    let toml = project.join("repro.toml");
    let more = fs::read_to_string(&toml).unwrap() + "[toolchain.more]\nuse = \"busybox\"\n";
    fs::write(&toml, more).unwrap();
    let (build, _) = context.build(&project);
    build
        .run()
        .exits(6)
        .says(["repro.lock:4", "other names", "repro lock"]);
}

#[test]
fn locked_refuses_what_no_lock_pins() {
    let context = TestContext::new();
    let project = context.project("unlocked", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    let (build, _) = context.build(&project);
    build.clone().arg("--locked").run().exits(6).says([
        "Dockerfile:1",
        "busybox",
        "no entry in the lock",
        "repro lock",
    ]);
    let tar = context.path("one.tar");
    let done = Command::new(tool("tar"))
        .args(["-C", "/", "-cf"])
        .arg(&tar)
        .arg("bin/busybox")
        .status();
    assert!(done.unwrap().success());
    let source = format!("rootfs:{}", tar.display());
    context
        .repro(["import", &source, "test/imported:1"])
        .run()
        .exits(0);
    let project = context.project("imported", &[("Dockerfile", "FROM test/imported:1\n")]);
    let (build, evidence) = context.build(&project);
    build.run().exits(0);
    let report = fs::read_to_string(evidence.join("reproducibility/report.json")).unwrap();
    assert!(
        report.contains("\"locked\": false") || report.contains("\"locked\":false"),
        "{report}"
    );
    build
        .arg("--locked")
        .run()
        .exits(6)
        .says(["test/imported:1"]);
}

#[test]
fn odd_files_of_the_context_are_carried_or_named() {
    let context = TestContext::new();
    let project = context.project(
        "odd",
        &[(
            "Dockerfile",
            "FROM busybox\nCOPY . /odd/\nRUN printf '%s' /odd/*name* | od -c && test -p /odd/pipe && test ! -e /odd/socket\n",
        )],
    );
    fs::write(project.join(OsStr::from_bytes(b"\xff\xfe name\n")), "x").unwrap();
    let done = Command::new(tool("mkfifo"))
        .arg(project.join("pipe"))
        .status();
    assert!(done.unwrap().success());
    let _listener = UnixListener::bind(project.join("socket")).unwrap();
    let (output, pack) = context.built(&project, 0);
    output.says(["socket"]);
    assert!(pack.log("a", 3).contains("377 376"), "{}", pack.log("a", 3));
}

#[test]
fn a_context_that_changes_while_it_is_read_is_refused() {
    let context = TestContext::new();
    let project = context.project("moving", &[("Dockerfile", "FROM busybox\nCOPY . /\n")]);
    // Large enough to be written to while it is read.
    let path = project.join("growing");
    fs::write(&path, vec![7; 64 << 20]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
            }
        });
        let (build, evidence) = context.build(&project);
        let output = build.run();
        done.store(true, Ordering::Relaxed);
        output.exits(6).says(["growing", "changed"]);
        assert!(!evidence.exists());
    });
}

#[test]
fn a_damaged_blob_is_found_named_and_refused() {
    let context = TestContext::with_packages(User::Caller);
    let project = context.project(
        "good",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (build, _) = context.build(&project);
    build.args(["-t", "test/good:1"]).run().exits(0);
    let inspected = context
        .repro(["inspect", "--json", "test/good:1"])
        .run()
        .exits(0)
        .json();
    let base = inspected["image"]["layers"][0]["digest"]
        .as_str()
        .expect("the image has layers")
        .to_owned();
    let blob = context
        .store()
        .join("blobs/sha256")
        .join(&base["sha256:".len()..]);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, &bytes).unwrap();
    context
        .repro(["store", "verify"])
        .run()
        .exits(4)
        .prints([base.as_str(), "damaged"]);
    context
        .repro(["export", "test/good:1"])
        .arg(format!("rootfs:{}", context.path("out.tar").display()))
        .run()
        .exits(6)
        .says([base.as_str()]);
    assert!(!context.path("out.tar").exists(), "half an export was left");
    let project = context.project("next", &[("Dockerfile", "FROM test/good:1\nRUN true\n")]);
    fs::remove_dir_all(context.store().join("snapshots")).ok();
    let (build, evidence) = context.build(&project);
    build
        .run()
        .exits(6)
        .says([base.as_str(), "repro store verify"]);
    assert!(!evidence.exists());
}

#[test]
fn what_is_no_store_is_left_alone() {
    let context = TestContext::with_store("/usr/share".into());
    context
        .repro(["store", "df"])
        .run()
        .exits(2)
        .says(["neither empty nor a store"]);
}
