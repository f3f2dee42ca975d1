//! Words with variables: `$name`, `${name}` and its modifiers, quotes and escapes.
//!
//! A word is parsed once, with the file, and expanded when its instruction's turn comes.

mod expand;
mod lex;

use std::fmt;

pub use self::expand::{ExpandError, MAX_EXPANDED_BYTES};
use super::directives::Escape;

/// Where the values of variables come from.
pub trait Scope {
    /// The value of a variable; `None` if it is not set, which differs from empty.
    fn get(&self, name: &str) -> Option<&str>;
}

/// No variable is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoVariables;

impl Scope for NoVariables {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// A word that no values of variables could make right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `'` or `"` without its second.
    #[error("the quote {0} is not closed")]
    Quote(char),
    /// `${` without `}`.
    #[error("a variable lacks its closing }}")]
    Brace,
    /// `${name/pattern` without `/replacement`.
    #[error("a replacement is written ${{name/pattern/text}}")]
    Replacement,
    /// `${}`, `${:x}` and the like.
    #[error("a variable in braces lacks its name")]
    Name,
    /// `${name^x}` and the like.
    #[error("{0:?} is not a modifier of a variable; there are :- - :+ + :? ? # ## % %% / //")]
    Modifier(char),
    /// Variables within variables within variables, too deep.
    #[error("variables are nested deeper than {} levels", lex::MAX_DEPTH)]
    Depth,
}

/// Whether a variable that is set, but empty, counts as set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    /// `:-`, `:+`, `:?`.
    CountsAsUnset,
    /// `-`, `+`, `?`.
    CountsAsSet,
}

/// How much a pattern takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// `#`, `%`.
    Shortest,
    /// `##`, `%%`.
    Longest,
}

/// How many matches are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// `/`.
    First,
    /// `//`.
    All,
}

/// What becomes of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    Value,
    Default(Empty, Vec<Part>),
    Alternative(Empty, Vec<Part>),
    Required(Empty, Vec<Part>),
    TrimStart(Reach, Vec<Part>),
    TrimEnd(Reach, Vec<Part>),
    Replace(Count, Vec<Part>, Vec<Part>),
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text outside quotes: its blanks part words.
    Plain(String),
    /// Text in single quotes or behind an escape.
    Exact(String),
    /// In double quotes: expanded, but its blanks part nothing.
    Quoted(Vec<Part>),
    Variable {
        name: String,
        operation: Operation,
    },
}

/// A word of a Dockerfile, ready to be expanded.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    raw: String,
    parts: Vec<Part>,
}

impl Template {
    /// Parses a word. The error comes with the byte it was seen at.
    pub fn parse(raw: &str, escape: Escape) -> Result<Self, (usize, TemplateError)> {
        Ok(Self {
            raw: raw.to_owned(),
            parts: lex::parts(raw, escape)?,
        })
    }

    /// Parses the text of a file: quotes mean nothing in it.
    pub(super) fn parse_text(raw: &str, escape: Escape) -> Result<Self, (usize, TemplateError)> {
        Ok(Self {
            raw: raw.to_owned(),
            parts: lex::text_parts(raw, escape)?,
        })
    }

    /// The word as it is written, with quotes and variables.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Puts values in place of variables, and removes quotes and escapes.
    pub fn expand(&self, scope: &dyn Scope) -> Result<String, ExpandError> {
        expand::text(&self.parts, scope)
    }

    /// As [`Template::expand`], for a text that becomes a file.
    pub(super) fn expand_file(&self, scope: &dyn Scope) -> Result<String, ExpandError> {
        expand::text_within(&self.parts, scope, expand::MAX_FILE_BYTES)
    }

    /// The names of variables that should be set: used without a default, and not only asked for.
    #[must_use]
    pub fn required(&self) -> Vec<&str> {
        fn collect<'a>(parts: &'a [Part], names: &mut Vec<&'a str>) {
            for part in parts {
                match part {
                    Part::Plain(_) | Part::Exact(_) => {}
                    Part::Quoted(parts) => collect(parts, names),
                    Part::Variable { name, operation } => match operation {
                        Operation::Default(..)
                        | Operation::Alternative(..)
                        | Operation::Required(..) => {}
                        Operation::Value
                        | Operation::TrimStart(..)
                        | Operation::TrimEnd(..)
                        | Operation::Replace(..) => names.push(name),
                    },
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.parts, &mut names);
        names
    }

    /// As [`Template::expand`], then parts the result at blanks that are not quoted: the values
    /// of variables outside double quotes become several words, as in a shell.
    pub fn expand_words(&self, scope: &dyn Scope) -> Result<Vec<String>, ExpandError> {
        expand::words(&self.parts, scope)
    }

    /// The text of a word without variables.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        fn fixed(part: &Part) -> bool {
            match part {
                Part::Plain(_) | Part::Exact(_) => true,
                Part::Quoted(parts) => parts.iter().all(fixed),
                Part::Variable { .. } => false,
            }
        }
        if self.parts.iter().all(fixed) {
            self.expand(&NoVariables).ok()
        } else {
            None
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.raw)
    }
}
