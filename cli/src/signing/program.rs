//! A program that signs: what keys in hardware and services are reached through.

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use repro_verifier::keys::{KeyError, PublicKey, Sign};

use crate::error::{CommandError, ErrorKind, io_kind};

/// What is asked for the public key, and for a signature.
const PUBLIC_KEY: &str = "public-key";
const SIGN: &str = "sign";
/// Version of the protocol, in a variable.
const PROTOCOL: (&str, &str) = ("REPRO_SIGNER_PROTOCOL", "1");
/// Longest answer, in bytes. A key has less than 300, a signature less than 80.
const ANSWER_MAX: u64 = 16 << 10;
/// How long one answer may take: somebody may have to type a PIN or touch a token.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// It cannot be started, or talked to.
    #[error("cannot {what} {}", .program.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{} {asked} ended with {status}", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it was asked.
        asked: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It takes too long.
    #[error("{} {asked} gave no answer in {} seconds", .program.display(), PATIENCE.as_secs())]
    Silent {
        /// The program.
        program: PathBuf,
        /// What it was asked.
        asked: &'static str,
    },
    /// It says too much.
    #[error("{} {asked} gave more than {ANSWER_MAX} bytes", .program.display())]
    TooMuch {
        /// The program.
        program: PathBuf,
        /// What it was asked.
        asked: &'static str,
    },
    /// Its public key is none.
    #[error("{} {PUBLIC_KEY} gave no public key", .program.display())]
    Key {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
}

impl From<ProgramError> for CommandError {
    fn from(error: ProgramError) -> Self {
        let kind = match &error {
            ProgramError::Io { source, .. } => match io_kind(source) {
                ErrorKind::Input => ErrorKind::Usage,
                kind => kind,
            },
            ProgramError::Failed { .. } | ProgramError::Silent { .. } => ErrorKind::Machine,
            ProgramError::TooMuch { .. } | ProgramError::Key { .. } => ErrorKind::Usage,
        };
        Self::new(kind, &error).hint("docs/signing.md says what a signer is asked and answers")
    }
}

/// A program whose public key is known.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    public: PublicKey,
}

impl Program {
    /// Asks `program` for its public key.
    pub(super) fn start(program: &Path) -> Result<Self, ProgramError> {
        let answer = ask(program, PUBLIC_KEY, Vec::new())?;
        let text = String::from_utf8_lossy(&answer);
        let public = PublicKey::from_pem(&text).map_err(|source| ProgramError::Key {
            program: program.to_owned(),
            source,
        })?;
        Ok(Self {
            path: program.to_owned(),
            public,
        })
    }
}

impl Sign for Program {
    fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(ask(&self.path, SIGN, message.to_vec())?)
    }
}

/// Starts the program with one word, gives it `input` and takes what it prints. What it says on standard
/// error goes where ours goes, so that it can ask for a PIN.
fn ask(program: &Path, asked: &'static str, input: Vec<u8>) -> Result<Vec<u8>, ProgramError> {
    let failed = |what| {
        let program = program.to_owned();
        move |source| ProgramError::Io {
            what,
            program,
            source,
        }
    };
    let mut child = Command::new(program)
        .arg(asked)
        .env(PROTOCOL.0, PROTOCOL.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed("start"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    // Both at once, and neither by this thread: it keeps the time. What is not written is not missed:
    // a program may close its end, and whether it signed the whole message the signature says.
    drop(thread::spawn(move || {
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input))
    }));
    let (answered, answer) = mpsc::channel();
    drop(thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| {
            stdout.take(ANSWER_MAX + 1).read_to_end(&mut bytes)
        });
        // Nobody may wait for it any more.
        drop(answered.send(read.map(|_| bytes)));
    }));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed("wait for"))? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().map_err(failed("stop"))?;
            child.wait().map_err(failed("wait for"))?;
            return Err(ProgramError::Silent {
                program: program.to_owned(),
                asked,
            });
        }
        thread::sleep(Duration::from_millis(5));
    };
    // A program that it left running can hold the other end open.
    let left = PATIENCE.saturating_sub(started.elapsed());
    let answer = answer
        .recv_timeout(left)
        .map_err(|_| ProgramError::Silent {
            program: program.to_owned(),
            asked,
        })?;
    let answer = answer.map_err(failed("read from"))?;
    if answer.len() as u64 > ANSWER_MAX {
        return Err(ProgramError::TooMuch {
            program: program.to_owned(),
            asked,
        });
    }
    if !status.success() {
        return Err(ProgramError::Failed {
            program: program.to_owned(),
            asked,
            status,
        });
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_program_is_given_a_word_and_bytes_and_gives_bytes() {
        let (_dir, path) = script("test \"$1$REPRO_SIGNER_PROTOCOL\" = sign1 && cat");
        let message = vec![7_u8; 200_000];
        // More than an answer may have comes back whole or not at all.
        assert!(matches!(
            ask(&path, SIGN, message),
            Err(ProgramError::TooMuch { .. })
        ));
        assert_eq!(ask(&path, SIGN, vec![0, 1, 255]).unwrap(), [0, 1, 255]);
        let failed = ask(&path, PUBLIC_KEY, Vec::new());
        assert!(matches!(failed, Err(ProgramError::Failed { .. })));
        let (_dir, deaf) = script("exec 0<&-; echo ok");
        assert_eq!(ask(&deaf, SIGN, vec![1; 1 << 20]).unwrap(), b"ok\n");
    }

    #[test]
    fn what_is_no_signer_is_said_to_be_none() {
        let (_dir, path) = script("echo hello");
        assert!(matches!(
            Program::start(&path),
            Err(ProgramError::Key { .. })
        ));
        let none = Program::start(Path::new("/nonexistent/signer"));
        assert!(matches!(none, Err(ProgramError::Io { .. })));
    }
}
