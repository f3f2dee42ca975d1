//! What is asked of git: when HEAD was committed, and the files of a commit.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use repro_core::epoch::Epoch;

use crate::error::{CommandError, ErrorKind, io_kind};

/// The committer time of HEAD in the repository that `dir` belongs to.
///
/// `cat-file` is plumbing: it runs no hook, no pager and no signature program that the
/// repository's configuration could name, which `log` and `show` do.
pub(crate) fn committer_time(dir: &Path) -> Result<Epoch, CommandError> {
    let failed = |error: CommandError| error.context("cannot take the time of the last commit");
    let mut command = git(dir);
    command.args(["cat-file", "commit", "HEAD"]);
    let output = output(&mut command).map_err(|error| {
        let missing = error.kind() == ErrorKind::Machine;
        let error = failed(error);
        if missing {
            error.hint("give a number: --source-date-epoch SECONDS")
        } else {
            error
        }
    })?;
    time(&output).ok_or_else(|| {
        failed(CommandError::message(
            ErrorKind::Input,
            "the commit has no committer time",
        ))
    })
}

/// Writes the files of `commit`, or those below `subdir` in it, to the empty directory `to`. `scratch` is a
/// directory for what git needs meanwhile.
///
/// Nothing of the repository counts but its objects: an empty one borrows them, since the configuration
/// of the other can name hooks and filters, which are programs. `archive` would leave out what
/// attributes exclude from archives, and a builder has it.
pub(crate) fn check_out(
    dir: &Path,
    commit: &str,
    subdir: Option<&str>,
    scratch: &Path,
    to: &Path,
) -> Result<(), CommandError> {
    let failed = |error: CommandError| error.context(format!("cannot take the commit {commit}"));
    // A name that begins with a dash, or means something else than a commit, is none.
    if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) || commit.len() < 40 {
        let message = format!("{commit:?} is no id of a commit");
        return Err(CommandError::message(ErrorKind::Input, message));
    }
    let format = ["rev-parse", "--path-format=absolute"];
    let mut find = git(dir);
    let objects = output(find.args(format).args(["--git-path", "objects"])).map_err(failed)?;
    let own = scratch.join("git");
    let mut make = git(scratch);
    output(
        make.args(["init", "--quiet", "--bare", "--template="])
            .arg(&own),
    )
    .map_err(failed)?;
    fs::write(own.join("objects/info/alternates"), objects).map_err(|error| {
        failed(CommandError::new(io_kind(&error), &error).context("cannot borrow its objects"))
    })?;
    let tree = match subdir {
        Some(subdir) => format!("{commit}:{}", subdir.trim_matches('/')),
        None => commit.to_owned(),
    };
    let borrowing = || {
        let mut command = git(to);
        let nothing = [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
        ];
        command.envs(nothing).env("GIT_ATTR_NOSYSTEM", "1");
        command
            .arg("--git-dir")
            .arg(&own)
            .arg("--work-tree")
            .arg(to);
        command
    };
    output(borrowing().args(["read-tree", &tree])).map_err(failed)?;
    let written = output(borrowing().args(["checkout-index", "--all", "--force"]));
    written.map(drop).map_err(failed)
}

fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).stdin(Stdio::null());
    command
}

/// What git prints, if it does what it is asked.
fn output(command: &mut Command) -> Result<Vec<u8>, CommandError> {
    let output = command.output().map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "git is not installed",
            _ => "git cannot be started",
        };
        CommandError::new(ErrorKind::Machine, &error).context(message)
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim().trim_start_matches("fatal: ").to_owned();
        return Err(CommandError::message(ErrorKind::Input, words));
    }
    Ok(output.stdout)
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
