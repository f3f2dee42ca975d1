//! zip, and what is one under another name: jar, wheel, docx.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
};

use repro_core::tree::show_bytes;

use super::{Budget, Format, MAX_PARTS, NotOpened, Part, counted, mode_shown, type_shown};
use crate::causes::Cause;

/// zip.
pub(super) struct Zip;

impl Format for Zip {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut archive =
            ::zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_| NotOpened::Damaged)?;
        if archive.len() > MAX_PARTS / 6 {
            return Err(NotOpened::TooLarge);
        }
        let mut parts = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(|_| NotOpened::Damaged)?;
            let name = show_bytes(file.name_raw()).into_owned();
            let time = file
                .last_modified()
                .map_or_else(String::new, |time| time.to_string());
            let field =
                |what, cause, value: Vec<u8>| Part::field(format!("{name}: {what}"), cause, value);
            parts.push(field("time", Cause::ArchiveTime, time.into_bytes()));
            let mode = file.unix_mode().map(u64::from);
            let shown = mode_shown(mode.map(|mode| mode & 0o7777));
            parts.push(field("mode", Cause::ArchiveOwner, shown.into_bytes()));
            if let Some(kind) = mode.and_then(type_shown) {
                parts.push(Part::text(format!("{name}: type"), kind.as_bytes()));
            }
            let extra = file.extra_data().unwrap_or_default().clone();
            parts.push(field("extra", Cause::ArchiveExtra, extra));
            let local = local_extra(bytes, file.header_start())?.to_vec();
            parts.push(field("extra beside the data", Cause::ArchiveExtra, local));
            let mut content = Vec::new();
            let limit = budget.bytes().saturating_add(1);
            let read = file.by_ref().take(limit).read_to_end(&mut content);
            budget.take(read.map_err(|_| NotOpened::Damaged)? as u64)?;
            parts.push(Part::content(name, content));
        }
        parts.extend(hidden(bytes, archive.central_directory_start()));
        counted(&parts)?;
        Ok(parts)
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::ArchiveOrder)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::CompressionForm)
    }
}

/// Entries of a name that a later one has too, which readers do not show: their checksums and sizes.
fn hidden(bytes: &[u8], directory: u64) -> Vec<Part<'_>> {
    /// Bytes of a header of the directory before the name.
    const HEADER: usize = 46;
    let mut last: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    let mut hidden = Vec::new();
    let mut rest = usize::try_from(directory)
        .ok()
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default();
    while let Some((header, behind)) = rest.split_at_checked(HEADER)
        && header.starts_with(b"PK\x01\x02")
    {
        let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let (name, others) = (length(28), length(30) + length(32));
        let Some((name, behind)) = behind.split_at_checked(name) else {
            break;
        };
        if let Some(before) = last.insert(name, &header[16..28]) {
            hidden.push(Part::content(show_bytes(name), before));
        }
        rest = behind.get(others..).unwrap_or_default();
    }
    hidden
}

/// The extra fields of the header before the data, which are others than those of the directory.
fn local_extra(bytes: &[u8], header: u64) -> Result<&[u8], NotOpened> {
    /// Bytes of that header without name and extra fields, and where their lengths stand.
    const HEADER: usize = 30;
    const LENGTHS: usize = 26;
    let start = usize::try_from(header).map_err(|_| NotOpened::Damaged)?;
    let header = bytes.get(start..).and_then(|rest| rest.get(..HEADER));
    let header = header.ok_or(NotOpened::Damaged)?;
    let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let from = start + HEADER + length(LENGTHS);
    let extra = bytes
        .get(from..)
        .and_then(|rest| rest.get(..length(LENGTHS + 2)));
    extra.ok_or(NotOpened::Damaged)
}
