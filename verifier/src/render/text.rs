//! What people see in a terminal: the verdict first, then the one place to look at.

use repro_core::{
    build::{RunId, as_written},
    event::counted,
};

use super::{
    axes,
    escape::{printable, shortened},
    style::{Line, Style},
    words,
};
use crate::{
    causes::Confidence,
    compare::Difference,
    predicate::reproducibility::Verdict,
    report::{CauseSummary, Report},
};

/// Longest instruction in a line.
const INSTRUCTION: usize = 72;
/// Longest excerpt in a line.
const EXCERPT: usize = 88;
/// Paths named with a cause.
const PATHS: usize = 3;

/// How much to say.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// Columns of the terminal, for text that is wrapped.
    pub width: usize,
    /// Most differing paths that are listed.
    pub differences: usize,
    /// Where the evidence lies, as the user would write it.
    pub evidence: Option<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 100,
            differences: 12,
            evidence: None,
        }
    }
}

/// The report as lines.
#[must_use]
pub fn text(report: &Report, options: &TextOptions) -> Vec<Line> {
    let mut out = Text {
        report,
        options,
        lines: Vec::new(),
    };
    out.head();
    out.failures();
    out.divergence();
    out.causes();
    out.differences();
    out.summary();
    out.lines
}

struct Text<'a> {
    report: &'a Report,
    options: &'a TextOptions,
    lines: Vec<Line>,
}

impl Text<'_> {
    fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    fn heading(&mut self, text: &str) {
        self.push(Line::default());
        self.push(Line::new(Style::Strong, text));
    }

    /// `  label     value`, the value wrapped below itself.
    fn field(&mut self, label: &str, style: Style, value: &str) {
        const INDENT: usize = 13;
        let value = printable(value);
        let room = self.options.width.saturating_sub(INDENT).max(20);
        let mut label = format!("  {label:<11}");
        for part in wrapped(&value, room) {
            self.push(Line::new(Style::Dim, label).with(style, part));
            label = " ".repeat(INDENT);
        }
    }

    /// The same with a value a line.
    fn fields(&mut self, mut label: &str, style: Style, values: &[String]) {
        for value in values {
            self.field(label, style, value);
            label = "";
        }
    }

    fn head(&mut self) {
        let report = self.report;
        let style = match report.verdict {
            Verdict::Reproducible => Style::Good,
            Verdict::NotReproducible | Verdict::BuildFailed => Style::Bad,
            Verdict::Inconclusive => Style::Warning,
        };
        let name = report
            .image
            .name
            .as_deref()
            .unwrap_or("image without a name");
        self.push(
            Line::new(style, words::verdict(report.verdict))
                .with(Style::Plain, ": ")
                .with(Style::Strong, printable(name))
                .with(Style::Dim, format!(" ({})", report.image.platform)),
        );
        self.push(Line::new(
            Style::Plain,
            format!("  {}", words::reason(report.reason)),
        ));
    }

    fn failures(&mut self) {
        for run in &self.report.runs {
            let Some(failure) = &run.failure else {
                continue;
            };
            self.heading(&format!("run {} failed", run.id));
            self.step_line(failure.line, &failure.instruction);
            self.push(Line::new(
                Style::Bad,
                format!("    {}", printable(&failure.message)),
            ));
        }
    }

    fn step_line(&mut self, line: u32, instruction: &str) {
        let position = words::position(self.report, line);
        let instruction = as_written(instruction);
        let instruction = printable(&instruction);
        self.push(
            Line::new(Style::Strong, format!("  {}", printable(&position)))
                .with(Style::Plain, "  ")
                .with(Style::Code, shortened(&instruction, INSTRUCTION)),
        );
    }

    fn divergence(&mut self) {
        let report = self.report;
        let Some(at) = report.first_divergence else {
            return;
        };
        self.heading(match report.verdict {
            Verdict::Reproducible => "a step differs, and the difference does not reach the image",
            _ => "the first step that differs",
        });
        let instruction = report.divergent_instruction(at).unwrap_or_default();
        self.step_line(at.line, instruction);
        let layer = |id| {
            let run = report.run(id)?;
            let step = run.steps.iter().find(|step| step.index == at.index)?;
            Some(step.diff_id.map_or_else(
                || "no layer".to_owned(),
                |diff_id| format!("layer {}", diff_id.0.short()),
            ))
        };
        let shown = |id| layer(id).unwrap_or_else(|| "did not end".into());
        self.push(Line::new(
            Style::Dim,
            format!(
                "    run a: {}   run b: {}",
                shown(RunId::A),
                shown(RunId::B)
            ),
        ));
    }

    fn causes(&mut self) {
        if self.report.causes.is_empty() {
            return;
        }
        self.heading("why");
        for cause in &self.report.causes {
            self.cause(cause);
        }
    }

    fn cause(&mut self, cause: &CauseSummary) {
        let mut head = Line::new(Style::Warning, format!("  {}", cause.code))
            .with(Style::Plain, format!(": {}", cause.title));
        if cause.confidence != Confidence::Unknown {
            head = head.with(Style::Dim, format!(" ({})", cause.confidence));
        }
        if !cause.primary {
            head = head.with(Style::Dim, " (follows from an earlier step)");
        }
        if let Some(shown) = axes::of_cause(cause) {
            head = head.with(Style::Dim, format!(" ({shown})"));
        }
        self.push(head);
        let mut whence = words::lines(self.report, &cause.steps).join(", ");
        let named = cause.paths.iter().take(PATHS).map(|path| {
            let path = printable(path);
            shortened(&path, INSTRUCTION).into_owned()
        });
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            let more = cause.count.saturating_sub(named.len() as u64);
            let separator = if whence.is_empty() { "" } else { ": " };
            whence = format!("{whence}{separator}{}", named.join(", "));
            if more > 0 {
                whence = format!("{whence}, and {more} more");
            }
        }
        let room = self.options.width.saturating_sub(9).max(20);
        for part in wrapped(&printable(&whence), room) {
            self.push(Line::new(Style::Code, format!("    {part}")));
        }
        let mut label = "    fix: ";
        for part in wrapped(&cause.remedy, room) {
            self.push(Line::new(Style::Dim, label).with(Style::Plain, part));
            label = "         ";
        }
    }

    fn differences(&mut self) {
        let report = self.report;
        if report.differences.is_empty() {
            return;
        }
        self.heading("what differs");
        let mut place = String::new();
        let mut listed = 0;
        let mut last: Option<&Difference> = None;
        for row in &report.differences {
            let same = last.is_some_and(|last| {
                (last.step, last.layer, &last.path) == (row.step, row.layer, &row.path)
            });
            if !same && listed == self.options.differences {
                break;
            }
            listed += usize::from(!same);
            let here = words::place(report, row);
            if here != place {
                self.push(Line::new(Style::Strong, format!("  {}", printable(&here))));
                place = here;
            }
            self.row(row, same);
            last = Some(row);
        }
        let total = report
            .differing_paths(|_| true)
            .saturating_add(report.not_listed.total());
        let more = total.saturating_sub(listed as u64);
        if more > 0 {
            let more = counted(more, "path", "paths");
            self.push(Line::new(
                Style::Dim,
                format!("    and {more} more, all in report.json"),
            ));
        }
    }

    fn row(&mut self, row: &Difference, same_path: bool) {
        let mut line = if same_path {
            Line::new(Style::Plain, "    ")
        } else {
            Line::new(
                Style::Code,
                format!("    {}", printable(&words::path_inside(row))),
            )
        };
        line = line
            .with(Style::Dim, format!("  {}  ", row.kind))
            .with(Style::Warning, row.cause.code());
        if row.confidence != Confidence::Unknown {
            line = line.with(Style::Dim, format!(" ({})", row.confidence));
        }
        if let Some(origin) = &row.derived_from {
            line = line.with(
                Style::Dim,
                format!("  follows from {}", printable(&origin.path)),
            );
        }
        if let Some(by) = axes::of_row(self.report, row).filter(|_| !same_path) {
            line = line.with(Style::Strong, format!("  {by}"));
        }
        self.push(line);
        if let Some(evidence) = &row.evidence {
            for (run, value) in [("a", &evidence.a), ("b", &evidence.b)] {
                let value = printable(value);
                self.push(
                    Line::new(Style::Dim, format!("      {run}  "))
                        .with(Style::Plain, shortened(&value, EXCERPT)),
                );
            }
        }
    }

    fn summary(&mut self) {
        let report = self.report;
        self.push(Line::default());
        if let Some(digest) = report.image.manifest_digest {
            self.field("image", Style::Strong, &digest.to_string());
        }
        if let Some(ratio) = report.ratio {
            let layers = format!("{} of {} equal", ratio.layers_equal, ratio.layers);
            self.field("layers", Style::Plain, &layers);
            let files = format!("{} of {} equal", ratio.files_equal, ratio.files);
            self.field("files", Style::Plain, &files);
        }
        let times: Vec<String> = report
            .runs
            .iter()
            .map(|run| format!("run {} {}", run.id, words::run_time(run)))
            .collect();
        self.field("time", Style::Plain, &times.join(", "));
        let hermetic = words::hermetic(&report.hermetic);
        self.field("hermetic", Style::Plain, &hermetic);
        if !report.hermetic.names.is_empty() {
            let names = report.hermetic.names.join(", ");
            let hint = format!("{names}; `repro lock` captures what a step fetches");
            self.field("asked for", Style::Warning, &hint);
        }
        let mut label = "varied";
        for (axis, values) in &report.axes.varied {
            let value = format!("{axis}: {} | {}", values.a, values.b);
            self.field(label, Style::Plain, &value);
            label = "";
        }
        if label == "varied" {
            self.field(label, Style::Warning, "nothing");
        }
        self.fields("not varied", Style::Dim, &axes::not_varied(report));
        self.fields("control", Style::Plain, axes::control(report).as_slice());
        self.fields("bisected", Style::Plain, &axes::bisection(report));
        for finding in &report.findings {
            let at = finding.line.map(|line| words::position(report, line));
            let at = at.map_or_else(String::new, |at| format!("{at}: "));
            let text = format!("{at}{} ({})", finding.message, finding.code);
            self.field("note", Style::Warning, &text);
        }
        if let Some(evidence) = &self.options.evidence {
            self.field("evidence", Style::Strong, evidence);
        }
    }
}

/// Lines of at most `width` characters, cut at spaces where there are any.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_length = word.chars().count();
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
