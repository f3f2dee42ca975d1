//! The name of a store, as engines know it.

use std::{fmt, fs, io, path::Path};

use repro_core::{build::ExecutorError, digest::Digest};

use super::layers::ENGINE;

/// The file that holds it, in the store's directory for engines.
pub(super) const FILE: &str = "id";
/// Random bytes in a name.
const BYTES: usize = 16;

/// Tells containers of one store from those of others. Chance makes it and not the store's path: two
/// machines can have a store at one path and an engine in common, and neither may take what the other is
/// doing for left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreId(String);

impl StoreId {
    /// The name of the store at `root`, made with random bytes of `fill` if it has none.
    pub fn of(
        root: &Path,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> Result<Self, ExecutorError> {
        let directory = root.join(ENGINE);
        let path = directory.join(FILE);
        let failed = |what: &str| {
            let what = format!("cannot {what} {}", path.display());
            move |source| ExecutorError::Exhausted {
                what,
                source: Some(source),
            }
        };
        if let Some(id) = read(&path).map_err(failed("read"))? {
            return Ok(id);
        }
        let mut bytes = [0; BYTES];
        fill(&mut bytes).map_err(failed("draw a name for"))?;
        let text = Digest::of(&bytes).hex();
        write(&directory, &path, &text).map_err(failed("write"))?;
        // Another process may have been faster.
        let id = read(&path).map_err(failed("read"))?;
        id.ok_or_else(|| failed("read")(io::ErrorKind::InvalidData.into()))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read(path: &Path) -> io::Result<Option<StoreId>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    match Digest::from_hex(&text) {
        Ok(name) => Ok(Some(StoreId(name.hex()))),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Whole or not at all, and never in place of one that is there.
fn write(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let file = tempfile::NamedTempFile::new_in(directory)?;
    fs::write(file.path(), text)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_its_name_and_shares_it_with_none() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fill = |byte: u8| {
            move |bytes: &mut [u8]| -> io::Result<()> {
                bytes.fill(byte);
                Ok(())
            }
        };
        let first = StoreId::of(one.path(), fill(1)).unwrap();
        assert_eq!(StoreId::of(one.path(), fill(2)).unwrap(), first);
        assert_ne!(StoreId::of(other.path(), fill(3)).unwrap(), first);
        fs::write(one.path().join("engine/id"), "../escape").unwrap();
        assert!(StoreId::of(one.path(), fill(4)).is_err());
    }
}
