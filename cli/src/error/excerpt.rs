//! A line of a file with a mark under the place that is meant.

use serde::Serialize;

use crate::text;

/// Columns of a line that are shown: a generated file can have one line of megabytes.
const WIDTH: usize = 100;
/// Columns shown before the mark where the line had to be cut.
const BEFORE: usize = 40;

/// A place in a file of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Excerpt {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Character in the line, from 1.
    pub(crate) column: u32,
    /// Characters that are meant; 0 marks a place between two.
    pub(crate) length: u32,
    /// The line.
    pub(crate) text: String,
    /// What is wrong here, where that is not the message of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
}

impl Excerpt {
    /// The lines that a terminal shows: place, source line, mark.
    pub(crate) fn render(&self) -> Vec<String> {
        let start = self.column.saturating_sub(1) as usize;
        let skip = if start + BEFORE < WIDTH {
            0
        } else {
            start - BEFORE
        };
        let shown: Vec<char> = self.text.chars().skip(skip).take(WIDTH).collect();
        // Character by character, so that the mark can be put under what a character became.
        let cells: Vec<String> = shown
            .iter()
            .map(|c| text::one_line(&c.to_string()).into_owned())
            .collect();
        let width = |cells: &[String]| cells.iter().map(|c| console::measure_text_width(c)).sum();
        let from = (start - skip).min(cells.len());
        let to = (from + self.length as usize).min(cells.len());
        let indent: usize = width(&cells[..from]);
        let marks = width(&cells[from..to]).max(1);
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let mut mark = format!("{gutter} | {}{}", " ".repeat(indent), "^".repeat(marks));
        if let Some(label) = &self.label {
            mark.push(' ');
            mark.push_str(&text::one_line(label));
        }
        let file = text::one_line(&self.file);
        vec![
            format!("{gutter}--> {file}:{}:{}", self.line, self.column),
            format!("{gutter} |"),
            format!("{number} | {}", cells.concat().trim_end()),
            mark,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, column: u32, length: u32) -> String {
        let excerpt = Excerpt {
            file: "Dockerfile".into(),
            line: 12,
            column,
            length,
            text: text.into(),
            label: None,
        };
        excerpt.render().join("\n")
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        assert_eq!(
            excerpt("RNU make", 1, 3),
            "  --> Dockerfile:12:1\n   |\n12 | RNU make\n   | ^^^"
        );
        assert!(excerpt("é\tx", 3, 1).ends_with("12 | é    x\n   |      ^"));
        assert!(excerpt("日本x", 3, 1).ends_with("\n   |     ^"));
    }

    #[test]
    fn odd_places_and_long_lines_are_no_panic() {
        assert!(excerpt("", 9, 9).ends_with('^'));
        assert!(excerpt("a", 0, 0).ends_with("12 | a\n   | ^"));
        let long = "x".repeat(100_000);
        let shown = excerpt(&long, 50_000, 1_000);
        assert!(shown.lines().all(|line| line.len() < 120), "{shown}");
        assert_eq!(
            excerpt("\x1b[31m", 1, 1),
            "  --> Dockerfile:12:1\n   |\n12 | \\x1b[31m\n   | ^^^^"
        );
    }
}
