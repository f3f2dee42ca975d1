//! `--suggest`: remedies that are mechanical, as a patch beside the Dockerfile.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use repro_builder::{
    BuildError,
    dockerfile::{self, CommandLine, Heredoc, InstructionKind, Stage},
};
use repro_core::{
    build::{BuildRequest, ContextPlace},
    event::counted,
};
use repro_verifier::{
    causes::Cause,
    remedy::{self, Original, RunForm, RunText, Suggestion, Trial, Userland},
    report::Report,
};

use crate::{
    error::{CommandError, ErrorKind},
    files,
    output::Output,
};

/// Where the patch for a Dockerfile goes; `None` unless it lies in a context that is a directory.
///
/// It is never part of the context: a build that is tried again with the patch must not differ by it.
pub(crate) fn path(request: &BuildRequest) -> Option<PathBuf> {
    let ContextPlace::Directory(context) = &request.context else {
        return None;
    };
    let name = &request.dockerfile.name;
    let own = std::fs::read(context.join(name)).ok()?;
    let inside = Path::new(name).is_relative() && own == request.dockerfile.text;
    inside.then(|| context.join(format!("{name}.repro.patch")))
}

/// The same, for who asked for the patch.
pub(crate) fn wanted(request: &BuildRequest) -> Result<PathBuf, CommandError> {
    path(request).ok_or_else(|| {
        CommandError::usage("--suggest has no Dockerfile to write a patch for")
            .hint("name a directory as the context, with the Dockerfile in it")
    })
}

/// What can be proposed on `report`.
pub(crate) fn find(request: &BuildRequest, report: &Report) -> Result<Suggestion, CommandError> {
    let internal = |error| CommandError::new(ErrorKind::Internal, &error);
    let text = String::from_utf8_lossy(&request.dockerfile.text);
    let (runs, escape) = runs(request)?;
    let original = Original {
        name: &request.dockerfile.name,
        text: &text,
        escape,
        runs: &runs,
    };
    remedy::suggest(report, &original).map_err(internal)
}

/// What is known of a change.
#[derive(Debug)]
pub(crate) enum Tried {
    /// Two runs with it were made.
    Seen(Trial),
    /// None could be made: why.
    Not(CommandError),
}

impl Tried {
    /// Whether the change may be proposed.
    const fn is_good(&self) -> bool {
        matches!(self, Self::Not(_) | Self::Seen(Trial::Helps { .. }))
    }

    /// What is said of it for a change with these remedies.
    fn said(&self, remedied: &str) -> String {
        match self {
            Self::Not(error) => format!("the change could not be tried: {error}"),
            Self::Seen(Trial::Fails {
                instruction,
                message,
            }) => {
                let step = short(instruction);
                format!(
                    "no patch is written: with the change for {remedied} `{step}` fails, {message}"
                )
            }
            Self::Seen(Trial::Alters(paths)) => format!(
                "no patch is written: the change for {remedied} alters what did not differ: {}",
                some(paths.iter().cloned())
            ),
            Self::Seen(Trial::Vain) => {
                format!("no patch is written: with the change for {remedied} the same paths differ")
            }
            Self::Seen(Trial::Helps { left, .. }) if left.is_empty() => {
                "tried: with the patch the build is reproducible, and nothing else changes"
                    .to_owned()
            }
            Self::Seen(Trial::Helps { equal, left }) => {
                let equal = counted(*equal, "path is equal", "paths are equal");
                let left = left.iter().map(|(path, causes)| {
                    let causes = causes.iter().map(|cause| cause.code().to_owned());
                    format!("{path} ({})", joined(causes))
                });
                format!(
                    "tried: with the patch {equal}, these still differ: {}",
                    some(left)
                )
            }
        }
    }
}

/// Writes the patch, if there is one that is good, and says what it leaves.
pub(crate) fn write(
    path: &Path,
    request: &BuildRequest,
    found: &Suggestion,
    tried: Option<&Tried>,
    output: &Output,
) -> Result<(), CommandError> {
    let good = tried.is_none_or(Tried::is_good);
    if let Some(change) = found.change.as_ref().filter(|_| good) {
        files::write(path, change.patch.as_bytes())?;
    }
    for line in said(&request.dockerfile.name, found, tried) {
        output.status(&line);
    }
    Ok(())
}

/// What is said of the suggestion for the Dockerfile `name`, in lines.
fn said(name: &str, found: &Suggestion, tried: Option<&Tried>) -> Vec<String> {
    let none = BTreeSet::new();
    let remedied = found
        .change
        .as_ref()
        .map_or(&none, |change| &change.remedied);
    let places = joined(
        remedied
            .iter()
            .map(|(cause, line)| place(*cause, Some(*line))),
    );
    let mut lines = Vec::new();
    if found.change.is_some() && tried.is_none_or(Tried::is_good) {
        let patch = format!("{name}.repro.patch");
        lines.push(format!(
            "suggested a change for {places}: read {patch}, then `patch -p1 < {}` in the context",
            word(&patch),
        ));
    }
    lines.extend(tried.map(|tried| tried.said(&places)));
    // Two runs say more than the text of the step does.
    let seen = matches!(tried, Some(Tried::Seen(Trial::Helps { .. })));
    if !found.left.is_empty() && !seen {
        let places = found.left.iter().map(|(cause, line)| {
            let part = line.is_some_and(|line| remedied.contains(&(*cause, line)));
            let rest = if part { "the rest of " } else { "" };
            format!("{rest}{}", place(*cause, *line))
        });
        lines.push(format!(
            "no mechanical remedy for {}: see the report",
            joined(places)
        ));
    }
    if !found.follows.is_empty() && !seen {
        let places = found.follows.iter().map(|(cause, line, origin)| {
            format!("{} from line {origin}", place(*cause, Some(*line)))
        });
        lines.push(format!(
            "taken to follow from an earlier step, as the contents are equal: {}",
            joined(places)
        ));
    }
    lines
}

/// Most characters of an instruction in a line.
const INSTRUCTION: usize = 60;

/// The beginning of an instruction, without the shell that runs it.
fn short(instruction: &str) -> String {
    let line = instruction.lines().next().unwrap_or_default();
    let line = line.replacen(" /bin/sh -c ", " ", 1);
    match line.char_indices().nth(INSTRUCTION) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Most paths that one line names.
const NAMED: usize = 5;

/// The first of `items`, and how many more there are.
fn some(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let named = joined(items.take(NAMED));
    match more {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// `text` as one word of a shell.
fn word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._/+-@:,%=".contains(char);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Every `RUN` that a shell runs.
fn runs(request: &BuildRequest) -> Result<(Vec<RunText>, char), BuildError> {
    let file = dockerfile::parse(&request.dockerfile.name, &request.dockerfile.text)?;
    let stages = file.stages.iter().enumerate();
    let instructions = stages.flat_map(|(index, stage)| {
        let userland = userland(&file.stages[..=index]);
        let own = stage.instructions.iter();
        own.map(move |instruction| (instruction, userland))
    });
    let runs = instructions.filter_map(|(instruction, userland)| {
        let InstructionKind::Run(run) = &instruction.kind else {
            return None;
        };
        let form = match &run.command {
            CommandLine::Shell(_) => RunForm::Shell,
            CommandLine::Heredocs(command, texts)
                if texts.len() == 1 && Heredoc::is_alone(command) =>
            {
                RunForm::Script
            }
            CommandLine::Exec(_) | CommandLine::Heredocs(..) => return None,
        };
        Some(RunText {
            line: instruction.line,
            end_line: instruction.end_line,
            form,
            userland,
        })
    });
    Ok((runs.collect(), file.directives.escape.char()))
}

/// Whose programs the last of `stages` has: images are named after busybox, and after Alpine, which
/// is made of it.
fn userland(stages: &[Stage]) -> Userland {
    let Some((stage, before)) = stages.split_last() else {
        return Userland::Unknown;
    };
    let Some(base) = stage.from.kind.image.literal() else {
        return Userland::Unknown;
    };
    let named = before.iter().rposition(|stage| {
        let name = stage.from.kind.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(&base))
    });
    if let Some(index) = named {
        return userland(&before[..=index]);
    }
    let name = base.rsplit('/').next().unwrap_or_default();
    if name.contains("busybox") || name.contains("alpine") {
        Userland::Busybox
    } else {
        Userland::Unknown
    }
}

fn place(cause: Cause, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{} (line {line})", cause.code()),
        None => cause.code().to_owned(),
    }
}

fn joined(places: impl Iterator<Item = String>) -> String {
    places.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use repro_verifier::remedy::Change;

    use super::*;

    #[test]
    fn what_is_said_can_be_pasted_and_leaves_nothing_out() {
        let cause = Cause::ArchiveTime;
        let found = Suggestion {
            change: Some(Change {
                text: String::new(),
                patch: String::new(),
                remedied: [(cause, 2)].into(),
            }),
            left: [(cause, Some(2)), (Cause::Unknown, None)].into(),
            follows: [(cause, 5, 2)].into(),
        };
        assert_eq!(
            said("My Docker's", &found, None),
            [
                "suggested a change for archive-time (line 2): read My Docker's.repro.patch, then \
                 `patch -p1 < 'My Docker'\\''s.repro.patch'` in the context",
                "no mechanical remedy for the rest of archive-time (line 2), unknown: see the report",
                "taken to follow from an earlier step, as the contents are equal: archive-time \
                 (line 5) from line 2",
            ]
        );
        assert_eq!(word("docker/Dockerfile"), "docker/Dockerfile");
    }

    #[test]
    fn what_was_seen_of_a_change_decides_whether_it_is_proposed() {
        let cause = Cause::EmbeddedTimestamp;
        let found = Suggestion {
            change: Some(Change {
                text: String::new(),
                patch: String::new(),
                remedied: [(cause, 2)].into(),
            }),
            left: [(cause, Some(2))].into(),
            follows: BTreeSet::new(),
        };
        let paths = || (0..7).map(|number| format!("p{number}"));
        let left = paths().map(|path| (path, [cause].into())).collect();
        for (trial, good, words) in [
            (
                Trial::Helps {
                    equal: 1,
                    left: [].into(),
                },
                true,
                "with the patch the build is reproducible",
            ),
            (
                Trial::Helps { equal: 1, left },
                true,
                "1 path is equal, these still differ: p0 (embedded-timestamp), p1",
            ),
            (
                Trial::Vain,
                false,
                "embedded-timestamp (line 2) the same paths differ",
            ),
            (
                Trial::Alters(paths().collect()),
                false,
                "alters what did not differ: p0, p1, p2, p3, p4 and 2 more",
            ),
            (
                Trial::Fails {
                    instruction: "RUN /bin/sh -c x\ny".into(),
                    message: "exit code 1".into(),
                },
                false,
                "`RUN x` fails, exit code 1",
            ),
        ] {
            let tried = Tried::Seen(trial);
            assert_eq!(tried.is_good(), good, "{words}");
            let lines = said("Dockerfile", &found, Some(&tried)).join("\n");
            assert!(lines.contains(words), "{lines}");
            assert_eq!(lines.contains("suggested a change"), good, "{lines}");
            assert_eq!(lines.contains("no patch is written"), !good, "{lines}");
        }
    }

    #[test]
    fn the_programs_of_a_stage_are_those_of_its_first_image() {
        let text = "ARG BASE=alpine\nFROM debian:12 AS a\nFROM busybox AS busybox\n\
                    FROM a\nFROM busybox AS b\nFROM B\nFROM x/python:3-alpine\n\
                    FROM alpine.example/app\nFROM $BASE\n";
        let file = dockerfile::parse("Dockerfile", text.as_bytes()).unwrap();
        let found: Vec<Userland> = (1..=file.stages.len())
            .map(|count| userland(&file.stages[..count]))
            .collect();
        let (busybox, unknown) = (Userland::Busybox, Userland::Unknown);
        assert_eq!(
            found,
            [
                unknown, busybox, unknown, busybox, busybox, busybox, unknown, unknown
            ]
        );
    }
}
