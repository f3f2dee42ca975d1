//! The catalogues of causes and axes for a terminal.

use repro_core::build::{Axis, Variation};

use super::{
    style::{Line, Style},
    text::wrapped,
};
use crate::{
    axes::{self, AxisInfo},
    causes::Cause,
};

/// Spaces before running text.
const INDENT: usize = 2;

/// The long text on one cause, in lines of at most `width` columns where words allow it.
#[must_use]
pub fn cause_text(cause: Cause, width: usize) -> Vec<Line> {
    let info = cause.info();
    let axis = info
        .axis
        .map_or("none: it shows by chance, or without variation", Axis::name);
    let parts = [
        ("What it means", info.meaning),
        ("How it is recognised", info.detection),
        ("What to do", info.remedy),
        ("Axis of variation", axis),
    ];
    let mut lines = entry((cause.code(), info.title), &parts, width);
    if !info.links.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, "More"));
        for link in info.links {
            lines.push(Line::new(Style::Code, format!("  {link}")));
        }
    }
    lines
}

/// The long text on one axis, in lines of at most `width` columns where words allow it.
#[must_use]
pub fn axis_text(axis: Axis, width: usize) -> Vec<Line> {
    let AxisInfo { title, how, limits } = axes::info(axis);
    let value = |variation: Variation| variation.values().remove(&axis).unwrap_or_default();
    let a = value(Variation::run_a());
    let b = value(Variation::run_b(&[axis].into()));
    let parts = [
        ("Run A", a.as_str()),
        ("Run B", &b),
        ("How", how),
        ("Limits", limits),
        ("Leave it out", &format!("--vary all,-{axis}")),
    ];
    entry((axis.name(), title), &parts, width)
}

/// A name with its title, and text under headings.
fn entry((name, title): (&str, &str), parts: &[(&str, &str)], width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut head = Line::new(Style::Warning, name).with(Style::Plain, ": ");
    for part in wrapped(title, width.saturating_sub(name.len() + 2)) {
        lines.push(head.with(Style::Strong, part));
        head = Line::new(Style::Plain, "  ");
    }
    for (heading, text) in parts {
        lines.push(Line::default());
        lines.push(Line::new(Style::Strong, *heading));
        let text = wrapped(text, width.saturating_sub(INDENT));
        lines.extend(text.iter().map(|part| prose(part)));
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

/// All causes and axes, one a line of at most `width` columns.
#[must_use]
pub fn list_text(width: usize) -> Vec<Line> {
    let causes = Cause::ALL.map(|cause| (cause.code(), cause.info().title));
    let axes = Axis::VARIED.map(|axis| (axis.name(), axes::info(axis).title));
    let names = causes.iter().chain(&axes).map(|(name, _)| name.len());
    let longest = names.max().unwrap_or(0);
    let line = |(name, title): (&'static str, &'static str)| {
        let line = Line::new(Style::Warning, format!("{name:<longest$}")).with(Style::Plain, "  ");
        line.with(Style::Plain, title).cut(width)
    };
    let mut lines = causes.map(line).to_vec();
    lines.push(Line::default());
    lines.push(Line::new(Style::Strong, "Axes of variation"));
    lines.extend(axes.map(line));
    lines
}
