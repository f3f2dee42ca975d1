//! Remedies that are mechanical, as a patch of the Dockerfile.
//!
//! A change is proposed only where the cause and the text of the step leave no choice: a known
//! command is replaced by its reproducible form, a variable is set, a leftover is removed. What
//! remains is said, so that a patch is never taken for the whole answer. Nothing is applied.

mod catalogue;
mod command;
mod edit;
mod later;
mod output;
mod patch;
mod shell;
#[cfg(test)]
mod tests;
mod trial;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use catalogue::{Act, Leftover, Spent, acts, is_at};
use command::Program;
use edit::Edit;

use crate::{
    causes::Cause,
    compare::{Difference, DifferenceKind, origins},
    report::Report,
};

pub use patch::PatchNameError;
pub use trial::Trial;

/// A `RUN` of the Dockerfile whose text may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunText {
    /// Its first line, from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// How it is written.
    pub form: RunForm,
    /// Whose programs it runs.
    pub userland: Userland,
}

/// Whose programs the steps of a stage run, as far as its base and its steps tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Userland {
    /// Those of busybox, which have fewer options than the ones of GNU.
    Busybox,
    /// Those of GNU, as distributions have them.
    Gnu,
    /// Nothing tells.
    Unknown,
}

/// How a `RUN` is written. Lists of arguments have no shell, so nothing can be added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunForm {
    /// A command of the shell, on one line or several.
    Shell,
    /// One heredoc that is itself the script; its last line is the name that ends it.
    Script,
}

/// Shells whose syntax is known, wherever they are.
pub const POSIX_SHELLS: [&str; 4] = ["sh", "bash", "dash", "ash"];

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
    /// Causes that the change leaves, or a part of them, with the lines of their steps.
    pub left: BTreeSet<(Cause, Option<u32>)>,
    /// Causes with the lines of steps that are taken to keep nothing but what an earlier one made, and
    /// the line of that one.
    pub follows: BTreeSet<(Cause, u32, u32)>,
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

/// The differences of one step with one cause.
#[derive(Default)]
struct Rows<'a> {
    /// The paths of all.
    paths: BTreeSet<&'a str>,
    /// Those that it made.
    own: Vec<&'a Difference>,
    /// Lines of the steps from which the others follow.
    origins: BTreeSet<u32>,
}

/// How far a remedy reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It does not fit.
    Nothing,
    /// It fits some of what differs.
    Part,
    /// It fits all that differs, as far as the text of the step tells.
    Whole,
}

impl Reach {
    /// What is reached where `done` of `all` are.
    const fn of(done: usize, all: usize) -> Self {
        match done {
            0 => Self::Nothing,
            _ if done < all => Self::Part,
            _ => Self::Whole,
        }
    }

    /// What two remedies reach together, of which each is for other commands.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Whole, Self::Whole) => Self::Whole,
            _ => Self::Part,
        }
    }
}

/// Proposes a change of `original`, from which `report` was made.
pub fn suggest(report: &Report, original: &Original<'_>) -> Result<Suggestion, PatchNameError> {
    let mut lines: Vec<String> = original
        .text
        .split_inclusive('\n')
        .map(str::to_owned)
        .collect();
    let mut found = Found::default();
    let by_run = by_run(report, original, &mut found);
    // From the last to the first, so that the numbers of earlier lines stay as they are.
    for (run, causes) in by_run.into_values().rev() {
        let mut edit = Edit::of(&lines, run, original);
        for (cause, rows) in causes {
            let reach = edit
                .as_mut()
                .map_or(Reach::Nothing, |edit| remedy(edit, cause, &rows));
            found.add(cause, run.line, &rows, reach);
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
            remedied: found.remedied,
        })
    };
    Ok(Suggestion {
        change,
        left: found.left,
        follows: found.follows,
    })
}

/// What is known of the causes so far.
#[derive(Default)]
struct Found {
    remedied: BTreeSet<(Cause, u32)>,
    left: BTreeSet<(Cause, Option<u32>)>,
    follows: BTreeSet<(Cause, u32, u32)>,
}

impl Found {
    fn add(&mut self, cause: Cause, line: u32, rows: &Rows<'_>, reach: Reach) {
        if reach != Reach::Nothing {
            self.remedied.insert((cause, line));
        }
        if reach == Reach::Nothing && rows.own.is_empty() {
            let origins = rows.origins.iter();
            self.follows
                .extend(origins.map(|origin| (cause, line, *origin)));
        } else if reach != Reach::Whole {
            self.left.insert((cause, Some(line)));
        }
    }
}

/// Each `RUN` that made differences, by its lines.
type ByRun<'a> = BTreeMap<(u32, u32), (RunText, BTreeMap<Cause, Rows<'a>>)>;

/// The differences by the `RUN` that made them; causes of other steps are left at once.
fn by_run<'a>(report: &'a Report, original: &Original<'_>, found: &mut Found) -> ByRun<'a> {
    let line_of = |step: Option<u32>| Some(report.step(step?)?.line);
    let mut by_run = ByRun::new();
    for row in rows(report) {
        let line = line_of(row.step);
        let run = original.runs.iter().find(|run| Some(run.line) == line);
        let Some(run) = run else {
            // What another instruction takes over is remedied where it was made.
            if row.derived_from.is_none() {
                found.left.insert((row.cause, line));
            }
            continue;
        };
        let (_, causes) = by_run
            .entry((run.line, run.end_line))
            .or_insert_with(|| (*run, BTreeMap::new()));
        let rows = causes.entry(row.cause).or_default();
        rows.paths.insert(&row.path);
        match &row.derived_from {
            None => rows.own.push(row),
            Some(origin) => rows.origins.extend(line_of(origin.step)),
        }
    }
    by_run
}

/// The differences that a change should remove: those of the image, and those of other stages from
/// which one of the image follows. One that follows from another step is among them: that contents
/// are equal does not prove that they were copied.
fn rows(report: &Report) -> impl Iterator<Item = &Difference> {
    let rows = || report.differences.iter();
    let followed = origins(rows());
    let image = origins(rows().filter(|row| row.in_image()));
    rows().filter(move |row| match &row.derived_from {
        None => row.in_image() || followed.contains(&row.spot()),
        Some(origin) if origin.step == row.step => false,
        Some(origin) => row.in_image() || image.contains(&origin.spot()),
    })
}

/// Adds the remedies of `cause` that fit the text of the step: all for calls of programs, else the
/// first. Where every difference follows from another step, only a call shows that it does not.
fn remedy(edit: &mut Edit<'_>, cause: Cause, rows: &Rows<'_>) -> Reach {
    let paths: Vec<&str> = rows.paths.iter().copied().collect();
    let programs = acts(cause).iter().filter_map(|act| match act {
        Act::Rewrite(program) => Some(*program),
        _ => None,
    });
    let done = programs
        .map(|program| rewrite(edit, program, &paths))
        .fold(Reach::Nothing, Reach::and);
    if done != Reach::Nothing || rows.own.is_empty() {
        return done;
    }
    acts(cause)
        .iter()
        .map(|act| perform(edit, cause, act, &rows.own))
        .find(|reach| *reach != Reach::Nothing)
        .unwrap_or(Reach::Nothing)
}

fn rewrite(edit: &mut Edit<'_>, program: Program, paths: &[&str]) -> Reach {
    let reach = edit.rewrite(program, paths);
    if reach != Reach::Nothing
        && let Some(needs) = program.needs()
    {
        edit.note(needs.to_owned());
    }
    reach
}

/// Most paths that one line of a Dockerfile should name; beyond that it is no remedy to read.
const MAX_PATHS: usize = 20;

/// What is said of a file that is left empty.
const FILL: &str = "left empty, to be written when a container starts";

fn perform(edit: &mut Edit<'_>, cause: Cause, act: &Act, rows: &[&Difference]) -> Reach {
    match act {
        Act::Export {
            words,
            variables,
            keeps_away,
        } if edit.mentions(words) => export(edit, variables, *keeps_away, rows),
        Act::SortListings => {
            let paths: BTreeSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
            edit.sort_listings(&paths.into_iter().collect::<Vec<_>>())
        }
        Act::Rewrite(_) | Act::Export { .. } => Reach::Nothing,
        _ if !edit.takes_more() => Reach::Nothing,
        Act::Remove(leftovers) => remove(edit, leftovers, rows),
        Act::RemoveTemporary => on_files(
            rows,
            |row| is_temporary(&row.path) && !later::may_need(edit.later(), &row.path),
            |paths| vec![format!("rm -rf {}", paths.join(" "))],
        )
        .add(edit),
        Act::Empty(words) if edit.mentions(words) => {
            let empty = on_files(
                rows,
                |row| {
                    whole::differs(row)
                        && edit.writes_once(&format!("/{}", row.path))
                        && !later::may_need(edit.later(), &row.path)
                },
                |paths| each(": > {}", paths),
            );
            if !empty.commands.is_empty() {
                edit.note(format!("{cause}: {FILL}: {}", empty.paths.join(" ")));
            }
            empty.add(edit)
        }
        Act::EmptyIds if !edit.later().contains("machine-id") => on_files(
            rows,
            |row| ["etc/machine-id", "var/lib/dbus/machine-id"].contains(&row.path.as_str()),
            |paths| each(": > {}", paths),
        )
        .add(edit),
        Act::OnPaths(command) if edit.keeps_epoch() => {
            on_files(rows, |_| true, |paths| each(command, paths)).add(edit)
        }
        Act::Empty(_) | Act::EmptyIds | Act::OnPaths(_) => Reach::Nothing,
    }
}

/// The command for each of `paths`, in the place of `{}`.
fn each(command: &str, paths: &[String]) -> Vec<String> {
    let commands = paths.iter().map(|path| command.replace("{}", path));
    commands.collect()
}

/// Sets variables that nothing in the Dockerfile sets.
fn export(
    edit: &mut Edit<'_>,
    variables: &[&str],
    keeps_away: Option<&str>,
    rows: &[&Difference],
) -> Reach {
    let name = |variable: &str| {
        variable
            .split('=')
            .next()
            .is_some_and(|name| edit.sets(name))
    };
    if variables.iter().any(|variable| name(variable)) {
        return Reach::Nothing;
    }
    for variable in variables {
        edit.export(variable);
    }
    let kept_away = |part: &str| {
        rows.iter()
            .all(|row| format!("/{}", row.path).contains(part))
    };
    if keeps_away.is_some_and(kept_away) {
        Reach::Whole
    } else {
        Reach::Part
    }
}

/// Removes the leftovers that are of no use any more.
fn remove(edit: &mut Edit<'_>, leftovers: &[Leftover], rows: &[&Difference]) -> Reach {
    let spent: Vec<&Leftover> = leftovers
        .iter()
        .filter(|leftover| is_spent(edit, leftover))
        .filter(|leftover| rows.iter().any(|row| is_at(&row.path, leftover.place)))
        .collect();
    let removed = rows.iter().filter(|row| {
        let mut spent = spent.iter();
        spent.any(|leftover| is_at(&row.path, leftover.place))
    });
    let reach = Reach::of(removed.count(), rows.len());
    if reach != Reach::Nothing {
        let places: Vec<&str> = spent.iter().map(|leftover| leftover.place).collect();
        edit.append(format!("rm -rf {}", places.join(" ")));
    }
    reach
}

fn is_spent(edit: &Edit<'_>, leftover: &Leftover) -> bool {
    let later = edit.later();
    let named = |word: &&str| command::has_word(later, word);
    let programs = ["apt-get", "apt", "aptitude"];
    let useless = match leftover.spent {
        Spent::Always => true,
        Spent::Installed => {
            let (last, updated) = (
                edit.last_call(&programs, "install"),
                edit.last_call(&programs, "update"),
            );
            last.is_some() && last > updated && !programs.iter().any(named)
        }
        Spent::Online => {
            let words = ["offline", "network", ".npm"];
            !words.iter().any(|word| later.contains(word))
        }
    };
    let fixed = leftover.place.split('*').next().unwrap_or_default();
    useless && !later.contains(fixed)
}

fn is_temporary(path: &str) -> bool {
    path.starts_with("tmp/") || path.starts_with("var/tmp/")
}

/// Commands for the files at `paths`, and how far they reach.
struct OnFiles {
    paths: Vec<String>,
    commands: Vec<String>,
    reach: Reach,
}

impl OnFiles {
    fn add(self, edit: &mut Edit<'_>) -> Reach {
        for command in self.commands {
            edit.append(command);
        }
        self.reach
    }
}

/// Commands for the files that a command can name and that `fits`. One that is in one run only cannot
/// be named: the next run may have another in its place.
fn on_files(
    rows: &[&Difference],
    fits: impl Fn(&Difference) -> bool,
    commands: impl FnOnce(&[String]) -> Vec<String>,
) -> OnFiles {
    let all: BTreeSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    let unfit: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.kind == DifferenceKind::Missing || !fits(row))
        .map(|row| row.path.as_str())
        .collect();
    let paths: Vec<String> = all
        .difference(&unfit)
        .filter_map(|path| plain_path(path))
        .collect();
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return OnFiles {
            paths: Vec::new(),
            commands: Vec::new(),
            reach: Reach::Nothing,
        };
    }
    OnFiles {
        commands: commands(&paths),
        reach: Reach::of(paths.len(), all.len()),
        paths,
    }
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
