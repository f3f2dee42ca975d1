//! `--suggest`: remedies that are mechanical, as a patch beside the Dockerfile.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use repro_builder::{
    BuildError,
    dockerfile::{self, CommandLine, GlobalScope, Heredoc, InstructionKind, PlatformArgs, Stage},
};
use repro_core::{
    build::{BuildRequest, ContextPlace},
    event::counted,
};
use repro_verifier::{
    causes::Cause,
    remedy::{self, Original, POSIX_SHELLS, RunForm, RunText, Suggestion, Trial, Userland},
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
    /// What came of a trial. That it could not be made changes nothing of the build; a user who ends the
    /// program ends all of it.
    pub(crate) fn of(trial: Result<Trial, CommandError>) -> Result<Self, CommandError> {
        match trial {
            Ok(trial) => Ok(Self::Seen(trial)),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted(_)) => Err(error),
            Err(error) => Ok(Self::Not(error)),
        }
    }

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

/// Every `RUN` that a POSIX shell runs.
fn runs(request: &BuildRequest) -> Result<(Vec<RunText>, char), BuildError> {
    let file = dockerfile::parse(&request.dockerfile.name, &request.dockerfile.text)?;
    let platforms = PlatformArgs {
        build: request.platform.clone(),
        target: request.platform.clone(),
    };
    let target = request.target.as_deref();
    let mut scope = GlobalScope::new(&platforms, target, &request.build_args);
    for arg in &file.global_args {
        // What cannot be expanded fails the build, and tells nothing here.
        let _unknown = scope.arg(&arg.kind);
    }
    Ok((texts(&file.stages, &scope), file.directives.escape.char()))
}

/// What runs the steps of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Runner {
    shell: Shell,
    userland: Userland,
}

/// What reads the commands of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    /// One whose syntax is known.
    Posix,
    /// Another program.
    Other,
}

fn texts(stages: &[Stage], scope: &GlobalScope) -> Vec<RunText> {
    let mut runners: Vec<Runner> = Vec::new();
    let mut found = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let mut runner = runner(stage, &stages[..index], &runners, scope);
        for instruction in &stage.instructions {
            match &instruction.kind {
                InstructionKind::Shell(words) => runner.shell = shell(words),
                InstructionKind::Run(run) => {
                    if runner.userland == Userland::Unknown && installs(&run.command) {
                        runner.userland = Userland::Gnu;
                    }
                    let Some(form) = form(&run.command) else {
                        continue;
                    };
                    if runner.shell == Shell::Posix {
                        found.push(RunText {
                            line: instruction.line,
                            end_line: instruction.end_line,
                            form,
                            userland: runner.userland,
                        });
                    }
                }
                _ => {}
            }
        }
        runners.push(runner);
    }
    found
}

fn form(command: &CommandLine) -> Option<RunForm> {
    match command {
        CommandLine::Shell(_) => Some(RunForm::Shell),
        CommandLine::Heredocs(command, texts) if texts.len() == 1 && Heredoc::is_alone(command) => {
            Some(RunForm::Script)
        }
        CommandLine::Exec(_) | CommandLine::Heredocs(..) => None,
    }
}

/// What the first step of a stage has: what the last one of the stage has that it begins with, or what
/// the name of its image tells.
fn runner(stage: &Stage, before: &[Stage], runners: &[Runner], scope: &GlobalScope) -> Runner {
    let base = stage.from.kind.image.expand(scope).unwrap_or_default();
    let named = before.iter().rposition(|stage| {
        let name = stage.from.kind.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(&base))
    });
    named.map_or_else(
        || Runner {
            shell: Shell::Posix,
            userland: userland(&base),
        },
        |index| runners[index],
    )
}

/// Their options with a value that follow `-o`.
const SHELL_OPTIONS: [&str; 4] = ["pipefail", "errexit", "nounset", "xtrace"];

fn shell(words: &[String]) -> Shell {
    let Some((program, options)) = words.split_first() else {
        return Shell::Other;
    };
    let name = ["/usr/bin/", "/bin/"]
        .iter()
        .find_map(|directory| program.strip_prefix(directory))
        .unwrap_or(program);
    let option = |word: &String| word.starts_with('-') || SHELL_OPTIONS.contains(&word.as_str());
    let takes_text = options.last().is_some_and(|last| last.ends_with('c'));
    if POSIX_SHELLS.contains(&name) && takes_text && options.iter().all(option) {
        Shell::Posix
    } else {
        Shell::Other
    }
}

/// How the names of images begin of distributions whose programs are those of GNU.
const DISTRIBUTIONS: [&str; 12] = [
    "debian",
    "ubuntu",
    "fedora",
    "centos",
    "rockylinux",
    "almalinux",
    "redhat",
    "ubi",
    "suse",
    "opensuse",
    "oraclelinux",
    "buildpack-deps",
];

/// Images that are made of one of these, unless their tag says otherwise.
const LANGUAGES: [&str; 6] = ["python", "node", "gcc", "golang", "rust", "openjdk"];

/// Whose programs an image has: many are named after what they are made of.
fn userland(image: &str) -> Userland {
    let name = image.rsplit('/').next().unwrap_or_default();
    let repository = name.split([':', '@']).next().unwrap_or_default();
    if name.contains("busybox") || name.contains("alpine") {
        Userland::Busybox
    } else if DISTRIBUTIONS
        .iter()
        .any(|known| repository.starts_with(known))
        || LANGUAGES.contains(&repository)
    {
        Userland::Gnu
    } else {
        Userland::Unknown
    }
}

/// Whether a step runs the package manager of such a distribution.
fn installs(command: &CommandLine) -> bool {
    let managers = ["apt-get", "apt", "dpkg", "dnf", "yum", "zypper"];
    let other = |char: char| !char.is_alphanumeric() && char != '-';
    let has = |text: &str| text.split(other).any(|word| managers.contains(&word));
    match command {
        CommandLine::Shell(text) => has(text),
        CommandLine::Heredocs(text, texts) => {
            has(text) || texts.iter().any(|text| has(&text.content))
        }
        CommandLine::Exec(words) => words.iter().any(|word| has(word)),
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
    use std::collections::BTreeMap;

    use repro_core::platform::Platform;
    use repro_verifier::remedy::Change;

    use super::*;
    use crate::exit::Signal;

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

    /// The lines of what may be changed in a Dockerfile, with the programs that run there.
    fn found(text: &str) -> Vec<(u32, Userland)> {
        let file = dockerfile::parse("Dockerfile", text.as_bytes()).unwrap();
        let platforms = PlatformArgs {
            build: Platform::host(),
            target: Platform::host(),
        };
        let mut scope = GlobalScope::new(&platforms, None, &BTreeMap::new());
        for arg in &file.global_args {
            scope.arg(&arg.kind).unwrap();
        }
        let texts = texts(&file.stages, &scope);
        texts.iter().map(|run| (run.line, run.userland)).collect()
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
            let tried = Tried::of(Ok(trial)).unwrap();
            assert_eq!(tried.is_good(), good, "{words}");
            let lines = said("Dockerfile", &found, Some(&tried)).join("\n");
            assert!(lines.contains(words), "{lines}");
            assert_eq!(lines.contains("suggested a change"), good, "{lines}");
            assert_eq!(lines.contains("no patch is written"), !good, "{lines}");
        }
        let failed = |kind| Tried::of(Err(CommandError::message(kind, "why".to_owned())));
        let tried = failed(ErrorKind::Input).unwrap();
        let lines = said("Dockerfile", &found, Some(&tried)).join("\n");
        assert!(
            tried.is_good() && lines.contains("could not be tried: why"),
            "{lines}"
        );
        assert!(failed(ErrorKind::Interrupted(Signal::Interrupt)).is_err());
    }

    #[test]
    fn the_programs_of_a_stage_are_those_of_its_first_image() {
        let (busybox, gnu, unknown) = (Userland::Busybox, Userland::Gnu, Userland::Unknown);
        for (head, userland) in [
            ("FROM debian:12", gnu),
            ("FROM busybox", busybox),
            ("FROM busybox:${V}", busybox),
            ("ARG V=3\nFROM x/python:$V-alpine", busybox),
            ("ARG BASE=alpine\nFROM $BASE", busybox),
            ("ARG BASE\nFROM $BASE", unknown),
            ("FROM alpine.example/app", unknown),
            ("FROM x/node-exporter", unknown),
            ("FROM x/node:22", gnu),
            ("FROM busybox AS debian\nFROM debian", busybox),
            ("FROM busybox AS a\nFROM A", busybox),
            ("FROM x AS a\nRUN apt-get update\nFROM a", gnu),
            ("FROM x\nRUN adapt apt-x", unknown),
        ] {
            let text = format!("{head}\nRUN x\n");
            let last = found(&text).pop().map(|(_, userland)| userland);
            assert_eq!(last, Some(userland), "{head}");
        }
    }

    #[test]
    fn what_another_shell_reads_is_no_text_to_change() {
        for (shell, known) in [
            (r#"["/bin/bash", "-o", "pipefail", "-c"]"#, true),
            (r#"["sh", "-euc"]"#, true),
            (r#"["pwsh", "-Command"]"#, false),
            (r#"["/usr/bin/python3", "-c"]"#, false),
            (r#"["/bin/sh", "/x", "-c"]"#, false),
            (r#"["/bin/sh"]"#, false),
            (r#"["/opt/bin/sh", "-c"]"#, false),
        ] {
            let text = format!("FROM x AS a\nRUN x\nSHELL {shell}\nRUN x\nFROM a\nRUN x\n");
            let lines: Vec<u32> = found(&text).into_iter().map(|(line, _)| line).collect();
            let expected: &[u32] = if known { &[2, 4, 6] } else { &[2] };
            assert_eq!(lines, expected, "{shell}");
        }
    }
}
