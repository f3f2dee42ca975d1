//! The memory of a stopped thread.

use std::io::{IoSlice, IoSliceMut};

use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    unistd,
};
use rustix::{io::Errno, process::Pid};

use super::kernel;
use crate::{protocol::from_nix, seccomp::Word};

/// Addresses of a new program's arguments and environment that are looked at together.
const PIECE: usize = 1024;
/// Most of them: the kernel takes 2 MiB of texts, each with one byte at least.
const MOST: usize = 4 << 20;
/// Most pairs of the auxiliary vector; the kernel has some thirty.
const MOST_PAIRS: usize = 1024;

/// `linux/auxvec.h`.
const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_SYSINFO_EHDR: u64 = 33;

/// The memory of one thread's process.
#[derive(Debug)]
pub(super) struct Memory {
    pid: Pid,
}

impl Memory {
    pub(super) const fn of(pid: Pid) -> Self {
        Self { pid }
    }

    /// Reads exactly so many bytes.
    pub(super) fn read(&self, place: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        if self.read_some(place, bytes)? == bytes.len() {
            Ok(())
        } else {
            Err(Errno::FAULT)
        }
    }

    /// Reads as many as are there.
    fn read_some(&self, place: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let remote = remote(place, bytes.len())?;
        process_vm_readv(self.nix(), &mut [IoSliceMut::new(bytes)], &[remote]).map_err(from_nix)
    }

    pub(super) fn write(&self, place: u64, bytes: &[u8]) -> Result<(), Errno> {
        let remote = remote(place, bytes.len())?;
        match process_vm_writev(self.nix(), &[IoSlice::new(bytes)], &[remote]) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(Errno::FAULT),
            Err(errno) => Err(from_nix(errno)),
        }
    }

    /// Writes below what the program has used of its stack yet, which may not be there yet either.
    pub(super) fn write_to_stack(&self, place: u64, bytes: &[u8]) -> Result<(), Errno> {
        if self.write(place, bytes).is_ok() {
            return Ok(());
        }
        for (place, word) in (place..).step_by(8).zip(bytes.chunks(8)) {
            let word = word.try_into().map_err(|_| Errno::FAULT)?;
            kernel::poke(self.pid, place, u64::from_ne_bytes(word))?;
        }
        Ok(())
    }

    fn nix(&self) -> unistd::Pid {
        unistd::Pid::from_raw(self.pid.as_raw_nonzero().get())
    }
}

fn remote(place: u64, len: usize) -> Result<RemoteIoVec, Errno> {
    let base = usize::try_from(place).map_err(|_| Errno::FAULT)?;
    Ok(RemoteIoVec { base, len })
}

/// Numbers of a new program's stack, one after the other.
struct Numbers<'a> {
    memory: &'a Memory,
    word: Word,
    /// Of the next piece.
    place: u64,
    piece: Vec<u8>,
    /// In the piece.
    at: usize,
}

impl Numbers<'_> {
    /// The next one, and its place.
    fn next(&mut self) -> Result<(u64, u64), Errno> {
        let size = self.word.bytes();
        if self.at + size > self.piece.len() {
            self.place += self.at as u64;
            let mut piece = vec![0; PIECE * size];
            // The stack ends where the texts do, which may be in the middle of a piece.
            let count = self.memory.read_some(self.place, &mut piece)?;
            piece.truncate(count);
            (self.piece, self.at) = (piece, 0);
            if count < size {
                return Err(Errno::FAULT);
            }
        }
        let number = match self.word {
            Word::Four => self.piece[self.at..]
                .first_chunk()
                .map_or(0, |bytes| u32::from_ne_bytes(*bytes).into()),
            Word::Eight => self.piece[self.at..]
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes)),
        };
        let place = self.place + self.at as u64;
        self.at += size;
        Ok((number, place))
    }

    fn skip_list(&mut self) -> Result<(), Errno> {
        for _ in 0..MOST {
            if self.next()?.0 == 0 {
                return Ok(());
            }
        }
        Err(Errno::TOOBIG)
    }
}

/// Takes the kernel's page of clocks (the vDSO) out of what a new program is told: its stack begins with
/// the number of arguments, these, the environment, and the auxiliary vector. Programs then take the
/// calls, as on machines that have no such page.
pub(super) fn hide_clock_page(memory: &Memory, stack: u64, word: Word) -> Result<(), Errno> {
    let mut numbers = Numbers {
        memory,
        word,
        place: stack,
        piece: Vec::new(),
        at: 0,
    };
    let _count = numbers.next()?;
    numbers.skip_list()?;
    numbers.skip_list()?;
    for _ in 0..MOST_PAIRS {
        let (key, place) = numbers.next()?;
        let _value = numbers.next()?;
        match key {
            AT_NULL => return Ok(()),
            AT_SYSINFO_EHDR => {
                memory.write(place, &AT_IGNORE.to_ne_bytes()[..word.bytes()])?;
                return Ok(());
            }
            _ => {}
        }
    }
    Err(Errno::TOOBIG)
}
