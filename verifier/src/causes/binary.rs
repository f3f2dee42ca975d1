//! What binary data can tell without knowing its format.

use std::ops::Range;

use super::Facts;

/// Beginnings of compressed data, which looks random whatever it holds.
const PACKED: [&[u8]; 6] = [
    &[0x1f, 0x8b],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    b"BZh",
    b"PK\x03\x04",
    &[0x04, 0x22, 0x4d, 0x18],
];

/// Whether a file that begins with `head` is compressed.
pub(super) fn is_packed(head: &[u8]) -> bool {
    PACKED.iter().any(|magic| head.starts_with(magic))
}

/// Whether at the same place of a change both windows hold a four-byte number of seconds that
/// lies in its own run, in either byte order. Gives its offset in window A.
///
/// A chance hit needs both runs' few seconds among 2^32 values at one place.
pub(super) fn binary_moment(
    (a, range_a): (&[u8], &Range<usize>),
    (b, range_b): (&[u8], &Range<usize>),
    facts: &Facts,
) -> Option<usize> {
    let (window_a, window_b) = facts.a.window.zip(facts.b.window)?;
    let read = |bytes: &[u8], at: usize| -> Option<[u8; 4]> {
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()
    };
    (range_a.start.saturating_sub(3)..range_a.end).find(|at_a| {
        let Some(at_b) = (at_a + range_b.start).checked_sub(range_a.start) else {
            return false;
        };
        let (Some(raw_a), Some(raw_b)) = (read(a, *at_a), read(b, at_b)) else {
            return false;
        };
        raw_a != raw_b
            && [u32::from_le_bytes, u32::from_be_bytes].iter().any(|from| {
                window_a.holds(from(raw_a).into()) && window_b.holds(from(raw_b).into())
            })
    })
}
