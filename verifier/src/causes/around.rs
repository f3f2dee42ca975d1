//! The bytes around a difference, for a view of both sides next to each other.

use std::{fmt::Write as _, ops::Range};

use serde::{Deserialize, Serialize};

/// Bytes of one row of a hex view; what is shown of binary data begins at a multiple of it.
const ROW: usize = 8;
/// Bytes of binary data before the difference, and in all.
const BINARY: (usize, usize) = (2 * ROW, 8 * ROW);
/// Bytes of text before the difference and behind it.
const TEXT: usize = 192;
/// Bytes of the difference itself, where it is text.
const CHANGE: usize = 128;
/// Lines of text before the difference and behind it.
const LINES: usize = 2;

/// The bytes around the first byte that differs, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// In run A.
    pub a: Bytes,
    /// In run B.
    pub b: Bytes,
}

/// A part of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Offset of its first byte.
    pub offset: u64,
    /// Its bytes, two lowercase hexadecimal digits each.
    pub hex: String,
}

impl Around {
    /// What stands around a change of two contents whose windows begin at `offset`.
    pub(super) fn of(a: (&[u8], Range<usize>), b: (&[u8], Range<usize>), offset: u64) -> Self {
        let text = is_text(a.0, &a.1) && is_text(b.0, &b.1);
        let part = |(bytes, change): (&[u8], Range<usize>)| {
            let range = if text {
                text_range(bytes, &change)
            } else {
                binary_range(bytes, &change, offset)
            };
            Bytes::new(offset + range.start as u64, &bytes[range])
        };
        Self {
            a: part(a),
            b: part(b),
        }
    }
}

impl Bytes {
    fn new(offset: u64, bytes: &[u8]) -> Self {
        let mut hex = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(hex, "{byte:02x}").expect("a String takes every write");
        }
        Self { offset, hex }
    }

    /// The bytes; none where the text is no hexadecimal number, which a report from elsewhere may
    /// hold.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        let (pairs, rest) = self.hex.as_bytes().as_chunks::<2>();
        let bytes = pairs
            .iter()
            .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        rest.is_empty().then(|| bytes.collect()).flatten()
    }
}

/// Whether the lines around `change` are text: without bytes that no text file has.
fn is_text(bytes: &[u8], change: &Range<usize>) -> bool {
    bytes[text_range(bytes, change)]
        .iter()
        .all(|byte| !byte.is_ascii_control() || matches!(byte, b'\n' | b'\t' | b'\r'))
}

/// The lines around `change`, of long lines a part.
fn text_range(bytes: &[u8], change: &Range<usize>) -> Range<usize> {
    let floor = change.start.saturating_sub(TEXT);
    let before = &bytes[floor..change.start];
    let mut ends = before.iter().enumerate().rev();
    let start = ends
        .by_ref()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(LINES)
        .map_or(floor, |(at, _)| floor + at + 1);
    let end = change.end.min(change.start + CHANGE);
    let ceiling = (end + TEXT).min(bytes.len());
    let behind = bytes[end..ceiling].iter().enumerate();
    let end = behind
        .filter(|(_, byte)| **byte == b'\n')
        .nth(LINES)
        .map_or(ceiling, |(at, _)| end + at);
    start..end
}

fn binary_range(bytes: &[u8], change: &Range<usize>, offset: u64) -> Range<usize> {
    let (before, all) = BINARY;
    let row = ROW as u64;
    let at = offset + change.start as u64;
    let start = (at - at % row).saturating_sub(before as u64).max(offset);
    let start = usize::try_from(start - offset).unwrap_or(change.start);
    start..(start + all).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(a: &[u8], b: &[u8], change: Range<usize>, offset: u64) -> (Vec<u8>, u64, Vec<u8>) {
        let found = Around::of((a, change.clone()), (b, change), offset);
        let bytes = |side: &Bytes| side.bytes().unwrap();
        (bytes(&found.a), found.a.offset, bytes(&found.b))
    }

    #[test]
    fn text_is_shown_with_two_lines_before_and_behind() {
        let a = b"1\n2\n3\nxa\n5\n6\n7\n";
        let b = b"1\n2\n3\nxb\n5\n6\n7\n";
        let (bytes, offset, other) = around(a, b, 7..8, 0);
        assert_eq!((&bytes[..], offset), (&b"2\n3\nxa\n5\n6"[..], 2));
        assert_eq!(other, b"2\n3\nxb\n5\n6");
    }

    #[test]
    fn binary_data_is_shown_in_rows_of_the_whole_content() {
        let a: Vec<u8> = (0..=255).collect();
        let mut b = a.clone();
        b[100] = 0;
        // The window begins at 1000, so the byte is 1100, in the row of 1096.
        let (bytes, offset, _) = around(&a, &b, 100..101, 1000);
        assert_eq!(offset, 1096 - 16);
        assert_eq!(bytes, &a[80..80 + 64]);
        let (_, offset, _) = around(&a, &b, 3..4, 1000);
        assert_eq!(offset, 1000, "nothing stands before the window");
    }

    #[test]
    fn long_lines_and_long_changes_are_cut() {
        let long = vec![b'x'; 100_000];
        let (bytes, offset, _) = around(&long, &long, 50_000..99_000, 0);
        assert_eq!(offset, 50_000 - 192);
        assert_eq!(bytes.len(), 192 + 128 + 192);
    }

    #[test]
    fn what_is_no_hexadecimal_number_is_no_bytes() {
        for hex in ["0", "0g", "é", "+1"] {
            let hex = hex.to_owned();
            assert_eq!(Bytes { offset: 0, hex }.bytes(), None);
        }
    }
}
