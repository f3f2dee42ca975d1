//! The examples that fetch: Dockerfiles as people write them, locked once with a network and built
//! where there is none; then the same with the remedies that the report names, and with the patch that
//! `--suggest` wrote.
//!
//! Run B of each build lives 398 days later, so what was captured is also read with a clock of next
//! year: the validity of apt's releases and of certificates included.

use std::process::Command;

use repro_tests::{FetchingExample, Pack, StandIn, tool};

/// `repro build --locked --suggest` where there is no network.
#[track_caller]
fn build(example: &FetchingExample, dockerfile: &str, code: i32) -> Pack {
    let (build, evidence) = example.build(dockerfile);
    let ended = build.args(["--suggest"]).run().exits(code);
    if code != 0 {
        ended.says(["tried: with the patch the build is reproducible"]);
    }
    let pack = Pack::read(&evidence);
    assert_listed(example, &pack, dockerfile);
    pack
}

/// The report names what the steps fetched, by address and digest, and no way out was there.
#[track_caller]
fn assert_listed(example: &FetchingExample, pack: &Pack, dockerfile: &str) {
    let inputs = pack.report["inputs"].as_array().expect("a list of inputs");
    let fetched = inputs
        .iter()
        .filter(|input| example.fetched(input["uri"].as_str().unwrap_or_default()));
    let mut count = 0;
    for input in fetched {
        assert!(input["digest"].is_string(), "{dockerfile}: {input}");
        count += 1;
    }
    assert!(count > 5, "{dockerfile}: {count} fetches are listed");
    assert_eq!(pack.report["hermetic"]["network"], "replay");
}

/// As it is, the example is reproducible but for what these causes say.
#[track_caller]
fn plain(example: &mut FetchingExample, causes: &[&str]) -> Pack {
    example.lock("Dockerfile");
    let pack = build(example, "Dockerfile", 1);
    assert_eq!(pack.verdict(), "not-reproducible");
    let found = pack.causes();
    for cause in causes {
        assert!(found.contains(cause), "{cause} is not in {found:?}");
    }
    let unknown = pack
        .differences("confidence")
        .into_iter()
        .filter(|confidence| *confidence == "unknown");
    assert_eq!(unknown.count(), 0, "{}", pack.report["differences"]);
    pack
}

/// Applies what `repro build --suggest` proposes for the Dockerfile, and nothing else.
#[track_caller]
fn patch(example: &FetchingExample) {
    let patched = Command::new(tool("patch"))
        .args(["--strip=1", "--input=Dockerfile.repro.patch"])
        .current_dir(example.project())
        .output()
        .expect("patch starts");
    assert!(patched.status.success(), "{patched:?}");
}

#[track_caller]
fn reproducible(example: &mut FetchingExample, dockerfile: &str) {
    example.lock(dockerfile);
    let pack = build(example, dockerfile, 0);
    assert_eq!(pack.verdict(), "reproducible");
}

#[test]
fn apt_install_keeps_logs_and_caches_and_is_reproducible_without_them() {
    let mut example = FetchingExample::new("apt-install", &[StandIn::Debian]);
    plain(&mut example, &["dpkg-log", "apt-log", "ldconfig-cache"]);
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn python_app_keeps_a_temporary_path_and_is_reproducible_without_it() {
    let mut example = FetchingExample::new("python-app", &[StandIn::Python]);
    let pack = plain(&mut example, &["debug-path"]);
    assert!(!pack.causes().contains(&"random-content"));
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn node_app_keeps_the_cache_of_npm_and_is_reproducible_without_it() {
    let mut example = FetchingExample::new("node-app", &[StandIn::Node]);
    plain(&mut example, &["npm-cache"]);
    reproducible(&mut example, "Dockerfile.reproducible");
    patch(&example);
    reproducible(&mut example, "Dockerfile");
}

#[test]
fn rust_cli_is_reproducible_as_people_write_it() {
    let mut example = FetchingExample::new("rust-cli", &[StandIn::Debian, StandIn::Rust]);
    reproducible(&mut example, "Dockerfile");
}
