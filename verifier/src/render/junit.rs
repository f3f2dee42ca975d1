//! The reports as `JUnit` XML, which CI systems show as tests: one case for each step of a build, or
//! each layer of a pair, and one for what belongs to none.
//!
//! Valid against the schema of Ant's reports as well as that of Jenkins: the root has no
//! attributes, a suite has all of its own, a case at most one child.

use maud::{Markup, PreEscaped, html as template};
use repro_core::{
    build::{RunId, as_written},
    event::counted,
};

use super::{
    escape::{printable, shortened},
    sheet::Sheet,
    words,
};
use crate::{
    compare::Difference,
    predicate::reproducibility::Verdict,
    report::{Equality, PairReport, Report},
};

/// Longest name of a case, in columns.
const NAME: usize = 160;
/// Longest line of a text, in columns.
const LINE: usize = 1_000;
/// Differences that the text of one case lists.
const ROWS: usize = 20;

/// How a case ended.
enum Ending {
    Passed,
    Failed {
        why: String,
        text: String,
    },
    Error {
        why: String,
        text: String,
    },
    /// Ended without a result: nothing was compared.
    Skipped(&'static str),
}

struct Case {
    name: String,
    milliseconds: u64,
    ending: Ending,
}

struct Suite {
    name: String,
    /// Without a zone, as the schemas want it.
    timestamp: String,
    properties: Vec<(String, String)>,
    cases: Vec<Case>,
    /// What does not decide a case.
    notes: Vec<String>,
}

/// The report on a build as `JUnit` XML.
///
/// A build that is not reproducible has a case that failed, and one that failed to build one with
/// an error; where nothing was compared, all cases are skipped.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut suite = Suite {
        name: report.image.name.clone().unwrap_or_else(|| "image".into()),
        timestamp: started(report),
        properties: properties(report),
        cases: steps(report),
        notes: Vec::new(),
    };
    suite.cases.push(document(report));
    suite.notes.push(words::hermetic(&report.hermetic));
    for row in report
        .differences
        .iter()
        .filter(|row| !decides(report, row))
        .take(ROWS)
    {
        suite.notes.push(format!(
            "differs without reaching the image: {}",
            described(report.into(), row)
        ));
    }
    for finding in report.findings.iter().take(ROWS) {
        suite
            .notes
            .push(format!("{} ({})", finding.message, finding.code));
    }
    suite.xml()
}

/// The report on a pair as `JUnit` XML: one case a layer, and one for the configuration.
#[must_use]
pub fn pair_junit(report: &PairReport) -> String {
    let sheet = Sheet::from(report);
    let mut cases: Vec<Case> = (0..report.ratio.layers)
        .map(|layer| {
            let of = |row: &&Difference| row.layer.map(u64::from) == Some(layer);
            let rows: Vec<&Difference> = report.differences.iter().filter(of).collect();
            Case {
                name: format!("layer {layer}"),
                milliseconds: 0,
                ending: differing(sheet, &rows),
            }
        })
        .collect();
    let none = |row: &&Difference| row.layer.is_none();
    let rows: Vec<&Difference> = report.differences.iter().filter(none).collect();
    cases.push(Case {
        name: "manifest and configuration".into(),
        milliseconds: 0,
        ending: differing(sheet, &rows),
    });
    let failed = |case: &Case| matches!(case.ending, Ending::Failed { .. });
    // Differences beyond the list have no layer that is known.
    if report.verdict == Equality::Different && !cases.iter().any(failed) {
        cases.push(Case {
            name: "everything".into(),
            milliseconds: 0,
            ending: Ending::Failed {
                why: "different".into(),
                text: words::ratio(report.ratio),
            },
        });
    }
    let suite = Suite {
        name: format!("{} and {}", report.a, report.b),
        // Of a comparison nobody noted the time, and the same two images give the same report.
        timestamp: "1970-01-01T00:00:00".into(),
        properties: Vec::new(),
        cases,
        notes: vec![words::ratio(report.ratio)],
    };
    suite.xml()
}

fn steps(report: &Report) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut indices: Vec<u32> = Vec::new();
    for run in &report.runs {
        indices.extend(run.steps.iter().map(|step| step.index));
        indices.extend(run.failure.iter().map(|failure| failure.index));
    }
    indices.sort_unstable();
    indices.dedup();
    for index in indices {
        let step = |id| {
            let run = report.run(id)?;
            run.steps.iter().find(|step| step.index == index)
        };
        let (a, b) = (step(RunId::A), step(RunId::B));
        let failed = [RunId::A, RunId::B].into_iter().filter_map(|id| {
            let failure = report.run(id)?.failure.as_ref()?;
            failure.wall_ms.filter(|_| failure.index == index)
        });
        let times = [a, b].into_iter().flatten().map(|step| step.wall_ms);
        let times = times.chain(failed);
        let instruction = report.instruction(index).unwrap_or_default();
        let line = words::line(report, index).unwrap_or(1);
        let position = words::position(report, line);
        cases.push(Case {
            name: format!("{position} {}", as_written(instruction)),
            milliseconds: times.fold(0, u64::saturating_add),
            ending: step_ending(report, index),
        });
    }
    cases
}

fn step_ending(report: &Report, index: u32) -> Ending {
    let failed = report.runs.iter().find_map(|run| {
        let failure = run.failure.as_ref()?;
        (failure.index == index).then_some((run.id, failure))
    });
    if let Some((run, failure)) = failed {
        let why = format!("run {run} failed");
        let text = failure.message.clone();
        return match report.verdict {
            Verdict::NotReproducible => Ending::Failed { why, text },
            _ => Ending::Error { why, text },
        };
    }
    let diff_id = |id| {
        let run = report.run(id)?;
        let step = run.steps.iter().find(|step| step.index == index)?;
        Some(step.diff_id)
    };
    match (report.verdict, diff_id(RunId::A), diff_id(RunId::B)) {
        (Verdict::Inconclusive, ..) => Ending::Skipped(words::reason(report.reason)),
        (_, Some(a), Some(b)) if a == b => Ending::Passed,
        (_, Some(_), Some(_)) if report.verdict == Verdict::Reproducible => Ending::Passed,
        (_, Some(_), Some(_)) => {
            let of = |row: &&Difference| row.step == Some(index);
            let rows: Vec<&Difference> = report.differences.iter().filter(of).collect();
            match differing(report.into(), &rows) {
                // Rows beyond the list.
                Ending::Passed => Ending::Failed {
                    why: "the layers differ".into(),
                    text: String::new(),
                },
                ending => ending,
            }
        }
        _ => Ending::Skipped("one of the runs did not come to this step"),
    }
}

/// The case of what no step made: base layers, manifest and configuration.
fn document(report: &Report) -> Case {
    let digest = |id| report.run(id).and_then(|run| run.manifest_digest);
    let (a, b) = (digest(RunId::A), digest(RunId::B));
    let none = |row: &&Difference| row.step.is_none();
    let rows: Vec<&Difference> = report.differences.iter().filter(none).collect();
    let ending = match (report.verdict, a, b) {
        (Verdict::Inconclusive | Verdict::BuildFailed, ..) | (_, None, _) | (_, _, None) => {
            Ending::Skipped(words::reason(report.reason))
        }
        (Verdict::Reproducible, ..) => Ending::Passed,
        (Verdict::NotReproducible, Some(a), Some(b)) => match differing(report.into(), &rows) {
            Ending::Passed => Ending::Failed {
                why: "the images have different digests".into(),
                text: format!("run a: {a}\nrun b: {b}"),
            },
            ending => ending,
        },
    };
    Case {
        name: "image".into(),
        milliseconds: 0,
        ending,
    }
}

/// Whether a row is one of a case that failed.
fn decides(report: &Report, row: &Difference) -> bool {
    report.verdict != Verdict::Reproducible || row.in_image()
}

fn differing(sheet: Sheet<'_>, rows: &[&Difference]) -> Ending {
    if rows.is_empty() {
        return Ending::Passed;
    }
    let mut causes: Vec<_> = rows.iter().map(|row| row.cause).collect();
    causes.sort_unstable();
    causes.dedup();
    let codes: Vec<&str> = causes.iter().map(|cause| cause.code()).collect();
    let mut lines: Vec<String> = Vec::new();
    for row in rows.iter().take(ROWS) {
        lines.push(described(sheet, row));
        if let Some(evidence) = &row.evidence {
            lines.push(format!("  a  {}", evidence.a));
            lines.push(format!("  b  {}", evidence.b));
        }
    }
    let more = rows.len().saturating_sub(ROWS);
    if more > 0 {
        let more = counted(more as u64, "more difference", "more differences");
        lines.push(format!("{more}, all in the report as JSON"));
    }
    for cause in causes {
        let info = cause.info();
        lines.push(format!("{cause}: {}", info.title));
        lines.push(format!("  fix: {}", info.remedy));
    }
    Ending::Failed {
        why: codes.join(", "),
        text: lines.join("\n"),
    }
}

fn described(sheet: Sheet<'_>, row: &Difference) -> String {
    let (place, path) = (sheet.place(row), words::path_inside(row));
    let (kind, cause, confidence) = (row.kind, row.cause, row.confidence);
    format!("{place}: {path}: {kind}: {cause} ({confidence})")
}

fn properties(report: &Report) -> Vec<(String, String)> {
    let mut properties = vec![
        ("verdict".into(), report.verdict.words().into()),
        ("platform".into(), report.image.platform.to_string()),
    ];
    if let Some(digest) = report.image.manifest_digest {
        properties.push(("manifest".into(), digest.to_string()));
    }
    for (axis, values) in &report.axes.varied {
        properties.push((format!("axis.{axis}.a"), values.a.clone()));
        properties.push((format!("axis.{axis}.b"), values.b.clone()));
    }
    properties
}

/// When the first run began, without its zone: UTC.
fn started(report: &Report) -> String {
    let started = report.runs.first().map(|run| run.started_on.as_str());
    let started = started.unwrap_or("1970-01-01T00:00:00Z");
    started
        .split(['Z', '.', '+'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl Suite {
    fn xml(&self) -> String {
        let count = |wanted: fn(&Ending) -> bool| {
            self.cases
                .iter()
                .filter(|case| wanted(&case.ending))
                .count()
        };
        let time = self.cases.iter().map(|case| case.milliseconds);
        let notes: Vec<String> = self.notes.iter().map(|note| lines(note)).collect();
        let page = template! {
            (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
            testsuites {
                testsuite name=(name(&self.name)) package="repro" id="0" hostname="localhost"
                    timestamp=(self.timestamp) tests=(self.cases.len())
                    failures=(count(|ending| matches!(ending, Ending::Failed { .. })))
                    errors=(count(|ending| matches!(ending, Ending::Error { .. })))
                    skipped=(count(|ending| matches!(ending, Ending::Skipped(_))))
                    time=(decimal(time.fold(0, u64::saturating_add))) {
                    properties {
                        @for (key, value) in &self.properties {
                            property name=(name(key)) value=(name(value)) {}
                        }
                    }
                    @for case in &self.cases { (self.case(case)) }
                    system-out { (notes.join("\n")) }
                    system-err {}
                }
            }
            "\n"
        };
        page.into_string()
    }

    fn case(&self, case: &Case) -> Markup {
        template! {
            testcase name=(name(&case.name)) classname=(name(&self.name))
                time=(decimal(case.milliseconds)) {
                @match &case.ending {
                    Ending::Passed => {}
                    Ending::Failed { why, text } => {
                        failure type="not-reproducible" message=(name(why)) { (lines(text)) }
                    }
                    Ending::Error { why, text } => {
                        error type="build-failed" message=(name(why)) { (lines(text)) }
                    }
                    Ending::Skipped(why) => { skipped message=(why) {} }
                }
            }
        }
    }
}

/// Text of an attribute: one line.
fn name(text: &str) -> String {
    shortened(&printable(text), NAME).into_owned()
}

/// Text of an element, with its own line ends and nobody else's.
fn lines(text: &str) -> String {
    let lines = text
        .split('\n')
        .map(|line| shortened(&printable(line), LINE).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Milliseconds as seconds.
fn decimal(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}
