//! `repro doctor`

mod engines;
mod machine;
mod page;

use serde::Serialize;
use serde_json::json;

use self::{engines::Engines, machine::Machine};
use super::Context;
use crate::{args::JsonArgs, error::CommandError, exit::ExitStatus, output::Format};

/// Say what this machine lacks for builds, and what to do about it
///
/// Runs a step in the store, and asks the container engines that are there. Exit 5 if no step can run,
/// neither in the sandbox of this machine nor in an engine.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(after_help = "\
Examples:
  repro doctor
  repro doctor --json | jq .builds")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// As needed.
    Ok,
    /// It works, with a limit.
    Warn,
    /// What needs it does not work.
    Missing,
    /// Not there, and nothing needs it.
    Absent,
}

/// What needs what was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Group {
    /// The sandbox of this machine.
    Native,
    /// Container engines.
    Engines,
    /// Every build.
    All,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    group: Group,
    name: &'static str,
    status: Status,
    detail: String,
    /// More of the same, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    next_steps: Vec<String>,
}

impl Check {
    fn new(group: Group, name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self {
            group,
            name,
            status,
            detail: detail.into(),
            notes: Vec::new(),
            next_steps: Vec::new(),
        }
    }

    fn missing(group: Group, name: &'static str, error: &CommandError) -> Self {
        let next_steps = error.hints().to_vec();
        Self::new(group, name, Status::Missing, error.to_string()).next(next_steps)
    }

    fn next<T: Into<String>>(mut self, steps: impl IntoIterator<Item = T>) -> Self {
        self.next_steps.extend(steps.into_iter().map(Into::into));
        self
    }
}

/// Where builds can run their steps.
#[derive(Debug, Clone, Copy, Serialize)]
struct Builds {
    native: bool,
    docker: bool,
    podman: bool,
}

impl Builds {
    fn names(self) -> Vec<&'static str> {
        let all = [
            (self.native, "native"),
            (self.docker, "docker"),
            (self.podman, "podman"),
        ];
        all.into_iter()
            .filter_map(|(can, name)| can.then_some(name))
            .collect()
    }
}

pub(crate) fn run(context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let machine = Machine::look(context);
    let engines = Engines::look(machine.is_fit());
    let has_store = machine.has_store();
    let builds = Builds {
        native: machine.is_fit() && has_store,
        docker: engines.docker() && has_store,
        podman: engines.podman() && has_store,
    };
    let checks: Vec<&Check> = machine
        .native
        .iter()
        .chain(&engines.checks)
        .chain(&machine.all)
        .collect();
    match output.format() {
        Format::Json => output.json(
            "cli/doctor/v1",
            &json!({"builds": builds, "checks": checks, "engines": engines.found}),
        )?,
        Format::Text => output.text(&page::text(&checks, builds, output.width()))?,
    }
    Ok(if builds.names().is_empty() {
        ExitStatus::Machine
    } else {
        ExitStatus::Done
    })
}
