//! What differs, as trees of directories: one for each place.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html as template};
use repro_core::event::counted;

use super::{Sheet, more, sides::sides, text, words};
use crate::compare::Difference;

/// Most rows of all trees together; the page stays below a few mebibytes.
const MAX_ROWS: usize = 10_000;
/// Rows that show their two values; those beyond are named with their cause only.
const MAX_VALUES: usize = 1_500;
/// Files of one directory that are listed.
const MAX_SIBLINGS: usize = 400;
/// Levels of directories; what lies deeper is named by its path from there on.
const MAX_DEPTH: usize = 12;
/// Bytes of all trees together. A row of a hostile name is longer than others.
const MAX_BYTES: usize = 2 << 20;
/// Trees of this many rows are open from the start.
const OPEN: usize = 60;

/// Files and directories below one directory.
#[derive(Default)]
struct Node<'a> {
    directories: BTreeMap<&'a str, Node<'a>>,
    /// Rows by name, in the order of the report.
    files: BTreeMap<String, Vec<&'a Difference>>,
}

impl<'a> Node<'a> {
    fn add(&mut self, path: &'a str, row: &'a Difference, depth: usize) {
        match path.split_once('/') {
            Some((directory, rest))
                if depth < MAX_DEPTH && !directory.is_empty() && !rest.is_empty() =>
            {
                let below = self.directories.entry(directory).or_default();
                below.add(rest, row, depth + 1);
            }
            _ => self.files.entry(path.to_owned()).or_default().push(row),
        }
    }

    fn rows(&self) -> usize {
        let below: usize = self.directories.values().map(Self::rows).sum();
        below + self.files.values().map(Vec::len).sum::<usize>()
    }
}

/// What was written so far.
struct Writer<'a> {
    sheet: Sheet<'a>,
    rows: usize,
    bytes: usize,
    /// Whether directories are open.
    open: bool,
}

pub(super) fn section(sheet: Sheet<'_>) -> Markup {
    let rows = sheet.differences;
    if rows.is_empty() && sheet.not_listed.total() == 0 {
        return template! {};
    }
    let mut places: Vec<(String, Vec<&Difference>)> = Vec::new();
    for row in rows {
        let place = sheet.place(row);
        match places.last_mut() {
            Some((last, rows)) if *last == place => rows.push(row),
            _ => places.push((place, vec![row])),
        }
    }
    let mut writer = Writer {
        sheet,
        rows: 0,
        bytes: 0,
        open: rows.len() <= OPEN,
    };
    let places: Vec<Markup> = places
        .iter()
        .map(|(place, rows)| writer.place(place, rows))
        .collect();
    let left_out = (rows.len() - writer.rows) as u64;
    let left_out = left_out.saturating_add(sheet.not_listed.total());
    template! {
        section id="files" {
            h2 { "What differs" }
            (more(left_out, "difference is", "differences are"))
            @for place in &places { (place) }
        }
    }
}

impl Writer<'_> {
    fn full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    fn place(&mut self, place: &str, rows: &[&Difference]) -> Markup {
        if self.full() {
            return template! {};
        }
        let instruction = self.instruction(rows);
        let mut root = Node::default();
        let configuration = rows
            .iter()
            .all(|row| row.layer.is_none() && row.step.is_none());
        for row in rows {
            if configuration {
                // JSON pointers: one flat list.
                root.files.entry(row.path.clone()).or_default().push(row);
            } else {
                root.add(&row.path, row, 0);
            }
        }
        let tree = self.node(&root);
        template! {
            div.place {
                h3 { (text(place)) @if let Some(instruction) = instruction { " " code { (instruction) } } }
                (tree)
            }
        }
    }

    fn instruction(&self, rows: &[&Difference]) -> Option<String> {
        let step = rows.first()?.step?;
        let instruction = self.sheet.build?.instruction(step)?;
        Some(text(&repro_core::build::as_written(instruction)))
    }

    fn node(&mut self, node: &Node<'_>) -> Markup {
        let mut parts: Vec<Markup> = Vec::new();
        for (name, below) in &node.directories {
            if self.full() {
                break;
            }
            parts.push(self.directory(name, below));
        }
        let mut left_out = 0;
        for (at, (name, rows)) in node.files.iter().enumerate() {
            if at >= MAX_SIBLINGS || self.full() {
                left_out += 1;
                continue;
            }
            let mut name = Some(name.as_str());
            for row in rows {
                let part = self.file(name.take(), row).into_string();
                self.bytes += part.len();
                self.rows += 1;
                parts.push(PreEscaped(part));
            }
        }
        template! {
            ul.tree {
                @for part in &parts { (part) }
                @if left_out > 0 {
                    li.quiet { (counted(left_out, "more file here", "more files here")) }
                }
            }
        }
    }

    /// A directory, with those in it that are alone there in one line.
    fn directory(&mut self, name: &str, node: &Node<'_>) -> Markup {
        let mut name = name.to_owned();
        let mut node = node;
        while node.files.is_empty() && node.directories.len() == 1 {
            let Some((next, below)) = node.directories.first_key_value() else {
                break;
            };
            name.push('/');
            name.push_str(next);
            node = below;
        }
        let rows = node.rows() as u64;
        let below = self.node(node);
        template! {
            li {
                details open[self.open] {
                    summary {
                        code { (text(&name)) "/" } " "
                        span.quiet { (counted(rows, "difference", "differences")) }
                    }
                    (below)
                }
            }
        }
    }

    fn file(&self, name: Option<&str>, row: &Difference) -> Markup {
        let evidence = row.evidence.as_ref().filter(|_| self.rows < MAX_VALUES);
        let inside = row
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.inside.as_deref());
        let label = template! {
            span.name {
                @match name {
                    Some("") => { code { (text(words::path(row))) } }
                    Some(name) => { code { (text(name)) } }
                    None => { span.quiet { "and" } }
                }
                @if let Some(inside) = inside { span.quiet { " in " code { (text(inside)) } } }
            }
            " " span.kind { (row.kind) }
            " " a href={ "#cause-" (row.cause) } class=(row.confidence.to_string()) { (row.cause) }
            @if let Some(by) = self.sheet.by(row) { " " span.quiet { (by) } }
            @if let Some(origin) = &row.derived_from {
                " " span.quiet { "follows from " code { (text(&origin.path)) } }
            }
        };
        template! {
            li.file {
                @match evidence {
                    Some(evidence) => { details { summary { (label) } (sides(self.sheet, evidence)) } }
                    None => { (label) }
                }
            }
        }
    }
}
