//! The causes, each with an example and a remedy, and the differences one by one.

use repro_core::event::counted;

use super::{
    super::{
        axes,
        escape::{columns, cut, printable, shortened},
        sheet::Sheet,
        style::{Line, Style},
        words,
    },
    fit::Block,
    wrapped,
};
use crate::{
    causes::Confidence,
    compare::{Difference, Evidence},
    report::CauseSummary,
};

/// Paths named with a cause.
const PATHS: usize = 3;
/// Lines that a cause needs to be of use: itself, its place, its remedy.
const USEFUL: usize = 3;

/// The causes in at most about `room` lines, which decides how many are told.
pub(super) fn causes(
    sheet: Sheet<'_>,
    width: usize,
    room: Option<usize>,
    rest: &str,
) -> Vec<Block> {
    let causes = sheet.causes;
    if causes.is_empty() {
        return Vec::new();
    }
    let told = room.map_or(causes.len(), |room| {
        let all = causes.len() * USEFUL <= room;
        // One line says what is left out.
        let fitting = room.saturating_sub(1) / USEFUL;
        if all { causes.len() } else { fitting.max(1) }
    });
    let (told, left_out) = causes.split_at(told.min(causes.len()));
    let told = told.iter().map(|cause| block(sheet, cause, width));
    let told: Vec<Block> = told.collect();
    let longest: usize = told.iter().map(Block::most).sum();
    let cut = !left_out.is_empty() || room.is_some_and(|room| longest > room);
    let mut blocks = vec![Block::fixed(heading(sheet, width, cut))];
    blocks.extend(told);
    if !left_out.is_empty() {
        let more = counted(left_out.len() as u64, "more cause", "more causes");
        let codes: Vec<&str> = left_out.iter().map(|cause| cause.code.code()).collect();
        let line = Line::new(Style::Strong, format!("  {more}"))
            .with(Style::Plain, format!(", {rest}: "))
            .with(Style::Warning, codes.join(", "));
        blocks.push(Block::fixed(vec![line.cut(width)]));
    }
    blocks
}

/// How many causes there are; and how a remedy is seen as a whole, where one or another is cut.
fn heading(sheet: Sheet<'_>, width: usize, cut: bool) -> Vec<Line> {
    let total = counted(sheet.causes.len() as u64, "cause", "causes");
    let paths = counted(sheet.paths(), "path", "paths");
    let mut line = Line::new(Style::Strong, "why").with(Style::Dim, format!("  {total}, {paths}"));
    if cut {
        line = line
            .with(Style::Dim, "; ")
            .with(Style::Code, "repro explain CAUSE")
            .with(Style::Dim, " has the whole remedy");
    }
    let mut lines = vec![Line::default(), line.cut(width)];
    if let Some(beyond) = sheet.beyond() {
        lines.push(Line::new(Style::Dim, format!("  {beyond}")).cut(width));
    }
    lines
}

/// Where the paths are that no cause names, in one line; none where all are named.
pub(super) fn unnamed(sheet: Sheet<'_>, width: usize, rest: &str) -> Option<Line> {
    let paths = sheet.paths();
    let line = || Line::new(Style::Dim, format!("  {paths} paths differ, {rest}")).cut(width);
    (paths > named(sheet)).then(line)
}

/// Number of paths that the causes name.
fn named(sheet: Sheet<'_>) -> u64 {
    let causes = sheet.causes.iter();
    causes.map(|cause| cause.count.min(PATHS as u64)).sum()
}

fn block(sheet: Sheet<'_>, cause: &CauseSummary, width: usize) -> Block {
    let mut head = Line::new(Style::Warning, format!("  {}", cause.code));
    head = head.with(Style::Plain, format!(": {}", printable(&cause.title)));
    let told = cause.confidence != Confidence::Unknown
        || !cause.primary
        || axes::of_cause(cause).is_some();
    let mut below = None;
    if told {
        let sureness = Sheet::sureness(cause);
        // Which axis breaks it stands at the end: below where it would be cut off.
        if columns(&head.to_string()) + columns(&sureness) + 3 > width {
            below = Some(Line::new(Style::Dim, format!("    {sureness}")).cut(width));
        } else {
            head = head.with(Style::Dim, format!(" ({sureness})"));
        }
    }
    let mut named = vec![head.cut(width)];
    named.extend(below);
    named.extend(whence(sheet, cause, width));
    let evidence = sheet.example(cause).and_then(|row| row.evidence.as_ref());
    let evidence = evidence.map_or_else(Vec::new, |evidence| values(evidence, width));
    let fix = fix(cause, width);
    let short: Vec<Line> = match &fix[..] {
        [] => Vec::new(),
        [only] => vec![only.clone()],
        [first, ..] => vec![first.clone().with(Style::Dim, " …").cut(width)],
    };
    let all = |parts: [&[Line]; 3]| parts.concat();
    Block::forms([
        all([&named, &[], &short]),
        all([&named, &evidence, &short]),
        all([&named, &evidence, &fix]),
    ])
}

/// The lines of the Dockerfile and the paths that a cause comes from, in one line.
fn whence(sheet: Sheet<'_>, cause: &CauseSummary, width: usize) -> Option<Line> {
    const INDENT: usize = 4;
    let lines = sheet.whence(cause).join(", ");
    let named = sheet.told(cause, PATHS);
    let room = width.saturating_sub(INDENT);
    // As many paths as fit, and one at least: cut in its middle where it must.
    let text = (1..=named.len()).rev().find_map(|most| {
        let more = cause.count.saturating_sub(most as u64);
        let tail = match more {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let separator = if lines.is_empty() { "" } else { ": " };
        let head = format!("{}{separator}", cut(&printable(&lines), room / 2));
        let left = room.saturating_sub(head.chars().count() + tail.chars().count());
        let paths = named[..most].join(", ");
        let fitted = shortened(&paths, left);
        (most == 1 || fitted == paths).then(|| format!("{head}{fitted}{tail}"))
    });
    let text = text.unwrap_or_else(|| lines.clone());
    let line = Line::new(Style::Code, format!("    {text}"));
    (!text.is_empty()).then(|| line.cut(width))
}

/// The two values of a difference, one below the other.
fn values(evidence: &Evidence, width: usize) -> Vec<Line> {
    let value = |name: &str, value: &str| {
        let value = printable(value);
        Line::new(Style::Dim, format!("      {name}  "))
            .with(Style::Plain, value.trim())
            .cut(width)
    };
    vec![value("a", &evidence.a), value("b", &evidence.b)]
}

fn fix(cause: &CauseSummary, width: usize) -> Vec<Line> {
    let mut label = "    fix: ";
    let room = width.saturating_sub(label.len()).max(20);
    let mut lines = Vec::new();
    for part in wrapped(&printable(&cause.remedy), room) {
        lines.push(Line::new(Style::Dim, label).with(Style::Plain, part));
        label = "         ";
    }
    lines
}

/// The differences one by one, in at most `room` lines: as many as fit, and how many there are
/// more. Nothing where `room` holds no more than the causes name.
pub(super) fn differences(
    sheet: Sheet<'_>,
    width: usize,
    room: Option<usize>,
    rest: &str,
) -> Vec<Line> {
    let total = sheet.paths();
    // A list of what was named a line ago is no list.
    if room.is_some() && total <= named(sheet) {
        return Vec::new();
    }
    let mut lines = vec![Line::default(), Line::new(Style::Strong, "what differs")];
    // The heading, the place of the first, and the line that says how many there are more.
    if room.is_some_and(|room| room < lines.len() + 4) {
        return Vec::new();
    }
    let mut place = String::new();
    let mut listed = 0;
    let mut last: Option<&Difference> = None;
    for row in sheet.differences {
        let same = last.is_some_and(|last| {
            (last.step, last.layer, &last.path) == (row.step, row.layer, &row.path)
        });
        let here = sheet.place(row);
        let heading = usize::from(here != place);
        let detail = if room.is_none() { 2 } else { 0 };
        if room.is_some_and(|room| lines.len() + heading + 1 + detail >= room) {
            break;
        }
        if heading == 1 {
            let line = Line::new(Style::Strong, format!("  {}", printable(&here)));
            lines.push(line.cut(width));
            place = here;
        }
        listed += u64::from(!same);
        lines.push(row_line(sheet, row, same, width));
        if let (None, Some(evidence)) = (room, &row.evidence) {
            lines.extend(values(evidence, width));
        }
        last = Some(row);
    }
    let more = total.saturating_sub(listed);
    if more > 0 {
        let more = counted(more, "more path", "more paths");
        lines.push(Line::new(Style::Dim, format!("    {more}, {rest}")).cut(width));
    }
    lines
}

fn row_line(sheet: Sheet<'_>, row: &Difference, same_path: bool, width: usize) -> Line {
    let by = sheet.by(row);
    let code = row.cause.code();
    let kind = row.kind.name();
    let follows = row
        .derived_from
        .as_ref()
        .map_or_else(String::new, |origin| {
            format!("  follows from {}", shortened(&printable(&origin.path), 24))
        });
    let by = by.map_or_else(String::new, |by| format!("  {by}"));
    let taken = 4 + 2 + kind.len() + 2 + code.len() + columns(&by);
    let room = width.saturating_sub(taken).max(16);
    let path = words::path_inside(row);
    let path = printable(&path);
    let path = if same_path {
        std::borrow::Cow::Borrowed("")
    } else {
        shortened(&path, room)
    };
    Line::new(Style::Code, format!("    {path}"))
        .with(Style::Dim, format!("  {kind}  "))
        .with(Style::Warning, code)
        .with(Style::Dim, follows)
        .with(Style::Strong, by)
        .cut(width)
}
