//! The rules of `ARCHITECTURE.md` that a machine can hold the project to.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use repro_core::fs::sorted_names;
use repro_tests::root;

/// Who may use whom, for what ends up in the program and for its build.
const ARROWS: [(&str, &[&str]); 7] = [
    (
        "repro",
        &[
            "repro-builder",
            "repro-core",
            "repro-engine",
            "repro-sandbox",
            "repro-toolchains",
            "repro-verifier",
        ],
    ),
    (
        "repro-builder",
        &["repro-core", "repro-sandbox", "repro-toolchains"],
    ),
    ("repro-core", &[]),
    ("repro-engine", &["repro-core", "repro-sandbox"]),
    ("repro-sandbox", &["repro-core"]),
    ("repro-toolchains", &["repro-core", "repro-sandbox"]),
    ("repro-verifier", &["repro-core"]),
];

/// Rooms that stay offline, whatever their dependencies bring along.
const OFFLINE: [&str; 3] = ["repro-core", "repro-sandbox", "repro-verifier"];

/// Crates that open connections. `repro-toolchains` has them, or this list would be out of date.
const NETWORK: [&str; 4] = ["http", "ring", "rustls", "ureq"];

/// Lines of a file: 500 is long, this is too long.
const LONGEST: usize = 900;
/// Lines of the file in the middle.
const MEDIAN: usize = 200;

/// Everything that ends up in the program on this platform: the build just before had all of it.
fn metadata() -> Metadata {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--offline", "--filter-platform", &platform].map(str::to_owned))
        .exec()
        .expect("cargo knows its own workspace")
}

/// The names of all packages that `name` uses, and those that they use, and so on; what only
/// tests use reaches nobody.
fn reached(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let nodes = &metadata.resolve.as_ref().expect("a graph").nodes;
    let package = |id: &PackageId| &metadata[id];
    let mut found: BTreeSet<&PackageId> = BTreeSet::new();
    let mut next: Vec<&PackageId> = nodes
        .iter()
        .map(|node| &node.id)
        .filter(|id| package(id).name.as_str() == name)
        .collect();
    assert_eq!(next.len(), 1, "{name} is one package");
    while let Some(id) = next.pop() {
        let node = nodes.iter().find(|node| node.id == *id).expect("a node");
        let used = node.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        for dependency in used {
            if found.insert(&dependency.pkg) {
                next.push(&dependency.pkg);
            }
        }
    }
    found
        .into_iter()
        .map(|id| package(id).name.to_string())
        .collect()
}

#[test]
fn crates_use_each_other_along_the_arrows_alone() {
    let metadata = metadata();
    let names: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut known: BTreeSet<&str> = ARROWS.map(|(name, _)| name).into();
    known.insert("repro-tests");
    assert_eq!(names, known, "a crate without arrows");
    for (name, allowed) in ARROWS {
        // Through how many others does not matter: a verifier that reaches the builder by way of
        // a third crate shares its bugs as well.
        for used in reached(&metadata, name) {
            assert!(
                !names.contains(used.as_str()) || allowed.contains(&used.as_str()),
                "{name} must not use {used}"
            );
        }
    }
}

#[test]
fn what_judges_and_what_confines_cannot_reach_a_network() {
    let metadata = metadata();
    let fetching = reached(&metadata, "repro-toolchains");
    for network in NETWORK {
        assert!(fetching.contains(network), "{network} is used no more");
        for name in OFFLINE {
            assert!(
                !reached(&metadata, name).contains(network),
                "{name} uses {network}"
            );
        }
    }
}

/// What is built, and what people keep to themselves.
const NOT_OURS: [&str; 3] = ["target", "repro-out", ".git"];

/// Every file of the project, relative to its root.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for name in sorted_names(&root().join(&folder)).expect("the folder can be read") {
            let path = folder.join(&name);
            let kind = fs::symlink_metadata(root().join(&path)).expect("the file is there");
            if !kind.is_dir() {
                found.push(path);
            } else if !NOT_OURS.iter().any(|other| name == *other) {
                folders.push(path);
            }
        }
    }
    found
}

/// The Rust files of the project.
fn sources() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(
        found.len() > 100,
        "the project has more files than {found:?}"
    );
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a source file is text")
}

#[test]
fn no_file_is_too_long() {
    let mut lengths: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|path| (text(&path).lines().count(), path))
        .collect();
    lengths.sort();
    let middle = lengths[lengths.len() / 2].0;
    assert!(middle <= MEDIAN, "half of the files have {middle} lines");
    let long: Vec<String> = lengths
        .iter()
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:?}");
}

/// The compiler then refuses it in the whole crate, also in what a macro makes.
#[test]
fn every_crate_but_the_sandbox_forbids_unsafe_code() {
    for package in metadata().workspace_packages() {
        if package.name.as_str() == "repro-sandbox" {
            continue;
        }
        for target in &package.targets {
            let roots = target.is_lib() || target.is_bin();
            let text = fs::read_to_string(&target.src_path).expect("a source file is text");
            assert!(
                !roots || text.contains("#![forbid(unsafe_code)]"),
                "{} does not forbid unsafe code",
                target.src_path
            );
        }
    }
}

/// The lints that keep libraries silent are only as good as the lack of exceptions.
#[test]
fn only_the_command_line_may_print() {
    for path in sources() {
        // A program that is a test of its own talks to whoever started it.
        let of_tests = path.components().any(|part| part.as_os_str() == "tests");
        if path.starts_with("cli") || of_tests {
            continue;
        }
        // Built from two parts, so that this file is none of those it looks for.
        for lint in [
            concat!("clippy::print", "_stdout"),
            concat!("clippy::print", "_stderr"),
        ] {
            let text = text(&path);
            assert!(!text.contains(lint), "{} prints", path.display());
        }
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest is text");
    for lint in ["print_stdout = \"deny\"", "print_stderr = \"deny\""] {
        assert!(manifest.contains(lint), "{lint} is gone");
    }
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest is text");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} is not held to the lints of the workspace",
            package.name
        );
    }
}

/// Where the hosts that the program knows are written down.
const HOSTS: &str = "core/src/hosts.rs";

/// Hosts in texts that nobody connects to: types of statements and schemas, specifications, licences, and
/// what is reserved for examples.
const NAMES: [&str; 17] = [
    "docs.oasis-open.org",
    "example.com",
    "example.net",
    "example.org",
    // The type of BuildKit's builds begins with it.
    "github.com",
    "in-toto.io",
    "intelgraph.io",
    "json-schema.org",
    // The group of its policies in Kubernetes.
    "kyverno.io",
    "no-color.org",
    "peps.python.org",
    "reproducible-builds.org",
    "slsa.dev",
    "spdx.dev",
    "specs.opencontainers.org",
    "www.apache.org",
    "www.w3.org",
];

/// Top-level domains of registries and mirrors.
const DOMAINS: [&str; 5] = ["com", "dev", "io", "net", "org"];

/// The last part of a name that has more than one.
fn domain(host: &str) -> Option<&str> {
    let (before, domain) = host.rsplit_once('.')?;
    (!before.is_empty()).then_some(domain)
}

/// The words of a text that may be the name of a host, each with what comes before and after.
fn hosts(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(part)?;
            let len = text[start..]
                .find(|c| !part(c))
                .unwrap_or(text.len() - start);
            at = start + len;
            let word = &text[start..at];
            if domain(word).is_some_and(|domain| DOMAINS.contains(&domain)) {
                return Some((&text[..start], word, &text[at..]));
            }
        }
    })
}

/// Whoever changes the one place has changed them all, and no mirror of a developer gets in.
#[test]
fn hosts_are_named_in_one_place() {
    let known: Vec<String> = hosts(&text(Path::new(HOSTS)))
        .map(|(_, host, _)| host.to_owned())
        .collect();
    assert_eq!(known.len(), 5, "{known:?}");
    let mut elsewhere = Vec::new();
    for path in files() {
        // Cargo's own record, in which its default registry has that name on every machine.
        if path == Path::new(HOSTS) || path.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (before, host, after) in hosts(&text) {
            // `docker.io/library/busybox` is how the full name of an image is written, and
            // `docker.io=URL` a mirror of that registry.
            let image = known.iter().any(|known| known == host)
                && after.starts_with(['/', '='])
                && !before.ends_with("http://")
                && !before.ends_with("https://");
            // Debian's package of Docker is called like the registry.
            let package = known.iter().any(|known| known == host) && path == Path::new("tests/run");
            // A field of Rust, `meta.dev`, has no slashes before it.
            let field = domain(host) == Some("dev") && !before.ends_with("//");
            if !image && !package && !field && !NAMES.contains(&host) {
                elsewhere.push(format!("{}: {host}", path.display()));
            }
        }
    }
    assert!(elsewhere.is_empty(), "hosts: {elsewhere:#?}");
}
