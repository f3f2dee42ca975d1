//! Files that the user names, read with a limit.

use std::{fs::File, io::Read as _, path::Path};

use crate::error::{CommandError, ErrorKind, io_kind};

/// How long a file may be. A named pipe or `/dev/zero` must not fill the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A key: a few hundred bytes, with room for comments.
    Key,
    /// The value of a secret.
    Secret,
    /// A Dockerfile, an ignore file, `repro.toml` or `repro.lock`.
    Project,
}

impl Limit {
    const fn bytes(self) -> u64 {
        match self {
            Self::Key => 64 << 10,
            Self::Secret => repro_core::build::MAX_SECRET_BYTES as u64,
            Self::Project => 16 << 20,
        }
    }
}

/// Reads a file as it is.
pub(crate) fn read(path: &Path, limit: Limit) -> Result<Vec<u8>, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot read {}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit.bytes() + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit.bytes() {
        let message = format!("{} has more than {} bytes", path.display(), limit.bytes());
        return Err(CommandError::message(ErrorKind::Usage, message));
    }
    Ok(bytes)
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path, limit: Limit) -> Result<String, CommandError> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| CommandError::usage(format!("{} is not UTF-8", path.display())))
}
