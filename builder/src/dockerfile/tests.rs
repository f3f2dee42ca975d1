//! The parser suite: tables of what is taken and what is refused, and properties.

mod accepted;
mod lines;
mod mounts;
mod properties;
mod refused;
mod rules;
mod scopes;
mod templates;

use super::{CommandLine, Dockerfile, InstructionKind, ParseErrors, RunArgs, SyntaxError, parse};

fn good(text: &str) -> Dockerfile {
    match parse("Dockerfile", text.as_bytes()) {
        Ok(file) => file,
        Err(errors) => panic!("{text}\n{errors}"),
    }
}

fn bad(text: &[u8]) -> ParseErrors {
    match parse("Dockerfile", text) {
        Ok(file) => panic!("{}\n{file:?}", String::from_utf8_lossy(text)),
        Err(errors) => errors,
    }
}

/// The only error, and its line.
fn error(text: &str) -> (SyntaxError, u32) {
    let errors = bad(text.as_bytes());
    assert_eq!(errors.errors().len(), 1, "{errors}");
    let error = &errors.errors()[0];
    (error.error.clone(), error.diagnostic.line)
}

/// The one instruction below `FROM scratch`.
fn one(instruction: &str) -> InstructionKind {
    let file = good(&format!("FROM scratch\n{instruction}\n"));
    assert_eq!(file.stages[0].instructions.len(), 1, "{instruction}");
    file.stages[0].instructions[0].kind.clone()
}

/// A `RUN` without flags.
fn plain_run(command: CommandLine) -> InstructionKind {
    InstructionKind::Run(RunArgs {
        mounts: Vec::new(),
        network: None,
        security: None,
        command,
    })
}
