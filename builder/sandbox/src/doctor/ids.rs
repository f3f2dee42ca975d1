//! The ids that a step can have.

use std::{
    io,
    process::{Command, Stdio},
};

use super::Check;
use crate::mapping::{self, IdMapping, Writer};

/// The programs that write a map of more than one id for an ordinary user.
const TOOLS: [&str; 2] = ["newuidmap", "newgidmap"];
/// How they are installed.
const INSTALL: &str = "as root: apt-get install uidmap (Fedora: dnf install shadow-utils)";

pub(super) fn granted() -> Check {
    const NAME: &str = "user ids";
    let mapping = match IdMapping::detect() {
        Ok(mapping) => mapping,
        Err(error) => return Check::of_error(NAME, &error),
    };
    let missing = missing_tools();
    match mapping.writer() {
        Writer::Root | Writer::RootOfContainer => Check::good(NAME, mapping.to_string()),
        Writer::Tools if missing.is_empty() => Check::good(NAME, mapping.to_string()),
        Writer::Tools => Check::lacking(
            NAME,
            format!(
                "this user has subordinate ids, but not what grants them: {}",
                missing.join(" and ")
            ),
            [INSTALL],
        ),
        Writer::OneId => {
            let uid = rustix::process::geteuid().as_raw();
            let mut next_steps = vec![mapping::hint_for(uid)];
            if !missing.is_empty() {
                next_steps.push(INSTALL.to_owned());
            }
            Check::limited(
                NAME,
                format!(
                    "all users of a step are this user ({uid}), who has no subordinate ids: owners are \
                     written down, and a step's users are not kept apart"
                ),
                next_steps,
            )
        }
    }
}

/// Those that cannot be found. Without arguments they say how they are used, and nothing else.
fn missing_tools() -> Vec<&'static str> {
    let is_missing = |tool: &&str| {
        let mut command = Command::new(tool);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = command.status();
        started.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    TOOLS.into_iter().filter(is_missing).collect()
}
