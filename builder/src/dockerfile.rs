//! The Dockerfile language, without side effects: text to typed instructions, and the
//! variables that are in force at each of them.
//!
//! The reference is BuildKit's front end, syntax 1. What of it a build cannot
//! have, such as `RUN --network=host`, is an error with its line; nothing is skipped.
//!
//! A [`Dockerfile`] prints as text that parses to the same instructions.

mod ast;
mod copy;
mod directives;
mod error;
mod glob;
mod health;
mod heredoc;
mod instructions;
mod keyword;
mod lines;
mod lint;
mod mount;
mod parse;
mod ports;
mod print;
mod rule;
mod run;
mod scope;
mod secrets;
mod signal;
mod source;
mod template;
mod words;

#[cfg(test)]
mod tests;

pub use ast::{
    ArgDefinition, CommandLine, Dockerfile, From, Instruction, InstructionKind, ListSyntax, Pair,
    PairSyntax, Pairs, Stage, Volumes,
};
pub use copy::{AddArgs, CopyArgs, CopyError, CopyPaths, Remote, remote};
pub use directives::{Asked, AskedError, Checks, Directives, Escape, Rules, Severity};
pub use error::{ParseError, ParseErrors, SyntaxError};
pub use health::{HealthError, HealthTest, HealthTiming};
pub use heredoc::{Expansion, Heredoc, HeredocFile, Tabs};
#[cfg(test)]
pub(crate) use instructions::flag_names;
pub use keyword::Keyword;
pub use mount::{MAX_MOUNTS, Mount, MountError, MountFlag, Need, csv_fields};
pub(crate) use parse::parse_trigger;
pub use parse::{MAX_FILE_BYTES, MAX_LINE_BYTES, TriggerError, parse, parse_asked};
pub use ports::{Port, PortError, Protocol, parse_ports};
pub use rule::{Maturity, Rule};
pub use run::{RunArgs, RunFlagError, RunNetwork, RunSecurity};
pub use scope::{GlobalScope, PlatformArgs, StageScope, unused_build_args};
pub use secrets::{SecretSign, looks_like_secret};
pub use signal::{SignalError, check_signal};
pub use source::{Diagnostic, Source, Span};
pub use template::{ExpandError, MAX_EXPANDED_BYTES, Scope, Template, TemplateError};
