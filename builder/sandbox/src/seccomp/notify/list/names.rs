//! The names of one directory, in order, and how programs are given them (`getdents(2)`).

use std::{mem::MaybeUninit, os::fd::OwnedFd};

use repro_core::build::DirectoryOrder;
use rustix::{
    fs::{FileType, RawDir},
    io::Errno,
};

use crate::seccomp::Word;

/// Names of one directory beyond which it is left to the kernel: they are held in memory.
const MAX_NAMES: usize = 1 << 20;
/// What the kernel fills at a time.
const BUFFER: usize = 64 * 1024;
/// What a name takes in memory beside its bytes.
const OVERHEAD: usize = 48;

/// How an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// `struct linux_dirent`, whose numbers are as long as this.
    Old(Word),
    /// `struct linux_dirent64`, for a program whose numbers are as long as this.
    New(Word),
}

/// `DT_UNKNOWN`.
const UNKNOWN: u8 = 0;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// Neither "." nor "..", which come first.
    is_usual: bool,
    bytes: Box<[u8]>,
    inode: u64,
    /// `DT_*`.
    kind: u8,
}

/// All names of a directory.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In the order in which they are given.
    sorted: Vec<Name>,
    /// What the kernel calls the position behind its n-th name.
    positions: Vec<u64>,
    bytes: usize,
}

impl Names {
    /// Reads from the file's position to its end. `NOMEM` if that is more than is kept of one.
    pub(super) fn read(file: &OwnedFd, order: DirectoryOrder) -> Result<Self, Errno> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(file, &mut buffer);
        let mut names = Self::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let kind = match entry.file_type() {
                FileType::Unknown => UNKNOWN,
                known => u8::try_from(known.as_raw_mode() >> 12).unwrap_or(UNKNOWN),
            };
            names.add(
                entry.file_name().to_bytes(),
                entry.ino(),
                kind,
                entry.next_entry_cookie(),
            )?;
        }
        names.sort(order);
        Ok(names)
    }

    fn add(&mut self, name: &[u8], inode: u64, kind: u8, position: u64) -> Result<(), Errno> {
        if self.sorted.len() >= MAX_NAMES {
            return Err(Errno::NOMEM);
        }
        self.bytes += name.len() + OVERHEAD;
        self.sorted.push(Name {
            is_usual: name != b"." && name != b"..",
            bytes: name.into(),
            inode,
            kind,
        });
        self.positions.push(position);
        Ok(())
    }

    fn sort(&mut self, order: DirectoryOrder) {
        self.sorted.sort_unstable();
        match order {
            DirectoryOrder::Sorted | DirectoryOrder::OfFileSystem => {}
            DirectoryOrder::Reversed => {
                let usual = self.sorted.partition_point(|name| !name.is_usual);
                self.sorted[usual..].reverse();
            }
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.sorted.len()
    }

    /// What they take in memory.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The file's position before the name in the `place`, which is not the first.
    pub(super) fn position_before(&self, place: usize) -> u64 {
        self.positions[place - 1]
    }

    /// The place of the name that follows on a position which this gave out.
    pub(super) fn after(&self, position: u64) -> Option<usize> {
        let real = self.positions.iter().position(|at| *at == position);
        let place = real.map(|place| place + 1).or_else(|| {
            // One that stands for a number which was too long.
            usize::try_from(position).ok()
        });
        place.filter(|place| *place <= self.len())
    }

    /// Entries from the place `from` on that fit into `size` bytes, and the place of the next.
    pub(super) fn fill(
        &self,
        from: usize,
        form: Form,
        size: usize,
    ) -> Result<(Vec<u8>, usize), Errno> {
        let mut bytes = Vec::new();
        for (place, name) in self.sorted.iter().enumerate().skip(from) {
            let length = form.length(name.bytes.len());
            if bytes.len() + length > size {
                return if bytes.is_empty() {
                    Err(Errno::INVAL)
                } else {
                    Ok((bytes, place))
                };
            }
            form.write(name, (self.positions[place], place), length, &mut bytes)?;
        }
        Ok((bytes, self.len()))
    }
}

impl Form {
    /// Bytes of a number in the entry.
    const fn word(self) -> usize {
        match self {
            Self::Old(word) => word.bytes(),
            Self::New(_) => Word::Eight.bytes(),
        }
    }

    /// Bytes of an entry, its padding included.
    const fn length(self, name: usize) -> usize {
        // Two numbers, a length, a type, the name and its NUL.
        (2 * self.word() + 2 + 1 + name + 1).next_multiple_of(self.word())
    }

    /// The position as the program can take it. One of 32 bits takes a signed number, and refuses a
    /// longer one; for such a program the kernel has shorter ones, and it is another that asks here.
    fn shown(self, position: u64, place: usize) -> u64 {
        let (Self::Old(word) | Self::New(word)) = self;
        match word {
            Word::Four if i32::try_from(position).is_err() => place as u64 + 1,
            Word::Four | Word::Eight => position,
        }
    }

    fn write(
        self,
        name: &Name,
        (position, place): (u64, usize),
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let start = bytes.len();
        let length_shown = u16::try_from(length).map_err(|_| Errno::OVERFLOW)?;
        let position = self.shown(position, place);
        if self.word() == Word::Four.bytes() {
            let inode = u32::try_from(name.inode).map_err(|_| Errno::OVERFLOW)?;
            let position = u32::try_from(position).map_err(|_| Errno::OVERFLOW)?;
            bytes.extend(inode.to_ne_bytes());
            bytes.extend(position.to_ne_bytes());
        } else {
            bytes.extend(name.inode.to_ne_bytes());
            bytes.extend(position.to_ne_bytes());
        }
        bytes.extend(length_shown.to_ne_bytes());
        if matches!(self, Self::New(_)) {
            bytes.push(name.kind);
        }
        bytes.extend_from_slice(&name.bytes);
        bytes.resize(start + length, 0);
        if let (Self::Old(_), Some(last)) = (self, bytes.last_mut()) {
            *last = name.kind;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(order: DirectoryOrder) -> Names {
        let mut names = Names::default();
        for (position, name) in (7..).step_by(5).zip(["b", "..", "-", "a.b", ".", "a"]) {
            names.add(name.as_bytes(), position, 8, position).unwrap();
        }
        names.sort(order);
        names
    }

    fn shown(names: &Names) -> Vec<&str> {
        names
            .sorted
            .iter()
            .map(|name| std::str::from_utf8(&name.bytes).unwrap())
            .collect()
    }

    #[test]
    fn by_bytes_or_the_other_way_round_behind_the_dots() {
        assert_eq!(
            shown(&names(DirectoryOrder::Sorted)),
            [".", "..", "-", "a", "a.b", "b"]
        );
        assert_eq!(
            shown(&names(DirectoryOrder::Reversed)),
            [".", "..", "b", "a.b", "a", "-"]
        );
    }

    #[test]
    fn positions_stay_where_they_are() {
        let names = names(DirectoryOrder::Reversed);
        let (bytes, end) = names.fill(0, Form::New(Word::Eight), 1000).unwrap();
        assert_eq!(end, names.len());
        let positions: Vec<u64> = bytes
            .chunks(24)
            .map(|entry| u64::from_ne_bytes(entry[8..16].try_into().unwrap()))
            .collect();
        assert_eq!(positions, [7, 12, 17, 22, 27, 32]);
        assert_eq!(names.after(12), Some(2));
        assert_eq!(names.after(32), Some(6));
        assert_eq!(names.after(1000), None);
    }

    #[test]
    fn pieces_are_whole_entries_and_end_where_the_next_begins() {
        let names = names(DirectoryOrder::Sorted);
        let form = Form::New(Word::Eight);
        assert_eq!(names.fill(0, form, 23), Err(Errno::INVAL));
        let (bytes, next) = names.fill(0, form, 71).unwrap();
        assert_eq!((bytes.len(), next), (48, 2));
        let (rest, end) = names.fill(next, form, 1000).unwrap();
        assert_eq!([bytes, rest].concat(), names.fill(0, form, 1000).unwrap().0);
        assert_eq!(end, names.len());
        assert_eq!(names.fill(end, form, 0), Ok((Vec::new(), end)));
    }

    /// As `linux/dirent.h` and the kernel's `fs/readdir.c` have them.
    #[test]
    fn each_form_is_the_kernels() {
        let mut names = Names::default();
        names.add(b"ab", 5, 4, 1 << 40).unwrap();
        let new = names.fill(0, Form::New(Word::Eight), 100).unwrap().0;
        let mut expected = [&5_u64.to_ne_bytes()[..], &(1_u64 << 40).to_ne_bytes()].concat();
        let numbers = expected.clone();
        expected.extend([24, 0, 4, b'a', b'b', 0, 0, 0]);
        assert_eq!(new, expected);
        let old = names.fill(0, Form::Old(Word::Eight), 100).unwrap().0;
        assert_eq!(
            old,
            [&numbers[..], &[24, 0, b'a', b'b', 0, 0, 0, 4]].concat()
        );
        // Too long a position for a program of 32 bits is the place.
        let short = names.fill(0, Form::Old(Word::Four), 100).unwrap().0;
        assert_eq!(
            short,
            [5, 0, 0, 0, 1, 0, 0, 0, 16, 0, b'a', b'b', 0, 0, 0, 4]
        );
        assert_eq!(names.after(1), Some(1));
        let mut far = Names::default();
        far.add(b"x", 1 << 40, 4, 1).unwrap();
        assert_eq!(
            far.fill(0, Form::Old(Word::Four), 100),
            Err(Errno::OVERFLOW)
        );
    }
}
