//! Files that the user names, read with a limit.

use std::{fs::File, io::Read, path::Path};

use crate::error::{CommandError, ErrorKind, io_kind};

/// How long a file may be. A named pipe or `/dev/zero` must not fill the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A key: a few hundred bytes, with room for comments.
    Key,
    /// The value of a secret.
    Secret,
    /// The keys of an archive.
    Keyring,
    /// A Dockerfile, an ignore file, `repro.toml` or `repro.lock`.
    Project,
    /// Provenance of BuildKit, with all steps of the build in it.
    Provenance,
    /// A trust file or a policy.
    Terms,
    /// A summary of a verification.
    Summary,
    /// A lock in any form: a build can fetch thousands of files.
    Lock,
}

impl Limit {
    const fn bytes(self) -> u64 {
        match self {
            Self::Key => 64 << 10,
            Self::Secret => repro_core::build::MAX_SECRET_BYTES as u64,
            Self::Keyring => repro_toolchains::archive::MAX_KEYRING,
            Self::Project => 16 << 20,
            Self::Provenance => repro_verifier::rebuild::buildkit::DOCUMENT_MAX as u64,
            Self::Terms => 1 << 20,
            Self::Summary => 32 << 20,
            Self::Lock => 64 << 20,
        }
    }
}

/// Reads a file as it is.
pub(crate) fn read(path: &Path, limit: Limit) -> Result<Vec<u8>, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot read {}", path.display()))
    };
    let file = File::open(path).map_err(failed)?;
    read_from(file, &path.display().to_string(), limit)
}

/// Reads what is called `name` in messages to its end.
pub(crate) fn read_from(
    source: impl Read,
    name: &str,
    limit: Limit,
) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    source
        .take(limit.bytes() + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            CommandError::new(io_kind(&error), &error).context(format!("cannot read {name}"))
        })?;
    if bytes.len() as u64 > limit.bytes() {
        let message = format!("{name} has more than {} bytes", limit.bytes());
        return Err(CommandError::message(ErrorKind::Usage, message));
    }
    Ok(bytes)
}

/// Writes a small file for scripts.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    std::fs::write(path, bytes).map_err(|error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot write {}", path.display()))
    })
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path, limit: Limit) -> Result<String, CommandError> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| CommandError::usage(format!("{} is not UTF-8", path.display())))
}
