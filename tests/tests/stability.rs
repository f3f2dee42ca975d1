//! Digests that must not move. A change of one of them is a change of a rule: it needs a new
//! number of the ruleset, and the old one stays as it is.

use repro_tests::{Pack, TestContext};

/// Images of examples under ruleset 1.
const IMAGES: [(&str, &str); 2] = [
    // Every instruction, a compiler, a source package, files copied between stages, a step after
    // them, labels: what users do.
    (
        "zlib",
        "sha256:65dc08b0784a6fb147f533dd3913aecc013f0512c98a767a52a2f7bb17d34544",
    ),
    // One file in one layer on nothing: if this moves, tar, gzip or JSON did.
    (
        "static-hello",
        "sha256:1c2d4f09f7c39eae967caed28add6cef2227ac876cb5eb79343b5947677335d7",
    ),
];

/// Toolchains by their locks.
const TOOLCHAINS: [(&str, &str); 2] = [
    // Unpacked by us: order, modes and times of a .deb, links that a program made.
    (
        "busybox",
        "sha256:514da5e984d10841f7f2023090f2448f0cdbfb806ef99190ceb18dbd5b455281",
    ),
    // Configured by dpkg in the sandbox: what maintainer scripts write, and what is normalised
    // after them.
    (
        "debian-c",
        "sha256:c218a5953867b774803ae5180a2bc452c401c96572e411bfbbd8a1207b8e43fa",
    ),
];

#[test]
fn ruleset_1_gives_these_digests() {
    let context = TestContext::new();
    let mut found = Vec::new();
    for (name, _) in IMAGES {
        let project = context.example(name);
        let (_, pack) = context.built(&project, 0);
        assert_eq!(pack.report["ruleset"], 1);
        found.push((name, pack.digest().to_owned()));
        // It uses both.
        if name == "zlib" {
            found.extend(TOOLCHAINS.map(|(name, _)| (name, toolchain(&pack, name))));
        }
    }
    for (name, digest) in IMAGES.into_iter().chain(TOOLCHAINS) {
        let found = &found.iter().find(|(of, _)| *of == name).unwrap().1;
        assert_eq!(found, digest, "{name} moved");
    }
}

/// Digest of the image that the report says a toolchain is.
fn toolchain(pack: &Pack, name: &str) -> String {
    let inputs = pack.report["inputs"]
        .as_array()
        .expect("a report has inputs");
    let uri = format!("pkg:generic/repro/{name}@");
    let input = inputs
        .iter()
        .find(|input| {
            input["uri"]
                .as_str()
                .is_some_and(|text| text.starts_with(&uri))
        })
        .unwrap_or_else(|| panic!("{name} is no input: {inputs:?}"));
    input["digest"]
        .as_str()
        .expect("an input has a digest")
        .to_owned()
}
