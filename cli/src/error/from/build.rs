//! Errors of the builder.

use repro_builder::{
    BuildError,
    context::ContextError,
    dockerfile::{Diagnostic, ParseErrors},
    plan::{OutlineError, PlanError, PlanFault},
    schedule::{AssembleError, RunError},
    source::{ResolveError, UnpackError},
};
use repro_core::layer::BuildLayerError;
use repro_toolchains::capture::RefusalReason;

use super::{DAMAGED, io_kind};
use crate::error::{CommandError, ErrorKind, Excerpt};

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Dockerfile(errors) => errors.into(),
            BuildError::Outline(OutlineError::Plan(error)) | BuildError::Plan(error) => {
                error.into()
            }
            BuildError::Outline(ref target @ OutlineError::Target { ref known, .. }) => {
                let names = if known.is_empty() {
                    "its stages have no names; FROM ... AS NAME gives one".to_owned()
                } else {
                    format!("its stages are {}", known.join(", "))
                };
                Self::new(ErrorKind::Usage, target).hint(names)
            }
            BuildError::Checks(ref diagnostics) => {
                let all: Vec<&Diagnostic> = diagnostics.iter().collect();
                places(ErrorKind::Usage, error.to_string(), &all)
                    .hint("to leave a rule out: # check=skip=NAME;error=true")
            }
            BuildError::SecretArg { ref name, .. } => {
                let hint = format!(
                    "build arguments stand in clear in the signed evidence; if this one is no \
                     secret, say so: --allow-arg {name}"
                );
                Self::new(ErrorKind::Usage, &error).hint(hint)
            }
            BuildError::Asked(ref error) => {
                let text = Self::new(ErrorKind::Usage, error);
                match error.source.hint() {
                    Some(hint) => text.hint(hint),
                    None => text,
                }
            }
            BuildError::Ignore { .. } => Self::new(ErrorKind::Usage, &error),
            BuildError::Context(error) => error.into(),
            BuildError::MissingSource { diagnostic, .. } => place(ErrorKind::Input, &diagnostic),
            BuildError::Resolve { diagnostic, source } => {
                let error = Self::from(*source).context(diagnostic.message.clone());
                error.at(excerpt(&diagnostic))
            }
            BuildError::Unpack(error) => match error {
                UnpackError::Layer { .. } => Self::new(ErrorKind::Input, &error).hint(DAMAGED),
                UnpackError::Executor { layer, source } => {
                    Self::from(source).context(format!("layer {layer} cannot be unpacked"))
                }
            },
            BuildError::Run(error) => error.into(),
            BuildError::Again(error) => Self::from(error).context("cannot run the build again"),
            BuildError::Lock(error) => error.into(),
        }
    }
}

impl From<ParseErrors> for CommandError {
    fn from(errors: ParseErrors) -> Self {
        let diagnostics: Vec<&Diagnostic> = errors.diagnostics().collect();
        if let [diagnostic] = diagnostics.as_slice() {
            return place(ErrorKind::Usage, diagnostic);
        }
        let file = diagnostics
            .first()
            .map_or("the Dockerfile", |first| first.file.as_str());
        let message = format!("{file} has {} mistakes", diagnostics.len());
        places(ErrorKind::Usage, message, &diagnostics)
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let kind = match error.fault {
            PlanFault::Unlocked { .. }
            | PlanFault::MissingSecret(_)
            | PlanFault::MissingAgent(_) => ErrorKind::Input,
            PlanFault::ForeignRun { .. } => ErrorKind::Machine,
            _ => ErrorKind::Usage,
        };
        place(kind, &error.diagnostic)
    }
}

/// Several places of one file, each with what is wrong there.
fn places(kind: ErrorKind, message: String, diagnostics: &[&Diagnostic]) -> CommandError {
    let mut error = CommandError::message(kind, message);
    for diagnostic in diagnostics {
        let label = Some(diagnostic.message.clone());
        error = error.at(Excerpt {
            label,
            ..excerpt(diagnostic)
        });
        if let Some(hint) = &diagnostic.hint {
            error = error.hint(format!("line {}: {hint}", diagnostic.line));
        }
    }
    error
}

impl From<ContextError> for CommandError {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Layer(error) => Self::from(error).context("cannot keep the context"),
            ContextError::NotDirectory(_) | ContextError::Path(_) => {
                Self::new(ErrorKind::Usage, &error)
            }
            ContextError::Device { .. } => {
                Self::new(ErrorKind::Usage, &error).hint("leave it out: name it in .dockerignore")
            }
            ContextError::Read { ref source, .. } => {
                // What the caller may not read of his own context is his input, not the machine.
                let kind = match io_kind(source) {
                    ErrorKind::Machine => ErrorKind::Input,
                    kind => kind,
                };
                Self::new(kind, &error)
            }
            ContextError::Archive(ref source) => Self::new(io_kind(source), &error),
            ContextError::Changed { .. } => Self::new(ErrorKind::Input, &error)
                .hint("build again once nothing writes to the context"),
            ContextError::Write { ref source, .. } => Self::new(store_kind(source), &error),
        }
    }
}

impl From<BuildLayerError> for CommandError {
    fn from(error: BuildLayerError) -> Self {
        match error {
            BuildLayerError::Blob(error) => error.into(),
            BuildLayerError::Write(ref source) => Self::new(store_kind(source), &error),
        }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Executor {
                line,
                instruction,
                source,
            } => Self::from(source).context(format!("line {line}: {instruction}")),
            RunError::Refused { ref refused, .. } => {
                let mut hinted = Self::new(ErrorKind::Input, &error);
                for refusal in refused {
                    hinted = hinted.hint(next_step(&refusal.reason));
                }
                hinted
            }
            RunError::Layer { line, source } => {
                Self::from(source).context(format!("cannot keep the layer of line {line}"))
            }
            RunError::Log(error) => Self::from(error).context("cannot keep the log of a step"),
            RunError::Assemble(AssembleError::Image(error)) => {
                Self::from(error).context("cannot put the image together")
            }
        }
    }
}

impl From<ResolveError> for CommandError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Name { .. } => Self::new(ErrorKind::Usage, &error),
            ResolveError::Missing(ref name) => {
                let hint =
                    format!("bring it in: `repro pull {name}`, or `repro import TRANSPORT {name}`");
                Self::new(ErrorKind::Input, &error)
                    .hint(hint)
                    .hint("or pin it, so that builds fetch it by themselves: `repro lock`")
            }
            ResolveError::MissingPinned {
                name,
                digest,
                source,
            } => {
                let message = format!(
                    "the image {name} is pinned to {digest}, which is not in the store and cannot \
                     be fetched"
                );
                Self::from(*source).context(message)
            }
            ResolveError::NotFound { name, source } => {
                let message = format!("the image {name} cannot be looked up in its registry");
                let hint = format!(
                    "an image of this machine alone is pinned by its name in the store: `repro import \
                     TRANSPORT {name}` or `repro build -t {name}`, then `repro lock` without --update"
                );
                Self::from(*source).context(message).hint(hint)
            }
            ResolveError::Blob(error) => {
                Self::from(error).context("cannot look for an image in the store")
            }
            ResolveError::Unlocked(_) => Self::new(ErrorKind::Input, &error)
                .hint("pin it with `repro lock`, or leave out --locked"),
            ResolveError::Platform { .. } => Self::new(ErrorKind::Input, &error),
            ResolveError::Declared { name, source } => {
                Self::from(*source).context(format!("cannot make {name}"))
            }
            ResolveError::Store(error) => {
                Self::from(error).context("cannot look up an image in the store")
            }
            ResolveError::Image { name, source } => {
                Self::from(source).context(format!("the image {name} cannot be read"))
            }
        }
    }
}

/// What to do about a request that was not answered.
fn next_step(reason: &RefusalReason) -> String {
    match reason {
        RefusalReason::Host(host) => {
            format!("if the build may ask it, allow it: repro lock --allow {host}")
        }
        RefusalReason::Address(address) => format!(
            "if the build may reach into this machine or its network: repro lock --allow {address}"
        ),
        RefusalReason::NotLocked | RefusalReason::TooOften | RefusalReason::Ambiguous => {
            "write the lock again, with a network: repro lock".to_owned()
        }
        RefusalReason::Damaged(_) => {
            "see what the store has: repro store verify; or capture it again: repro lock --update"
                .to_owned()
        }
        RefusalReason::TooLarge => "declare such a file in repro.toml, under [inputs]".to_owned(),
    }
}

/// Trouble with what is written to the store: never an input.
fn store_kind(error: &std::io::Error) -> ErrorKind {
    match io_kind(error) {
        ErrorKind::Input => ErrorKind::Machine,
        kind => kind,
    }
}

/// An error that is nothing but its place.
fn place(kind: ErrorKind, diagnostic: &Diagnostic) -> CommandError {
    let error = CommandError::message(kind, diagnostic.message.clone()).at(excerpt(diagnostic));
    match &diagnostic.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}

/// The builder counts bytes of a line, people count characters.
fn excerpt(diagnostic: &Diagnostic) -> Excerpt {
    let line = &diagnostic.source_line;
    let characters = |bytes: usize| {
        let before = line
            .char_indices()
            .take_while(|(at, c)| at + c.len_utf8() <= bytes);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    };
    let start = diagnostic.column.saturating_sub(1) as usize;
    let column = characters(start);
    let end = characters(start.saturating_add(diagnostic.length as usize));
    Excerpt {
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: column.saturating_add(1),
        length: end.saturating_sub(column),
        text: line.clone(),
        label: None,
    }
}

#[cfg(test)]
mod tests {
    use repro_builder::dockerfile::parse;

    use super::*;

    fn error(text: &str) -> CommandError {
        BuildError::from(parse("app/Dockerfile", text.as_bytes()).unwrap_err()).into()
    }

    #[test]
    fn one_mistake_is_its_place() {
        let error = error("FROM scratch\nRNU make\n");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let [place] = error.excerpts() else {
            panic!("{error:?}")
        };
        assert_eq!((place.line, place.column, place.length), (2, 1, 3));
        assert_eq!(
            (place.file.as_str(), place.text.as_str()),
            ("app/Dockerfile", "RNU make")
        );
        assert_eq!(error.messages().len(), 1);
    }

    #[test]
    fn several_mistakes_are_all_shown() {
        let error = error("FROM scratch\nRNU make\nCPOY a b\n");
        assert_eq!(error.messages(), ["app/Dockerfile has 2 mistakes"]);
        let lines: Vec<u32> = error.excerpts().iter().map(|place| place.line).collect();
        assert_eq!(lines, [2, 3]);
        assert!(error.excerpts().iter().all(|place| place.label.is_some()));
    }
}
