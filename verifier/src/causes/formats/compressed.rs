//! One content behind a compressor: gzip, zstd, xz, bzip2.

use std::io::{Cursor, Read};

use liblzma::{
    read::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use repro_core::{
    image::Compression,
    layer::{Limits, decompress},
};

use super::{Budget, Format, NotOpened, Part};
use crate::causes::Cause;

/// Reads what `reader` unpacks, within the budget.
fn unpack(reader: impl Read, budget: &mut Budget) -> Result<Vec<u8>, NotOpened> {
    let limit = budget.bytes();
    let mut bytes = Vec::new();
    let read = reader.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    // What is too much is said first: damage may lie behind it.
    budget.take(bytes.len() as u64)?;
    read.map_err(|_| NotOpened::Damaged)?;
    Ok(bytes)
}

/// RFC 1952.
pub(super) struct Gzip;

/// Bytes of a header without optional fields.
const GZIP_HEADER: usize = 10;
/// The flag for a file name behind the header, and for an extra field before it.
const FNAME: u8 = 8;
const FEXTRA: u8 = 4;

impl Format for Gzip {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(&[0x1f, 0x8b, 8]) && head.len() > GZIP_HEADER
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let data = unpack(flate2::read::MultiGzDecoder::new(bytes), budget)?;
        let header = Cause::GzipHeader;
        let mut parts = vec![
            Part::field("gzip header: time", header, &bytes[4..8]),
            Part::field("gzip header: level", Cause::CompressionForm, &bytes[8..9]),
            Part::field("gzip header: system", header, &bytes[9..GZIP_HEADER]),
        ];
        let flags = bytes[3];
        if flags & FNAME != 0 && flags & FEXTRA == 0 {
            let rest = &bytes[GZIP_HEADER..];
            let end = rest.iter().position(|byte| *byte == 0);
            let name = end.map_or(rest, |end| &rest[..end]);
            parts.push(Part::field("gzip header: name", header, name));
        }
        parts.push(Part::content("", data));
        Ok(parts)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::CompressionForm)
    }
}

/// RFC 8878.
pub(super) struct Zstd;

impl Format for Zstd {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        // All frames: a decoder alone stops behind the first.
        let frames = Box::new(Cursor::new(bytes.to_vec()));
        let plain = decompress(
            frames,
            Compression::Zstd,
            bytes.len() as u64,
            Limits::default(),
        );
        let data = unpack(plain, budget)?;
        Ok(vec![Part::content("", data)])
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::CompressionForm)
    }
}

/// Bytes of memory that unpacking may take: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// The .xz file format.
pub(super) struct Xz;

impl Format for Xz {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"\xfd7zXZ\0")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        // A header can ask for a dictionary of gigabytes.
        let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED);
        let stream = stream.map_err(|_| NotOpened::Damaged)?;
        let data = unpack(XzDecoder::new_stream(bytes, stream), budget)?;
        Ok(vec![Part::content("", data)])
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::CompressionForm)
    }
}

/// bzip2.
pub(super) struct Bzip2;

impl Format for Bzip2 {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"BZh")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let data = unpack(bzip2::read::MultiBzDecoder::new(bytes), budget)?;
        Ok(vec![Part::content("", data)])
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::CompressionForm)
    }
}
