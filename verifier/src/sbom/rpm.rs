//! RPM's database since version 4.16: `SQLite`, with one header for each package.

use super::inventory::{Package, PackageKind, license, one_line};
use crate::causes::column_of_sqlite;

/// Bytes of one entry of a header's index: tag, type, offset, count.
const ENTRY: usize = 16;
/// Most entries of a header, as RPM itself has it.
const ENTRIES_MAX: usize = 0xffff;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;
const SOURCE: u32 = 1044;

/// The packages of the database; `None` where it cannot be read.
pub(super) fn packages(database: &[u8]) -> Option<Vec<Package>> {
    let headers = column_of_sqlite(database, "Packages", 1)?;
    headers.iter().map(|header| package(header)).collect()
}

fn package(header: &[u8]) -> Option<Package> {
    let text = |tag| {
        let value = field(header, tag)?;
        let end = value.iter().position(|byte| *byte == 0)?;
        Some(one_line(&String::from_utf8_lossy(&value[..end])))
    };
    let version = format!("{}-{}", text(VERSION)?, text(RELEASE)?);
    let mut package = Package::new(PackageKind::Rpm, &text(NAME)?, &version);
    // The keys that signatures are checked with are kept as packages; they hold no files.
    package.arch = text(ARCH).unwrap_or_default();
    package.license = text(LICENSE).as_deref().map(license).unwrap_or_default();
    package.source = text(SOURCE).unwrap_or_default();
    if let Some(&[a, b, c, d, ..]) = field(header, EPOCH) {
        package.epoch = u32::from_be_bytes([a, b, c, d]).to_string();
    }
    Some(package)
}

/// What a header has under `tag`, from its first byte on.
fn field(header: &[u8], tag: u32) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = header.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let entries = usize::try_from(number(0)?).ok()?.min(ENTRIES_MAX);
    let data = header.get(8 + entries * ENTRY..)?;
    let at = (0..entries)
        .map(|entry| 8 + entry * ENTRY)
        .find(|at| number(*at) == Some(tag))?;
    data.get(usize::try_from(number(at + 8)?).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut data = Vec::new();
        for (tag, value) in fields {
            for number in [*tag, 6, u32::try_from(data.len()).unwrap(), 1] {
                index.extend(number.to_be_bytes());
            }
            data.extend(*value);
        }
        let lengths = [fields.len(), data.len()].map(|n| u32::try_from(n).unwrap().to_be_bytes());
        [lengths.concat(), index, data].concat()
    }

    #[test]
    fn a_header_names_its_package() {
        let whole = header(&[
            (NAME, b"bash\0"),
            (VERSION, b"5.2\0"),
            (RELEASE, b"3.fc40\0"),
            (EPOCH, &[0, 0, 0, 2]),
            (ARCH, b"x86_64\0"),
            (LICENSE, b"GPL-3.0-or-later\0"),
        ]);
        let found = package(&whole).unwrap();
        assert_eq!(
            (found.name.as_str(), found.version.as_str()),
            ("bash", "5.2-3.fc40")
        );
        assert_eq!((found.arch.as_str(), found.epoch.as_str()), ("x86_64", "2"));
        for cut in 0..whole.len() {
            drop(package(&whole[..cut]));
        }
        assert_eq!(packages(b"no database"), None);
    }
}
