//! The rooms: who may use whom, how long a file may be, where unsafe code may stand, and that no
//! host of a package registry is written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Left may use right. `cli` uses the sandbox to hand over to its stage before anything else is
/// started, and to ask what the machine lacks.
const ARROWS: [(&str, &[&str]); 6] = [
    (
        "repro",
        &[
            "repro-builder",
            "repro-core",
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
    ("repro-sandbox", &["repro-core"]),
    ("repro-toolchains", &["repro-core", "repro-sandbox"]),
    ("repro-verifier", &["repro-core"]),
];

/// The crate of the tests: it may use every room, and none may use it.
const TESTS: &str = "repro-tests";

/// Lines that a file of this project may have.
const MAX_LINES: usize = 900;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// The files of the project that git knows or would take, by their paths from the root.
fn files() -> Vec<PathBuf> {
    let listed = walk(&root());
    assert!(
        listed.len() > 50,
        "the project has more files than {}",
        listed.len()
    );
    listed
}

/// Every file below `dir`, without what is built or kept elsewhere.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in repro_core::fs::sorted_names(dir).unwrap() {
        let path = dir.join(&name);
        let kind = path.symlink_metadata().unwrap().file_type();
        let name = name.to_string_lossy();
        if kind.is_dir() && name != ".git" && name != "target" && !name.ends_with("repro-out") {
            files.extend(walk(&path));
        } else if kind.is_file() && name != ".git" {
            files.push(path);
        }
    }
    files
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files().into_iter().filter(rust).map(read).collect()
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into();
    let mut rooms = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if name == TESTS {
            continue;
        }
        rooms.insert(name.to_owned());
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is no room of the design"));
        for dependency in &package.dependencies {
            if !dependency.name.starts_with("repro")
                || dependency.kind == DependencyKind::Development
            {
                assert_ne!(dependency.name, TESTS, "{name} uses the tests");
                continue;
            }
            let uses = dependency.name.as_str();
            assert!(may.contains(&uses), "{name} must not use {uses}");
        }
    }
    let designed: BTreeSet<String> = allowed.keys().map(ToString::to_string).collect();
    assert_eq!(rooms, designed);
}

#[test]
fn the_verifier_does_not_meet_the_builder_by_way_of_others() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .exec()
        .unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id| metadata[id].name.as_str();
    let start = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "repro-verifier");
    let mut open = vec![&start.unwrap().id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(resolve[id].deps.iter().map(|dependency| &dependency.pkg));
        }
    }
    assert!(seen.len() > 10, "the walk reaches its dependencies");
    for room in ["repro-builder", "repro-sandbox", "repro-toolchains"] {
        assert!(
            seen.iter().all(|id| name(id) != room),
            "the verifier reaches {room}"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    let mut lengths = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
        lengths.push(lines);
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 250, "the median file has {median} lines");
}

#[test]
fn unsafe_code_stands_in_the_sandbox_alone() {
    let sandbox = root().join("builder/sandbox");
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    for package in metadata.workspace_packages() {
        if package.manifest_path.starts_with(&sandbox) {
            continue;
        }
        let libraries_and_programs = package.targets.iter().filter(|t| t.is_lib() || t.is_bin());
        for target in libraries_and_programs {
            let text = std::fs::read_to_string(&target.src_path).unwrap();
            assert!(
                text.contains("#![forbid(unsafe_code)]"),
                "{}",
                target.src_path
            );
        }
    }
}

#[test]
fn no_host_of_a_package_registry_is_written_down() {
    // Spelt in parts, so that this file does not name one itself.
    let hosts: Vec<String> = [
        ("crates", "io"),
        ("static.crates", "io"),
        ("pypi", "org"),
        ("files.pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("deb.debian", "org"),
        ("ftp.debian", "org"),
        ("security.debian", "org"),
        ("archive.ubuntu", "com"),
        ("proxy.golang", "org"),
        ("ghcr", "io/v2"),
        ("registry-1.docker", "io"),
        ("quay", "io"),
    ]
    .map(|(name, top)| format!("{name}.{top}"))
    .into();
    let mut read = 0;
    for path in files() {
        // Cargo writes the source of each crate into its lock.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        read += 1;
        for host in &hosts {
            assert!(
                !text.contains(host.as_str()),
                "{} names {host}",
                path.display()
            );
        }
    }
    assert!(read > 50, "{read} files were read");
}
