//! `repro explain`

use std::str::FromStr;

use repro_core::build::Axis;
use repro_verifier::{
    axes,
    causes::{Cause, UnknownCause},
    render,
};
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

impl FromStr for Subject {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        match text.parse() {
            Ok(axis) => Ok(Self::Axis(axis)),
            Err(_) => text.parse().map(Self::Cause),
        }
    }
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
