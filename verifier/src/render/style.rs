//! Text with meaning instead of colours: whoever prints it knows the terminal.

use std::fmt;

use super::escape::{columns, head};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Running text.
    Plain,
    /// A good result.
    Good,
    /// A bad result.
    Bad,
    /// Something to look at.
    Warning,
    /// A heading, or what matters most in its line.
    Strong,
    /// What matters least in its line.
    Dim,
    /// A path, an instruction, a code.
    Code,
}

/// A piece of text of one style, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub style: Style,
    /// The text.
    pub text: String,
}

/// One line; [`fmt::Display`] gives it without styles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces, left to right.
    pub spans: Vec<Span>,
}

impl Line {
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self::default().with(style, text)
    }

    pub(super) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        let text = text.into();
        self.spans.push(Span { style, text });
        self
    }

    /// The line in at most `width` columns.
    pub(super) fn cut(mut self, width: usize) -> Self {
        let mut left = width;
        let all: usize = self.spans.iter().map(|span| columns(&span.text)).sum();
        if all <= width {
            return self;
        }
        self.spans.retain_mut(|span| {
            // The last column of a line that goes on belongs to the mark.
            let taken = columns(&span.text);
            if taken >= left {
                let mark = "…";
                span.text = format!("{}{mark}", head(&span.text, left.saturating_sub(1)));
                let kept = left > 0;
                left = 0;
                return kept;
            }
            left -= taken;
            true
        });
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans
            .iter()
            .try_for_each(|span| f.write_str(&span.text))
    }
}
