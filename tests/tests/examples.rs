//! The examples that fetch: Dockerfiles as people write them, locked once with a network and built
//! where there is none; then the same with the remedies that the report names.
//!
//! Run B of each build lives 398 days later, so that what was captured is read with a clock of
//! next year, validity of apt's releases and of certificates included.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use repro_tests::{Ended, Pack, StandIn, TestContext, tool};

/// How many hosts an example may need: those of packages, of their index, and of redirects.
const HOSTS: usize = 6;

/// `repro lock`, allowing what it says is not allowed. The hosts are what the tools of the image
/// ask by default; no file of the project names them.
#[track_caller]
fn lock(context: &TestContext, project: &Path, dockerfile: &str) {
    let mut hosts: Vec<String> = Vec::new();
    loop {
        let mut lock = context.repro(["lock", "--progress", "plain"]);
        for host in &hosts {
            lock = lock.args(["--allow", host]);
        }
        let ended = lock
            .arg("--file")
            .arg(project.join(dockerfile))
            .arg(project)
            .run()
            .any();
        let text = ended.stderr.clone();
        let refused = text.lines().find_map(|line| {
            let (before, _) = line.split_once(", which is not allowed")?;
            Some(before.rsplit_once(" goes to ")?.1.to_owned())
        });
        match refused {
            Some(host) if hosts.len() < HOSTS && !hosts.contains(&host) => hosts.push(host),
            _ => {
                assert_eq!(ended.code, 0, "{text}");
                assert!(!hosts.is_empty(), "the example fetches nothing");
                return;
            }
        }
    }
}

/// `repro build --locked` in a namespace without any interface that is up.
#[track_caller]
fn build(context: &TestContext, project: &Path, dockerfile: &str, code: i32) -> (Ended, Pack) {
    let (build, evidence) = context.build(project);
    let root = rustix::process::geteuid().is_root();
    let through: &[&str] = if root {
        &["unshare", "--net"]
    } else {
        &["unshare", "--map-root-user", "--net"]
    };
    let ended = build
        .args(["--locked", "--progress", "plain", "--file"])
        .arg(project.join(dockerfile))
        .through(through)
        .run()
        .exits(code);
    (ended, Pack::read(&evidence))
}

/// Each captured answer is in the provenance, with its address, digest and step.
#[track_caller]
fn provenance_names_fetches(context: &TestContext, project: &Path, at_least: usize) {
    let name = project.file_name().expect("a project has a name");
    let evidence: PathBuf = context.path(&format!("{}-evidence", name.to_string_lossy()));
    let listed = Command::new(tool("grep"))
        .args(["--count", "--only-matching", "--extended-regexp", "x"])
        .arg(evidence.join("provenance/run-a.sigstore.json"))
        .output();
    drop(listed);
    let statement = repro_tests::statement(&evidence.join("provenance/run-a.sigstore.json"));
    let resolved = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .expect("a provenance has dependencies");
    let fetched = resolved.iter().filter(|one| {
        let uri = one["uri"].as_str().unwrap_or_default();
        uri.starts_with("http://") || uri.starts_with("https://")
    });
    let fetched: Vec<_> = fetched.collect();
    assert!(fetched.len() >= at_least, "{} fetches", fetched.len());
    for one in fetched {
        assert!(one["digest"]["sha256"].is_string(), "{one}");
    }
}
