//! `repro explain`

use std::str::FromStr;

use repro_core::build::Axis;
use repro_verifier::{axes, causes::Cause, render};
use serde::Serialize;

use super::Context;
use crate::{args::JsonArgs, error::CommandError, exit::ExitStatus, output::Format};

/// Explain a cause of a difference, or an axis of variation: what it means, how it is recognised, what
/// to do
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repro explain embedded-timestamp\n  repro explain kernel-name\n  repro explain --list"
)]
pub(crate) struct Args {
    /// The code of the cause, or the name of the axis, as in the report; lists all causes and axes
    /// unless given
    #[arg(value_name = "CAUSE|AXIS")]
    cause: Option<Subject>,
    /// List all causes and axes
    #[arg(long, conflicts_with = "cause")]
    list: bool,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// What is explained.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Cause(Cause),
    Axis(Axis),
}

/// A text that names neither a cause nor an axis.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cause and no axis has this name{}; `repro explain --list` shows all", meant(.near))]
struct UnknownSubject {
    /// The names that it is nearest to.
    near: Vec<&'static str>,
}

fn meant(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// Most names that are offered in place of an unknown one.
const OFFERED: usize = 3;
/// Longest text that is compared with all names: no name is half as long.
const MAX_COMPARED: usize = 80;

impl FromStr for Subject {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Self, UnknownSubject> {
        if let Ok(axis) = text.parse() {
            return Ok(Self::Axis(axis));
        }
        let unknown = |_| UnknownSubject { near: near(text) };
        text.parse().map(Self::Cause).map_err(unknown)
    }
}

/// The names that `text` may stand for: those that differ by two slips at most, or else those that
/// begin with it, or else those that hold it.
fn near(text: &str) -> Vec<&'static str> {
    if text.is_empty() || text.len() > MAX_COMPARED {
        return Vec::new();
    }
    let text = text.to_ascii_lowercase().replace('_', "-");
    let names = || {
        let causes = Cause::ALL.map(Cause::code).into_iter();
        causes.chain(Axis::VARIED.map(Axis::name))
    };
    let slips = |name: &str| strsim::damerau_levenshtein(&text, name);
    let alike = names().filter(|name| slips(name) <= 2);
    if let Some(name) = alike.min_by_key(|name| slips(name)) {
        return vec![name];
    }
    let mut found: Vec<_> = names().filter(|name| name.starts_with(&text)).collect();
    if found.is_empty() {
        found = names().filter(|name| name.contains(&text)).collect();
    }
    found.truncate(OFFERED);
    found
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    causes: Vec<Entry>,
    axes: Vec<AxisEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AxisEntry {
    name: &'static str,
    title: &'static str,
    how: &'static str,
    limits: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    code: &'static str,
    title: &'static str,
    meaning: &'static str,
    detection: &'static str,
    remedy: &'static str,
    axis: Option<&'static str>,
    links: &'static [&'static str],
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let (causes, variation): (Vec<Cause>, Vec<Axis>) = match args.cause {
        Some(Subject::Cause(cause)) => (vec![cause], Vec::new()),
        Some(Subject::Axis(axis)) => (Vec::new(), vec![axis]),
        None => (Cause::ALL.to_vec(), Axis::VARIED.to_vec()),
    };
    match (output.format(), args.cause) {
        (Format::Json, _) => {
            let document = Document {
                causes: causes.into_iter().map(entry).collect(),
                axes: variation.into_iter().map(axis_entry).collect(),
            };
            output.json("cli/explain/v1", &document)?;
        }
        (Format::Text, Some(Subject::Cause(cause))) => {
            output.report(&render::cause_text(cause, output.width()))?;
        }
        (Format::Text, Some(Subject::Axis(axis))) => {
            output.report(&render::axis_text(axis, output.width()))?;
        }
        (Format::Text, None) => output.report(&render::list_text(output.width()))?,
    }
    Ok(ExitStatus::Done)
}

fn entry(cause: Cause) -> Entry {
    let info = cause.info();
    Entry {
        code: cause.code(),
        title: info.title,
        meaning: info.meaning,
        detection: info.detection,
        remedy: info.remedy,
        axis: info.axis.map(repro_core::build::Axis::name),
        links: info.links,
    }
}

fn axis_entry(axis: Axis) -> AxisEntry {
    let info = axes::info(axis);
    AxisEntry {
        name: axis.name(),
        title: info.title,
        how: info.how,
        limits: info.limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_those_it_may_stand_for() {
        let said = |text: &str| text.parse::<Subject>().unwrap_err().to_string();
        for (text, meant) in [
            ("EMBEDDED-TIMESTAMP", "did you mean embedded-timestamp?"),
            ("embeded_timestmp", "did you mean embedded-timestamp?"),
            ("kernelname", "did you mean kernel-name?"),
            (
                "hardlink",
                "did you mean hardlink-layout or hardlink-broken?",
            ),
            ("timestamp", "did you mean embedded-timestamp?"),
        ] {
            assert!(said(text).contains(meant), "{}", said(text));
        }
        for text in ["", "nosuch", &"x".repeat(100_000)] {
            let said = said(text);
            assert!(!said.contains("did you mean"), "{said}");
            assert!(said.contains("repro explain --list"), "{said}");
        }
        assert!(said("embedded").len() < 200, "{}", said("embedded"));
    }
}
