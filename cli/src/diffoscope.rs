//! diffoscope, where it is installed: asked about the contents that differ, within bounds.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use repro_verifier::compare::Samples;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    error::{CommandError, io_kind},
    output::Output,
};

/// The program.
const PROGRAM: &str = "diffoscope";
/// How long it may take. It starts other programs for most formats.
const MAX_TIME: Duration = Duration::from_mins(2);
/// Bytes of its output that are kept.
const MAX_OUTPUT: u64 = 1 << 20;

/// Makes the directory for what it is asked about.
pub(crate) fn samples(scratch: &Path) -> Result<PathBuf, CommandError> {
    let dir = scratch.join("samples");
    let made = fs::create_dir(&dir).and_then(|()| fs::create_dir(dir.join("tmp")));
    made.map_err(|error| CommandError::new(io_kind(&error), &error))?;
    Ok(dir)
}

/// What it says; nothing where no content differs, it is not installed, or it does not end well. The
/// two last are said as warnings.
pub(crate) fn run(samples: &Samples, output: &Output) -> Result<Option<String>, CommandError> {
    let list = samples.list();
    if list.is_empty() {
        return Ok(None);
    }
    let names = list
        .iter()
        .map(|(path, number)| [number, " is ", path, "\n"].concat());
    let mut text: String = names.collect();
    let dir = samples.dir();
    let spawned = Command::new(PROGRAM)
        .args([
            "--no-progress",
            "--exclude-directory-metadata=yes",
            "--text",
            "-",
        ])
        .args(["--max-text-report-size", &MAX_OUTPUT.to_string()])
        .args(["a", "b"])
        .current_dir(dir)
        .env("TMPDIR", dir.join("tmp"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that the programs it started end with it.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            output.warning("diffoscope is not installed, so its output is not added");
            return Ok(None);
        }
        Err(error) => {
            return Err(CommandError::new(io_kind(&error), &error).context("cannot run diffoscope"));
        }
    };
    let (send, receive) = mpsc::channel();
    if let Some(pipe) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut pipe = pipe;
            let read = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
            // Whoever waited no longer does.
            let _gone = send.send(read.map(|_| bytes));
            let _rest = io::copy(&mut pipe, &mut io::sink());
        });
    }
    let said = receive.recv_timeout(MAX_TIME);
    if said.is_err() {
        let seconds = MAX_TIME.as_secs();
        output.warning(&format!(
            "diffoscope did not end within {seconds} s, so its output is not added"
        ));
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It has ended, or has said enough.
        let _ended = kill_process_group(group, Signal::KILL);
    }
    let failed = |error: io::Error| CommandError::new(io_kind(&error), &error);
    let _status = child.wait().map_err(failed)?;
    match said {
        Ok(bytes) => {
            text.push_str(&String::from_utf8_lossy(&bytes.map_err(failed)?));
            Ok(Some(text))
        }
        Err(_) => Ok(None),
    }
}
