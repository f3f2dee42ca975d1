//! Cases as text: many small contexts in few files that can be read from top to bottom.
//!
//! ```text
//! == name-of-the-case
//! What it shows.
//! -- args
//! --build-arg
//! NAME=value
//! -- Dockerfile
//! FROM scratch
//! COPY greeting /
//! -- file greeting
//! hello
//! -- setup
//! chmod 0600 greeting
//! -- instead classic buildah
//! FROM scratch
//! COPY greeting /
//! -- refused 2 unknown flag
//! ```
//!
//! `args` has one argument a line, which every builder gets. `setup` is a script of the shell, run
//! in the context, for what text cannot say: modes, links, archives, names of any bytes. `instead` is
//! the same image said with what older builders know: those named get it in place of a Dockerfile
//! that they do not build, so that `repro` is compared there too. `refused`
//! means that no builder may accept the case, that `repro` ends with this code, and that it says
//! this text. Blank lines at the end of a section are not part of it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use repro_core::fs::sorted_names;

use super::Builder;
use crate::{User, root, tool};

/// Makes `FROM busybox` the shipped toolchain. Part of every context, so of every `COPY .` too.
const PROJECT: &str = "[toolchain.busybox]\nuse = \"busybox\"\n";

/// What must become of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// An image.
    Image,
    /// An error.
    Refused {
        /// The exit code of `repro`.
        code: i32,
        /// What `repro` says.
        says: String,
    },
}

/// One Dockerfile with its context.
#[derive(Debug, Clone)]
pub struct Case {
    /// `GROUP/NAME`: the file and the section.
    pub name: String,
    /// Arguments for every builder.
    pub args: Vec<String>,
    /// What must become of it.
    pub expected: Expected,
    /// The Dockerfile for builders that do not know what this one uses.
    pub instead: BTreeMap<Builder, String>,
    files: Vec<(String, String)>,
    setup: Option<String>,
}

impl Case {
    /// All cases, by file and in the order of each file.
    ///
    /// # Panics
    /// If a file is not written as it should be.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let dir = root().join("tests/conformance");
        let names = sorted_names(&dir).expect("the cases can be listed");
        let mut cases = Vec::new();
        for name in names {
            let name = name.into_string().expect("files are named in UTF-8");
            let Some(group) = name.strip_suffix(".cases") else {
                continue;
            };
            let text = fs::read_to_string(dir.join(&name)).expect("the cases can be read");
            cases.extend(parse(group, &text).unwrap_or_else(|why| panic!("{name}: {why}")));
        }
        cases
    }

    /// Makes the context. Everything in it belongs to `user`.
    pub fn write(&self, dir: &Path, user: User) {
        fs::create_dir_all(dir).expect("the directory can be made");
        fs::write(dir.join("repro.toml"), PROJECT).expect("the file can be written");
        for (name, text) in &self.files {
            let path = dir.join(name);
            let parent = path.parent().expect("a file lies in a directory");
            fs::create_dir_all(parent).expect("the directory can be made");
            fs::write(&path, text).expect("the file can be written");
        }
        user.own(dir);
        let Some(setup) = &self.setup else { return };
        let script = format!("set -eu; umask 022; {setup}");
        let mut words = user.prefix();
        words.extend(["sh".into(), "-c".into(), script.into()]);
        let output = Command::new(tool(&words[0].to_string_lossy()))
            .args(&words[1..])
            .current_dir(dir)
            .env("LC_ALL", "C")
            .output()
            .expect("sh starts");
        assert!(output.status.success(), "{}: {output:?}", self.name);
    }
}

fn parse(group: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for part in sections(text, "== ") {
        let (name, body) = part;
        let name = format!("{group}/{name}");
        if cases.iter().any(|case| case.name == name) {
            return Err(format!("{name} comes twice"));
        }
        cases.push(case(name, &body)?);
    }
    Ok(cases)
}

fn case(name: String, body: &str) -> Result<Case, String> {
    let mut case = Case {
        name,
        args: Vec::new(),
        expected: Expected::Image,
        instead: BTreeMap::new(),
        files: Vec::new(),
        setup: None,
    };
    if body
        .lines()
        .next()
        .is_none_or(|line| line.starts_with("-- "))
    {
        return Err(format!("{} does not say what it shows", case.name));
    }
    for (head, text) in sections(body, "-- ") {
        let (kind, rest) = head.split_once(' ').unwrap_or((&head, ""));
        match kind {
            "Dockerfile" => case.files.push((kind.to_owned(), text)),
            "file" => case.files.push((rest.to_owned(), text)),
            "args" => case.args = text.lines().map(ToOwned::to_owned).collect(),
            "instead" => {
                for name in rest.split(' ') {
                    let mut all = Builder::ALL.into_iter();
                    let builder = all.find(|builder| builder.to_string() == name);
                    let builder = builder.ok_or_else(|| format!("{head}: who is {name}?"))?;
                    case.instead.insert(builder, text.clone());
                }
            }
            "setup" => case.setup = Some(text),
            "refused" => {
                let (code, says) = rest.split_once(' ').unwrap_or((rest, ""));
                case.expected = Expected::Refused {
                    code: code.parse().map_err(|error| format!("{head}: {error}"))?,
                    says: says.to_owned(),
                };
            }
            _ => return Err(format!("{}: no section is called {head}", case.name)),
        }
    }
    Ok(case)
}

/// The parts of `text` that begin with a line of `marker` and a name; what comes before the first
/// is a comment.
fn sections(text: &str, marker: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(marker) {
            found.push((name.to_owned(), String::new()));
        } else if let Some((_, body)) = found.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    for (_, body) in &mut found {
        while body.ends_with("\n\n") || body == "\n" {
            body.pop();
        }
    }
    found
}
