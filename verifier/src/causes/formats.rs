//! Formats that are taken apart, so that a difference is named where it is: one file a format,
//! and none knows another. What a format holds is looked at as if it were a file.

mod ar;
mod class;
mod compressed;
mod cpio;
mod elf;
mod json;
mod mo;
mod pdf;
mod png;
mod pyc;
mod sqlite;
mod tar;
mod xml;
mod zip;

pub(super) use json::same_numbers;
pub(crate) use sqlite::column as column_of_sqlite;

use std::{borrow::Cow, fmt::Write as _};

use jiff::Timestamp;

use super::{Cause, Confidence};

/// Most bytes that one content may unpack to: what is larger is compared as it is.
const MAX_UNPACKED: u64 = 128 << 20;
/// Most times its size that a content may unpack to, beyond what is free.
const MAX_RATIO: u64 = 200;
/// Bytes that a content of any size may unpack to: small files compress well.
const RATIO_FREE: u64 = 4 << 20;
/// Most parts of one content. A jar of a large program has some ten thousand.
const MAX_PARTS: usize = 100_000;

/// What one content may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    bytes: u64,
}

impl Budget {
    /// For a content of `size` bytes where `left` may be used.
    pub(super) fn new(size: u64, left: u64) -> Self {
        let ratio = size.saturating_mul(MAX_RATIO).saturating_add(RATIO_FREE);
        Self {
            bytes: ratio.min(MAX_UNPACKED).min(left),
        }
    }

    /// Most bytes that may still be unpacked.
    const fn bytes(self) -> u64 {
        self.bytes
    }

    /// Takes `bytes` of it.
    fn take(&mut self, bytes: u64) -> Result<(), NotOpened> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(NotOpened::TooLarge)?;
        Ok(())
    }
}

/// Why a content was not taken apart. It is compared as bytes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// It is damaged, or not of that format.
    Damaged,
    /// It unpacks to more than is allowed, or has too many parts.
    TooLarge,
}

/// What a part of a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Looked at as a file of its own.
    Content,
    /// A field whose difference has this cause.
    Field(Cause),
    /// As a field; it follows from other parts of the same content.
    Follows(Cause),
    /// Says something of a member, and is looked at as content. Of one side only it follows from the member.
    Text,
    /// Text or code in which a path, where one differs, has this cause.
    Paths(Cause),
}

/// One part.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Its name; two parts of the same name are matched by their turn.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl<'a> Part<'a> {
    fn content(name: impl Into<String>, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            name: name.into(),
            role: Role::Content,
            bytes: bytes.into(),
        }
    }

    fn text(name: impl Into<String>, text: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            name: name.into(),
            role: Role::Text,
            bytes: text.into(),
        }
    }

    fn field(name: impl Into<String>, cause: Cause, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            name: name.into(),
            role: Role::Field(cause),
            bytes: bytes.into(),
        }
    }
}

/// A format.
pub(super) trait Format: Sync {
    /// Whether a content that begins with `head` may be of this format.
    fn matches(&self, path: &[u8], head: &[u8]) -> bool;

    /// Takes it apart.
    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened>;

    /// The cause where the same parts stand in another order.
    fn order(&self) -> Option<Cause> {
        None
    }

    /// The cause where all parts are equal and the bytes are not.
    fn form(&self) -> Option<Cause> {
        None
    }

    /// Whether contents whose parts are all equal say the same.
    fn says_the_same(&self, _a: &[u8], _b: &[u8]) -> bool {
        true
    }

    /// What it means that a part is on one side only.
    fn alone(&self) -> (Cause, Confidence) {
        (Cause::MissingFile, Confidence::Likely)
    }
}

const FORMATS: [&dyn Format; 18] = [
    &compressed::Gzip,
    &compressed::Zstd,
    &compressed::Xz,
    &compressed::Bzip2,
    &tar::Tar,
    &zip::Zip,
    &ar::Ar,
    &cpio::Cpio,
    &elf::Elf,
    &class::Class,
    &pyc::Pyc,
    &mo::Mo,
    &png::Png,
    &sqlite::Sqlite,
    &sqlite::Pages,
    &pdf::Pdf,
    &xml::Xml,
    &json::Json,
];

/// The formats of two contents at `path` that both may be of; the one that says most first.
pub(super) fn formats_of<'a>(
    path: &'a [u8],
    a: &'a [u8],
    b: &'a [u8],
) -> impl Iterator<Item = &'static dyn Format> {
    let formats = FORMATS.into_iter();
    formats.filter(move |format| format.matches(path, a) && format.matches(path, b))
}

/// Refuses more parts than are compared.
fn counted(parts: &[Part<'_>]) -> Result<(), NotOpened> {
    if parts.len() > MAX_PARTS {
        return Err(NotOpened::TooLarge);
    }
    Ok(())
}

/// A number of seconds since 1970, with a fraction or without, as RFC 3339 has it. What is none is
/// shown as it is: two fields must not look the same unless they are.
fn time_shown(seconds: &str) -> String {
    let (whole, fraction) = match seconds.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (seconds, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<i64> = whole.parse().ok();
    let time = number
        // Written like any other number.
        .filter(|number| number.to_string() == whole && fraction.is_none_or(digits))
        .and_then(|number| Timestamp::from_second(number).ok());
    let Some(time) = time else {
        return seconds.to_owned();
    };
    let shown = time.to_string();
    match fraction {
        Some(fraction) => format!("{}.{fraction}Z", shown.trim_end_matches('Z')),
        None => shown,
    }
}

/// A number that a header may lack.
fn number_shown(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

/// Permissions, which a header may lack.
fn mode_shown(mode: Option<u64>) -> String {
    mode.map_or_else(|| "none".to_owned(), |mode| format!("{mode:04o}"))
}

/// What a Unix mode says of the type of a file, where it does.
fn type_shown(mode: u64) -> Option<&'static str> {
    let shown = match mode & 0o170_000 {
        0o010_000 => "named pipe",
        0o020_000 => "character device",
        0o040_000 => "directory",
        0o060_000 => "block device",
        0o100_000 => "file",
        0o120_000 => "symbolic link",
        0o140_000 => "socket",
        _ => return None,
    };
    Some(shown)
}

/// Adds to a text.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(what);
    debug_assert!(written.is_ok(), "a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_modes_are_shown_for_people() {
        for (seconds, shown) in [
            ("0", "1970-01-01T00:00:00Z"),
            ("1795920531", "2026-11-29T02:48:51Z"),
            ("1795920531.250", "2026-11-29T02:48:51.250Z"),
            ("01", "01"),
            ("1.", "1."),
            ("1.2.3", "1.2.3"),
            ("none", "none"),
            ("99999999999999999999", "99999999999999999999"),
        ] {
            assert_eq!(time_shown(seconds), shown);
        }
        assert_eq!(mode_shown(Some(33_188)), "100644");
        assert_eq!(mode_shown(Some(0o644)), "0644");
        assert_eq!(
            (number_shown(None), mode_shown(None)),
            ("none".into(), "none".into())
        );
    }
}
