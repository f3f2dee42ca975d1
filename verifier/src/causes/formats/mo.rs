//! Compiled message catalogues of gettext.

use super::{Budget, Format, NotOpened, Part};
use crate::causes::Cause;

/// `.mo`, in either order of bytes.
pub(super) struct Mo;

const LITTLE: [u8; 4] = [0xde, 0x12, 0x04, 0x95];
const BIG: [u8; 4] = [0x95, 0x04, 0x12, 0xde];

impl Format for Mo {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(&LITTLE) || head.starts_with(&BIG)
    }

    fn open<'a>(&self, bytes: &'a [u8], _: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let number = if bytes.starts_with(&LITTLE) {
            u32::from_le_bytes
        } else {
            u32::from_be_bytes
        };
        let word = |at: usize| -> Result<usize, NotOpened> {
            let raw = at.checked_add(4).and_then(|end| bytes.get(at..end));
            let raw: [u8; 4] = raw
                .ok_or(NotOpened::Damaged)?
                .try_into()
                .map_err(|_| NotOpened::Damaged)?;
            usize::try_from(number(raw)).map_err(|_| NotOpened::Damaged)
        };
        // The header is the translation of the empty message, which sorts first.
        let (originals, translations) = (word(12)?, word(16)?);
        if word(originals)? != 0 {
            return Err(NotOpened::Damaged);
        }
        let start = word(translations.checked_add(4).ok_or(NotOpened::Damaged)?)?;
        let end = start
            .checked_add(word(translations)?)
            .ok_or(NotOpened::Damaged)?;
        let header = bytes.get(start..end).ok_or(NotOpened::Damaged)?;
        let mut parts = Vec::new();
        for line in header.split_inclusive(|byte| *byte == b'\n') {
            let dated = line.windows(5).any(|text| text == b"-Date");
            if dated {
                parts.push(Part::field("header", Cause::GettextDate, line));
            } else {
                parts.push(Part::content("header", line));
            }
        }
        parts.push(Part::content("tables", &bytes[..start]));
        parts.push(Part::content("messages", &bytes[end..]));
        Ok(parts)
    }
}
