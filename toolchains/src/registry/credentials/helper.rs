//! The protocol of `docker-credential-*`: a registry on standard input, JSON on standard output.

use std::{
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{Login, Secret};

/// Time for a helper: some ask their user for a passphrase.
const PATIENCE: Duration = Duration::from_mins(1);
/// Most that a helper may print.
const MAX_OUTPUT: u64 = 64 << 10;
/// Between two looks at whether it ended.
const TICK: Duration = Duration::from_millis(10);
/// What helpers print where they know nothing (docker-credential-helpers, `ErrCredentialsNotFound`).
const NOT_FOUND: &str = "credentials not found";
/// The user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Why a helper gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name is no name of a program.
    #[error("{0:?} is not the name of a credential helper")]
    Name(String),
    /// There is no such program.
    #[error("docker-credential-{0} is not in PATH")]
    Missing(String),
    /// It cannot be started or listened to.
    #[error("docker-credential-{program} cannot be run")]
    Io {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with an error. What it printed is not shown, since that could be a secret.
    #[error("docker-credential-{0} failed")]
    Failed(String),
    /// It does not end.
    #[error("docker-credential-{0} did not answer in time")]
    Slow(String),
    /// It printed something else.
    #[error("docker-credential-{0} does not answer as credential helpers do")]
    Answer(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What the helper `program` has for `server`; `None` if it has nothing.
pub(super) fn get(
    program: &str,
    server: &str,
    dirs: &[PathBuf],
    cancelled: &AtomicBool,
) -> Result<Option<Login>, HelperError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    // A file from somewhere must not name a program in a place of its choice.
    if program.is_empty() || !program.bytes().all(word) {
        return Err(HelperError::Name(program.chars().take(80).collect()));
    }
    let name = format!("docker-credential-{program}");
    let path = dirs
        .iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&name))
        .find(|path| path.is_file())
        .ok_or_else(|| HelperError::Missing(program.to_owned()))?;
    let (success, output) = run(&path, server, program, cancelled)?;
    if !success {
        let text = String::from_utf8_lossy(&output);
        if text.trim_start().starts_with(NOT_FOUND) {
            return Ok(None);
        }
        return Err(HelperError::Failed(program.to_owned()));
    }
    let answer: Answer =
        serde_json::from_slice(&output).map_err(|_| HelperError::Answer(program.to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == TOKEN_USER {
        Login::Identity(secret)
    } else {
        Login::Basic {
            user: answer.username,
            password: secret,
        }
    }))
}

fn run(
    path: &std::path::Path,
    server: &str,
    program: &str,
    cancelled: &AtomicBool,
) -> Result<(bool, Vec<u8>), HelperError> {
    let failed = |source| HelperError::Io {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(path)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        let read = stdout.map(|out| out.take(MAX_OUTPUT).read_to_end(&mut output));
        read.transpose().map(|_| output)
    });
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(server.as_bytes()) {
            // It may know what it says without listening.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
            _ => {}
        }
    }
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if begun.elapsed() > PATIENCE || cancelled.load(Ordering::Relaxed) {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(HelperError::Slow(program.to_owned()));
        }
        thread::sleep(TICK);
    };
    // A grandchild that holds the pipe open must not hold us.
    while !reader.is_finished() {
        if begun.elapsed() > PATIENCE || cancelled.load(Ordering::Relaxed) {
            return Err(HelperError::Slow(program.to_owned()));
        }
        thread::sleep(TICK);
    }
    let output = reader
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .map_err(failed)?;
    Ok((status.success(), output))
}
