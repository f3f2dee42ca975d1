//! A stream of entries between processes: how the helper inside an id mapping and the
//! orchestrator outside it exchange trees.
//!
//! ```text
//! stream := { frame } end
//! frame  := length (u32 LE, of what follows) entry (postcard) content (entry.content_size() bytes)
//! end    := 0 (u32 LE) trailer length (u32 LE) trailer (bytes, meaning given by the caller)
//! ```
//!
//! A stream that stops without `end` is an error: half a tree is never taken for a whole one.

use std::io::{self, Read, Write};

use super::Entry;

/// Longest encoded entry: a path, a target, and 64 KiB of attributes with room to spare.
const MAX_FRAME: u32 = 1 << 20;

/// Takes entries in order. Content is read from `content` to its end; an implementation
/// fails if it is not exactly `entry.content_size()` bytes.
pub trait EntrySink {
    /// Takes one entry and its content.
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()>;
}

/// Gives entries in order.
pub trait EntrySource {
    /// Gives the next entry and calls `take` with its content; `false` at the end.
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool>;

    /// Gives every entry to `sink`.
    fn copy_to(&mut self, sink: &mut dyn EntrySink) -> io::Result<()>
    where
        Self: Sized,
    {
        while self.next_entry(&mut |entry, content| sink.entry(entry, content))? {}
        Ok(())
    }
}

/// Why a stream of entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A frame longer than any entry.
    #[error("a frame of {0} bytes is longer than any entry")]
    FrameTooLong(u32),
    /// Bytes that are not an entry.
    #[error("a frame does not hold an entry")]
    Decode(#[from] postcard::Error),
    /// The content is not as long as the entry says.
    #[error("{path}: {found} bytes of content where {expected} were announced")]
    ContentSize {
        /// The entry.
        path: String,
        /// What the entry says.
        expected: u64,
        /// What came.
        found: u64,
    },
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Writes a stream of entries.
#[derive(Debug)]
pub struct EntryWriter<W> {
    inner: W,
}

impl<W: Write> EntryWriter<W> {
    /// Writes to `inner`, which the caller should buffer.
    pub const fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes the end of the stream and `trailer`, and gives the writer back.
    pub fn finish(mut self, trailer: &[u8]) -> io::Result<W> {
        let length = u32::try_from(trailer.len())
            .map_err(|_| io::Error::from(WireError::FrameTooLong(u32::MAX)))?;
        self.inner.write_all(&0_u32.to_le_bytes())?;
        self.inner.write_all(&length.to_le_bytes())?;
        self.inner.write_all(trailer)?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> EntrySink for EntryWriter<W> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let frame = postcard::to_stdvec(entry).map_err(WireError::from)?;
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if length > MAX_FRAME {
            return Err(WireError::FrameTooLong(length).into());
        }
        self.inner.write_all(&length.to_le_bytes())?;
        self.inner.write_all(&frame)?;
        copy_exactly(entry, content, &mut self.inner)
    }
}

/// Copies exactly `entry.content_size()` bytes; more or fewer in `content` is an error.
pub(crate) fn copy_exactly(
    entry: &Entry,
    content: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<()> {
    let expected = entry.content_size();
    let found = io::copy(&mut content.take(expected), out)?;
    let more = found == expected && content.read(&mut [0])? != 0;
    if found != expected || more {
        let found = if more { expected + 1 } else { found };
        return Err(WireError::ContentSize {
            path: entry.path.to_string(),
            expected,
            found,
        }
        .into());
    }
    Ok(())
}

/// Reads a stream of entries.
#[derive(Debug)]
pub struct EntryReader<R> {
    inner: R,
    trailer: Option<Vec<u8>>,
}

impl<R: Read> EntryReader<R> {
    /// Reads from `inner`, which the caller should buffer.
    pub const fn new(inner: R) -> Self {
        Self {
            inner,
            trailer: None,
        }
    }

    /// The trailer, once the end of the stream was read.
    #[must_use]
    pub fn trailer(&self) -> Option<&[u8]> {
        self.trailer.as_deref()
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.inner.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > MAX_FRAME {
            return Err(WireError::FrameTooLong(length).into());
        }
        let mut frame = vec![0; length as usize];
        self.inner.read_exact(&mut frame)?;
        Ok(frame)
    }
}

impl<R: Read> EntrySource for EntryReader<R> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        if self.trailer.is_some() {
            return Ok(false);
        }
        let frame = self.frame()?;
        if frame.is_empty() {
            self.trailer = Some(self.frame()?);
            return Ok(false);
        }
        let entry: Entry = postcard::from_bytes(&frame).map_err(WireError::from)?;
        let size = entry.content_size();
        let mut content = (&mut self.inner).take(size);
        take(&entry, &mut content)?;
        let left = content.limit();
        if left != 0 && io::copy(&mut content, &mut io::sink())? != left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{EntryKind, Meta, TreePath},
        *,
    };

    fn file(path: &str, size: u64) -> Entry {
        Entry {
            path: TreePath::parse(path.as_bytes()).unwrap(),
            kind: EntryKind::File { size },
            meta: Meta::default(),
        }
    }

    fn stream() -> Vec<u8> {
        let mut writer = EntryWriter::new(Vec::new());
        writer.entry(&file("a", 3), &mut &b"abc"[..]).unwrap();
        writer.entry(&file("b", 0), &mut io::empty()).unwrap();
        writer.finish(b"end").unwrap()
    }

    #[test]
    fn entries_come_back_even_if_content_is_not_read() {
        let bytes = stream();
        let mut reader = EntryReader::new(&bytes[..]);
        let mut seen = Vec::new();
        while reader
            .next_entry(&mut |entry, _| {
                seen.push(entry.clone());
                Ok(())
            })
            .unwrap()
        {}
        assert_eq!(seen, [file("a", 3), file("b", 0)]);
        assert_eq!(reader.trailer(), Some(&b"end"[..]));
    }

    #[test]
    fn a_cut_stream_is_an_error_at_every_byte() {
        let bytes = stream();
        for cut in 0..bytes.len() {
            let mut reader = EntryReader::new(&bytes[..cut]);
            let mut result = Ok(true);
            while matches!(result, Ok(true)) {
                result = reader.next_entry(&mut |_, _| Ok(()));
            }
            assert!(result.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn content_must_be_as_long_as_announced() {
        let mut writer = EntryWriter::new(Vec::new());
        assert!(writer.entry(&file("a", 3), &mut &b"ab"[..]).is_err());
        assert!(writer.entry(&file("a", 3), &mut &b"abcd"[..]).is_err());
    }
}
