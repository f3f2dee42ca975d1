//! `--suggest`: remedies that are mechanical, as a patch beside the Dockerfile.

use std::path::{Path, PathBuf};

use repro_builder::{
    BuildError,
    dockerfile::{self, CommandLine, Heredoc, InstructionKind},
};
use repro_core::build::{BuildRequest, ContextPlace};
use repro_verifier::{
    causes::Cause,
    remedy::{self, Original, RunForm, RunText, Suggestion},
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

/// Writes the patch, if there is one, and says what it leaves.
pub(crate) fn write(
    path: &Path,
    request: &BuildRequest,
    report: &Report,
    output: &Output,
) -> Result<(), CommandError> {
    let internal = |error| CommandError::new(ErrorKind::Internal, &error);
    let text = String::from_utf8_lossy(&request.dockerfile.text);
    let (runs, escape) = runs(request)?;
    let original = Original {
        name: &request.dockerfile.name,
        text: &text,
        escape,
        runs: &runs,
    };
    let Suggestion { change, left } = remedy::suggest(report, &original).map_err(internal)?;
    if let Some(change) = &change {
        files::write(path, change.patch.as_bytes())?;
        let remedied = change.remedied.iter();
        let remedied = places(remedied.map(|(cause, line)| (*cause, Some(*line))));
        let name = &request.dockerfile.name;
        output.status(&format!(
            "suggested a change for {remedied}: read {name}.repro.patch, then `patch -p1 < \
             {name}.repro.patch` in the context"
        ));
    }
    if !left.is_empty() {
        let left = places(left.into_iter());
        output.status(&format!("no mechanical remedy for {left}: see the report"));
    }
    Ok(())
}

/// Every `RUN` that a shell runs.
fn runs(request: &BuildRequest) -> Result<(Vec<RunText>, char), BuildError> {
    let file = dockerfile::parse(&request.dockerfile.name, &request.dockerfile.text)?;
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let runs = instructions.filter_map(|instruction| {
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
        })
    });
    Ok((runs.collect(), file.directives.escape.char()))
}

fn places(causes: impl Iterator<Item = (Cause, Option<u32>)>) -> String {
    let words = causes.map(|(cause, line)| match line {
        Some(line) => format!("{} (line {line})", cause.code()),
        None => cause.code().to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}
