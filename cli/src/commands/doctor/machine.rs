//! The machine itself: its sandbox, its store and its sources of packages.

use std::path::Path;

use repro_core::store::Store;
use repro_sandbox::doctor::{self, Finding};
use repro_toolchains::fetch::machine_mirrors;

use super::{Check, Group, Status};
use crate::{
    ambient::{self, SystemClock},
    commands::Context,
    engine::APT,
    error::{CommandError, io_kind},
    text,
};

/// Free bytes below which a first build is likely to fill the disk: a C toolchain takes about
/// half a gigabyte as packages, blobs and snapshot together, and two runs write beside it.
const DISK: u64 = 2 << 30;
/// What every build needs.
const STORE: &str = "store";

/// What was seen of it.
#[derive(Debug)]
pub(super) struct Machine {
    /// What its sandbox needs.
    pub(super) native: Vec<Check>,
    /// What every build needs.
    pub(super) all: Vec<Check>,
}

impl Machine {
    pub(super) fn look(context: &Context) -> Self {
        let mut native: Vec<Check> = doctor::machine().into_iter().map(Check::from).collect();
        let mut all = Vec::new();
        match context.open_store() {
            Ok(store) => {
                // On an unfit machine, a step would fail of what is listed already.
                if is_fit(&native) {
                    native.extend(sandbox(&store));
                }
                let place = store.root().display().to_string();
                all.push(Check::new(Group::All, STORE, Status::Ok, place));
                all.push(disk(store.root()));
            }
            Err(error) => all.push(Check::missing(Group::All, STORE, &error)),
        }
        all.push(mirrors());
        Self { native, all }
    }

    /// Whether steps can run in its sandbox.
    pub(super) fn is_fit(&self) -> bool {
        is_fit(&self.native)
    }

    pub(super) fn has_store(&self) -> bool {
        is_fit(&self.all)
    }
}

fn is_fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.status != Status::Missing)
}

impl From<doctor::Check> for Check {
    fn from(check: doctor::Check) -> Self {
        let (status, detail, next_steps) = match check.finding {
            Finding::Good(detail) => (Status::Ok, detail, Vec::new()),
            Finding::Limited { what, next_steps } => (Status::Warn, what, next_steps),
            Finding::Lacking { what, next_steps } => (Status::Missing, what, next_steps),
        };
        Self::new(Group::Native, check.name, status, detail).next(next_steps)
    }
}

/// Steps, run in the store. Under a name and a lock of their own, as those of a build: if this
/// process is killed, the next build knows what to sweep.
fn sandbox(store: &Store) -> Vec<Check> {
    let probe = || -> Result<Vec<Check>, CommandError> {
        let invocation = ambient::invocation_id(&SystemClock)?;
        let scratch = store.create_run(&invocation)?;
        let checks = doctor::step(store.root(), &invocation);
        scratch.remove()?;
        Ok(checks.into_iter().map(Check::from).collect())
    };
    probe().unwrap_or_else(|error| vec![Check::missing(Group::Native, "sandbox", &error)])
}

fn disk(root: &Path) -> Check {
    const NAME: &str = "disk";
    match rustix::fs::statvfs(root) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let detail = format!("{} free for the store", text::bytes(free));
            if free < DISK {
                Check::new(Group::All, NAME, Status::Warn, detail).next([
                    "remove what nothing needs: repro store gc".to_owned(),
                    format!(
                        "or move the store where {} are free: --store DIR",
                        text::bytes(DISK)
                    ),
                ])
            } else {
                Check::new(Group::All, NAME, Status::Ok, detail)
            }
        }
        Err(errno) => {
            let error = std::io::Error::from(errno);
            let error = CommandError::new(io_kind(&error), &error);
            Check::missing(Group::All, NAME, &error)
        }
    }
}

/// Where packages of toolchains would come from.
fn mirrors() -> Check {
    const NAME: &str = "packages";
    const NEXT: &str = "name a mirror: --mirror URL, or REPRO_MIRROR";
    match machine_mirrors(Path::new(APT)) {
        Ok(mirrors) if !mirrors.is_empty() => {
            let count = text::plural(mirrors.len() as u64, "mirror");
            let detail = format!("{count} in the machine's package sources");
            Check::new(Group::All, NAME, Status::Ok, detail)
        }
        Ok(_) => {
            let detail =
                "no mirror in the machine's package sources: only the snapshot archive is asked";
            Check::new(Group::All, NAME, Status::Warn, detail).next([NEXT])
        }
        Err(error) => Check::new(Group::All, NAME, Status::Warn, error.to_string()).next([NEXT]),
    }
}
