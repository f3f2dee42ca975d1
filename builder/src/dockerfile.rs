//! The Dockerfile language, without side effects: text to typed instructions, and the
//! variables that are in force at each of them.
//!
//! The reference is BuildKit's front end, syntax 1. What this front end knows of but cannot
//! do is [`NotYet`], an error with its line; nothing is skipped.
//!
//! A [`Dockerfile`] prints as text that parses to the same instructions.

mod ast;
mod chmod;
mod copy;
mod directives;
mod error;
mod glob;
mod heredoc;
mod instructions;
mod keyword;
mod lines;
mod mount;
mod parse;
mod ports;
mod print;
mod rule;
mod run;
mod scope;
mod secrets;
mod source;
mod template;
mod words;

#[cfg(test)]
mod tests;

pub use ast::{
    ArgDefinition, CommandLine, Dockerfile, From, Instruction, InstructionKind, ListSyntax, Pair,
    PairSyntax, Pairs, Stage,
};
pub use chmod::ChmodError;
pub use copy::{CopyArgs, CopyError, CopyPaths};
pub use directives::{Directives, Escape};
pub use error::{NotYet, ParseError, ParseErrors, SyntaxError};
pub use keyword::Keyword;
pub use mount::{MAX_MOUNTS, Mount, MountError, MountFlag, Need};
pub use parse::{MAX_FILE_BYTES, MAX_LINE_BYTES, parse};
pub use ports::{Port, PortError, Protocol, parse_ports};
pub use rule::Rule;
pub use run::{RunArgs, RunFlagError, RunNetwork, RunSecurity};
pub use scope::{GlobalScope, PlatformArgs, StageScope, unused_build_args};
pub use secrets::{SecretSign, looks_like_secret};
pub use source::{Diagnostic, Source, Span};
pub use template::{ExpandError, MAX_EXPANDED_BYTES, Scope, Template, TemplateError};
