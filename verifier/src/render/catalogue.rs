//! The catalogue of causes for a terminal.

use super::{
    style::{Line, Style},
    text::wrapped,
};
use crate::causes::Cause;

/// Spaces before running text.
const INDENT: usize = 2;

/// The long text on one cause, in lines of at most `width` columns where words allow it.
#[must_use]
pub fn cause_text(cause: Cause, width: usize) -> Vec<Line> {
    let info = cause.info();
    let mut lines = Vec::new();
    let mut head = Line::new(Style::Warning, cause.code()).with(Style::Plain, ": ");
    for part in wrapped(info.title, width.saturating_sub(cause.code().len() + 2)) {
        lines.push(head.with(Style::Strong, part));
        head = Line::new(Style::Plain, "  ");
    }
    let axis = info.axis.map_or(
        "none: it shows by chance, or without variation",
        repro_core::build::Axis::name,
    );
    for (heading, text) in [
        ("What it means", info.meaning),
        ("How it is recognised", info.detection),
        ("What to do", info.remedy),
        ("Axis of variation", axis),
    ] {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, heading));
        lines.extend(
            wrapped(text, width.saturating_sub(INDENT))
                .iter()
                .map(|part| prose(part)),
        );
    }
    if !info.links.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, "More"));
        for link in info.links {
            lines.push(Line::new(Style::Code, format!("  {link}")));
        }
    }
    lines
}

/// Running text in which backticks mark code. A piece of code that goes on in the next line is
/// left as it is.
fn prose(text: &str) -> Line {
    let mut line = Line::new(Style::Plain, " ".repeat(INDENT));
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return line.with(Style::Plain, text);
    }
    for (at, part) in parts.into_iter().enumerate() {
        line = match at % 2 {
            1 => line.with(Style::Code, format!("`{part}`")),
            _ => line.with(Style::Plain, part),
        };
    }
    line
}

/// All causes, one a line of at most `width` columns.
#[must_use]
pub fn causes_text(width: usize) -> Vec<Line> {
    let longest = Cause::ALL.map(|cause| cause.code().len());
    let longest = longest.into_iter().max().unwrap_or(0);
    let line = |cause: Cause| {
        let code = format!("{:<longest$}", cause.code());
        let line = Line::new(Style::Warning, code).with(Style::Plain, "  ");
        line.with(Style::Plain, cause.info().title).cut(width)
    };
    Cause::ALL.map(line).to_vec()
}
