//! `repro explain`

use repro_verifier::{causes::Cause, render};
use serde::Serialize;

use super::Context;
use crate::{args::JsonArgs, error::CommandError, exit::ExitStatus, output::Format};

/// Explain a cause of a difference: what it means, how it is recognised, what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  repro explain embedded-timestamp\n  repro explain --list")]
pub(crate) struct Args {
    /// The code of the cause, as in the report; lists all causes unless given
    cause: Option<Cause>,
    /// List all causes
    #[arg(long, conflicts_with = "cause")]
    list: bool,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    causes: Vec<Entry>,
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
    let causes: Vec<Cause> = match args.cause {
        Some(cause) if !args.list => vec![cause],
        _ => Cause::ALL.to_vec(),
    };
    match (output.format(), args.cause) {
        (Format::Json, _) => {
            let causes = causes.into_iter().map(entry).collect();
            output.json("cli/explain/v1", &Document { causes })?;
        }
        (Format::Text, Some(cause)) => {
            output.report(&render::cause_text(cause, output.width()))?;
        }
        (Format::Text, None) => output.report(&render::causes_text(output.width()))?,
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
