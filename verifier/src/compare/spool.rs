//! Contents that differ, in one file without a name.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::causes::ContentView;

/// Largest content that is kept: what lies in a larger file is not looked at.
const MAX_CONTENT: u64 = 512 << 20;
/// Bytes kept of one pair of layers: a comparison should not fill the disk.
const MAX_TOTAL: u64 = 4 << 30;
/// Bytes copied at a time.
const CHUNK: usize = 64 << 10;

/// A file that is gone when it is closed.
pub(super) struct Spool {
    file: File,
    used: u64,
}

/// Where a content lies in the spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spooled {
    start: u64,
    length: u64,
}

impl Spool {
    pub(super) fn new(scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(scratch)?,
            used: 0,
        })
    }

    /// Keeps a content of `length` bytes; `None` if it is too large to be kept.
    pub(super) fn keep(
        &mut self,
        content: &mut dyn Read,
        length: u64,
    ) -> io::Result<Option<Spooled>> {
        if length > MAX_CONTENT || self.used + length > MAX_TOTAL {
            return Ok(None);
        }
        let start = self.used;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = content.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            self.file.write_all_at(&chunk[..read], self.used)?;
            self.used += read as u64;
        }
        Ok(Some(Spooled {
            start,
            length: self.used - start,
        }))
    }

    pub(super) const fn view(&self, spooled: Spooled) -> SpooledView<'_> {
        SpooledView {
            file: &self.file,
            spooled,
        }
    }
}

/// A content in the spool.
pub(super) struct SpooledView<'a> {
    file: &'a File,
    spooled: Spooled,
}

impl ContentView for SpooledView<'_> {
    fn len(&self) -> u64 {
        self.spooled.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.spooled.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buf, self.spooled.start + offset)
    }
}
