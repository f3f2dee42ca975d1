//! The main job, as a user sees it: two runs, a verdict, and one digest whoever builds.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use repro_core::fs::sorted_names;
use repro_tests::{Events, Pack, TestContext, User, tasks, tool};

/// Every file of the pack that a reader is promised.
const PACK: [&str; 11] = [
    "image/index.json",
    "image/oci-layout",
    "index.json",
    "index.sigstore.json",
    "provenance/run-a.sigstore.json",
    "provenance/run-b.sigstore.json",
    "reproducibility/report.html",
    "reproducibility/report.json",
    "reproducibility/report.junit.xml",
    "reproducibility/report.md",
    "reproducibility/reproducibility.sigstore.json",
];

/// Blobs, snapshots and remembered results by name: what a build can add to a store.
fn contents(store: &Path) -> BTreeSet<String> {
    ["blobs/sha256", "snapshots", "cache", "runs", "tmp"]
        .into_iter()
        .flat_map(|area| {
            let names = sorted_names(&store.join(area)).expect("the store has the area");
            names
                .into_iter()
                .map(move |name| format!("{area}/{}", name.to_string_lossy()))
        })
        .collect()
}

#[test]
fn zlib_is_reproducible_from_nothing_and_the_second_build_fetches_and_makes_nothing() {
    let context = TestContext::with_empty_store(User::Caller);
    let project = context.example("zlib");
    let (build, evidence) = context.build(&project);
    let build = build.args(["--progress", "json"]);

    let first = Events::of(&build.run().exits(0));
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
    for file in PACK {
        assert!(evidence.join(file).is_file(), "{file} is not in the pack");
    }
    assert!(
        !tasks(&first).is_empty(),
        "a store that was empty needs work that takes a while"
    );
    let kept = contents(context.store());
    let digest = pack.digest().to_owned();

    let second = Events::of(&build.run().exits(0));
    assert_eq!(Pack::read(&evidence).digest(), digest);
    let makes = [
        "download",
        "fetch",
        "unpack",
        "install",
        "toolchain",
        "package",
    ];
    for title in tasks(&second) {
        let lower = title.to_lowercase();
        assert!(
            !makes.iter().any(|word| lower.contains(word)),
            "the second build did {title:?}"
        );
    }
    let logs = "logs hold times, so that each build may keep some of its own";
    let added: Vec<String> = contents(context.store())
        .difference(&kept)
        .filter(|name| !name.starts_with("blobs/"))
        .cloned()
        .collect();
    assert_eq!(added, [""; 0], "{logs}");
    context.assert_sound();
}

/// The file times and the order on disk that another checkout would have.
fn copy_in_other_order(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names = sorted_names(from).unwrap();
    names.reverse();
    for (index, name) in names.iter().enumerate() {
        let (from, to) = (from.join(name), to.join(name));
        if from.is_dir() {
            copy_in_other_order(&from, &to);
            continue;
        }
        fs::copy(&from, &to).unwrap();
        let then = UNIX_EPOCH + Duration::from_secs(86_400 * (1 + index as u64));
        let times = fs::FileTimes::new().set_modified(then);
        fs::File::open(&to).unwrap().set_times(times).unwrap();
    }
}

#[test]
fn zlib_has_one_digest_in_another_store_for_another_user_in_another_place() {
    let reference = {
        let context = TestContext::new();
        let project = context.example("zlib");
        let (_, pack) = context.built(&project, 0);
        pack.digest().to_owned()
    };
    let context = TestContext::with_packages(User::ordinary());
    let original = context.example("zlib");
    let elsewhere = context.path("another/name for it");
    copy_in_other_order(&original, &elsewhere);
    User::ordinary().own(&context.path("another"));
    let (build, evidence) = context.build(&elsewhere);
    build
        .umask(0o077)
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("LANGUAGE", "tr")
        .env("USER", "somebody-else")
        .env("CFLAGS", "-DNOT_FOR_THE_STEPS")
        .run()
        .exits(0);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
    assert_eq!(pack.digest(), reference);
    context.assert_sound();
}

/// A project that would show nearly everything that leaks in.
const NOSY: &[(&str, &str)] = &[
    (
        "Dockerfile",
        "\
FROM busybox
ENV A=b
COPY --chown=1000:1000 . /src/
WORKDIR /made/here
RUN env > /env && umask > /umask && id > /id && ls -lnR --full-time /src > /list && cat /proc/self/limits > /limits
RUN ls -la /proc/self/fd | wc -l > /descriptors && cat /proc/self/status | grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups)' > /status
USER nobody
RUN id && touch /tmp/mine
",
    ),
    ("a", "1"),
    ("b/c", "2"),
    ("b/d e", "3"),
    ("z.txt", "4"),
];

#[test]
fn nothing_of_the_caller_reaches_the_image() {
    let context = TestContext::new();
    let project = context.project("nosy", NOSY);
    fs::set_permissions(project.join("a"), fs::Permissions::from_mode(0o750)).unwrap();
    let (build, evidence) = context.build(&project);
    let digest = |build: &repro_tests::Repro| {
        build.run().exits(0);
        Pack::read(&evidence).digest().to_owned()
    };
    let plain = digest(&build);
    for (name, varied) in [
        ("umask 077", build.clone().umask(0o077)),
        ("umask 000", build.clone().umask(0)),
        ("time zone", build.clone().env("TZ", "Asia/Kathmandu")),
        ("locale", build.clone().env("LC_ALL", "tr_TR.UTF-8")),
        (
            "environment",
            build
                .clone()
                .env("A", "x")
                .env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin"),
        ),
        ("directory", build.clone().dir(Path::new("/"))),
        (
            "limits",
            build.clone().through(&[
                "prlimit",
                // The least that a build asks for: where root may not raise limits, no test can.
                "--nofile=1024:16384",
                "--core=0",
                // Soft alone: the hard limit of the stack is the one of the machine, as with other
                // engines, and the text that this build keeps shows it.
                "--stack=16777216:",
                "--",
            ]),
        ),
        ("nice", build.clone().through(&["nice", "-n", "5"])),
    ] {
        assert_eq!(digest(&varied), plain, "{name}");
    }
    let copy = context.path("copy");
    copy_in_other_order(&project, &copy);
    let (_, pack) = context.built(&copy, 0);
    assert_eq!(pack.digest(), plain, "a copy");
}

#[test]
fn an_ordinary_user_gets_the_digest_that_root_gets() {
    let root = TestContext::new();
    let project = root.project("nosy", NOSY);
    let (_, pack) = root.built(&project, 0);
    let context = TestContext::with_packages(User::ordinary());
    let project = context.project("nosy", NOSY);
    let (_, other) = context.built(&project, 0);
    assert_eq!(pack.digest(), other.digest());
}

#[test]
fn stamp_is_not_reproducible_and_the_report_says_where_and_why() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (output, pack) = context.built(&project, 1);
    assert_eq!(pack.verdict(), "not-reproducible");
    let text = format!("{}{}", output.stdout, output.stderr);
    for (path, cause, instruction) in [
        ("etc/build-time", "embedded-timestamp", "RUN date"),
        ("etc/build-host", "embedded-hostname", "RUN hostname"),
        ("etc/build-cpus", "embedded-cpu-count", "RUN nproc"),
        ("etc/build-seed", "random-content", "RUN head"),
    ] {
        let difference = pack.report["differences"]
            .as_array()
            .unwrap()
            .iter()
            .find(|difference| difference["path"] == path && difference["kind"] == "content")
            .unwrap_or_else(|| panic!("{path} is not in {}", pack.report));
        assert_eq!(difference["cause"], cause, "{path}");
        let index = &difference["step"];
        let steps = pack.steps("a");
        let step = steps.iter().find(|step| step["index"] == *index).unwrap();
        let shown = step["instruction"].as_str().unwrap();
        assert!(shown.contains(&instruction["RUN ".len()..]), "{shown}");
        // The line in the Dockerfile, counted here.
        let dockerfile = fs::read_to_string(project.join("Dockerfile")).unwrap();
        let line = dockerfile
            .lines()
            .position(|line| line.starts_with(instruction));
        assert_eq!(step["line"], line.unwrap() + 1);
        assert!(pack.causes().contains(&cause), "{:?}", pack.causes());
        // What a person reads has the same.
        assert!(text.contains(path), "{path} is not in\n{output}");
        assert!(
            text.contains(&format!(":{}", line.unwrap() + 1)),
            "{output}"
        );
    }
    let evidence = context.path("stamp-evidence");
    for file in PACK {
        assert!(evidence.join(file).is_file(), "{file} is not in the pack");
    }
    let markdown = fs::read_to_string(evidence.join("reproducibility/report.md")).unwrap();
    assert!(markdown.contains("etc/build-time"), "{markdown}");
}

#[test]
fn a_difference_can_be_a_warning_and_is_a_difference_still() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (build, evidence) = context.build(&project);
    build.args(["--on-difference", "warn"]).run().exits(0);
    assert_eq!(Pack::read(&evidence).verdict(), "not-reproducible");
}

#[test]
fn a_name_is_given_to_what_is_reproducible_alone() {
    let context = TestContext::new();
    let stamp = context.example("stamp");
    let (build, _) = context.build(&stamp);
    build.args(["-t", "test/stamp:refused"]).run().exits(1);
    context
        .repro(["inspect", "test/stamp:refused"])
        .run()
        .exits(6);
    let good = context.project(
        "good",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (build, evidence) = context.build(&good);
    build.args(["-t", "test/good:named"]).run().exits(0);
    let inspected = context
        .repro(["inspect", "--json", "--files", "test/good:named"])
        .run()
        .exits(0);
    let document = inspected.json();
    let digest = Pack::read(&evidence).digest().to_owned();
    assert!(
        inspected.stdout.contains(&digest),
        "{digest} is not in\n{inspected}"
    );
    assert!(
        document["files"].to_string().contains("\"one\""),
        "{document}"
    );
}

#[test]
fn static_hello_runs_outside_of_everything() {
    let context = TestContext::new();
    let project = context.example("static-hello");
    let (build, _) = context.build(&project);
    let tar = context.path("hello.tar");
    build
        .arg("-o")
        .arg(format!("rootfs:{}", tar.display()))
        .run()
        .exits(0);
    let unpacked = context.path("hello");
    fs::create_dir(&unpacked).unwrap();
    let done = Command::new(tool("tar"))
        .arg("-xf")
        .arg(&tar)
        .arg("-C")
        .arg(&unpacked)
        .status();
    assert!(done.unwrap().success());
    let said = Command::new(unpacked.join("hello")).output().unwrap();
    assert!(said.status.success());
    assert_eq!(said.stdout, b"Built twice, the same both times.\n");
}

/// Times of files decide what make does: the steps must see them in the order of the steps.
#[test]
fn make_sees_what_changed_between_steps_and_nothing_else() {
    let context = TestContext::new();
    let project = context.project(
        "incremental",
        &[
            (
                "Dockerfile",
                "\
FROM c
WORKDIR /src
COPY . .
RUN make
RUN sed -i s/one/two/ main.c
RUN make
RUN make
RUN ./main
",
            ),
            ("Makefile", "main: main.c\n\tgcc -o main main.c\n"),
            (
                "main.c",
                "#include <stdio.h>\nint main(void) { puts(\"one\"); return 0; }\n",
            ),
        ],
    );
    let (_, pack) = context.built(&project, 0);
    for run in ["a", "b"] {
        assert!(pack.log(run, 4).contains("gcc -o main"), "{run}");
        assert!(
            pack.log(run, 6).contains("gcc -o main"),
            "{run}: sed made the source newer"
        );
        assert!(
            pack.log(run, 7).contains("up to date"),
            "{run}: {}",
            pack.log(run, 7)
        );
        assert_eq!(pack.log(run, 8), "two\n", "{run}");
    }
}

/// The pattern that keeps dependencies in a layer of their own: a dummy source first, the real
/// one over it.
#[test]
fn a_real_source_copied_over_a_dummy_is_compiled() {
    let context = TestContext::new();
    let project = context.project(
        "dummy",
        &[
            (
                "Dockerfile",
                "\
FROM c
WORKDIR /src
COPY Makefile .
RUN mkdir src && echo 'int main(void) { return 7; }' > src/main.c && make
COPY src src
RUN make
RUN ./main
",
            ),
            ("Makefile", "main: src/main.c\n\tgcc -o main src/main.c\n"),
            (
                "src/main.c",
                "#include <stdio.h>\nint main(void) { puts(\"real\"); return 0; }\n",
            ),
        ],
    );
    let (_, pack) = context.built(&project, 0);
    for run in ["a", "b"] {
        assert!(pack.log(run, 6).contains("gcc -o main"), "{run}");
        assert_eq!(pack.log(run, 7), "real\n", "{run}");
    }
}

#[test]
fn one_run_says_that_nothing_was_compared() {
    let context = TestContext::new();
    let project = context.project(
        "once",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (build, evidence) = context.build(&project);
    let output = build.args(["--runs", "1"]).run().exits(0);
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(
        text.contains("not compared") || text.contains("othing was compared"),
        "{output}"
    );
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "inconclusive");
    assert_eq!(pack.report["runs"].as_array().unwrap().len(), 1);
    assert!(!evidence.join("provenance/run-b.sigstore.json").exists());
}

#[test]
fn a_step_that_fails_only_when_varied_is_a_finding() {
    let context = TestContext::new();
    let project = context.project(
        "picky",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN true\nRUN test \"$(hostname)\" = repro-a && echo ok > /ok\n",
        )],
    );
    let (output, pack) = context.built(&project, 1);
    assert_eq!(pack.verdict(), "not-reproducible");
    assert_eq!(pack.causes(), ["fails-under-variation"], "{output}");
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(
        text.contains(":3") && text.contains("fails-under-variation"),
        "{output}"
    );
}

#[test]
fn a_step_that_fails_shows_its_line_and_what_it_printed() {
    let context = TestContext::new();
    let project = context.project(
        "broken",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN true\nRUN for i in $(seq 200); do echo line $i; done; echo the last word >&2; exit 9\n",
        )],
    );
    let (build, evidence) = context.build(&project);
    let output = build.run().exits(3);
    output.prints(["Dockerfile:3", "exited with code 9"]);
    output.says(["the last word", "line 200"]);
    assert_eq!(Pack::read(&evidence).verdict(), "build-failed");
}

#[test]
fn an_axis_can_be_left_out_and_the_report_says_so() {
    let context = TestContext::new();
    let project = context.project(
        "host",
        &[("Dockerfile", "FROM busybox\nRUN hostname > /host\n")],
    );
    let (build, evidence) = context.build(&project);
    build
        .clone()
        .args(["--vary", "all,-hostname"])
        .run()
        .exits(0);
    let report = Pack::read(&evidence).report;
    let names = |id: usize| report["runs"][id]["variation"]["hostname"].clone();
    assert_eq!(names(0), names(1));
    build.args(["--vary", "hostname"]).run().exits(1);
    assert_eq!(Pack::read(&evidence).causes(), ["embedded-hostname"]);
}
