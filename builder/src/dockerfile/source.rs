//! Positions in a Dockerfile, and messages that show them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Characters of a source line that a message shows: a line of a minified script can be long.
const EXCERPT_CHARS: usize = 120;
/// Characters shown before the marked place where the line is cut.
const EXCERPT_BEFORE: usize = 40;

/// A place in a source line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Byte in the line, from 1.
    pub column: u32,
    /// Bytes, on this line alone. 0 marks a place between two bytes.
    pub length: u32,
}

/// A message with its place: what a person needs to find and mend it.
///
/// Displayed as `FILE:LINE: MESSAGE`, then the line with a mark, then the hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Byte in the line, from 1.
    pub column: u32,
    /// Bytes, on this line alone.
    pub length: u32,
    /// What is wrong, a fragment in lower case.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line as it stands in the file; bytes that are not UTF-8 are replaced.
    pub source_line: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)?;
        if !self.source_line.trim().is_empty() {
            let start = chars_before(&self.source_line, self.column.saturating_sub(1));
            let end = chars_before(
                &self.source_line,
                self.column.saturating_sub(1).saturating_add(self.length),
            );
            let skip = start.saturating_sub(EXCERPT_BEFORE);
            let skip = if start < EXCERPT_CHARS { 0 } else { skip };
            let shown: String = self
                .source_line
                .chars()
                .skip(skip)
                .take(EXCERPT_CHARS)
                .map(printable)
                .collect();
            let marks = (end - start).clamp(1, (EXCERPT_CHARS + skip - start).max(1));
            let number = self.line.to_string();
            write!(f, "\n  {number} | {}", shown.trim_end())?;
            let (gutter, indent) = (number.len(), start - skip);
            write!(f, "\n  {:gutter$} | {:indent$}{:^<marks$}", "", "", "")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Whole characters within the first `bytes` bytes.
fn chars_before(line: &str, bytes: u32) -> usize {
    let bytes = bytes as usize;
    line.char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= bytes)
        .count()
}

/// One column for one character: a tab would move the mark, a control or direction character
/// could rewrite what the terminal shows.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn clean(text: String) -> String {
    if text.chars().all(|c| printable(c) == c) {
        text
    } else {
        text.chars().map(printable).collect()
    }
}

/// A file's name and text, for messages that show its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: Vec<u8>,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl Source {
    /// Takes a text; `name` is what messages call it.
    #[must_use]
    pub fn new(name: &str, text: &[u8]) -> Self {
        let newlines = text.iter().enumerate().filter(|(_, b)| **b == b'\n');
        let mut starts: Vec<usize> = std::iter::once(0)
            .chain(newlines.map(|(at, _)| at + 1))
            .collect();
        if starts.last() == Some(&text.len()) && text.ends_with(b"\n") {
            starts.pop();
        }
        Self {
            name: name.to_owned(),
            text: text.to_vec(),
            starts,
        }
    }

    /// What messages call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many lines it has; an empty text has one.
    #[must_use]
    pub const fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// The whole.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of line `index`, from 0, with whatever ends it.
    pub(super) fn raw_line(&self, index: usize) -> Option<&[u8]> {
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).copied();
        Some(&self.text[start..end.unwrap_or(self.text.len())])
    }

    /// The bytes of line `index`, from 0, without carriage returns and newline at its end.
    pub(super) fn line(&self, index: usize) -> Option<&[u8]> {
        let mut line = self.raw_line(index)?;
        while let [rest @ .., b'\r' | b'\n'] = line {
            line = rest;
        }
        Some(line)
    }

    /// A message about a place in this file. What a terminal must not see is replaced in it.
    #[must_use]
    pub fn diagnostic(&self, span: Span, message: String, hint: Option<String>) -> Diagnostic {
        let line = self.line((span.line as usize).saturating_sub(1));
        Diagnostic {
            file: self.name.clone(),
            line: span.line,
            column: span.column,
            length: span.length,
            message: clean(message),
            hint: hint.map(clean),
            source_line: String::from_utf8_lossy(line.unwrap_or_default()).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: u32, column: u32, length: u32) -> String {
        let span = Span {
            line,
            column,
            length,
        };
        Source::new("Dockerfile", text.as_bytes())
            .diagnostic(span, "bad".into(), Some("mend it".into()))
            .to_string()
    }

    #[test]
    fn marks_the_place() {
        assert_eq!(
            shown("FROM a\r\n\tRÜN b\n", 2, 2, 4),
            "Dockerfile:2: bad\n  2 |  RÜN b\n    |  ^^^\n  hint: mend it"
        );
    }

    #[test]
    fn long_and_hostile_lines_stay_readable() {
        let text = format!("RUN {}\x1b[2J!{}", "x".repeat(300), "y".repeat(300));
        let shown = shown(&text, 1, 309, 1);
        assert!(!shown.contains('\x1b'));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].chars().count() < 140, "{shown}");
        let mark = lines[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(
            lines[1].chars().nth(mark),
            Some('y').filter(|_| false).or(Some('!'))
        );
    }

    #[test]
    fn places_outside_the_text_do_not_panic() {
        for (line, column, length) in [(0, 0, 0), (9, 9, 9), (1, u32::MAX, u32::MAX)] {
            assert!(shown("é", line, column, length).starts_with("Dockerfile:"));
        }
    }
}
