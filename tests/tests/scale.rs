//! Builds as large as they get.
//!
//! Those that take minutes are left out unless asked for:
//! `cargo test --package repro-tests --test scale -- --ignored`.

use std::fmt::Write as _;

use repro_tests::{Pack, TestContext};

/// Most that any process of a build may use, whatever the size of the image: in kilobytes, as `time`
/// of Debian gives it.
const FLAT: u64 = 160 << 10;

/// Builds a Dockerfile once under `time`; gives the pack and the peak of memory of any process.
fn measured(context: &TestContext, dockerfile: &str) -> (Pack, u64) {
    let project = context.project("scale", &[("Dockerfile", dockerfile)]);
    let (build, evidence) = context.build(&project);
    let peak = context.path("peak");
    let ended = build
        .args(["--runs", "1"])
        .through(&[
            "time",
            "--format=%M",
            "--output",
            &peak.display().to_string(),
        ])
        .run()
        .exits(0);
    let text = std::fs::read_to_string(&peak).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let peak = text.trim().parse().expect("time prints a number");
    (Pack::read(&evidence), peak)
}

#[test]
fn five_hundred_instructions_make_two_hundred_and_fifty_layers() {
    let context = TestContext::new();
    let mut dockerfile = "FROM busybox\n".to_owned();
    for number in 0..249 {
        writeln!(
            dockerfile,
            "ENV A{number}={number}\nRUN echo $A{number} >/f{number}"
        )
        .expect("a String takes every write");
    }
    dockerfile.push_str("RUN test $(cat /f* | wc -l) = 249 && echo \"all $A248\" >/all\n");
    let (pack, peak) = measured(&context, &dockerfile);
    assert_eq!(pack.steps("a").len(), 250);
    assert!(peak < FLAT, "{peak} kB");
    let finding = &pack.report["findings"][0];
    assert_eq!(finding["code"], "layers-exceed-docker");
}

#[test]
#[ignore = "a soak of minutes"]
fn two_hundred_thousand_files_are_one_layer() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
RUN mkdir /d && cd /d && for i in $(seq 200); do mkdir $i && (cd $i && seq 1000 | xargs touch); done
RUN test $(find /d -type f | wc -l) = 200000 && chmod -R go-r /d
FROM scratch
COPY --from=0 /d /d
";
    let (pack, peak) = measured(&context, dockerfile);
    assert_eq!(pack.steps("a").len(), 3);
    assert!(peak < 4 * FLAT, "{peak} kB");
}

#[test]
#[ignore = "a soak of minutes, with 10 GB of disk"]
fn ten_gigabytes_are_one_layer_in_flat_memory() {
    let context = TestContext::new();
    let dockerfile = "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=10240\n";
    let (_, peak) = measured(&context, dockerfile);
    assert!(peak < FLAT, "{peak} kB");
}
