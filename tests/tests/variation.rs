//! The axes of variation as a user meets them: what a run without variation and runs with a part of it
//! say, and everything that a step can learn of its machine.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use repro_tests::{Ended, Events, Pack, Repro, TestContext};
use serde_json::Value;

/// Two files of variation and one of chance.
const MIXED: &str = "\
FROM busybox
RUN hostname > /host
RUN head -c 24 /dev/urandom > /seed
RUN uname -r > /kernel
";

/// Builds with a key; the evidence is good, whatever it says.
fn witnessed(context: &TestContext, build: Repro, evidence: &Path, code: i32) -> (Ended, Pack) {
    let key = context.path("witness");
    context.repro(["keygen"]).arg(&key).run().exits(0);
    let output = build
        .arg("--key")
        .arg(key.with_extension("key"))
        .run()
        .exits(code);
    let verify = context.repro(["verify"]).arg(evidence).arg("--key");
    verify.arg(key.with_extension("pub")).run().exits(0);
    (output, Pack::read(evidence))
}

/// What makes each path differ, by the report.
fn broken_by(pack: &Pack) -> BTreeMap<String, String> {
    let paths = pack.report["bisection"]["paths"].as_array().unwrap();
    paths
        .iter()
        .map(|found| {
            let breaks = &found["breaks"];
            let by = match breaks["by"].as_str().unwrap() {
                "axis" => breaks["axis"].as_str().unwrap(),
                by => by,
            };
            (found["path"].as_str().unwrap().to_owned(), by.to_owned())
        })
        .collect()
}

#[test]
fn a_control_run_tells_chance_from_variation() {
    let context = TestContext::new();
    let project = context.project("mixed", &[("Dockerfile", MIXED)]);
    let (build, evidence) = context.build(&project);
    let (output, pack) = witnessed(&context, build.arg("--control"), &evidence, 1);
    assert_eq!(pack.report["runs"].as_array().unwrap().len(), 3);
    assert_eq!(pack.report["control"]["equal"], false);
    assert_eq!(pack.report["control"]["differingPaths"], 1);
    let causes = pack.report["causes"].as_array().unwrap();
    for cause in causes {
        let by_chance = u64::from(cause["paths"][0] == "seed");
        assert_eq!(cause["withoutVariation"], by_chance, "{cause}");
    }
    output.prints(["differs without variation too", "run control"]);
    let bundle = evidence.join("provenance/run-control.sigstore.json");
    assert!(bundle.is_file());
}

#[test]
fn a_control_run_of_a_good_build_is_one_more_witness() {
    let context = TestContext::new();
    let project = context.project("good", &[("Dockerfile", "FROM busybox\nRUN echo 1 > /x\n")]);
    let (build, evidence) = context.build(&project);
    let (output, pack) = witnessed(&context, build.arg("--control"), &evidence, 0);
    output.prints(["run a once more: the same image"]);
    assert_eq!(pack.report["control"]["equal"], true);
    assert_eq!(pack.run("control")["manifestDigest"], pack.digest());
}

#[test]
fn each_difference_gets_the_axis_that_makes_it() {
    let context = TestContext::new();
    let project = context.project("mixed", &[("Dockerfile", MIXED)]);
    let (build, evidence) = context.build(&project);
    let build = build.args(["--bisect-axes", "--progress", "plain"]);
    let (output, pack) = witnessed(&context, build, &evidence, 1);
    output.says(["run 1 for the axis: nothing varied"]);
    output.prints(["by hostname", "by kernel-name", "by chance"]);
    let expected = [
        ("host", "hostname"),
        ("kernel", "kernel-name"),
        ("seed", "chance"),
    ];
    let expected: BTreeMap<_, _> = expected
        .map(|(path, by)| (path.to_owned(), by.to_owned()))
        .into();
    assert_eq!(broken_by(&pack), expected);
    let runs = pack.report["bisection"]["runs"].as_array().unwrap();
    assert!(runs.len() <= 8, "{} runs", runs.len());
    // They are no witnesses of the verdict.
    assert_eq!(pack.report["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn each_run_gets_its_trees_in_its_own_way() {
    let context = TestContext::new();
    let dockerfile =
        "FROM busybox\nRUN mkdir /d && ln /bin/busybox /d/b && chmod 4755 /d/b\nRUN rm /d/b\n";
    let project = context.project("trees", &[("Dockerfile", dockerfile)]);
    let (build, evidence) = context.build(&project);
    build
        .args(["--snapshotter", "overlay,plain-copy"])
        .run()
        .exits(0);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
    let ways = ["a", "b"].map(|run| pack.run(run)["snapshotter"].clone());
    assert_eq!(ways, ["overlay", "plain-copy"]);
}

#[test]
fn the_axis_that_makes_a_build_fail_is_named() {
    let context = TestContext::new();
    let project = context.project(
        "picky",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN test $(nproc) -gt 1 -o ! -e /proc/1\nRUN test $$ -lt 20000\n",
        )],
    );
    let (build, evidence) = context.build(&project);
    let output = build
        .args(["--vary", "all,-cpus", "--bisect-axes"])
        .run()
        .exits(1);
    let pack = Pack::read(&evidence);
    let cause = &pack.report["causes"][0];
    assert_eq!(cause["code"], "fails-under-variation");
    assert_eq!(
        (&cause["axis"], &cause["axisProven"]),
        (&"pids".into(), &true.into())
    );
    output.prints(["broken by the axis pids"]);
}

#[test]
fn more_runs_than_one_are_for_what_a_second_one_shows() {
    let context = TestContext::new();
    let project = context.project("once", &[("Dockerfile", "FROM busybox\n")]);
    for flag in ["--control", "--bisect-axes"] {
        let (build, _) = context.build(&project);
        let output = build.args(["--runs", "1", flag]).run().exits(2);
        output.says([flag, "--runs 1"]);
    }
}

#[test]
fn stages_that_wait_for_nothing_run_in_both_orders() {
    let context = TestContext::new();
    let stage = |n| format!("FROM busybox AS s{n}\nRUN echo {n} > /out\n");
    let stages = [1, 2, 3].map(stage).concat();
    let text = format!(
        "{stages}FROM busybox\nCOPY --from=s1 /out /1\nCOPY --from=s2 /out /2\nCOPY --from=s3 /out /3\n"
    );
    let project = context.project("stages", &[("Dockerfile", &text)]);
    let (build, _) = context.build(&project);
    let output = build
        .args(["--jobs", "1", "--progress", "json"])
        .run()
        .exits(0);
    let events = Events::of(&output);
    let order = |run: &str| -> Vec<u64> {
        events
            .of_kind("step-started")
            .into_iter()
            .filter(|event| event["run"] == run)
            .filter_map(|event| event["line"].as_u64())
            .filter(|line| *line < 7)
            .collect()
    };
    assert_eq!(order("a"), [2, 4, 6]);
    assert_eq!(order("b"), [6, 4, 2]);
}

/// What differs of all that a step can learn, and why.
///
/// Beside the axes there is only what no build can be given the same each time.
const LEAKS: &[(&str, &str)] = &[
    // Also that of addresses; without the kernel's page of clocks, the loader takes less memory.
    ("addresses", "clock"),
    ("boot-days", "boot-time"),
    ("boot-id", "boot-time"),
    ("boot-time", "boot-time"),
    ("cpus-allowed", "cpus"),
    ("cpus-count", "cpus"),
    ("cpus-cpuinfo", "cpus"),
    ("cpus-stat", "cpus"),
    ("cpus-sys", "cpus"),
    ("device-parity", "inode-numbers"),
    ("directory-order", "directory-order"),
    ("domain", "hostname"),
    ("hostname", "hostname"),
    ("kernel-files", "kernel-name"),
    ("kernel-release", "kernel-name"),
    ("kernel-version", "kernel-name"),
    ("last-pid", "pids"),
    ("personality", "address-space"),
    ("pid", "pids"),
];

/// What differs between two equal runs.
const BY_CHANCE: &[(&str, &str)] = &[
    ("boot-uptime", "time passes"),
    ("clock", "time passes"),
    (
        "control-groups",
        "counted by the kernel, also those of other builders",
    ),
    (
        "counters-fs",
        "the kernel's files, of all processes of the machine",
    ),
    (
        "devices",
        "numbers of file systems, given as they are mounted",
    ),
    (
        "directory",
        "the kernel's clock, by which files have their times",
    ),
    ("disk", "what is free where the store is"),
    (
        "inode-of-new-file",
        "the file system gives the next free one",
    ),
    ("mount-numbers", "counted by the kernel over all mounts"),
    ("namespaces", "numbered by the kernel over all namespaces"),
    ("random", "made anew with each reading"),
    ("times-of-mounts", "they are made for the step"),
    ("sockets", "inode numbers of the responder's sockets"),
];

#[test]
fn a_step_learns_of_its_machine_what_the_axes_declare() {
    let context = TestContext::new();
    let project = context.project(
        "leaks",
        &[
            ("Dockerfile", include_str!("../leaks/Dockerfile")),
            ("probe.sh", include_str!("../leaks/probe.sh")),
        ],
    );
    let (build, evidence) = context.build(&project);
    build.arg("--bisect-axes").run().exits(1);
    let pack = Pack::read(&evidence);
    let found = broken_by(&pack);
    let name = |path: &String| path.trim_start_matches("leaks/").to_owned();
    let by_chance: BTreeSet<&str> = BY_CHANCE.iter().map(|(file, _)| *file).collect();
    let declared: BTreeMap<String, String> = LEAKS
        .iter()
        .map(|(file, axis)| ((*file).to_owned(), (*axis).to_owned()))
        .collect();
    // What chance decides can come out the same.
    let seen: BTreeMap<String, String> = found
        .iter()
        .map(|(path, by)| (name(path), by.clone()))
        .filter(|(file, _)| !by_chance.contains(file.as_str()))
        .collect();
    assert_eq!(seen, declared, "{:#?}", differences(&pack));
}

/// What differs, for a test that fails.
fn differences(pack: &Pack) -> Vec<&Value> {
    pack.report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .collect()
}
