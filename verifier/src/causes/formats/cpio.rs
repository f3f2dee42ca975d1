//! cpio in the "new" ASCII form, as the kernel and rpm use it.

use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, counted, mode_shown, time_shown, type_shown};
use crate::causes::Cause;

/// cpio, `070701` and `070702`.
pub(super) struct Cpio;

/// Bytes of a header: the magic and 13 numbers of eight hexadecimal digits.
const HEADER: usize = 110;
/// The name of the last member.
const TRAILER: &[u8] = b"TRAILER!!!";

impl Format for Cpio {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"070701") || head.starts_with(b"070702")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut parts = Vec::new();
        let mut at = 0_usize;
        loop {
            let header = bytes.get(at..at + HEADER).ok_or(NotOpened::Damaged)?;
            if !self.matches(b"", header) {
                return Err(NotOpened::Damaged);
            }
            let name_at = at + HEADER;
            let name_end = name_at
                .checked_add(number(header, 11)?)
                .ok_or(NotOpened::Damaged)?;
            let name = bytes.get(name_at..name_end).ok_or(NotOpened::Damaged)?;
            let name = name.strip_suffix(b"\0").unwrap_or(name);
            if name == TRAILER {
                return Ok(parts);
            }
            let start = name_end.next_multiple_of(4);
            let end = start
                .checked_add(number(header, 6)?)
                .ok_or(NotOpened::Damaged)?;
            let content = bytes.get(start..end).ok_or(NotOpened::Damaged)?;
            budget.take(content.len() as u64)?;
            let name = show_bytes(name).into_owned();
            // By number: 0 inode, 1 mode, 2 and 3 owner, 5 time, 7 and 8 the device it lies on, 9 and 10
            // the device it is.
            let field = |what, cause, of: &[usize]| {
                let value: Vec<u8> = of
                    .iter()
                    .flat_map(|n| digits(header, *n).to_vec())
                    .collect();
                Part::field(format!("{name}: {what}"), cause, value)
            };
            let shown = |what, cause, value: String| {
                Part::field(format!("{name}: {what}"), cause, value.into_bytes())
            };
            let time = time_shown(&number(header, 5)?.to_string());
            parts.push(shown("time", Cause::ArchiveTime, time));
            let mode = number(header, 1)? as u64;
            let owner = format!(
                "{}:{} {}",
                number(header, 2)?,
                number(header, 3)?,
                mode_shown(Some(mode & 0o7777)),
            );
            parts.push(shown("owner and mode", Cause::ArchiveOwner, owner));
            let kind = type_shown(mode).unwrap_or("of an unknown type");
            parts.push(Part::text(format!("{name}: type"), kind.as_bytes()));
            let device = format!("{}:{}", number(header, 9)?, number(header, 10)?);
            parts.push(Part::text(format!("{name}: device"), device.into_bytes()));
            parts.push(field("inode and device", Cause::ArchiveExtra, &[0, 7, 8]));
            parts.push(Part::content(name, content));
            counted(&parts)?;
            at = end.next_multiple_of(4);
        }
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::ArchiveOrder)
    }
}

/// The digits of the header's number `index`.
fn digits(header: &[u8], index: usize) -> &[u8] {
    let from = 6 + 8 * index;
    &header[from..from + 8]
}

fn number(header: &[u8], index: usize) -> Result<usize, NotOpened> {
    let text = std::str::from_utf8(digits(header, index)).map_err(|_| NotOpened::Damaged)?;
    usize::from_str_radix(text, 16).map_err(|_| NotOpened::Damaged)
}
