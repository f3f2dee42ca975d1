//! The reports as SARIF 2.1.0 (OASIS), for code scanning. Of a build: one result for each cause
//! and line of the Dockerfile. Of a pair: one for each cause, at the files.

use std::{collections::BTreeMap, fmt::Write as _};

use repro_core::json::{CanonicalError, canonical};
use serde_json::{Value, json};

use super::{
    escape::{printable, shortened},
    sheet::Sheet,
    words,
};
use crate::{
    causes::{Cause, explain},
    compare::Difference,
    predicate::reproducibility::Verdict,
    report::{CauseSummary, PairReport, Report},
};

/// Paths named in one message, and places of one result.
const PATHS: usize = 10;
/// Longest path in a message, in columns.
const LONGEST: usize = 160;
/// Longest path of a place, in bytes before it is encoded: what Linux allows.
const PLACE: usize = 4096;

/// The report on a build as SARIF, canonical JSON.
///
/// `dockerfile` is where it lies for who reads this, a path with `/`: code scanning looks for it below
/// the top of a checkout, and the report has its name in the context.
///
/// Steps that differ without reaching the image of a reproducible build are notes; causes of a
/// build that is not reproducible are errors. A build that failed has no results: nothing was compared.
pub fn sarif(report: &Report, dockerfile: &str) -> Result<Vec<u8>, CanonicalError> {
    let level = match report.verdict {
        Verdict::Reproducible => "note",
        _ => "error",
    };
    let results = report.causes.iter().flat_map(|cause| {
        let level = if cause.primary { level } else { "note" };
        by_line(report, cause)
            .into_iter()
            .map(move |(line, paths)| {
                let place = physical(dockerfile, Some(line.unwrap_or(1)));
                result(cause, level, &paths, &[place])
            })
    });
    log(&results.collect::<Vec<_>>())
}

/// The report on a pair as SARIF, canonical JSON.
pub fn pair_sarif(report: &PairReport) -> Result<Vec<u8>, CanonicalError> {
    let sheet = Sheet::from(report);
    let results = report.causes.iter().map(|cause| {
        let rows = report
            .differences
            .iter()
            .filter(|row| row.cause == cause.code);
        let mut named: Vec<&Difference> = Vec::new();
        for row in rows {
            if named.len() > PATHS {
                break;
            }
            if !named.iter().any(|known| known.path == row.path) {
                named.push(row);
            }
        }
        let paths: Vec<&str> = named.iter().map(|row| words::path(row)).collect();
        let places: Vec<Value> = named
            .iter()
            .take(PATHS)
            .map(|row| {
                let path = if row.path.is_empty() { "." } else { &row.path };
                let mut place = physical(path, None);
                let whole = format!("{}: {}", sheet.place(row), words::path_inside(row));
                place["logicalLocations"] =
                    json!([{"fullyQualifiedName": shortened(&printable(&whole), LONGEST)}]);
                place
            })
            .collect();
        let level = if cause.primary { "error" } else { "note" };
        result(cause, level, &paths, &places)
    });
    log(&results.collect::<Vec<_>>())
}

fn log(results: &[Value]) -> Result<Vec<u8>, CanonicalError> {
    document(&Cause::ALL.map(rule), results)
}

/// A log of one run of this program, canonical JSON.
pub(crate) fn document(rules: &[Value], results: &[Value]) -> Result<Vec<u8>, CanonicalError> {
    canonical(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "repro",
                "informationUri": crate::uris::BASE,
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

/// The text of a message: brackets make links there, and a backslash escapes them (section 3.11.6).
pub(crate) fn message(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('[', "\\[")
        .replace(']', "\\]")
}

fn rule(cause: Cause) -> Value {
    let info = cause.info();
    let mut markdown = format!("{}\n\n**What to do:** {}\n", info.meaning, info.remedy);
    for link in info.links {
        write!(markdown, "\n- <{link}>").expect("a String takes every write");
    }
    let mut rule = json!({
        "id": cause.code(),
        "name": pascal(cause.code()),
        "shortDescription": {"text": info.title},
        "fullDescription": {"text": info.meaning},
        "help": {"text": explain(cause), "markdown": markdown},
        "properties": {"tags": ["reproducibility"]},
    });
    if let Some(link) = info.links.first() {
        rule["helpUri"] = json!(link);
    }
    rule
}

/// `embedded-timestamp` as `EmbeddedTimestamp`, as names of rules are written.
fn pascal(code: &str) -> String {
    code.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect()
}

/// The paths of a cause by the line of the Dockerfile that they come from.
fn by_line<'a>(report: &'a Report, cause: &CauseSummary) -> BTreeMap<Option<u32>, Vec<&'a str>> {
    let mut by_line: BTreeMap<Option<u32>, Vec<&str>> = BTreeMap::new();
    for step in &cause.steps {
        by_line.entry(words::line(report, *step)).or_default();
    }
    let rows = report.differences.iter();
    for row in rows.filter(|row| row.cause == cause.code) {
        let line = row.step.and_then(|step| words::line(report, step));
        let paths = by_line.entry(line).or_default();
        if paths.len() <= PATHS && !paths.contains(&words::path(row)) {
            paths.push(words::path(row));
        }
    }
    by_line
}

fn result(cause: &CauseSummary, level: &str, paths: &[&str], places: &[Value]) -> Value {
    let info = cause.code.info();
    let named: Vec<String> = paths
        .iter()
        .take(PATHS)
        .map(|path| shortened(&printable(path), LONGEST).into_owned())
        .collect();
    let more = if paths.len() > PATHS {
        ", and more"
    } else {
        ""
    };
    let title = format!("{} ({})", info.title, cause.confidence);
    let text = if named.is_empty() {
        format!("{title}. {}", cause.advice())
    } else {
        format!("{title}: {}{more}. {}", named.join(", "), cause.advice())
    };
    json!({
        "ruleId": cause.code.code(),
        "ruleIndex": Cause::ALL.iter().position(|known| *known == cause.code),
        "level": level,
        "message": {"text": message(&text)},
        "locations": places,
    })
}

fn physical(path: &str, line: Option<u32>) -> Value {
    let mut place = json!({"artifactLocation": {"uri": uri(path)}});
    if let Some(line) = line {
        place["region"] = json!({"startLine": line});
    }
    json!({"physicalLocation": place})
}

/// A relative URI reference (RFC 3986) from a path.
fn uri(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes().take(PLACE) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            other => write!(uri, "%{other:02X}").expect("a String takes every write"),
        }
    }
    uri
}
