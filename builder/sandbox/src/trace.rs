//! The tracer of a step whose clock is shifted (`ptrace(2)`).
//!
//! Programs read the clock from a page that the kernel maps, without a call that a filter would see.
//! So every new program is stopped before its first instruction, and the page is taken out of what it
//! is told of itself: it then makes calls, and those the supervisor answers. What programs wait for
//! "until" some time of day is put right on its way to the kernel, whose clock is the real one.
//!
//! Nothing else of a program changes: signals are delivered, stops stop, children are traced.
//! Rejected: a preloaded library, which static programs and those of Go pass by, and a page of our own
//! in place of the kernel's, which would have to be made for every kind of machine.

mod kernel;
mod memory;
mod process;
mod registers;

use std::collections::BTreeMap;

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, WaitStatus, wait},
};

pub(crate) use self::process::{TracerProcess, TracingEnd};
use self::{
    kernel::{Resume, Stopped},
    memory::{Memory, hide_clock_page},
    registers::Registers,
};
use crate::seccomp::{Change, Word, stopped};

/// Times of day before 2001 are no deadlines: those are past whatever the clock says, and small numbers
/// are of clocks that begin with the machine.
const EARLIEST: i64 = 1_000_000_000;
/// Below the stack pointer, programs of x86-64 keep things without telling (the red zone).
const RED_ZONE: u64 = 128;
/// Where the copy of a deadline is put begins at a multiple of this.
const ALIGNMENT: u64 = 16;
/// No program has memory there. A call with it fails as one with a bad pointer does.
const NOWHERE: u64 = 1;

/// Why tracing ended before the step.
#[derive(Debug, thiserror::Error)]
enum TraceError {
    /// A traced process could not be looked into or changed.
    #[error("{what} of process {pid}: {errno}")]
    Process {
        /// The operation.
        what: &'static str,
        /// In the namespace of the stage.
        pid: i32,
        /// Its error.
        errno: Errno,
    },
    /// Waiting failed.
    #[error("wait4(-1): {0}")]
    Wait(Errno),
}

/// The processes of a step, which this process traces. If it ends, they are killed.
#[derive(Debug)]
struct Tracer {
    /// Seconds by which the step's clock is ahead.
    shift: i64,
    /// What is put back into the registers of a thread when its call returns.
    changed: BTreeMap<i32, Changed>,
}

/// A call under way of which an argument was changed, or whose result will be.
#[derive(Debug)]
enum Changed {
    /// This register was another.
    Register { place: usize, was: u64 },
    /// What the call writes to memory is of the real clock.
    Result { place: u64, word: Word },
}

impl Tracer {
    /// Begins to trace `process` and whatever it starts.
    fn attach(process: Pid, shift: u64) -> Result<Self, Errno> {
        kernel::seize(process)?;
        Ok(Self {
            shift: i64::try_from(shift).map_err(|_| Errno::OVERFLOW)?,
            changed: BTreeMap::new(),
        })
    }

    /// Attends to the processes until none is left.
    fn watch(mut self) -> Result<(), TraceError> {
        // Threads too, and children that were made without a signal for their end.
        let options = WaitOptions::from_bits_retain(libc::__WALL.unsigned_abs());
        loop {
            match wait(options) {
                Ok(Some((pid, status))) => match self.attend(pid, status) {
                    // Or it was killed since.
                    Ok(())
                    | Err(TraceError::Process {
                        errno: Errno::SRCH, ..
                    }) => {}
                    Err(error) => return Err(error),
                },
                Ok(None) | Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(TraceError::Wait(errno)),
            }
        }
    }

    fn attend(&mut self, pid: Pid, status: WaitStatus) -> Result<(), TraceError> {
        let failed = |what| {
            move |errno| TraceError::Process {
                what,
                pid: number(pid),
                errno,
            }
        };
        let resume = match Stopped::new(status.as_raw()) {
            None => {
                self.changed.remove(&number(pid));
                return Ok(());
            }
            Some(Stopped::Signal(signal)) => Resume::Continue(signal),
            Some(Stopped::Group) => Resume::Listen,
            Some(Stopped::Program) => {
                self.new_program(pid).map_err(failed("the new program"))?;
                Resume::Continue(0)
            }
            Some(Stopped::Filter) => self.call(pid).map_err(failed("a deadline"))?,
            Some(Stopped::Return) => {
                self.returned(pid).map_err(failed("the return of a call"))?;
                Resume::Continue(0)
            }
            Some(Stopped::Other) => Resume::Continue(0),
        };
        kernel::resume(pid, resume).map_err(failed("resuming"))
    }

    fn new_program(&mut self, pid: Pid) -> Result<(), Errno> {
        // The thread that called exec has the number of the first one now.
        self.changed.remove(&number(pid));
        let before = kernel::message(pid)?;
        if let Ok(before) = i32::try_from(before) {
            self.changed.remove(&before);
        }
        let registers = Registers::read(pid)?;
        hide_clock_page(&Memory::of(pid), registers.stack(), registers.word())
    }

    /// A call that the filter stops.
    fn call(&mut self, pid: Pid) -> Result<Resume, Errno> {
        let arch = kernel::architecture(pid)?;
        let said = u32::try_from(kernel::message(pid)?).unwrap_or(0);
        let Some((change, word)) = stopped(arch, said) else {
            // Of a filter that the program loaded itself: without a tracer of its own, it is one that
            // is not there, and the kernel says so.
            return Ok(Resume::Continue(0));
        };
        let mut registers = Registers::of_call(pid, arch)?;
        let memory = Memory::of(pid);
        let changed = match change {
            Change::Deadline(argument) => {
                self.rewind(&memory, &mut registers, argument.into(), (word, 2, 0))
            }
            Change::Expiry(argument) => {
                self.rewind(&memory, &mut registers, argument.into(), (word, 4, 2))
            }
            Change::Reading(argument) => Some(Changed::Result {
                place: registers.argument(argument.into()),
                word,
            }),
            Change::Traced => {
                let was = registers.argument(0);
                let flag = u64::from(libc::CLONE_UNTRACED.unsigned_abs());
                registers.set_argument(0, was & !flag);
                Some(Changed::Register { place: 0, was })
            }
        };
        let Some(changed) = changed else {
            return Ok(Resume::Continue(0));
        };
        if let Changed::Register { .. } = changed {
            registers.write(pid)?;
        }
        self.changed.insert(number(pid), changed);
        Ok(Resume::ToReturn)
    }

    /// Gives the call a copy of its deadline with the shift taken off. The structure has so many
    /// numbers, and the seconds are in this place. The program's own is left alone: it may use it
    /// again, other threads may, and it may not be writable.
    fn rewind(
        &self,
        memory: &Memory,
        registers: &mut Registers,
        argument: usize,
        (word, numbers, place): (Word, usize, usize),
    ) -> Option<Changed> {
        let was = registers.argument(argument);
        let mut bytes = vec![0; numbers * word.bytes()];
        if memory.read(was, &mut bytes).is_err() {
            // The kernel cannot read it either, and says so.
            return None;
        }
        let seconds = word.get(&bytes, place);
        if seconds < EARLIEST {
            return None;
        }
        word.put(&mut bytes, place, seconds.saturating_sub(self.shift).max(0));
        let size = bytes.len() as u64;
        let copy = registers
            .stack()
            .checked_sub(RED_ZONE + size)
            .map(|place| place & !(ALIGNMENT - 1));
        let written = copy.filter(|copy| {
            registers.reaches(*copy) && memory.write_to_stack(*copy, &bytes).is_ok()
        });
        // Without room for it the call fails: else it would take the deadline for one in a year.
        registers.set_argument(argument, written.unwrap_or(NOWHERE));
        Some(Changed::Register {
            place: argument,
            was,
        })
    }

    /// A call that was let go on has returned, or was interrupted: then it comes again as it was.
    fn returned(&mut self, pid: Pid) -> Result<(), Errno> {
        match self.changed.remove(&number(pid)) {
            None => Ok(()),
            Some(Changed::Register { place, was }) => {
                let arch = kernel::architecture(pid)?;
                let mut registers = Registers::of_call(pid, arch)?;
                registers.set_argument(place, was);
                registers.write(pid)
            }
            Some(Changed::Result { place, word }) => {
                let arch = kernel::architecture(pid)?;
                if Registers::of_call(pid, arch)?.failed() {
                    return Ok(());
                }
                self.advance(&Memory::of(pid), place, word)
            }
        }
    }

    /// Adds the shift to the time in a `struct timex`, behind nine numbers as long as a `long`.
    fn advance(&self, memory: &Memory, place: u64, word: Word) -> Result<(), Errno> {
        const NUMBERS_BEFORE: usize = 9;
        let place = place + (NUMBERS_BEFORE * word.bytes()) as u64;
        let mut bytes = vec![0; word.bytes()];
        if memory.read(place, &mut bytes).is_err() {
            return Ok(());
        }
        let seconds = word.get(&bytes, 0);
        word.put(&mut bytes, 0, seconds.saturating_add(self.shift));
        memory.write(place, &bytes)
    }
}

/// Of a thread.
fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

impl Word {
    /// The number in this place.
    fn get(self, bytes: &[u8], place: usize) -> i64 {
        let bytes = &bytes[place * self.bytes()..];
        match self {
            Self::Four => bytes
                .first_chunk()
                .map_or(0, |bytes| i32::from_ne_bytes(*bytes).into()),
            Self::Eight => bytes
                .first_chunk()
                .map_or(0, |bytes| i64::from_ne_bytes(*bytes)),
        }
    }

    /// Sets it. What does not fit is cut.
    fn put(self, bytes: &mut [u8], place: usize, number: i64) {
        let from = place * self.bytes();
        bytes[from..from + self.bytes()].copy_from_slice(&number.to_ne_bytes()[..self.bytes()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_the_program_has_them() {
        let mut bytes = [0; 32];
        Word::Eight.put(&mut bytes, 2, -3);
        assert_eq!(Word::Eight.get(&bytes, 2), -3);
        assert_eq!(Word::Four.get(&bytes, 4), -3);
        Word::Four.put(&mut bytes, 1, 7);
        assert_eq!(Word::Eight.get(&bytes, 0), 7 << 32);
    }
}
