//! Digests that must not move. A change of one of them is a change of a rule: it needs a new
//! number of the ruleset, and the old one stays as it is.

use repro_tests::TestContext;

/// Images of examples under ruleset 1.
const IMAGES: [(&str, &str); 2] = [
    // Every instruction, a compiler, a source package, files copied between stages, a step after
    // them, labels: what users do.
    (
        "zlib",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
    // One file in one layer on nothing: if this moves, tar, gzip or JSON did.
    (
        "static-hello",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
];

/// Toolchains by their locks.
const TOOLCHAINS: [(&str, &str); 2] = [
    // Unpacked by us: order, modes and times of a .deb, links that a program made.
    (
        "busybox",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
    // Configured by dpkg in the sandbox: what maintainer scripts write, and what is normalised
    // after them.
    (
        "debian-c",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
];

#[test]
fn ruleset_1_gives_these_digests() {
    let context = TestContext::new();
    let mut found = Vec::new();
    let mut expected = Vec::new();
    for (name, digest) in TOOLCHAINS {
        let built = context
            .repro(["toolchain", "build", "--json", name])
            .run()
            .exits(0)
            .json();
        found.push((name, built["manifestDigest"].as_str().unwrap().to_owned()));
        expected.push((name, digest.to_owned()));
    }
    for (name, digest) in IMAGES {
        let project = context.example(name);
        let (_, pack) = context.built(&project, 0);
        assert_eq!(pack.report["ruleset"], 1);
        found.push((name, pack.digest().to_owned()));
        expected.push((name, digest.to_owned()));
    }
    assert_eq!(found, expected);
}
