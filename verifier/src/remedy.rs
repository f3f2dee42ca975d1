//! Remedies that are mechanical, as a patch of the Dockerfile.
//!
//! A change is proposed only where the cause and the text of the step leave no choice: a known
//! command is replaced by its reproducible form, a variable is set, a leftover is removed. What
//! remains is said, so that a patch is never taken for the whole answer. Nothing is applied.

mod catalogue;
mod command;
mod edit;
mod patch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use catalogue::{Act, acts};
use edit::Edit;

use crate::{causes::Cause, compare::Difference, report::Report};

pub use patch::PatchNameError;

/// A `RUN` of the Dockerfile whose text may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunText {
    /// Its first line, from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// How it is written.
    pub form: RunForm,
}

/// How a `RUN` is written. Lists of arguments have no shell, so nothing can be added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunForm {
    /// A command of the shell, on one line or several.
    Shell,
    /// One heredoc that is itself the script; its last line is the name that ends it.
    Script,
}

/// The Dockerfile as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Path in the header of the patch, relative to where `patch -p1` runs.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// What continues a line: `\`, or a backtick by directive.
    pub escape: char,
    /// Every `RUN` of it that may be changed.
    pub runs: &'a [RunText],
}

/// What can be proposed on a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What the Dockerfile would be, and the way there; absent where nothing is mechanical.
    pub change: Option<Change>,
    /// Causes that the change leaves, with the lines of their steps.
    pub left: BTreeSet<(Cause, Option<u32>)>,
}

/// A changed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The whole text.
    pub text: String,
    /// The unified diff from the original, as `patch -p1` and `git apply` take it.
    pub patch: String,
    /// Causes with a remedy in it, with the lines of their steps in the original.
    pub remedied: BTreeSet<(Cause, u32)>,
}

/// The files of one step, by cause.
type PathsOf<'a> = BTreeMap<Cause, BTreeSet<&'a str>>;

/// Proposes a change of `original`, from which `report` was made.
pub fn suggest(report: &Report, original: &Original<'_>) -> Result<Suggestion, PatchNameError> {
    let mut lines: Vec<String> = original
        .text
        .split_inclusive('\n')
        .map(str::to_owned)
        .collect();
    let mut left = BTreeSet::new();
    let mut remedied = BTreeSet::new();
    let mut by_run: BTreeMap<(u32, u32), (RunText, PathsOf<'_>)> = BTreeMap::new();
    for row in rows(report) {
        let line = row
            .step
            .and_then(|step| report.step(step))
            .map(|step| step.line);
        let run = original.runs.iter().find(|run| Some(run.line) == line);
        let Some(run) = run else {
            left.insert((row.cause, line));
            continue;
        };
        let (_, causes) = by_run
            .entry((run.line, run.end_line))
            .or_insert_with(|| (*run, BTreeMap::new()));
        causes.entry(row.cause).or_default().insert(&row.path);
    }
    // From the last to the first, so that the numbers of earlier lines stay as they are.
    for (run, causes) in by_run.into_values().rev() {
        let mut edit = Edit::of(&lines, run, original.escape);
        for (cause, paths) in causes {
            let done = edit
                .as_mut()
                .is_some_and(|edit| remedy(edit, cause, &paths));
            if done {
                remedied.insert((cause, run.line));
            } else {
                left.insert((cause, Some(run.line)));
            }
        }
        if let Some(edit) = edit {
            edit.apply(&mut lines);
        }
    }
    let text = lines.concat();
    let change = if text == original.text {
        None
    } else {
        Some(Change {
            patch: patch::unified(original.name, original.text, &text)?,
            text,
            remedied,
        })
    };
    Ok(Suggestion { change, left })
}

/// The differences that a change should remove: primary ones of the image, and those of other
/// stages from which one of the image follows.
fn rows(report: &Report) -> impl Iterator<Item = &Difference> {
    let followed: BTreeSet<(Option<u32>, &str)> = report
        .differences
        .iter()
        .filter_map(|row| row.derived_from.as_ref())
        .map(|origin| (origin.step, origin.path.as_str()))
        .collect();
    report.differences.iter().filter(move |row| {
        row.derived_from.is_none()
            && (row.in_image() || followed.contains(&(row.step, row.path.as_str())))
    })
}

/// Adds the first remedy of `cause` that fits the text of the step.
fn remedy(edit: &mut Edit, cause: Cause, paths: &BTreeSet<&str>) -> bool {
    let Some(paths) = paths
        .iter()
        .map(|path| plain_path(path))
        .collect::<Option<Vec<String>>>()
    else {
        return false;
    };
    acts(cause)
        .iter()
        .any(|act| perform(edit, cause, act, &paths))
}

/// Most paths that one line of a Dockerfile should name; beyond that it is no remedy to read.
const MAX_PATHS: usize = 20;

fn perform(edit: &mut Edit, cause: Cause, act: &Act, paths: &[String]) -> bool {
    let all = || paths.join(" ");
    let few = paths.len() <= MAX_PATHS;
    match act {
        Act::Rewrite(program) => edit.rewrite(*program),
        Act::Export(pattern, variables) if edit.mentions(pattern) => {
            for variable in *variables {
                edit.export(variable);
            }
            true
        }
        Act::Remove(patterns) => {
            edit.append(format!("rm -rf {patterns}"));
            true
        }
        Act::RemovePaths if few => {
            edit.append(format!("rm -rf {}", all()));
            true
        }
        Act::RemoveBelow(names) => {
            let Some(directories) = above(paths, names) else {
                return false;
            };
            edit.append(format!("rm -rf {}", directories.join(" ")));
            true
        }
        Act::Empty(pattern, note) if few && edit.mentions(pattern) => {
            edit.note(format!("{cause}: {note}: {}", all()));
            for path in paths {
                edit.append(format!(": > {path}"));
            }
            true
        }
        Act::OnPaths(pattern, command) if few && edit.mentions(pattern) => {
            for path in paths {
                edit.append(command.replace("{}", path));
            }
            true
        }
        Act::RemoveAtStart(note) if few => {
            edit.note(format!("{cause}: {note}: {}", all()));
            edit.append(format!("rm -f {}", all()));
            true
        }
        Act::Export(..)
        | Act::RemovePaths
        | Act::Empty(..)
        | Act::OnPaths(..)
        | Act::RemoveAtStart(_) => false,
    }
}

/// The directories that end in one of `names` and hold `paths`, if all of these lie in one.
fn above(paths: &[String], names: &[&str]) -> Option<Vec<String>> {
    let directory = |path: &String| {
        let found = names.iter().find_map(|name| {
            let at = format!("{path}/").find(&format!("/{name}/"))?;
            Some(at + 1 + name.len())
        });
        found.map(|end| path[..end].to_owned())
    };
    let found: Option<BTreeSet<String>> = paths.iter().map(directory).collect();
    let directories: Vec<String> = found?.into_iter().collect();
    (directories.len() <= MAX_PATHS).then_some(directories)
}

/// The path as a word of the shell, if it needs no quotes: names come from the image and are
/// hostile, and a command that a user is to run has no place for one that could be read otherwise.
fn plain_path(path: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+-@:,%=".contains(&byte);
    let good = !path.is_empty()
        && path.bytes().all(plain)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    good.then(|| format!("/{path}"))
}
