//! `repro doctor`

use std::path::Path;

use repro_core::store::Store;
use repro_sandbox::doctor::{self, Finding};
use repro_toolchains::fetch::machine_mirrors;
use serde::Serialize;
use serde_json::json;

use super::Context;
use crate::{
    ambient::{self, SystemClock},
    args::JsonArgs,
    engine::APT,
    error::{CommandError, io_kind},
    exit::ExitStatus,
    output::{Format, Meaning},
    text,
};

/// Free bytes below which a first build is likely to fill the disk: a C toolchain takes about
/// half a gigabyte as packages, blobs and snapshot together, and two runs write beside it.
const DISK: u64 = 2 << 30;

/// Say what this machine lacks for builds, and what to do about it
///
/// Tries everything that a step needs, in the store. Exit 5 if something needed is missing.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(after_help = "Example:\n  repro doctor")]
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
    /// Builds work, with a limit.
    Limited,
    /// Builds do not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    next_steps: Vec<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            detail: detail.into(),
            next_steps: Vec::new(),
        }
    }

    fn limited(name: &'static str, detail: impl Into<String>, next: &str) -> Self {
        let next_steps = vec![next.to_owned()];
        Self {
            name,
            status: Status::Limited,
            detail: detail.into(),
            next_steps,
        }
    }

    fn missing(name: &'static str, error: &CommandError) -> Self {
        Self {
            name,
            status: Status::Missing,
            detail: error.to_string(),
            next_steps: error.hints().to_vec(),
        }
    }
}

pub(crate) fn run(context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let checks = checks(context);
    let missing = checks.iter().any(|check| check.status == Status::Missing);
    match output.format() {
        Format::Json => output.json("cli/doctor/v1", &json!({"checks": checks}))?,
        Format::Text => output.text(&readable(&checks))?,
    }
    Ok(if missing {
        ExitStatus::Machine
    } else {
        ExitStatus::Done
    })
}

fn checks(context: &Context) -> Vec<Check> {
    let mut checks: Vec<Check> = doctor::machine().into_iter().map(Check::from).collect();
    let is_machine_fit = checks.iter().all(|check| check.status == Status::Ok);
    checks.push(mirrors());
    match context.open_store() {
        Ok(store) => {
            checks.push(Check::ok("store", store.root().display().to_string()));
            checks.push(disk(store.root()));
            // On an unfit machine, a step would fail of what is listed already.
            if is_machine_fit {
                checks.push(sandbox(&store));
            }
        }
        Err(error) => checks.push(Check::missing("store", &error)),
    }
    checks
}

impl From<doctor::Check> for Check {
    fn from(check: doctor::Check) -> Self {
        match check.finding {
            Finding::Good(detail) => Self::ok(check.name, detail),
            Finding::Lacking { what, next_step } => Self {
                name: check.name,
                status: Status::Missing,
                detail: what,
                next_steps: vec![next_step],
            },
        }
    }
}

/// Steps, run in the store. Under a name and a lock of their own, as those of a build: if this
/// process is killed, the next build knows what to sweep.
fn sandbox(store: &Store) -> Check {
    let probe = || -> Result<Check, CommandError> {
        let invocation = ambient::invocation_id(&SystemClock)?;
        let scratch = store.create_run(&invocation)?;
        let check = doctor::step(store.root(), &invocation);
        scratch.remove()?;
        Ok(check.into())
    };
    probe().unwrap_or_else(|error| Check::missing("sandbox", &error))
}

fn disk(root: &Path) -> Check {
    match rustix::fs::statvfs(root) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let detail = format!("{} free", text::bytes(free));
            if free < DISK {
                let next = format!(
                    "free up to {}, or move the store: --store DIR; `repro store gc` removes what \
                     nothing needs",
                    text::bytes(DISK)
                );
                Check::limited("disk", detail, &next)
            } else {
                Check::ok("disk", detail)
            }
        }
        Err(errno) => {
            let error = std::io::Error::from(errno);
            Check::missing("disk", &CommandError::new(io_kind(&error), &error))
        }
    }
}

/// Where packages of toolchains would come from.
fn mirrors() -> Check {
    match machine_mirrors(Path::new(APT)) {
        Ok(mirrors) if !mirrors.is_empty() => {
            let count = text::plural(mirrors.len() as u64, "mirror");
            Check::ok(
                "packages",
                format!("{count} in the machine's package sources"),
            )
        }
        Ok(_) => Check::limited(
            "packages",
            "the machine's package sources name no mirror: only the snapshot archive is asked",
            "name one: --mirror URL, or REPRO_MIRROR",
        ),
        Err(error) => Check::limited(
            "packages",
            error.to_string(),
            "name one: --mirror URL, or REPRO_MIRROR",
        ),
    }
}

fn readable(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in checks {
        let (mark, meaning) = match check.status {
            Status::Ok => ("ok", Meaning::Good),
            Status::Limited => ("limited", Meaning::Warning),
            Status::Missing => ("MISSING", Meaning::Bad),
        };
        let mark = meaning.paint(format!("{mark:<7}"));
        let detail = text::one_line(&check.detail).into_owned();
        lines.push(format!("{mark}  {:<width$}  {detail}", check.name));
        for next in &check.next_steps {
            lines.push(format!(
                "{:9}{:width$}  -> {}",
                "",
                "",
                text::one_line(next)
            ));
        }
    }
    lines.join("\n")
}
