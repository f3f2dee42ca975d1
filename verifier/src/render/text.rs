//! What people see in a terminal: the verdict first, then why, then what was measured. It fits the
//! screen; what is left out is counted, and where it is to be found is said.

mod fit;
mod why;

use repro_core::build::{Reason, as_written};

use self::fit::{Block, fit};
use super::{
    aside::aside,
    axes,
    escape::{columns, printable},
    sheet::Sheet,
    style::{Line, Style},
    words,
};
use crate::{
    predicate::reproducibility::Verdict,
    report::{Equality, PairReport, Report},
};

/// Lines that the message of a failure takes at most.
const MESSAGE: usize = 4;
/// Width of the labels of facts.
const LABEL: usize = 11;

/// How much to say.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// Columns of the terminal: no line is longer.
    pub width: usize,
    /// Lines of the screen, which the report does not exceed; none to say everything.
    pub height: Option<usize>,
    /// Where everything is, said beside the number of what is left out: `all in report.html`.
    pub rest: String,
    /// Where the evidence lies, as the user would write it.
    pub evidence: Option<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 80,
            height: Some(40),
            rest: "all in report.json".into(),
            evidence: None,
        }
    }
}

/// The report on a build as lines.
#[must_use]
pub fn text(report: &Report, options: &TextOptions) -> Vec<Line> {
    let width = options.width;
    let mut head = vec![Block::fixed(build_head(report, width))];
    head.extend(failures(report, width));
    let facts = facts(report, options);
    compose(report.into(), options, head, facts)
}

/// The report on a pair as lines.
#[must_use]
pub fn pair_text(report: &PairReport, options: &TextOptions) -> Vec<Line> {
    let (style, word) = match report.verdict {
        Equality::Equal => (Style::Good, "equal"),
        Equality::Different => (Style::Bad, "different"),
    };
    let names = format!("{} and {}", printable(&report.a), printable(&report.b));
    let mut head: Vec<Line> = Vec::new();
    let mut start = Line::new(style, word).with(Style::Plain, ": ");
    for part in wrapped(&names, options.width.saturating_sub(11))
        .into_iter()
        .take(MESSAGE)
    {
        head.push(start.with(Style::Strong, part).cut(options.width));
        start = Line::new(Style::Plain, "  ");
    }
    head.push(
        Line::new(Style::Dim, format!("  {}", words::ratio(report.ratio))).cut(options.width),
    );
    let said = aside(report);
    let mut facts = Vec::new();
    if !said.is_empty() {
        let heading = Line::new(Style::Strong, "no part of the verdict");
        facts.push(Block::fixed(vec![Line::default(), heading]));
    }
    for line in said {
        // What was asked for goes beyond the screen rather than unsaid.
        let line = Line::new(Style::Plain, format!("  {}", printable(&line)));
        facts.push(Block::fixed(vec![line]));
    }
    compose(report.into(), options, vec![Block::fixed(head)], facts)
}

/// Head, causes, differences, facts: what is left of the screen goes to the differences, and then
/// to the facts.
fn compose(
    sheet: Sheet<'_>,
    options: &TextOptions,
    head: Vec<Block>,
    facts: Vec<Block>,
) -> Vec<Line> {
    let (width, rest) = (options.width, options.rest.as_str());
    let least = |blocks: &[Block]| fit(blocks.to_vec(), Some(0)).len();
    // The heading of the causes takes two lines, or three.
    let heading = 2 + usize::from(sheet.beyond().is_some());
    let taken = least(&head) + least(&facts) + heading;
    let unnamed = why::unnamed(sheet, width, rest);
    // One line says where the rest is, with a list of differences or without.
    let taken = taken + usize::from(unnamed.is_some());
    let room = options.height.map(|height| height.saturating_sub(taken));
    let mut blocks = head;
    blocks.extend(why::causes(sheet, width, room, rest));
    let short = options
        .height
        .map(|height| height.saturating_sub(least(&facts)));
    let told = fit(blocks.clone(), short).len();
    let left = short.map(|short| short.saturating_sub(told));
    let list = why::differences(sheet, width, left, rest);
    let listed = !list.is_empty() && !sheet.differences.is_empty();
    let list = match unnamed {
        _ if listed => list,
        Some(line) => vec![line],
        None => Vec::new(),
    };
    let above = short.map(|short| short.saturating_sub(list.len()));
    blocks = vec![Block::fixed(fit(blocks, above)), Block::fixed(list)];
    blocks.extend(facts);
    fit(blocks, options.height)
}

fn build_head(report: &Report, width: usize) -> Vec<Line> {
    let style = match report.verdict {
        Verdict::Reproducible => Style::Good,
        Verdict::NotReproducible | Verdict::BuildFailed => Style::Bad,
        Verdict::Inconclusive => Style::Warning,
    };
    let name = report.image.name.as_deref();
    let name = name.unwrap_or("image without a name");
    let mut lines = vec![
        Line::new(style, report.verdict.words())
            .with(Style::Plain, ": ")
            .with(Style::Strong, printable(name))
            .with(Style::Dim, format!(" ({})", report.image.platform)),
    ];
    let mut reason = words::reason(report.reason).to_owned();
    if report.first_divergence.is_some() {
        reason.push_str(match report.reason {
            Reason::Reproduced => "; on the way to it they differ first here:",
            _ => ", first here:",
        });
    }
    for part in wrapped(&reason, width.saturating_sub(2)) {
        lines.push(Line::new(Style::Plain, format!("  {part}")));
    }
    if let Some(at) = report.first_divergence {
        let instruction = report.divergent_instruction(at).unwrap_or_default();
        lines.push(step_line(report, at.line, instruction));
    }
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn step_line(report: &Report, line: u32, instruction: &str) -> Line {
    let position = words::position(report, line);
    let instruction = as_written(instruction);
    Line::new(Style::Strong, format!("  {}", printable(&position)))
        .with(Style::Plain, "  ")
        .with(Style::Code, printable(&instruction))
}

fn failures(report: &Report, width: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    for run in &report.runs {
        let Some(failure) = &run.failure else {
            continue;
        };
        let heading = format!("run {} failed", run.id);
        let mut lines = vec![
            Line::default(),
            Line::new(Style::Strong, heading),
            step_line(report, failure.line, &failure.instruction),
        ];
        let message = printable(&failure.message);
        let mut parts = wrapped(&message, width.saturating_sub(4));
        if parts.len() > MESSAGE {
            parts.truncate(MESSAGE);
            parts.push("… the log of the step has the rest".into());
        }
        let parts = parts.into_iter();
        lines.extend(parts.map(|part| Line::new(Style::Bad, format!("    {part}"))));
        let lines = lines.into_iter().map(|line| line.cut(width)).collect();
        blocks.push(Block::fixed(lines));
    }
    blocks
}

/// What was measured, one fact a block.
fn facts(report: &Report, options: &TextOptions) -> Vec<Block> {
    let width = options.width;
    let long = |label: &str, style, value: &str| field(label, style, value, width, usize::MAX);
    let short = |label: &str, style, value: &str| field(label, style, value, width, 1);
    let both = |label: &str, style, value: &str| {
        Block::forms([short(label, style, value), long(label, style, value)])
    };
    let mut blocks = vec![Block::fixed(vec![Line::default()])];
    if let Some(digest) = report.image.manifest_digest {
        // Eighty columns hold it so, and not in line with the others. A digest that is cut is none.
        let line = Line::new(Style::Dim, "  image  ");
        blocks.push(Block::fixed(vec![
            line.with(Style::Strong, digest.to_string()),
        ]));
    }
    if let Some(ratio) = report.ratio {
        let equal = format!(
            "{} of {} layers, {} of {} files",
            ratio.layers_equal, ratio.layers, ratio.files_equal, ratio.files
        );
        blocks.push(Block::fixed(short("equal", Style::Plain, &equal)));
    }
    let runs = report.runs.iter();
    let times = runs.filter_map(|run| Some(format!("run {} {}", run.id, words::run_time(run)?)));
    let times: Vec<String> = times.collect();
    if !times.is_empty() {
        let times = times.join(", ");
        blocks.push(Block::optional([short("time", Style::Plain, &times)]));
    }
    let hermetic = words::hermetic(&report.hermetic);
    blocks.push(both("hermetic", Style::Plain, &hermetic));
    if !report.hermetic.names.is_empty() {
        let names = report.hermetic.names.join(", ");
        let hint = format!("{names}; `repro lock` captures what a step fetches");
        let count = report.hermetic.names.len() as u64;
        let few = repro_core::event::counted(count, "name", "names");
        let few = format!("{few}, such as {}", report.hermetic.names[0]);
        blocks.push(Block::forms([
            short("asked for", Style::Warning, &few),
            field("asked for", Style::Warning, &hint, width, MESSAGE),
        ]));
    }
    blocks.push(varied(report, width));
    for line in axes::not_varied(report) {
        blocks.push(both("not varied", Style::Dim, &line));
    }
    if let Some(control) = axes::control(report) {
        blocks.push(both("control", Style::Plain, &control));
    }
    blocks.extend(bisected(report, width));
    blocks.extend(findings(report, width));
    if let Some(evidence) = &options.evidence {
        blocks.push(Block::fixed(long("evidence", Style::Strong, evidence)));
    }
    blocks
}

/// What runs with some of the axes showed, in one sentence or in a line for each axis.
fn bisected(report: &Report, width: usize) -> Option<Block> {
    let short = axes::bisection_in_short(report)?;
    let short = field("bisected", Style::Plain, &short, width, MESSAGE);
    let mut label = "bisected";
    let mut long = Vec::new();
    for line in axes::bisection(report) {
        long.extend(field(label, Style::Plain, &line, width, MESSAGE));
        label = "";
    }
    Some(Block::forms([short, long]))
}

/// The axes by name; with their values where there is room.
fn varied(report: &Report, width: usize) -> Block {
    let axes = &report.axes.varied;
    if axes.is_empty() {
        return Block::fixed(field("varied", Style::Warning, "nothing", width, 1));
    }
    let names: Vec<&str> = axes.keys().map(|axis| axis.name()).collect();
    let names = field("varied", Style::Plain, &names.join(", "), width, usize::MAX);
    let mut label = "varied";
    let mut values = Vec::new();
    for (axis, pair) in axes {
        let value = format!("{axis}: {} | {}", pair.a, pair.b);
        values.extend(field(label, Style::Plain, &value, width, usize::MAX));
        label = "";
    }
    Block::forms([names, values])
}

/// What else a user should know: all of it where there is room.
fn findings(report: &Report, width: usize) -> Option<Block> {
    let text = |finding: &repro_core::build::Finding| {
        let at = finding.line.map(|line| words::position(report, line));
        let at = at.map_or_else(String::new, |at| format!("{at}: "));
        format!("{at}{} ({})", finding.message, finding.code)
    };
    let first = report.findings.first()?;
    let mut few = field("note", Style::Warning, &text(first), width, 1);
    let more = report.findings.len() - 1;
    if more > 0 {
        let more = repro_core::event::counted(more as u64, "note", "notes");
        few.extend(field(
            "",
            Style::Dim,
            &format!("and {more} more, in report.json"),
            width,
            1,
        ));
    }
    let all = report.findings.iter();
    let all = all.flat_map(|finding| field("note", Style::Warning, &text(finding), width, MESSAGE));
    Some(Block::forms([few, all.collect()]))
}

/// `  label     value`, the value wrapped below itself in at most `most` lines.
fn field(label: &str, style: Style, value: &str, width: usize, most: usize) -> Vec<Line> {
    let value = printable(value);
    let room = width.saturating_sub(LABEL + 2).max(20);
    let mut parts = wrapped(&value, room);
    if parts.len() > most {
        parts.truncate(most);
        if let Some(last) = parts.last_mut() {
            last.push_str(" …");
        }
    }
    let mut label = format!("  {label:<LABEL$}");
    let mut lines = Vec::new();
    for part in parts {
        lines.push(Line::new(Style::Dim, label).with(style, part).cut(width));
        label = " ".repeat(LABEL + 2);
    }
    lines
}

/// Lines of at most `width` columns, cut at spaces where there are any.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_length = columns(word);
        if length > 0 && length + 1 + word_length > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
        assert!(wrapped("", 5).is_empty());
    }
}
