//! Which toolchain is meant: a shipped one, or one of a file.

use std::path::{Path, PathBuf};

use repro_core::digest::Digest;
use repro_toolchains::definition::{self, Definition, PinnedToolchain};

use crate::{
    error::{CommandError, ErrorKind},
    files::{self, Limit},
};

/// The definition that a user named, without a lock.
pub(super) struct Chosen {
    pub(super) definition: Definition,
    /// Digest of its text.
    pub(super) digest: Digest,
    /// Where its lock belongs.
    pub(super) lock: PathBuf,
}

/// A path of a definition: whatever a name of a toolchain cannot be.
fn file(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    let toml = path.extension().is_some_and(|found| found == "toml");
    (toml || text.contains('/')).then_some(path)
}

/// The definition that `text` names.
pub(super) fn definition(text: &str) -> Result<Chosen, CommandError> {
    let (name, content, lock) = if let Some(path) = file(text) {
        (
            path.display().to_string(),
            files::read_text(path, Limit::Project)?,
            path.with_extension("lock"),
        )
    } else {
        let content = definition::shipped_text(text).ok_or_else(|| unknown(text))?;
        let lock = PathBuf::from(format!("{text}.lock"));
        (format!("{text}.toml"), content.to_owned(), lock)
    };
    Ok(Chosen {
        definition: Definition::parse(&name, &content)?,
        digest: Digest::of(content.as_bytes()),
        lock,
    })
}

/// The toolchain that `text` names, with its lock.
pub(super) fn pinned(text: &str) -> Result<PinnedToolchain, CommandError> {
    let Some(path) = file(text) else {
        return definition::shipped(text)?.ok_or_else(|| unknown(text));
    };
    let definition = files::read_text(path, Limit::Project)?;
    let lock_path = path.with_extension("lock");
    if !lock_path.exists() {
        let message = format!("{} has no lock beside it", path.display());
        let hint = format!("write it: repro toolchain lock {}", path.display());
        return Err(CommandError::message(ErrorKind::Input, message).hint(hint));
    }
    let lock = files::read_text(&lock_path, Limit::Project)?;
    let (definition_name, lock_name) =
        (path.display().to_string(), lock_path.display().to_string());
    let pinned = PinnedToolchain::parse((&definition_name, &definition), (&lock_name, &lock))?;
    Ok(pinned)
}

fn unknown(name: &str) -> CommandError {
    let names: Vec<&str> = definition::names().collect();
    CommandError::usage(format!("no toolchain {name:?} is shipped")).hint(format!(
        "there are {}; a definition of your own is a file, NAME.toml",
        names.join(", ")
    ))
}
