//! The 512-byte header block of a tar entry: where its fields are, and how numbers stand in it.
//!
//! POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".

use std::ops::Range;

use super::LayerFault;

/// Bytes of a block; headers and content are padded to it.
pub(super) const BLOCK: usize = 512;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const DEV_MAJOR: Range<usize> = 329..337;
pub(super) const DEV_MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;

/// Magic and version of POSIX.
pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";
/// Magic and version of GNU tar before it knew POSIX's.
const GNU: &[u8; 8] = b"ustar  \0";

/// The dialect of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Before POSIX: no prefix, no devices.
    V7,
    /// POSIX.
    Ustar,
    /// GNU: no prefix.
    Gnu,
}

/// A header block with a good checksum.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, LayerFault> {
        let header = Self(block);
        // Only the sum of unsigned bytes: some old programs summed signed ones, and a reader that
        // takes both can be led to see a header where others see none.
        if header.number("checksum", CHECKSUM)? == i128::from(checksum(block)) {
            Ok(header)
        } else {
            Err(LayerFault::Checksum)
        }
    }

    pub(super) fn dialect(&self) -> Result<Dialect, LayerFault> {
        match &self.0[MAGIC] {
            magic if magic == USTAR => Ok(Dialect::Ustar),
            magic if magic == GNU => Ok(Dialect::Gnu),
            magic if magic.iter().all(|byte| *byte == 0) => Ok(Dialect::V7),
            _ => Err(LayerFault::Magic),
        }
    }

    pub(super) const fn type_flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// The bytes of a text field up to its first NUL.
    pub(super) fn text(&self, field: Range<usize>) -> &'a [u8] {
        let bytes = &self.0[field];
        let end = bytes.iter().position(|byte| *byte == 0);
        &bytes[..end.unwrap_or(bytes.len())]
    }

    /// The name with its prefix.
    pub(super) fn path(&self, dialect: Dialect) -> Vec<u8> {
        let name = self.text(NAME);
        match (dialect, self.text(PREFIX)) {
            (Dialect::Ustar, prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    /// A numeric field: octal digits, or base 256 if the first bit is set (GNU, star). An empty
    /// field is zero, as GNU tar and Go have it.
    pub(super) fn number(
        &self,
        what: &'static str,
        field: Range<usize>,
    ) -> Result<i128, LayerFault> {
        let bytes = &self.0[field];
        let bad = || LayerFault::Number(what);
        if bytes[0] & 0x80 != 0 {
            // Two's complement, the flag bit being a copy of the sign in the bit below it. At most
            // twelve bytes: it fits.
            let first = i128::from(bytes[0] & 0x7f);
            let first = if bytes[0] & 0x40 == 0 {
                first
            } else {
                first - 0x80
            };
            let value = bytes[1..]
                .iter()
                .fold(first, |value, byte| (value << 8) | i128::from(*byte));
            return Ok(value);
        }
        let start = bytes.iter().position(|byte| *byte != b' ');
        let Some(start) = start else {
            return Ok(0);
        };
        let digits = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        let (number, rest) = bytes[start..].split_at(digits);
        if !rest.iter().all(|byte| matches!(byte, b' ' | 0)) {
            return Err(bad());
        }
        number.iter().try_fold(0_i128, |value, digit| match digit {
            b'0'..=b'7' => Ok(value << 3 | i128::from(digit - b'0')),
            _ => Err(bad()),
        })
    }
}

/// The sum of a header's bytes, the checksum field counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |range: Range<usize>| {
        block[range]
            .iter()
            .map(|byte| u32::from(*byte))
            .sum::<u32>()
    };
    sum(0..CHECKSUM.start) + 8 * u32::from(b' ') + sum(CHECKSUM.end..BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(field: &[u8]) -> Result<i128, LayerFault> {
        let mut block = [0; BLOCK];
        block[SIZE][..field.len()].copy_from_slice(field);
        Header(&block).number("size", SIZE)
    }

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"00000000017\0"[..], 15),
            (b"17", 15),
            (b"     17     ", 15),
            (b"            ", 0),
            (b"", 0),
            (b"777777777777", 0o777_777_777_777),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", 256),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(number(field).unwrap(), value, "{field:?}");
        }
        for field in [&b"8"[..], b"-1", b"1x", b"1 1", b"0x1", b"\x001"] {
            assert!(number(field).is_err(), "{field:?}");
        }
    }
}
