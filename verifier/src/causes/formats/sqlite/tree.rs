//! B-trees of a database ("Database File Format", 1.6).

use std::collections::BTreeSet;

use super::super::{Budget, NotOpened};
use super::{
    HEADER,
    record::{Encoding, Value, values, varint},
};

/// Deepest tree: with two entries a page it would hold a million.
const MAX_DEPTH: usize = 20;

/// Takes the id of a row, where its table has ids, and its values.
type Take<'a> = dyn FnMut(Option<i64>, &[Value]) -> Result<(), NotOpened> + 'a;

/// A database whose header was read.
pub(super) struct Database<'a> {
    bytes: &'a [u8],
    page: usize,
    /// Bytes of a page that hold data.
    usable: usize,
    encoding: Encoding,
}

/// A page of a tree.
struct Page<'a> {
    bytes: &'a [u8],
    /// Of its header: 0 but on the first page.
    start: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    leaf: bool,
    /// Rows with ids; otherwise records in an order of their own.
    table: bool,
}

impl<'a> Database<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, NotOpened> {
        let page = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65_536,
            size if size.is_power_of_two() && size >= 512 => usize::from(size),
            _ => return Err(NotOpened::Damaged),
        };
        let usable = page - usize::from(bytes[20]);
        // "The usable size is not allowed to be less than 480."
        if usable < 480 {
            return Err(NotOpened::Damaged);
        }
        Ok(Self {
            bytes,
            page,
            usable,
            encoding: match bytes[59] {
                2 => Encoding::Utf16Le,
                3 => Encoding::Utf16Be,
                // 0 in a database without a table.
                _ => Encoding::Utf8,
            },
        })
    }

    /// Calls `take` with every row of the tree that begins at page `root`.
    pub(super) fn rows(
        &self,
        root: u32,
        budget: &mut Budget,
        take: &mut Take<'_>,
    ) -> Result<(), NotOpened> {
        let mut seen = BTreeSet::new();
        self.walk(root, MAX_DEPTH, &mut seen, budget, take)
    }

    fn page(&self, number: u32) -> Result<Page<'a>, NotOpened> {
        let index = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1))
            .ok_or(NotOpened::Damaged)?;
        let from = index.checked_mul(self.page).ok_or(NotOpened::Damaged)?;
        let bytes = self.bytes.get(from..from.saturating_add(self.page));
        let bytes = bytes.ok_or(NotOpened::Damaged)?;
        let start = if number == 1 { HEADER } else { 0 };
        let kind = match bytes[start] {
            2 => (false, false),
            5 => (false, true),
            10 => (true, false),
            13 => (true, true),
            _ => return Err(NotOpened::Damaged),
        };
        Ok(Page {
            bytes: &bytes[..self.usable],
            start,
            kind: Kind {
                leaf: kind.0,
                table: kind.1,
            },
        })
    }

    /// A page that is met twice is in a circle or in two trees: both are damage.
    fn walk(
        &self,
        number: u32,
        depth: usize,
        seen: &mut BTreeSet<u32>,
        budget: &mut Budget,
        take: &mut Take<'_>,
    ) -> Result<(), NotOpened> {
        let depth = depth.checked_sub(1).ok_or(NotOpened::Damaged)?;
        if !seen.insert(number) {
            return Err(NotOpened::Damaged);
        }
        let page = self.page(number)?;
        let header = if page.kind.leaf { 8 } else { 12 };
        let cells = usize::from(page.u16(page.start + 3)?);
        for cell in 0..cells {
            let mut at = usize::from(page.u16(page.start + header + 2 * cell)?);
            if !page.kind.leaf {
                let child = page.u32(at)?;
                at += 4;
                self.walk(child, depth, seen, budget, take)?;
                if page.kind.table {
                    continue;
                }
            }
            let length = varint(page.bytes, &mut at)?;
            let id = if page.kind.table {
                Some(varint(page.bytes, &mut at)?.cast_signed())
            } else {
                None
            };
            let record = self.payload(&page, at, length, budget)?;
            let row = values(&record, self.encoding)?;
            // Values as text are up to four times as long.
            budget.take(4 * length + 32)?;
            take(id, &row)?;
        }
        if !page.kind.leaf {
            self.walk(page.u32(page.start + 8)?, depth, seen, budget, take)?;
        }
        Ok(())
    }

    /// A record of `length` bytes that begins at `at`, with what overflows to other pages.
    fn payload(
        &self,
        page: &Page<'a>,
        at: usize,
        length: u64,
        budget: &mut Budget,
    ) -> Result<Vec<u8>, NotOpened> {
        let length = usize::try_from(length).map_err(|_| NotOpened::Damaged)?;
        if length > self.bytes.len() {
            return Err(NotOpened::Damaged);
        }
        budget.take(length as u64)?;
        let local = self.local(length, page.kind.table);
        let here = page.bytes.get(at..at.saturating_add(local));
        let mut record = here.ok_or(NotOpened::Damaged)?.to_vec();
        if record.len() < length {
            let mut next = page.u32(at + local)?;
            while record.len() < length {
                let index = usize::try_from(next)
                    .ok()
                    .and_then(|next| next.checked_sub(1));
                let from = index.and_then(|index| index.checked_mul(self.page));
                let from = from.ok_or(NotOpened::Damaged)?;
                let bytes = self.bytes.get(from..from.saturating_add(self.usable));
                let bytes = bytes.ok_or(NotOpened::Damaged)?;
                next = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                let part = (length - record.len()).min(self.usable - 4);
                record.extend_from_slice(&bytes[4..4 + part]);
            }
        }
        Ok(record)
    }

    /// Bytes of a record of `length` bytes that are on the page itself.
    const fn local(&self, length: usize, table: bool) -> usize {
        let usable = self.usable;
        let most = if table {
            usable - 35
        } else {
            (usable - 12) * 64 / 255 - 23
        };
        if length <= most {
            return length;
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let spread = least + (length - least) % (usable - 4);
        if spread <= most { spread } else { least }
    }
}

impl Page<'_> {
    fn u16(&self, at: usize) -> Result<u16, NotOpened> {
        let raw = self.bytes.get(at..at.saturating_add(2));
        let raw = raw.ok_or(NotOpened::Damaged)?;
        Ok(u16::from_be_bytes([raw[0], raw[1]]))
    }

    fn u32(&self, at: usize) -> Result<u32, NotOpened> {
        let raw = self.bytes.get(at..at.saturating_add(4));
        let raw = raw.ok_or(NotOpened::Damaged)?;
        Ok(u32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]]))
    }
}
