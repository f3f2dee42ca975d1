//! Exit code and next step of everything that keeps a build from coming to a record.

use std::error::Error;

use repro_builder::{
    BuildError,
    context::ContextError,
    dockerfile::Diagnostic,
    plan::OutlineError,
    schedule::RunError,
    source::{ResolveError, UnpackError},
};
use repro_core::{build::ExecutorError, store::BlobError};

use super::{CommandError, ErrorKind, Excerpt, io_kind};

impl From<Diagnostic> for CommandError {
    /// A place in a file of the user: wrong configuration, unless the caller knows better.
    fn from(diagnostic: Diagnostic) -> Self {
        placed(ErrorKind::Usage, &diagnostic)
    }
}

/// An error that a diagnostic tells whole: `FILE:LINE: message`, the line, the hint.
fn placed(kind: ErrorKind, diagnostic: &Diagnostic) -> CommandError {
    let message = format!("{}:{}: {}", diagnostic.file, diagnostic.line, diagnostic.message);
    let error = CommandError::message(kind, message).at(excerpt(diagnostic));
    match &diagnostic.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}

fn excerpt(diagnostic: &Diagnostic) -> Excerpt {
    let characters = |bytes: u32| {
        let end = diagnostic.source_line.floor_char_boundary(bytes as usize);
        u32::try_from(diagnostic.source_line[..end].chars().count()).unwrap_or(u32::MAX)
    };
    let start = diagnostic.column.saturating_sub(1);
    let column = characters(start);
    Excerpt {
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: column + 1,
        length: characters(start.saturating_add(diagnostic.length)).saturating_sub(column),
        text: diagnostic.source_line.clone(),
        label: None,
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Dockerfile(errors) => several(errors.diagnostics()),
            BuildError::Plan(error) | BuildError::Outline(OutlineError::Plan(error)) => {
                placed(ErrorKind::Usage, &error.diagnostic)
            }
            BuildError::Outline(ref target @ OutlineError::Target { ref known, .. }) => {
                let hint = match known.as_slice() {
                    [] => "its stages have no names, only numbers from 0".to_owned(),
                    known => format!("its stages are: {}", known.join(", ")),
                };
                Self::new(ErrorKind::Usage, target).hint(hint)
            }
            BuildError::SecretArg { ref name, .. } => {
                let name = name.clone();
                Self::new(ErrorKind::Usage, &error)
                    .hint("build arguments stand in the evidence in clear, since a rebuild needs them")
                    .hint(format!("if it is no secret, say so: --allow-arg {name}"))
            }
            BuildError::Ignore { .. } => Self::new(ErrorKind::Usage, &error),
            BuildError::Context(error) => context(&error),
            BuildError::MissingSource { diagnostic, .. } => placed(ErrorKind::Input, &diagnostic),
            BuildError::Resolve { diagnostic, source } => {
                resolve(source).context(format!("{}:{}", diagnostic.file, diagnostic.line))
                    .at(excerpt(&diagnostic))
            }
            BuildError::Unpack(error) => unpack(error),
            BuildError::Run(error) => run(error),
            BuildError::Discard(error) => {
                Self::from(error).context("cannot remove what the steps left")
            }
        }
    }
}

fn several<'a>(diagnostics: impl Iterator<Item = &'a Diagnostic>) -> CommandError {
    let all: Vec<&Diagnostic> = diagnostics.collect();
    let Some((first, rest)) = all.split_first() else {
        return CommandError::message(ErrorKind::Internal, "the Dockerfile is refused without a reason");
    };
    let mut error = placed(ErrorKind::Usage, first);
    for diagnostic in rest {
        let mut excerpt = excerpt(diagnostic);
        excerpt.label = Some(diagnostic.message.clone());
        error = error.at(excerpt);
        if let Some(hint) = &diagnostic.hint {
            error = error.hint(hint.clone());
        }
    }
    error
}

fn context(error: &ContextError) -> CommandError {
    match error {
        ContextError::NotDirectory(_) => CommandError::new(ErrorKind::Usage, error),
        ContextError::Read { source, .. } => CommandError::new(io_kind(source), error)
            .hint("a file that the build does not need can be named in .dockerignore"),
        ContextError::Changed { .. } => CommandError::new(ErrorKind::Input, error)
            .hint("build again when nothing writes to the context, or name the file in .dockerignore"),
        ContextError::Device { .. } => CommandError::new(ErrorKind::Usage, error)
            .hint("name it in .dockerignore; the sandbox provides /dev"),
        ContextError::Path(_) => CommandError::new(ErrorKind::Usage, error),
        ContextError::Write { source, .. } => CommandError::new(io_kind(source), error),
        ContextError::Layer(_) => CommandError::new(storage(error), error),
    }
}

fn resolve(error: ResolveError) -> CommandError {
    match error {
        ResolveError::Declared { name, source } => {
            CommandError::from(source).context(format!("cannot make {name}"))
        }
        ResolveError::Store(source) => CommandError::from(source),
        ResolveError::Missing(ref name) => {
            let name = name.familiar();
            CommandError::new(ErrorKind::Input, &error)
                .hint(format!("import it: repro import oci:DIR {name}"))
                .hint("or declare a toolchain of that name in repro.toml: [toolchain.NAME] use = \"debian-c\"")
        }
        ResolveError::Unlocked(_) => CommandError::new(ErrorKind::Input, &error)
            .hint("name it by digest in the Dockerfile, or leave out --locked"),
        ResolveError::Image { .. } => CommandError::new(ErrorKind::Input, &error)
            .hint("`repro store verify` says whether the store is damaged"),
        ResolveError::Name { .. } | ResolveError::Platform { .. } => {
            CommandError::new(ErrorKind::Usage, &error)
        }
    }
}

fn unpack(error: UnpackError) -> CommandError {
    match error {
        UnpackError::Executor { layer, source } => {
            CommandError::from(source).context(format!("cannot unpack layer {layer}"))
        }
        UnpackError::Layer { .. } => CommandError::new(ErrorKind::Input, &error)
            .hint("`repro store verify` says whether the store is damaged"),
    }
}

fn run(error: RunError) -> CommandError {
    match error {
        RunError::Executor { line, instruction, source } => {
            let stopped = matches!(source, ExecutorError::Cancelled);
            let error = CommandError::from(source);
            if stopped { error } else { error.context(format!("line {line}: {instruction}")) }
        }
        RunError::Layer { .. } | RunError::Log(_) | RunError::Assemble(_) => {
            CommandError::new(storage(&error), &error)
        }
    }
}

/// The kind of an error of the store, by what lies at the bottom of it.
fn storage(error: &(dyn Error + 'static)) -> ErrorKind {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return io_kind(error);
        }
        if matches!(error.downcast_ref(), Some(BlobError::Missing(_) | BlobError::Corrupt { .. })) {
            return ErrorKind::Input;
        }
        next = error.source();
    }
    ErrorKind::Internal
}
