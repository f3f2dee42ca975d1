//! The one thing that is asked of git: when HEAD was committed.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use repro_core::epoch::Epoch;

use crate::error::{CommandError, ErrorKind};

/// The committer time of HEAD in the repository that `dir` belongs to.
///
/// `cat-file` is plumbing: it runs no hook, no pager and no signature program that the
/// repository's configuration could name, which `log` and `show` do.
pub(crate) fn committer_time(dir: &Path) -> Result<Epoch, CommandError> {
    let failed = |error: CommandError| error.context("cannot take the time of the last commit");
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["cat-file", "commit", "HEAD"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let message = if missing {
                "git is not installed"
            } else {
                "git cannot be started"
            };
            let error = CommandError::new(ErrorKind::Machine, &error).context(message);
            failed(error).hint("give a number: --source-date-epoch SECONDS")
        })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim().trim_start_matches("fatal: ").to_owned();
        return Err(failed(CommandError::message(ErrorKind::Input, words)));
    }
    time(&output.stdout).ok_or_else(|| {
        failed(CommandError::message(
            ErrorKind::Input,
            "the commit has no committer time",
        ))
    })
}

/// The seconds in the line `committer NAME <MAIL> SECONDS ZONE` of a commit's header.
fn time(commit: &[u8]) -> Option<Epoch> {
    let header = commit
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty());
    let line = header
        .into_iter()
        .find_map(|line| line.strip_prefix(b"committer "))?;
    // From the right: a name can hold anything but a line end.
    let mut words = line.rsplit(|byte| *byte == b' ');
    let seconds = words.nth(1)?;
    Epoch::new(std::str::from_utf8(seconds).ok()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committer_counts_and_only_in_the_header() {
        let commit = b"tree 0\nauthor A <a@b> 1 +0000\ncommitter C 9 <c@d> 1700000000 +0100\n\n\
                       committer X <x@y> 1600000000 +0000\n";
        assert_eq!(time(commit), Epoch::new(1_700_000_000).ok());
        assert_eq!(
            time(b"tree 0\n\ncommitter X <x@y> 1600000000 +0000\n"),
            None
        );
        assert_eq!(time(b"committer X <x@y> soon +0000\n"), None);
    }
}
