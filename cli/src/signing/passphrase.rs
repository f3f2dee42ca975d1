//! The passphrase of a key: from a file, a variable, or the terminal.

use std::path::Path;

use zeroize::Zeroizing;

use crate::{
    ambient,
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
};

/// The variable that can hold it.
const VARIABLE: &str = "REPRO_KEY_PASSPHRASE";

/// Where a passphrase comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passphrase<'a> {
    /// `--key-passphrase-file`.
    pub(crate) file: Option<&'a Path>,
}

impl Passphrase<'_> {
    /// Whether there is any place to get it from, without getting it.
    pub(crate) fn check(self) -> Result<(), CommandError> {
        if let Some(path) = self.file {
            let looked = path.metadata().map_err(|error| {
                CommandError::new(io_kind(&error), &error)
                    .context(format!("cannot read {}", path.display()))
            });
            return looked.map(drop);
        }
        if ambient::secret(VARIABLE).is_some() || ambient::can_ask() {
            return Ok(());
        }
        Err(CommandError::message(
            ErrorKind::Usage,
            "the key is encrypted, and there is no terminal to ask for its passphrase on",
        )
        .hint(format!(
            "set {VARIABLE}, or name a file: --key-passphrase-file FILE"
        )))
    }

    /// Gets it. `key` is what the key is called in the question.
    pub(crate) fn read(self, key: &str) -> Result<Zeroizing<String>, CommandError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        self.check()?;
        ask(&format!("Passphrase of {key}: "))
    }

    /// What file or variable say.
    fn given(self) -> Result<Option<Zeroizing<String>>, CommandError> {
        if let Some(path) = self.file {
            let text = Zeroizing::new(files::read_text(path, Limit::Key)?);
            // Editors end a file with a line feed, which nobody means.
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            return Ok(Some(Zeroizing::new(line.to_owned())));
        }
        let Some(value) = ambient::secret(VARIABLE) else {
            return Ok(None);
        };
        let value = value
            .into_string()
            .map_err(|_| CommandError::usage(format!("the variable {VARIABLE} is not UTF-8")))?;
        Ok(Some(Zeroizing::new(value)))
    }
}

/// The passphrase of a key in the making, asked for twice.
pub(crate) fn new_passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, CommandError> {
    let from = Passphrase { file };
    if let Some(given) = from.given()? {
        return Ok(given);
    }
    from.check()?;
    let first = ask("New passphrase: ")?;
    if *first != *ask("Once more: ")? {
        return Err(CommandError::usage("the two passphrases are not the same"));
    }
    Ok(first)
}

fn ask(question: &str) -> Result<Zeroizing<String>, CommandError> {
    ambient::ask_in_secret(question).map_err(|error| {
        CommandError::new(ErrorKind::Machine, &error).context("cannot read from the terminal")
    })
}
