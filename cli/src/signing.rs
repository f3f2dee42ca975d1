//! Who signs: a key in a file or a variable, or a program that has one (`docs/signing.md`).
//!
//! A private key is opened when the last step has ended. Before the build only the first line of its
//! file is read, which says what it is: a mistake there is better known now than in an hour.

mod passphrase;
mod program;

use std::{
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use repro_verifier::keys::{KeyError, KeyFile, KeyKind, Sign, SigningKey, key_file};
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
    /// Sign with this private key: a file, env:NAME for a variable that holds it, or signer:PROGRAM; with
    /// a key made for this run alone unless given
    #[arg(
        long,
        value_name = KEY_FORMS,
        env = "REPRO_KEY",
        conflicts_with = "signer"
    )]
    key: Option<KeySource>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Let this program sign, which has the key, as with --key signer:PROGRAM: `docs/signing.md` says what
    /// it is asked
    #[arg(long, value_name = "PROGRAM", env = "REPRO_SIGNER")]
    signer: Option<PathBuf>,
}

/// How options that name a private key show what they take.
pub(crate) const KEY_FORMS: &str = "FILE|env:NAME|signer:PROGRAM";

/// Where the passphrase of a private key comes from, whichever option names the key.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase of the private key from this file; else from the variable
    /// `REPRO_KEY_PASSPHRASE`, else it is asked for on the terminal
    #[arg(
        long = "key-passphrase-file",
        id = "key_passphrase_file",
        value_name = "FILE",
        env = "REPRO_KEY_PASSPHRASE_FILE"
    )]
    file: Option<PathBuf>,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// Where it can be read.
    Text(KeyText),
    /// Where this program has it.
    Program(PathBuf),
}

/// Where the text of a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyText {
    /// In a file.
    File(PathBuf),
    /// In a variable.
    Variable(String),
}

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySourceError {
    /// `env:` without one.
    #[error("env: is followed by the name of a variable")]
    Variable,
    /// `signer:` without one.
    #[error("signer: is followed by a program")]
    Program,
}

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        if let Some(name) = text.strip_prefix("env:") {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(KeySourceError::Variable);
            }
            return Ok(Self::Text(KeyText::Variable(name.into())));
        }
        match text.strip_prefix("signer:") {
            Some("") => Err(KeySourceError::Program),
            Some(program) => Ok(Self::Program(program.into())),
            None => Ok(Self::Text(KeyText::File(text.into()))),
        }
    }
}

/// What messages call it.
impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

impl KeyText {
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

    /// Looks at what can be seen without opening the key.
    fn check(&self, passphrase: Passphrase<'_>, output: &Output) -> Result<(), CommandError> {
        let kind = key_file(&self.first_line()?).map_err(|error| self.cannot_sign(error))?;
        if let Self::File(path) = self
            && let Ok(meta) = path.metadata()
            && meta.is_file()
            && meta.permissions().mode() & OTHERS != 0
        {
            output.warning(&format!(
                "others can read the private key {self}: `chmod 600 {self}`"
            ));
        }
        match kind {
            KeyFile::Private => Ok(()),
            KeyFile::Encrypted => passphrase.check(),
        }
    }

    fn open(&self, passphrase: Passphrase<'_>) -> Result<SigningKey, CommandError> {
        let text = self.text()?;
        let first = text.lines().next().unwrap_or_default();
        let key = match key_file(first).map_err(|error| self.cannot_sign(error))? {
            KeyFile::Private => SigningKey::from_pem(&text),
            KeyFile::Encrypted => {
                let passphrase = passphrase.read(&self.to_string())?;
                SigningKey::from_encrypted_pem(&text, passphrase.as_bytes())
            }
        };
        key.map_err(|error| self.cannot_sign(error))
    }

    fn cannot_sign(&self, error: KeyError) -> CommandError {
        CommandError::from(error).context(format!("cannot sign with {self}"))
    }
}

impl KeySource {
    /// Looks before the work begins at what can be seen without opening a key.
    pub(crate) fn check(
        &self,
        passphrase: &PassphraseArgs,
        output: &Output,
    ) -> Result<(), CommandError> {
        match self {
            Self::Text(text) => text.check(passphrase.place(), output),
            Self::Program(program) => {
                Program::start(program)?;
                Ok(())
            }
        }
    }

    /// Opens the key. To be called when the last step has ended.
    pub(crate) fn open(&self, passphrase: &PassphraseArgs) -> Result<Box<dyn Sign>, CommandError> {
        Ok(match self {
            Self::Text(text) => Box::new(text.open(passphrase.place())?),
            Self::Program(program) => Box::new(Program::start(program)?),
        })
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

impl PassphraseArgs {
    fn place(&self) -> Passphrase<'_> {
        Passphrase {
            file: self.file.as_deref(),
        }
    }
}

impl SigningArgs {
    /// What other options name: a key or none.
    pub(crate) fn new(key: Option<&KeySource>, passphrase: &PassphraseArgs) -> Self {
        Self {
            key: key.cloned(),
            passphrase: passphrase.clone(),
            signer: None,
        }
    }

    /// Whether the user named somebody.
    pub(crate) const fn is_given(&self) -> bool {
        self.key.is_some() || self.signer.is_some()
    }

    /// Looks before the work begins at what can be seen without opening a key.
    pub(crate) fn check(&self, output: &Output) -> Result<(), CommandError> {
        match self.source() {
            Some(source) => source.check(&self.passphrase, output),
            None => Ok(()),
        }
    }

    /// Opens the key. To be called when the last step has ended.
    pub(crate) fn open(&self) -> Result<Opened, CommandError> {
        if let Some(source) = self.source() {
            return source.open(&self.passphrase).map(Opened::Known);
        }
        let key = SigningKey::generate(KeyKind::P256, &mut ambient::fill_random)?;
        Ok(Opened::Ephemeral(Box::new(key)))
    }

    /// Who signs, where the user named somebody.
    fn source(&self) -> Option<KeySource> {
        let program = self.signer.clone().map(KeySource::Program);
        program.or_else(|| self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_a_file_a_variable_or_a_program() {
        let file = |path: &str| Ok(KeySource::Text(KeyText::File(path.into())));
        for (text, means) in [
            ("repro.key", file("repro.key")),
            (
                "env:KEY",
                Ok(KeySource::Text(KeyText::Variable("KEY".into()))),
            ),
            ("./env:KEY", file("./env:KEY")),
            ("env:", Err(KeySourceError::Variable)),
            ("env:a=b", Err(KeySourceError::Variable)),
            ("signer:./kms", Ok(KeySource::Program("./kms".into()))),
            ("signer:", Err(KeySourceError::Program)),
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
