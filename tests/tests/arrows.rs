//! The rules of `ARCHITECTURE.md` that a machine can hold the project to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use repro_core::fs::sorted_names;
use repro_tests::root;

/// Who may use whom, for what ends up in the program and for its build.
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

/// Lines of a file: 500 is long, this is too long.
const LONGEST: usize = 900;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo knows its own workspace")
}

#[test]
fn crates_use_each_other_along_the_arrows_alone() {
    let metadata = metadata();
    let names: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into();
    let mut known: BTreeSet<&str> = arrows.keys().copied().collect();
    known.insert("repro-tests");
    assert_eq!(names, known, "a crate without arrows");
    for package in &metadata.packages {
        let Some(allowed) = arrows.get(package.name.as_str()) else {
            continue;
        };
        for dependency in &package.dependencies {
            // What only tests use reaches nobody.
            if dependency.kind == DependencyKind::Development {
                continue;
            }
            let name = dependency.name.as_str();
            assert!(
                !names.contains(name) || allowed.contains(&name),
                "{} must not use {name}",
                package.name
            );
        }
    }
}

/// The Rust files of the project, relative to its root.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "builder",
        "cli",
        "core",
        "examples",
        "tests",
        "toolchains",
        "verifier",
    ]
    .map(PathBuf::from)
    .into();
    while let Some(folder) = folders.pop() {
        for name in sorted_names(&root().join(&folder)).expect("the folder can be read") {
            let path = folder.join(&name);
            let kind = fs::symlink_metadata(root().join(&path)).expect("the file is there");
            if kind.is_dir() && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
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
    let long: Vec<String> = sources()
        .iter()
        .map(|path| (path, text(path).lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:?}");
}

/// The compiler then refuses it in the whole crate, also in what a macro makes.
#[test]
fn every_crate_but_the_sandbox_forbids_unsafe_code() {
    for package in metadata().packages {
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
        if path.starts_with("cli") {
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
    for package in metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest is text");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} is not held to the lints of the workspace",
            package.name
        );
    }
}
