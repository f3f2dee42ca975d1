//! A message with a place in a file.

use std::{fmt, ops::Range};

/// Something wrong at one place of a text file, with the line so that it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic(Box<Place>);

/// Boxed: most results have no message, and all of them would be this large.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    line: u32,
    column: u32,
    text: String,
    message: String,
}

/// Longest excerpt of a line, in characters: the rest of a hostile line is not printed.
const MAX_EXCERPT: usize = 160;

impl Diagnostic {
    /// A message on the bytes `span` of `content`, the text of `file`. A span beyond the end
    /// points at the end.
    #[must_use]
    pub fn new(
        file: &str,
        content: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
    ) -> Self {
        let mut at = span.map_or(0, |span| span.start).min(content.len());
        while !content.is_char_boundary(at) {
            at -= 1;
        }
        let before = &content[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self(Box::new(Place {
            file: file.to_owned(),
            line: number(before.matches('\n').count() + 1),
            column: number(content[start..at].chars().count() + 1),
            text: content[start..]
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_EXCERPT)
                .collect(),
            message: message.into(),
        }))
    }

    /// The message of a TOML parser, made one line.
    pub(crate) fn from_toml(file: &str, content: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', ", ");
        Self::new(file, content, error.span(), message)
    }

    /// The same place with another message.
    #[must_use]
    pub(crate) fn with_message(&self, message: String) -> Self {
        let mut other = self.clone();
        other.0.message = message;
        other
    }

    /// The file, as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.0.column
    }

    /// The line itself, without control characters, cut after 160 characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            file,
            line,
            column,
            message,
            ..
        } = &*self.0;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let content = "a = 1\nbé = x\n";
        let at = content.find('x').unwrap();
        let found = Diagnostic::new("f", content, Some(at..at + 1), "m");
        assert_eq!(found.to_string(), "f:2:6: m");
        assert_eq!(found.text(), "bé = x");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_is_no_panic() {
        assert_eq!(Diagnostic::new("f", "é", Some(1..2), "m").column(), 1);
        assert_eq!(Diagnostic::new("f", "é", Some(9..12), "m").column(), 2);
        assert_eq!(Diagnostic::new("f", "", None, "m").line(), 1);
    }
}
