//! ar: static libraries and Debian packages.

use object::read::archive::ArchiveFile;
use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, counted, mode_shown, number_shown, time_shown};
use crate::causes::Cause;

/// ar.
pub(super) struct Ar;

impl Format for Ar {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"!<arch>\n")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let archive = ArchiveFile::parse(bytes).map_err(|_| NotOpened::Damaged)?;
        let mut parts = Vec::new();
        // The table of symbols is no member to the reader of archives, and has a time of its own.
        if let Some(time) = bytes.get(8..36).filter(|head| head.starts_with(b"/ ")) {
            parts.push(Part::field(
                "symbol table: time",
                Cause::ArchiveTime,
                time_shown(show_bytes(time[16..].trim_ascii_end()).as_ref()).into_bytes(),
            ));
        }
        for member in archive.members() {
            let member = member.map_err(|_| NotOpened::Damaged)?;
            // Members can share one long name.
            budget.take(3 * member.name().len() as u64)?;
            let name = show_bytes(member.name()).into_owned();
            let time = time_shown(&number_shown(member.date()));
            let owner = format!(
                "{}:{} {}",
                number_shown(member.uid()),
                number_shown(member.gid()),
                mode_shown(member.mode()),
            );
            parts.push(Part::field(
                format!("{name}: time"),
                Cause::ArchiveTime,
                time.into_bytes(),
            ));
            parts.push(Part::field(
                format!("{name}: owner and mode"),
                Cause::ArchiveOwner,
                owner.into_bytes(),
            ));
            let content = member.data(bytes).map_err(|_| NotOpened::Damaged)?;
            budget.take(content.len() as u64)?;
            parts.push(Part::content(name, content));
            counted(&parts)?;
        }
        Ok(parts)
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::ArchiveOrder)
    }
}
