//! The time of the last commit, for `--source-date-epoch git`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use repro_core::epoch::Epoch;

use super::values;
use crate::error::{CommandError, ErrorKind};

/// Committer time of HEAD of the repository that `context` lies in.
pub(super) fn committer_time(context: &Path) -> Result<Epoch, CommandError> {
    let what = "the time of the last commit cannot be read";
    let output = Command::new("git")
        .arg("-C")
        .arg(context)
        // The context can hold a repository of somebody else: none of its programs may run.
        .args(["-c", "core.fsmonitor=false", "-c", "log.showSignature=false"])
        .args(["log", "-1", "--format=%ct"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            CommandError::new(ErrorKind::Machine, &error)
                .context(what)
                .hint("install git, or give the time as a number")
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("git failed").to_owned();
        return Err(CommandError::usage(said)
            .context(what)
            .hint("build inside a git repository with a commit, or give the time as a number"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    values::seconds(text.trim())
        .map_err(|error| CommandError::new(ErrorKind::Usage, &error).context(what))
}
