//! `--call` and `--check`: looks at the Dockerfile and builds nothing.

use std::{fmt::Write as _, str::FromStr};

use repro_builder::dockerfile::{self, Rule};
use repro_core::build::{BuildRequest, Finding};
use serde::Serialize;

use crate::{
    error::CommandError,
    exit::ExitStatus,
    output::{Format, Output},
    text,
};

/// `--call`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    format: Option<Format>,
}

/// What is done with a Dockerfile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// It is built.
    #[default]
    Build,
    /// It is held to the rules.
    Check,
    /// Its stages are listed.
    Targets,
}

/// A text that is no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Another method.
    #[error("{0:?} is not a method; there are build, check and targets")]
    Method(String),
    /// Something else behind it.
    #[error("{0:?} is not an option of a method; there are format=text and format=json")]
    Option(String),
}

impl Call {
    /// `--check`.
    pub(crate) const CHECK: Self = Self {
        method: Method::Check,
        format: None,
    };

    /// What standard output is written in.
    pub(crate) fn format(self, otherwise: Format) -> Format {
        self.format.unwrap_or(otherwise)
    }
}

impl FromStr for Call {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        let mut words = text.split(',');
        let method = match words.next().unwrap_or_default() {
            "build" => Method::Build,
            "check" | "lint" => Method::Check,
            "targets" => Method::Targets,
            other => return Err(CallError::Method(other.to_owned())),
        };
        let mut format = None;
        for word in words {
            format = match word {
                "format=text" => Some(Format::Text),
                "format=json" => Some(Format::Json),
                other => return Err(CallError::Option(other.to_owned())),
            };
        }
        Ok(Self { method, format })
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    dockerfile: &'a str,
    findings: &'a [Finding],
}

/// Says which rules a Dockerfile breaks. Rules that are broken are wrong usage to a CI that asks.
pub(crate) fn say_findings(
    output: &Output,
    format: Format,
    request: &BuildRequest,
    findings: &[Finding],
) -> Result<ExitStatus, CommandError> {
    let name = &request.dockerfile.name;
    match format {
        Format::Json => output.json(
            "cli/check/v1",
            &Checked {
                dockerfile: name,
                findings,
            },
        )?,
        Format::Text => {
            let mut page = String::new();
            for finding in findings {
                let line = finding
                    .line
                    .map_or_else(String::new, |line| format!(":{line}"));
                let rule = Rule::of_code(&finding.code);
                let code = rule.map_or(finding.code.as_str(), |rule| rule.name());
                let message = text::one_line(&finding.message);
                push(&mut page, &format!("{name}{line}: {message} ({code})"));
            }
            let count = text::plural(findings.len() as u64, "finding");
            push(&mut page, &count);
            output.text(&page)?;
        }
    }
    Ok(if findings.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Usage
    })
}

#[derive(Serialize)]
struct Targets<'a> {
    dockerfile: &'a str,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    index: usize,
    base: &'a str,
    line: u32,
    default: bool,
}

/// Lists the stages.
pub(crate) fn say_targets(
    output: &Output,
    format: Format,
    request: &BuildRequest,
) -> Result<ExitStatus, CommandError> {
    let file = dockerfile::parse(&request.dockerfile.name, &request.dockerfile.text)?;
    let last = file.stages.len() - 1;
    let stages = file.stages.iter().enumerate();
    let targets: Vec<Target<'_>> = stages
        .map(|(index, stage)| Target {
            name: stage.from.kind.name.as_deref(),
            index,
            base: stage.from.kind.image.raw(),
            line: stage.from.line,
            default: index == last,
        })
        .collect();
    match format {
        Format::Json => output.json(
            "cli/targets/v1",
            &Targets {
                dockerfile: &request.dockerfile.name,
                targets,
            },
        )?,
        Format::Text => {
            let mut page = String::new();
            for target in &targets {
                let index = target.index.to_string();
                let name = target.name.unwrap_or(&index);
                let default = if target.default { "  (default)" } else { "" };
                let line = format!("{name:<20} FROM {}{default}", target.base);
                push(&mut page, &text::one_line(&line));
            }
            output.text(&page)?;
        }
    }
    Ok(ExitStatus::Done)
}

fn push(page: &mut String, line: &str) {
    let written = writeln!(page, "{line}");
    debug_assert!(written.is_ok(), "a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_spelt_as_in_docker() {
        let call = |method, format| Ok(Call { method, format });
        assert_eq!("build".parse(), call(Method::Build, None));
        assert_eq!("check".parse(), call(Method::Check, None));
        assert_eq!(
            "targets,format=json".parse(),
            call(Method::Targets, Some(Format::Json))
        );
        assert_eq!(
            "outline".parse::<Call>(),
            Err(CallError::Method("outline".into()))
        );
        assert_eq!(
            "check,format=xml".parse::<Call>(),
            Err(CallError::Option("format=xml".into()))
        );
    }
}
