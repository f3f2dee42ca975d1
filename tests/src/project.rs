//! Projects to build.

use std::{fs, path::Path, process::Command};

use crate::{TOOLCHAINS, root, tool};

/// Writes the files of a project, with a `repro.toml` that declares the toolchains unless one is
/// given.
pub fn write_project(dir: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(dir).expect("the directory can be made");
    if !files.iter().any(|(name, _)| *name == "repro.toml") {
        fs::write(dir.join("repro.toml"), TOOLCHAINS).expect("the file can be written");
    }
    for (name, text) in files {
        let path = dir.join(name);
        let parent = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(parent).expect("the directory can be made");
        fs::write(&path, text).expect("the file can be written");
    }
}

/// Copies `examples/NAME` to `dir`, with its modes and, as git leaves them, new times.
pub fn example(name: &str, dir: &Path) {
    let from = root().join("examples").join(name);
    let copied = Command::new(tool("cp"))
        .args(["--recursive", "--no-dereference", "--preserve=mode"])
        .arg(&from)
        .arg(dir)
        .status()
        .expect("cp starts");
    assert!(copied.success(), "{} cannot be copied", from.display());
}
