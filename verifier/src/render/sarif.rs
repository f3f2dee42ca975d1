//! The report as SARIF 2.1.0 (OASIS), for code scanning: one result for each cause and step,
//! with the line of the Dockerfile as its place.

use std::{collections::BTreeMap, fmt::Write as _};

use repro_core::json::{CanonicalError, canonical};
use serde_json::{Value, json};

use super::{
    escape::{printable, shortened},
    words,
};
use crate::{
    causes::{Cause, explain},
    predicate::reproducibility::Verdict,
    report::{CauseSummary, Report},
};

/// Paths named in one message.
const PATHS: usize = 10;
/// Longest path in a message, in characters.
const LONGEST: usize = 160;

/// The report as SARIF, canonical JSON.
///
/// Steps that differ without reaching the image of a reproducible build are notes; causes of a
/// build that is not reproducible are errors.
pub fn sarif(report: &Report) -> Result<Vec<u8>, CanonicalError> {
    let results: Vec<Value> = report
        .causes
        .iter()
        .flat_map(|cause| results(report, cause))
        .collect();
    canonical(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "repro",
                "informationUri": crate::uris::BASE,
                "rules": Cause::ALL.map(rule).to_vec(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn rule(cause: Cause) -> Value {
    let info = cause.info();
    json!({
        "id": cause.code(),
        "shortDescription": {"text": info.title},
        "fullDescription": {"text": info.meaning},
        "help": {"text": explain(cause)},
    })
}

fn results(report: &Report, cause: &CauseSummary) -> Vec<Value> {
    let mut by_line: BTreeMap<Option<u32>, Vec<&str>> = BTreeMap::new();
    for step in &cause.steps {
        let failed = || {
            let mut failures = report.runs.iter().filter_map(|run| run.failure.as_ref());
            failures.find(|failure| failure.index == *step)
        };
        let line = report.step(*step).map(|step| step.line);
        by_line
            .entry(line.or_else(|| failed().map(|failure| failure.line)))
            .or_default();
    }
    for row in report
        .differences
        .iter()
        .filter(|row| row.cause == cause.code)
    {
        let step = row.step.and_then(|step| report.step(step));
        let paths = by_line.entry(step.map(|step| step.line)).or_default();
        if !paths.contains(&words::path(row)) && paths.len() <= PATHS {
            paths.push(words::path(row));
        }
    }
    by_line
        .into_iter()
        .map(|(line, paths)| result(report, cause, line, &paths))
        .collect()
}

fn result(report: &Report, cause: &CauseSummary, line: Option<u32>, paths: &[&str]) -> Value {
    let info = cause.code.info();
    let level = match report.verdict {
        Verdict::Reproducible => "note",
        _ if cause.primary => "error",
        _ => "note",
    };
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
        format!("{title}. {}", info.remedy)
    } else {
        format!("{title}: {}{more}. {}", named.join(", "), info.remedy)
    };
    // In a message, brackets make links and a backslash escapes them (section 3.11.6).
    let text = text
        .replace('\\', "\\\\")
        .replace('[', "\\[")
        .replace(']', "\\]");
    json!({
        "ruleId": cause.code.code(),
        "ruleIndex": Cause::ALL.iter().position(|known| *known == cause.code),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&report.dockerfile)},
            "region": {"startLine": line.unwrap_or(1)},
        }}],
    })
}

/// A relative URI reference (RFC 3986) from a path.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            other => write!(uri, "%{other:02X}").expect("a String takes every write"),
        }
    }
    uri
}
