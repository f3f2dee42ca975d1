//! Who signs: a key in a file or a variable, or a program that has one (`docs/signing.md`).
//!
//! A private key is opened when the last step has ended. Before the build only the first line of its
//! file is read, which says what it is: a mistake there is better known now than in an hour.

mod passphrase;
mod program;

use std::{
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use repro_verifier::keys::{KeyFile, KeyKind, Sign, SigningKey, key_file};
use zeroize::Zeroizing;

pub(crate) use passphrase::{Passphrase, new_passphrase};
use program::Program;

use crate::{
    ambient,
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
    output::Output,
};

/// Longest first line of a key file that is looked at, in bytes.
const LINE_MAX: usize = 80;
/// Permissions that let others read a file.
const OTHERS: u32 = 0o077;

/// Options of commands that sign.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Evidence")]
pub(crate) struct SigningArgs {
    /// Sign with this private key, a file or env:NAME for a variable that holds it; with a key made for
    /// this run alone unless given
    #[arg(
        long,
        value_name = "FILE|env:NAME",
        env = "REPRO_KEY",
        conflicts_with = "signer"
    )]
    pub(crate) key: Option<KeySource>,
    /// Read the passphrase of the key from this file; else from the variable `REPRO_KEY_PASSPHRASE`, else
    /// it is asked for on the terminal
    #[arg(long, value_name = "FILE", env = "REPRO_KEY_PASSPHRASE_FILE")]
    pub(crate) key_passphrase_file: Option<PathBuf>,
    /// Let this program sign, which has the key: `docs/signing.md` says what it is asked
    #[arg(long, value_name = "PROGRAM", env = "REPRO_SIGNER")]
    pub(crate) signer: Option<PathBuf>,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In a variable.
    Variable(String),
}

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("env: is followed by the name of a variable")]
pub(crate) struct KeySourceError;

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        match text.strip_prefix("env:") {
            Some("") => Err(KeySourceError),
            Some(name) if name.contains(['=', '\0']) => Err(KeySourceError),
            Some(name) => Ok(Self::Variable(name.into())),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl KeySource {
    /// What messages call it.
    fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Variable(name) => format!("the variable {name}"),
        }
    }

    fn variable(name: &str) -> Result<Zeroizing<String>, CommandError> {
        let unset = || {
            CommandError::message(ErrorKind::Input, format!("the variable {name} is not set"))
                .hint("set it to the text of the key file")
        };
        let value = ambient::secret(name).ok_or_else(unset)?;
        let value = value
            .into_string()
            .map_err(|_| CommandError::usage(format!("the variable {name} is not UTF-8")))?;
        Ok(Zeroizing::new(value))
    }

    /// The first line of it.
    fn first_line(&self) -> Result<String, CommandError> {
        match self {
            Self::File(path) => first_line(path),
            Self::Variable(name) => {
                let text = Self::variable(name)?;
                let line = text.lines().next().unwrap_or_default();
                Ok(line.chars().take(LINE_MAX).collect())
            }
        }
    }

    fn text(&self) -> Result<Zeroizing<String>, CommandError> {
        match self {
            Self::File(path) => Ok(Zeroizing::new(files::read_text(path, Limit::Key)?)),
            Self::Variable(name) => Self::variable(name),
        }
    }
}

/// Byte by byte: what stands behind the line is not read.
fn first_line(path: &Path) -> Result<String, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot read {}", path.display()))
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut line = Vec::new();
    let mut byte = [0_u8; 1];
    while line.len() < LINE_MAX && file.read(&mut byte).map_err(failed)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Whoever signs, ready to.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Somebody that a verifier can know.
    Known(Box<dyn Sign>),
    /// A key made for this run.
    Ephemeral(Box<SigningKey>),
}

impl SigningArgs {
    /// The key of a file, or none.
    pub(crate) fn of_file(key: Option<&Path>) -> Self {
        Self {
            key: key.map(|path| KeySource::File(path.to_owned())),
            ..Self::default()
        }
    }

    /// Whether the user named somebody.
    pub(crate) const fn is_given(&self) -> bool {
        self.key.is_some() || self.signer.is_some()
    }

    /// Looks before the work begins at what can be seen without opening a key.
    pub(crate) fn check(&self, output: &Output) -> Result<(), CommandError> {
        if let Some(program) = &self.signer {
            Program::start(program)?;
        }
        let Some(source) = &self.key else {
            return Ok(());
        };
        let kind = key_file(&source.first_line()?).map_err(|error| cannot_sign(source, error))?;
        if let KeySource::File(path) = source
            && let Ok(meta) = path.metadata()
            && meta.is_file()
            && meta.permissions().mode() & OTHERS != 0
        {
            let name = path.display();
            output.warning(&format!(
                "others can read the private key {name}: `chmod 600 {name}`"
            ));
        }
        match kind {
            KeyFile::Private => Ok(()),
            KeyFile::Encrypted => self.passphrase().check(),
        }
    }

    /// Opens the key. To be called when the last step has ended.
    pub(crate) fn open(&self) -> Result<Opened, CommandError> {
        if let Some(program) = &self.signer {
            return Ok(Opened::Known(Box::new(Program::start(program)?)));
        }
        let Some(source) = &self.key else {
            let key = SigningKey::generate(KeyKind::P256, &mut ambient::fill_random)?;
            return Ok(Opened::Ephemeral(Box::new(key)));
        };
        let text = source.text()?;
        let first = text.lines().next().unwrap_or_default();
        let key = match key_file(first).map_err(|error| cannot_sign(source, error))? {
            KeyFile::Private => SigningKey::from_pem(&text),
            KeyFile::Encrypted => {
                let passphrase = self.passphrase().read(&source.shown())?;
                SigningKey::from_encrypted_pem(&text, passphrase.as_bytes())
            }
        };
        let key = key.map_err(|error| cannot_sign(source, error))?;
        Ok(Opened::Known(Box::new(key)))
    }

    fn passphrase(&self) -> Passphrase<'_> {
        Passphrase {
            file: self.key_passphrase_file.as_deref(),
        }
    }
}

fn cannot_sign(source: &KeySource, error: repro_verifier::keys::KeyError) -> CommandError {
    CommandError::from(error).context(format!("cannot sign with {}", source.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_a_file_or_a_variable() {
        for (text, means) in [
            ("repro.key", Ok(KeySource::File("repro.key".into()))),
            ("env:KEY", Ok(KeySource::Variable("KEY".into()))),
            ("./env:KEY", Ok(KeySource::File("./env:KEY".into()))),
            ("env:", Err(KeySourceError)),
            ("env:a=b", Err(KeySourceError)),
        ] {
            assert_eq!(text.parse::<KeySource>(), means, "{text}");
        }
    }

    #[test]
    fn the_first_line_and_no_byte_more_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nsecret").unwrap();
        assert_eq!(first_line(&path).unwrap(), "-----BEGIN PRIVATE KEY-----");
        std::fs::write(&path, "x".repeat(1000)).unwrap();
        assert_eq!(first_line(&path).unwrap().len(), LINE_MAX);
        assert!(first_line(&dir.path().join("none")).is_err());
    }
}
