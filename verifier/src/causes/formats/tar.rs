//! Tars inside of files: members with their headers.

use std::io::Read as _;

use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, counted};
use crate::causes::Cause;

/// POSIX and GNU.
pub(super) struct Tar;

/// Where the magic stands in a header.
const MAGIC: usize = 257;

impl Format for Tar {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.get(MAGIC..)
            .is_some_and(|rest| rest.starts_with(b"ustar"))
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut archive = tar::Archive::new(bytes);
        let mut parts = Vec::new();
        for entry in archive.entries().map_err(|_| NotOpened::Damaged)? {
            let mut entry = entry.map_err(|_| NotOpened::Damaged)?;
            let name = show_bytes(&entry.path_bytes()).into_owned();
            let header = entry.header();
            let time = header.mtime().map_err(|_| NotOpened::Damaged)?;
            let owner = format!(
                "{:?} {:?} {:?} {:?} {:?}",
                header.uid().ok(),
                header.gid().ok(),
                header.username_bytes().map(show_bytes),
                header.groupname_bytes().map(show_bytes),
                header.mode().ok(),
            );
            parts.push(Part::field(
                format!("{name}: time"),
                Cause::ArchiveTime,
                time.to_string().into_bytes(),
            ));
            parts.push(Part::field(
                format!("{name}: owner and mode"),
                Cause::ArchiveOwner,
                owner.into_bytes(),
            ));
            if entry.size() > budget.bytes() {
                return Err(NotOpened::TooLarge);
            }
            let mut content = Vec::new();
            let read = entry.read_to_end(&mut content);
            budget.take(read.map_err(|_| NotOpened::Damaged)? as u64)?;
            parts.push(Part::content(name, content));
            counted(&parts)?;
        }
        Ok(parts)
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::ArchiveOrder)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::TarFormat)
    }
}
