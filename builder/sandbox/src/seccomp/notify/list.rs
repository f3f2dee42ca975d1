//! The order in which programs are given the names of a directory.
//!
//! The supervisor reads the whole directory through the caller's own open file, and gives the names by
//! their bytes, or the other way round. The name in the n-th place gets the position that the kernel
//! gave to its n-th name: so the file's position says how far the program is, also after `lseek`.
//! What a program got that reads in pieces is kept until it has all: names that it removes meanwhile
//! must not shift those to come. Rejected: sorting each buffer when the kernel has filled it, since
//! the pieces of a larger directory then keep the kernel's order among each other.

mod names;

use std::{collections::BTreeMap, os::fd::OwnedFd};

use repro_core::build::DirectoryOrder;
use rustix::{
    fs::{SeekFrom, fstat, seek, tell},
    io::Errno,
};

pub(super) use self::names::Form;
use self::names::Names;
use super::{
    Listener,
    kernel::{self, Notification, Reply},
    process::Processes,
};

/// Directories kept at a time that programs are amidst.
const MAX_KEPT: usize = 256;
/// Bytes of them.
const MAX_BYTES: usize = 64 << 20;
/// Files of which the position is remembered.
const MAX_LEFT: usize = 4096;

/// Device and inode number.
type FileId = (u64, u64);

/// Answers for the directories of one step.
#[derive(Debug)]
pub(super) struct Lists {
    order: DirectoryOrder,
    /// Those that a program is amidst.
    kept: Vec<Kept>,
    /// Where a thread was left in a directory that it got whole, by number of thread and file.
    left: BTreeMap<(i32, u64), (FileId, u64)>,
    unsorted: u64,
}

#[derive(Debug)]
struct Kept {
    /// The caller's open file. It stays open with its names, since only so can it be told from another.
    file: OwnedFd,
    id: FileId,
    names: Names,
    /// The file's position, and the place of the next name.
    next: (u64, usize),
}

impl Lists {
    pub(super) const fn new(order: DirectoryOrder) -> Self {
        Self {
            order,
            kept: Vec::new(),
            left: BTreeMap::new(),
            unsorted: 0,
        }
    }

    pub(super) const fn unsorted(&self) -> u64 {
        self.unsorted
    }

    /// Answers `getdents` or `getdents64`. What cannot be read here is no directory, or is one that is
    /// gone: the kernel says what.
    pub(super) fn answer(
        &mut self,
        listener: &Listener,
        call: &Notification,
        processes: &mut Processes,
        form: Form,
    ) -> Reply {
        let [number, place, size, ..] = call.arguments;
        let ask = Ask {
            listener,
            call,
            number,
            place,
            size: usize::try_from(size & u64::from(u32::MAX)).unwrap_or(0),
            form,
        };
        let answer = processes
            .file(listener, call, number)
            .and_then(|file| self.list(&ask, file));
        answer.unwrap_or(Reply::Continue)
    }

    fn list(&mut self, ask: &Ask<'_>, file: OwnedFd) -> Result<Reply, Errno> {
        let position = tell(&file)?;
        let stat = fstat(&file)?;
        let id = (stat.st_dev, stat.st_ino);
        let kept = self
            .kept
            .iter()
            .position(|kept| kept.id == id && kernel::is_same_file(&kept.file, &file) == Ok(true));
        let kept = kept.map(|index| self.kept.swap_remove(index));
        if position == 0 {
            let names = self.read(&file, 0)?;
            return self.give(ask, file, id, (names, 0), 0);
        }
        if let Some(Kept { names, next, .. }) = kept {
            let next = if next.0 == position {
                Some(next.1)
            } else {
                names.after(position)
            };
            return match next {
                Some(next) => self.give(ask, file, id, (names, next), position),
                None => Ok(Reply::Continue),
            };
        }
        let left = self.left.get(&(ask.call.pid, ask.number));
        if left.is_none_or(|(of, at)| *of != id || *at == position) {
            // It got all before; if more was made meanwhile, that is the kernel's to tell.
            return Ok(Reply::Continue);
        }
        // It went back to a place in the middle.
        let names = self.read(&file, position)?;
        if let Some(next) = names.after(position) {
            return self.give(ask, file, id, (names, next), position);
        }
        seek(&file, SeekFrom::Start(position))?;
        Ok(Reply::Continue)
    }

    /// All names, in order. The file's position is then at its end, or at `position` after an error.
    fn read(&mut self, file: &OwnedFd, position: u64) -> Result<Names, Errno> {
        seek(file, SeekFrom::Start(0))?;
        let names = Names::read(file, self.order);
        match names {
            Ok(names) => Ok(names),
            Err(errno) => {
                if errno == Errno::NOMEM {
                    self.unsorted += 1;
                }
                seek(file, SeekFrom::Start(position))?;
                Err(errno)
            }
        }
    }

    /// Gives the names from the `next` on, as many as there is room for. The file was at `position`.
    fn give(
        &mut self,
        ask: &Ask<'_>,
        file: OwnedFd,
        id: FileId,
        (names, next): (Names, usize),
        position: u64,
    ) -> Result<Reply, Errno> {
        let filled = names
            .fill(next, ask.form, ask.size)
            .and_then(|(bytes, end)| {
                ask.listener.write(ask.call, ask.place, &bytes)?;
                Ok((bytes.len(), end))
            });
        let (length, end) = match filled {
            Ok(filled) => filled,
            Err(errno) => {
                seek(&file, SeekFrom::Start(position))?;
                return Ok(Reply::Fail(errno));
            }
        };
        if end < names.len() && !self.has_room(&names) {
            // The kernel's order from here on: no name is missed or given twice where it is the first
            // piece, and others have room, since they had it before.
            self.unsorted += 1;
            seek(&file, SeekFrom::Start(position))?;
            return Ok(Reply::Continue);
        }
        let is_whole = next == 0 && end == names.len();
        if !is_whole && end > next {
            seek(&file, SeekFrom::Start(names.position_before(end)))?;
        }
        let at = tell(&file)?;
        if self.left.len() >= MAX_LEFT {
            self.left.clear();
        }
        self.left.insert((ask.call.pid, ask.number), (id, at));
        if end < names.len() {
            let next = (at, end);
            self.kept.push(Kept {
                file,
                id,
                names,
                next,
            });
        }
        let length = u32::try_from(length).map_err(|_| Errno::OVERFLOW)?;
        Ok(Reply::Value(length))
    }

    fn has_room(&self, names: &Names) -> bool {
        let bytes: usize = self.kept.iter().map(|kept| kept.names.bytes()).sum();
        self.kept.len() < MAX_KEPT && bytes + names.bytes() <= MAX_BYTES
    }
}

/// A call that asks for names.
struct Ask<'a> {
    listener: &'a Listener,
    call: &'a Notification,
    /// The caller's number of the directory.
    number: u64,
    /// Where names go, and how many bytes there are.
    place: u64,
    size: usize,
    form: Form,
}
