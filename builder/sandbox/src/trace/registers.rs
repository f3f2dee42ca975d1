//! The registers of a stopped thread, by the kind of its program.
//!
//! The kernel gives them as the program has them, so a program of 32 bits gives fewer and shorter
//! ones. How many bytes there are tells which.

use rustix::{io::Errno, process::Pid};

use super::kernel;
use crate::seccomp::Word;

/// More than any kind of program has.
const MOST: usize = 40;

/// Which register is what.
#[derive(Debug)]
struct Layout {
    /// `AUDIT_ARCH_*` of the calls that take their arguments from these registers.
    arch: u32,
    /// Length of a register.
    word: Word,
    /// Bytes of all.
    length: usize,
    /// Those with arguments, in order.
    arguments: [usize; 6],
    result: usize,
    stack: usize,
}

/// `struct user_regs_struct` of `sys/user.h`, of x86-64 and i386; and what a program of x86-64 passes
/// to a call of i386.
#[cfg(target_arch = "x86_64")]
const LAYOUTS: [Layout; 3] = [
    Layout {
        arch: 0xc000_003e,
        word: Word::Eight,
        length: 27 * 8,
        arguments: [14, 13, 12, 7, 9, 8],
        result: 10,
        stack: 19,
    },
    Layout {
        arch: 0x4000_0003,
        word: Word::Four,
        length: 17 * 4,
        arguments: [0, 1, 2, 3, 4, 5],
        result: 6,
        stack: 15,
    },
    Layout {
        arch: 0x4000_0003,
        word: Word::Eight,
        length: 27 * 8,
        arguments: [5, 11, 12, 13, 14, 4],
        result: 10,
        stack: 19,
    },
];

/// `struct user_pt_regs` of aarch64 and `struct pt_regs` of arm.
#[cfg(target_arch = "aarch64")]
const LAYOUTS: [Layout; 2] = [
    Layout {
        arch: 0xc000_00b7,
        word: Word::Eight,
        length: 34 * 8,
        arguments: [0, 1, 2, 3, 4, 5],
        result: 0,
        stack: 31,
    },
    Layout {
        arch: 0x4000_0028,
        word: Word::Four,
        length: 18 * 4,
        arguments: [0, 1, 2, 3, 4, 5],
        result: 0,
        stack: 13,
    },
];

/// The registers of a thread.
#[derive(Debug)]
pub(super) struct Registers {
    bytes: [u64; MOST],
    layout: &'static Layout,
    arch: Option<u32>,
}

impl Registers {
    /// Those of a program.
    pub(super) fn read(pid: Pid) -> Result<Self, Errno> {
        Self::with(pid, None)
    }

    /// Those of a program that is in a call of the ABI `arch`.
    pub(super) fn of_call(pid: Pid, arch: u32) -> Result<Self, Errno> {
        Self::with(pid, Some(arch))
    }

    fn with(pid: Pid, arch: Option<u32>) -> Result<Self, Errno> {
        let mut bytes = [0; MOST];
        let length = kernel::registers(pid, &mut bytes)?;
        let layout = LAYOUTS
            .iter()
            .find(|layout| layout.length == length && arch.is_none_or(|arch| arch == layout.arch))
            .ok_or(Errno::NOSYS)?;
        Ok(Self {
            bytes,
            layout,
            arch,
        })
    }

    pub(super) fn write(&self, pid: Pid) -> Result<(), Errno> {
        kernel::set_registers(pid, &self.bytes, self.layout.length)
    }

    /// Length of an address of the program.
    pub(super) const fn word(&self) -> Word {
        self.layout.word
    }

    pub(super) fn stack(&self) -> u64 {
        self.get(self.layout.stack)
    }

    pub(super) fn argument(&self, index: usize) -> u64 {
        let value = self.get(self.layout.arguments[index]);
        if self.is_short() {
            value & u64::from(u32::MAX)
        } else {
            value
        }
    }

    pub(super) fn set_argument(&mut self, index: usize, value: u64) {
        self.set(self.layout.arguments[index], value);
    }

    /// Whether a call of this kind can be given the address.
    pub(super) fn reaches(&self, address: u64) -> bool {
        !self.is_short() || u32::try_from(address).is_ok()
    }

    /// Whether the call that has just returned failed.
    pub(super) fn failed(&self) -> bool {
        const LAST_ERRNO: u32 = 4095;
        let result = self.get(self.layout.result);
        // An error is a small negative number, of the length that the call has.
        let low = u32::try_from(result & u64::from(u32::MAX)).unwrap_or(0);
        low >= LAST_ERRNO.wrapping_neg()
    }

    /// Whether the call's arguments have 32 bits.
    fn is_short(&self) -> bool {
        // The architectures of 64 bits are marked (`__AUDIT_ARCH_64BIT`).
        const LONG: u32 = 0x8000_0000;
        self.arch.is_some_and(|arch| arch & LONG == 0)
    }

    fn get(&self, index: usize) -> u64 {
        match self.layout.word {
            Word::Eight => self.bytes[index],
            Word::Four => {
                let both = self.bytes[index / 2];
                (both >> (32 * (index % 2))) & u64::from(u32::MAX)
            }
        }
    }

    fn set(&mut self, index: usize, value: u64) {
        match self.layout.word {
            Word::Eight => self.bytes[index] = value,
            Word::Four => {
                let shift = 32 * (index % 2);
                let mask = u64::from(u32::MAX) << shift;
                let both = &mut self.bytes[index / 2];
                *both = (*both & !mask) | ((value << shift) & mask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(layout: &'static Layout) -> Registers {
        Registers {
            bytes: [0; MOST],
            layout,
            arch: Some(layout.arch),
        }
    }

    #[test]
    fn short_registers_lie_two_by_two() {
        for layout in &LAYOUTS {
            let mut registers = registers(layout);
            for index in 0..6 {
                registers.set_argument(index, 0x1000 + index as u64);
            }
            for index in 0..6 {
                assert_eq!(registers.argument(index), 0x1000 + index as u64);
            }
            registers.set(layout.stack, 0x7fff_0000);
            assert_eq!(registers.stack(), 0x7fff_0000);
        }
    }

    #[test]
    fn what_a_call_of_32_bits_cannot_reach() {
        for layout in &LAYOUTS {
            let registers = registers(layout);
            let is_long = layout.arch & 0x8000_0000 != 0;
            assert_eq!(registers.reaches(1 << 40), is_long);
            assert!(registers.reaches(0xffff_0000));
        }
    }

    #[test]
    fn errors_are_small_negative_numbers() {
        for layout in &LAYOUTS {
            let mut registers = registers(layout);
            for (result, failed) in [(0, false), (5, false), ((-1_i64).cast_unsigned(), true)] {
                registers.set(layout.result, result);
                assert_eq!(registers.failed(), failed, "{result}");
            }
        }
    }
}
