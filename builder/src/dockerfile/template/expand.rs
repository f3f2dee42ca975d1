//! Parts and values to text.

use super::{
    super::glob::{Glob, GlobError},
    Count, Empty, Operation, Part, Reach, Scope,
};

/// Longest text that a word may become: Linux takes no longer argument or variable
/// (`MAX_ARG_STRLEN`), and a few lines of `ENV a=$a$a` would otherwise fill the memory.
pub const MAX_EXPANDED_BYTES: usize = 128 * 1024;

/// Longest text of a file that stands in a Dockerfile, with its variables expanded: a Dockerfile
/// has at most as many.
pub(super) const MAX_FILE_BYTES: usize = 4 << 20;

/// Why a word cannot be expanded with the values that are set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// `${name:?message}` of a variable that is not set, or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it.
        message: String,
    },
    /// A pattern that is none.
    #[error("the pattern for {name} is malformed")]
    Pattern {
        /// The variable.
        name: String,
        /// What is wrong.
        source: GlobError,
    },
    /// The result is longer than this.
    #[error("a word or text becomes longer than {0} bytes")]
    TooLong(usize),
}

/// A piece of a result, and whether its blanks part words.
enum Piece<'a> {
    Parting(&'a str),
    Whole(&'a str),
}

pub(super) fn text(parts: &[Part], scope: &dyn Scope) -> Result<String, ExpandError> {
    text_within(parts, scope, MAX_EXPANDED_BYTES)
}

/// As [`text`], with another limit for the whole; each value in it is a word still.
pub(super) fn text_within(
    parts: &[Part],
    scope: &dyn Scope,
    limit: usize,
) -> Result<String, ExpandError> {
    let mut text = String::new();
    each(parts, scope, &mut |piece| match piece {
        Piece::Parting(piece) | Piece::Whole(piece) => add(&mut text, piece, limit),
    })?;
    Ok(text)
}

/// Words are never empty, not even as `""`.
pub(super) fn words(parts: &[Part], scope: &dyn Scope) -> Result<Vec<String>, ExpandError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut total = 0;
    each(parts, scope, &mut |piece| {
        let (Piece::Parting(text) | Piece::Whole(text)) = piece;
        total += text.len();
        if total > MAX_EXPANDED_BYTES {
            return Err(ExpandError::TooLong(MAX_EXPANDED_BYTES));
        }
        if matches!(piece, Piece::Whole(_)) {
            word.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if !c.is_whitespace() {
                word.push(c);
            } else if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        }
        Ok(())
    })?;
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

fn add(text: &mut String, more: &str, limit: usize) -> Result<(), ExpandError> {
    if text.len() + more.len() > limit {
        return Err(ExpandError::TooLong(limit));
    }
    text.push_str(more);
    Ok(())
}

fn each(
    parts: &[Part],
    scope: &dyn Scope,
    take: &mut dyn FnMut(Piece<'_>) -> Result<(), ExpandError>,
) -> Result<(), ExpandError> {
    for part in parts {
        match part {
            Part::Plain(text) => take(Piece::Parting(text))?,
            Part::Exact(text) => take(Piece::Whole(text))?,
            Part::Quoted(parts) => take(Piece::Whole(&text(parts, scope)?))?,
            Part::Variable { name, operation } => {
                take(Piece::Parting(&variable(name, operation, scope)?))?;
            }
        }
    }
    Ok(())
}

fn variable(name: &str, operation: &Operation, scope: &dyn Scope) -> Result<String, ExpandError> {
    let found = scope.get(name);
    let value = found.unwrap_or_default();
    let is_set = |empty: Empty| match empty {
        Empty::CountsAsSet => found.is_some(),
        Empty::CountsAsUnset => !value.is_empty(),
    };
    let glob = |pattern: &[Part]| {
        Glob::parse(&text(pattern, scope)?).map_err(|source| ExpandError::Pattern {
            name: name.to_owned(),
            source,
        })
    };
    match operation {
        Operation::Value => {}
        Operation::Default(empty, word) => {
            if !is_set(*empty) {
                return text(word, scope);
            }
        }
        Operation::Alternative(empty, word) => {
            return if is_set(*empty) {
                text(word, scope)
            } else {
                Ok(String::new())
            };
        }
        Operation::Required(empty, word) => {
            if !is_set(*empty) {
                let said = text(word, scope)?;
                let message = match (said.is_empty(), found) {
                    (false, _) => said,
                    (true, None) => "is not allowed to be unset".into(),
                    (true, Some(_)) => "is not allowed to be empty".into(),
                };
                return Err(ExpandError::Required {
                    name: name.to_owned(),
                    message,
                });
            }
        }
        Operation::TrimStart(reach, pattern) => {
            return Ok(glob(pattern)?.trim_start(value, *reach == Reach::Longest));
        }
        Operation::TrimEnd(reach, pattern) => {
            return Ok(glob(pattern)?.trim_end(value, *reach == Reach::Longest));
        }
        Operation::Replace(count, pattern, replacement) => {
            let (glob, replacement) = (glob(pattern)?, text(replacement, scope)?);
            return glob
                .replace(
                    value,
                    &replacement,
                    *count == Count::All,
                    MAX_EXPANDED_BYTES,
                )
                .ok_or(ExpandError::TooLong(MAX_EXPANDED_BYTES));
        }
    }
    Ok(value.to_owned())
}
