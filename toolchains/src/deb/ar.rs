//! The `ar` format as deb(5) uses it: short names, no symbol table.

use std::io::{self, Read};

use super::DebError;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

pub(super) struct Reader<'a> {
    inner: &'a mut dyn Read,
    /// Bytes of the present member that were not read, its padding included.
    rest: u64,
    /// The last byte of `rest` is padding.
    padded: bool,
    members: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(inner: &'a mut dyn Read) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        match inner.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Err(DebError::Magic.into()),
        }
        Ok(Self {
            inner,
            rest: 0,
            padded: false,
            members: 0,
        })
    }

    /// The next member: its name and its content. An archive that ends has a member without name.
    pub(super) fn next_member(&mut self) -> io::Result<(String, Member<'_, 'a>)> {
        self.skip()?;
        self.members += 1;
        let malformed = || io::Error::from(DebError::Header(self.members));
        let mut header = [0; HEADER];
        let mut filled = 0;
        while filled < HEADER {
            match self.inner.read(&mut header[filled..])? {
                0 if filled == 0 => return Ok((String::new(), Member { archive: self })),
                0 => return Err(malformed()),
                read => filled += read,
            }
        }
        let text = std::str::from_utf8(&header).map_err(|_| malformed())?;
        if !text.is_ascii() || &header[58..] != b"`\n" {
            return Err(malformed());
        }
        // GNU ar ends a name in a slash, dpkg does not.
        let name = text[..16].trim_end().trim_end_matches('/').to_owned();
        let digits = text[48..58].trim_end();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        let size: u64 = digits.parse().map_err(|_| malformed())?;
        self.padded = size % 2 == 1;
        self.rest = size + u64::from(self.padded);
        Ok((name, Member { archive: self }))
    }

    fn skip(&mut self) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut *self.inner).take(self.rest), &mut io::sink())?;
        // The padding of the last member is left out by some writers.
        if skipped + u64::from(self.padded) < self.rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.rest = 0;
        Ok(())
    }

    /// Reads to the end of the input. Members that are not known are passed over, as deb(5) asks.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.skip()?;
        io::copy(self.inner, &mut io::sink()).map(drop)
    }
}

/// The content of a member.
pub(super) struct Member<'r, 'a> {
    archive: &'r mut Reader<'a>,
}

impl Read for Member<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let content = self.archive.rest - u64::from(self.archive.padded);
        let wanted = buf
            .len()
            .min(usize::try_from(content).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.archive.inner.read(&mut buf[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.archive.rest -= read as u64;
        Ok(read)
    }
}
