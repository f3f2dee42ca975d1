//! Whether this machine can run steps, and what to do where it cannot.

use std::{fs, path::Path};

use repro_core::build::{ExecutorError, InvocationId};
use serde::Serialize;

use crate::{NativeExecutor, StageImage, blockers, mapping::IdMapping};

/// Oldest kernel: notifications of system calls that a signal does not repeat (5.19) and overlayfs in
/// user namespaces (5.11).
const OLDEST_KERNEL: (u32, u32) = (5, 19);

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should be.
    Good,
    /// Steps cannot run like this.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Stable kebab-case name.
    pub name: &'static str,
    /// What came of it.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it, where it is bad.
    pub hint: Option<String>,
}

/// Looks at the machine, and runs a step without a program in `store`, the store's directory, which
/// must exist. `invocation` names what is made there meanwhile.
#[must_use]
pub fn checks(store: &Path, invocation: &InvocationId) -> Vec<Check> {
    vec![
        kernel(),
        user_namespaces(),
        ids(),
        step(store, invocation),
    ]
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let good = version(&release).is_some_and(|version| version >= OLDEST_KERNEL);
    let (major, minor) = OLDEST_KERNEL;
    check(
        "kernel",
        good,
        format!("Linux {release}"),
        format!("a kernel of {major}.{minor} or later"),
    )
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn user_namespaces() -> Check {
    let supported = fs::exists("/proc/self/ns/user").unwrap_or(false);
    if !supported {
        return check(
            "user-namespaces",
            false,
            "the kernel has no user namespaces, or /proc is not mounted".to_owned(),
            "a kernel with CONFIG_USER_NS, and /proc".to_owned(),
        );
    }
    let remedies = blockers::remedies();
    check(
        "user-namespaces",
        remedies.is_empty(),
        if remedies.is_empty() {
            "no switch forbids them".to_owned()
        } else {
            "a switch of the kernel forbids them".to_owned()
        },
        blockers::hint(),
    )
}

fn ids() -> Check {
    match IdMapping::detect() {
        Ok(mapping) => check("ids", true, mapping.to_string(), String::new()),
        Err(error) => failed("ids", &error),
    }
}

/// Namespaces, maps, overlayfs on the store's file system, `/proc` and `/sys`, loopback, limits and the
/// filter, as a step has them.
fn step(store: &Path, invocation: &InvocationId) -> Check {
    let tried = StageImage::capture()
        .and_then(|image| NativeExecutor::new(image, store))
        .and_then(|executor| executor.probe(invocation));
    match tried {
        Ok(()) => check(
            "step",
            true,
            format!("a step can run in {}", store.display()),
            String::new(),
        ),
        Err(error) => failed("step", &error),
    }
}

fn failed(name: &'static str, error: &ExecutorError) -> Check {
    let mut detail = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        detail = format!("{detail}: {source}");
    }
    let hint = match error {
        ExecutorError::Machine { hint, .. } => hint.clone(),
        ExecutorError::Exhausted { .. } => "try again when the machine has more to give".to_owned(),
        _ => "this should not happen: please report it".to_owned(),
    };
    check(name, false, detail, hint)
}

fn check(name: &'static str, good: bool, detail: String, hint: String) -> Check {
    let (status, hint) = if good {
        (Status::Good, None)
    } else {
        (Status::Bad, Some(hint))
    };
    Check {
        name,
        status,
        detail,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!(version("6.1.0-25-amd64"), Some((6, 1)));
        assert_eq!(version("5.19"), Some((5, 19)));
        assert_eq!(version("next"), None);
        assert!(version("5.4.0-42-generic") < Some(OLDEST_KERNEL));
    }
}
