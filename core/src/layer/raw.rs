//! A tar as a sequence of entries: headers put together, nothing yet known of layers.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::{
    LayerFault, Limits,
    header::{BLOCK, DEV_MAJOR, DEV_MINOR, Dialect, GID, Header, LINK, MODE, MTIME, SIZE, UID},
    pax::{self, Records},
};
use crate::tree::MAX_PATH;

/// The type of an entry as the header has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawKind {
    File,
    Hardlink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry: its headers put together.
#[derive(Debug)]
pub(crate) struct RawEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: RawKind,
    pub(crate) link: Vec<u8>,
    /// Bytes of content; 0 for everything but a file.
    pub(crate) size: u64,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where the content begins, in bytes from the start of the tar.
    pub(crate) offset: u64,
}

/// Whether the blocks of zeros at the end of a tar may be missing, as in layers of `umoci insert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndMarker {
    /// No: without them nothing tells that the input was not cut off between two entries.
    Needed,
    /// Yes: a digest holds the input. Every engine takes such a layer.
    Optional,
}

/// Reads a tar, entry by entry. After [`RawReader::next`] the content is read from
/// [`RawReader::content`]; what is left of it is passed over by the next call.
#[derive(Debug)]
pub(crate) struct RawReader<R> {
    inner: R,
    limits: Limits,
    end: EndMarker,
    offset: u64,
    /// Content of the current entry not read yet.
    content_left: u64,
    /// Zeros between that content and the next header.
    padding: u64,
    headers: u64,
    content_total: u64,
    ended: bool,
}

/// A fault of the tar, or trouble with reading it.
pub(crate) type RawResult<T> = Result<T, RawError>;

pub(crate) enum RawError {
    Fault(LayerFault),
    Io(io::Error),
}

impl From<LayerFault> for RawError {
    fn from(fault: LayerFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for RawError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Fault(LayerFault::Truncated)
        } else {
            Self::Io(error)
        }
    }
}

impl From<RawError> for io::Error {
    fn from(error: RawError) -> Self {
        match error {
            RawError::Fault(fault) => Self::new(io::ErrorKind::InvalidData, fault),
            RawError::Io(error) => error,
        }
    }
}

/// Headers that come before an entry and say something about it.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    gnu_path: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

impl Extensions {
    const fn any(&self) -> bool {
        self.pax.is_some() || self.gnu_path.is_some() || self.gnu_link.is_some()
    }
}

impl<R: Read> RawReader<R> {
    pub(crate) const fn new(inner: R, limits: Limits) -> Self {
        Self {
            inner,
            limits,
            end: EndMarker::Needed,
            offset: 0,
            content_left: 0,
            padding: 0,
            headers: 0,
            content_total: 0,
            ended: false,
        }
    }

    /// The same reader, that sees the end so.
    pub(crate) fn ending(mut self, end: EndMarker) -> Self {
        self.end = end;
        self
    }

    /// The content of the current entry.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// The next entry, or `None` at the end of the archive. The input is read to its own end
    /// then, so that what verifies it has seen everything.
    pub(crate) fn next(&mut self) -> RawResult<Option<RawEntry>> {
        if self.ended {
            return Ok(None);
        }
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                if extensions.any() {
                    return Err(LayerFault::DanglingExtension.into());
                }
                self.ended = true;
                return Ok(None);
            };
            let header = Header::parse(&block)?;
            self.headers += 1;
            if self.headers > self.limits.max_entries {
                return Err(LayerFault::TooManyEntries(self.limits.max_entries).into());
            }
            match header.type_flag() {
                b'x' => {
                    let bytes = self.extended(&header)?;
                    let records = pax::entry_records(&bytes)?;
                    if extensions.pax.replace(records).is_some() {
                        return Err(LayerFault::ExtensionTwice.into());
                    }
                }
                b'g' => {
                    let bytes = self.extended(&header)?;
                    pax::check_global(&bytes)?;
                }
                flag @ (b'L' | b'K') => {
                    let bytes = self.gnu_long(&header)?;
                    let slot = if flag == b'L' {
                        &mut extensions.gnu_path
                    } else {
                        &mut extensions.gnu_link
                    };
                    if slot.replace(bytes).is_some() {
                        return Err(LayerFault::ExtensionTwice.into());
                    }
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header<'_>, extensions: Extensions) -> RawResult<RawEntry> {
        let dialect = header.dialect()?;
        let records = extensions.pax.unwrap_or_default();
        let path = one_of(records.path, extensions.gnu_path)?;
        let path = path.unwrap_or_else(|| header.path(dialect));
        let kind = match header.type_flag() {
            // Before POSIX a directory was a file whose name ends in a slash.
            0 if path.ends_with(b"/") => RawKind::Directory,
            b'0' | b'7' | 0 => RawKind::File,
            b'1' => RawKind::Hardlink,
            b'2' => RawKind::Symlink,
            b'3' => RawKind::CharDevice,
            b'4' => RawKind::BlockDevice,
            b'5' => RawKind::Directory,
            b'6' => RawKind::Fifo,
            b'S' => return Err(LayerFault::Sparse.into()),
            flag => return Err(LayerFault::Type(flag).into()),
        };
        // GNU tar takes such a name for a directory's, Go for a file's.
        if kind == RawKind::File && path.ends_with(b"/") {
            return Err(LayerFault::FileWithSlash.into());
        }
        // The record counts whatever the header says. A reader that prefers a header other than
        // zero finds the next header at another place (CVE-2026-33055).
        let size = match records.size {
            Some(size) => size,
            None => unsigned("size", header.number("size", SIZE)?)?,
        };
        if kind != RawKind::File && size != 0 {
            return Err(LayerFault::ContentWithoutFile.into());
        }
        self.content_total = self.content_total.saturating_add(size);
        if self.content_total > self.limits.max_content {
            return Err(LayerFault::TooMuchContent(self.limits.max_content).into());
        }
        self.begin(size);
        let link = one_of(records.link, extensions.gnu_link)?;
        let id = |record: Option<u32>, what, field| match record {
            Some(id) => Ok(id),
            None => {
                u32::try_from(header.number(what, field)?).map_err(|_| LayerFault::Number(what))
            }
        };
        // Negative times are before 1970, which no layer of ours can hold: they become 1970.
        let mtime = header.number("mtime", MTIME)?.max(0);
        let mtime = u64::try_from(mtime).map_err(|_| LayerFault::Number("mtime"))?;
        let device = |what, field| {
            if dialect == Dialect::V7 || !matches!(kind, RawKind::CharDevice | RawKind::BlockDevice)
            {
                return Ok(0);
            }
            u32::try_from(header.number(what, field)?).map_err(|_| LayerFault::Number(what))
        };
        // Some writers leave the type of the file in the mode.
        let mode = unsigned("mode", header.number("mode", MODE)?)? & 0o7777;
        Ok(RawEntry {
            path,
            kind,
            link: link.unwrap_or_else(|| header.text(LINK).to_vec()),
            size,
            mode: u16::try_from(mode).map_err(|_| LayerFault::Number("mode"))?,
            uid: id(records.uid, "uid", UID)?,
            gid: id(records.gid, "gid", GID)?,
            mtime: records.mtime.unwrap_or(mtime),
            major: device("device major", DEV_MAJOR)?,
            minor: device("device minor", DEV_MINOR)?,
            xattrs: records.xattrs,
            offset: self.offset,
        })
    }

    fn begin(&mut self, size: u64) {
        self.content_left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    /// The content of an extended header.
    fn extended(&mut self, header: &Header<'_>) -> RawResult<Vec<u8>> {
        let size = unsigned("size", header.number("size", SIZE)?)?;
        if size > self.limits.max_extended_header {
            return Err(LayerFault::ExtensionTooLong(self.limits.max_extended_header).into());
        }
        self.begin(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The name in a GNU long name header: up to its NUL, nothing behind it.
    fn gnu_long(&mut self, header: &Header<'_>) -> RawResult<Vec<u8>> {
        let mut bytes = self.extended(header)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let end = end.unwrap_or(bytes.len());
        if bytes[end..].iter().any(|byte| *byte != 0) || end == 0 {
            return Err(LayerFault::LongName.into());
        }
        if end > MAX_PATH {
            return Err(LayerFault::LongNameTooLong(MAX_PATH).into());
        }
        bytes.truncate(end);
        Ok(bytes)
    }

    fn skip(&mut self) -> RawResult<()> {
        io::copy(&mut self.content(), &mut io::sink())?;
        let mut padding = [0; BLOCK];
        // Less than one block, by `begin`.
        let length = usize::try_from(self.padding).unwrap_or(0).min(BLOCK);
        self.padding = 0;
        self.fill(&mut padding[..length])
    }

    /// The next block, which is that of a header; `None` at the end of the archive, when all was read.
    fn block(&mut self) -> RawResult<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 && self.end == EndMarker::Optional => return Ok(None),
                Ok(0) => return Err(LayerFault::Truncated.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.offset += BLOCK as u64;
        if block.iter().all(|byte| *byte == 0) {
            self.read_to_end()?;
            return Ok(None);
        }
        Ok(Some(block))
    }

    fn fill(&mut self, buf: &mut [u8]) -> RawResult<()> {
        self.inner.read_exact(buf)?;
        self.offset += buf.len() as u64;
        Ok(())
    }

    /// Behind the first block of zeros there is nothing but zeros: programs that read on after
    /// it would see entries that others do not.
    fn read_to_end(&mut self) -> RawResult<()> {
        let mut buf = [0; 8192];
        loop {
            match self.inner.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(read) if buf[..read].iter().any(|byte| *byte != 0) => {
                    return Err(LayerFault::TrailingData.into());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RawError::Io(error)),
            }
        }
    }
}

/// A name given in two ways has no meaning that all readers share.
fn one_of(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, LayerFault> {
    match (pax, gnu) {
        (Some(_), Some(_)) => Err(LayerFault::ExtensionTwice),
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

fn unsigned(what: &'static str, number: i128) -> Result<u64, LayerFault> {
    // Sizes end far below: a file offset has 63 bits, and padding must not overflow.
    let number = u64::try_from(number).map_err(|_| LayerFault::Number(what))?;
    if number > i64::MAX as u64 {
        return Err(LayerFault::Number(what));
    }
    Ok(number)
}

/// The content of the current entry of a [`RawReader`].
pub(crate) struct Content<'a, R>(&'a mut RawReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let raw = &mut *self.0;
        let room = usize::try_from(raw.content_left)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        if room == 0 {
            return Ok(0);
        }
        let read = raw.inner.read(&mut buf[..room])?;
        if read == 0 {
            let fault = LayerFault::Truncated;
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault));
        }
        raw.content_left -= read as u64;
        raw.offset += read as u64;
        Ok(read)
    }
}
