//! Tars inside of files: members with their headers.

use std::io::Read;

use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, counted, mode_shown, number_shown, time_shown};
use crate::causes::Cause;

/// POSIX and GNU.
pub(super) struct Tar;

/// Where the magic stands in a header.
const MAGIC: usize = 257;

/// The records of the extended header of a member, printable.
fn records(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<(String, String)>, NotOpened> {
    let Some(extensions) = entry.pax_extensions().map_err(|_| NotOpened::Damaged)? else {
        return Ok(Vec::new());
    };
    extensions
        .map(|record| {
            let record = record.map_err(|_| NotOpened::Damaged)?;
            let shown = |bytes: &[u8]| show_bytes(bytes).into_owned();
            Ok((shown(record.key_bytes()), shown(record.value_bytes())))
        })
        .collect()
}

/// Owner and mode, and the names of the owner, where there are some.
fn owner(header: &tar::Header) -> String {
    let numbers = format!(
        "{}:{} {}",
        number_shown(header.uid().ok()),
        number_shown(header.gid().ok()),
        mode_shown(header.mode().ok().map(u64::from)),
    );
    let names = [header.username_bytes(), header.groupname_bytes()].map(Option::unwrap_or_default);
    match names {
        [b"", b""] => numbers,
        [user, group] => format!("{numbers} {}:{}", show_bytes(user), show_bytes(group)),
    }
}

/// The type of a member in words. The first tars wrote a file without a letter.
fn type_name(kind: tar::EntryType) -> &'static str {
    match kind.as_byte() {
        0 | b'0' => "file",
        b'1' => "hard link",
        b'2' => "symbolic link",
        b'3' => "character device",
        b'4' => "block device",
        b'5' => "directory",
        b'6' => "named pipe",
        b'7' => "contiguous file",
        b'S' => "sparse file",
        _ => "of an unknown type",
    }
}

/// The numbers of a device.
fn device(header: &tar::Header) -> String {
    let shown =
        |number: std::io::Result<Option<u32>>| number_shown(number.ok().flatten().map(u64::from));
    format!(
        "{}:{}",
        shown(header.device_major()),
        shown(header.device_minor())
    )
}

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
            let mut time = header.mtime().map_err(|_| NotOpened::Damaged)?.to_string();
            let owner = owner(header);
            let kind = header.entry_type();
            let is_device = kind.is_character_special() || kind.is_block_special();
            let device = is_device.then(|| device(header));
            let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
            let records = records(&mut entry)?;
            budget.take(
                records
                    .iter()
                    .map(|(key, value)| (key.len() + value.len()) as u64)
                    .sum(),
            )?;
            let mut extended = String::new();
            for (key, value) in records {
                match key.as_str() {
                    "mtime" => time = value,
                    // What the member says by itself.
                    "path" | "linkpath" | "size" => {}
                    _ => extended.extend([&key, "=", &value, "\n"]),
                }
            }
            parts.push(Part::field(
                format!("{name}: extended header"),
                Cause::PaxHeader,
                extended.into_bytes(),
            ));
            parts.push(Part::field(
                format!("{name}: time"),
                Cause::ArchiveTime,
                time_shown(&time).into_bytes(),
            ));
            parts.push(Part::field(
                format!("{name}: owner and mode"),
                Cause::ArchiveOwner,
                owner.into_bytes(),
            ));
            parts.push(Part::text(
                format!("{name}: type"),
                type_name(kind).as_bytes(),
            ));
            if let Some(target) = target {
                budget.take(target.len() as u64)?;
                parts.push(Part::text(format!("{name}: link target"), target));
            }
            if let Some(device) = device {
                parts.push(Part::text(format!("{name}: device"), device.into_bytes()));
            }
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
