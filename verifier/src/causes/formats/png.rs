//! PNG images, chunk by chunk.

use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, Role, counted};
use crate::causes::Cause;

/// PNG.
pub(super) struct Png;

const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Format for Png {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn open<'a>(&self, bytes: &'a [u8], _: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut parts = Vec::new();
        let mut rest = &bytes[MAGIC.len()..];
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk::<4>().ok_or(NotOpened::Damaged)?;
            let (kind, behind) = behind.split_first_chunk::<4>().ok_or(NotOpened::Damaged)?;
            let length =
                usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NotOpened::Damaged)?;
            let (data, behind) = behind.split_at_checked(length).ok_or(NotOpened::Damaged)?;
            // The checksum follows from the data.
            rest = behind.get(4..).ok_or(NotOpened::Damaged)?;
            let dated = kind == b"tIME"
                || data.starts_with(b"date:")
                || data.starts_with(b"Creation Time\0");
            parts.push(Part {
                name: show_bytes(kind).into_owned(),
                role: if dated {
                    Role::Field(Cause::PngTime)
                } else {
                    Role::Content
                },
                bytes: data.into(),
            });
            counted(&parts)?;
        }
        Ok(parts)
    }
}
