//! The part of the classic BPF machine that filters here use, to test them without a kernel.

use super::{AND, IF_ANY, IF_AT_LEAST, IF_EQUAL, Instruction, JUMP, LOAD, RETURN};

/// `struct seccomp_data`.
pub(super) struct Call {
    bytes: [u8; 64],
}

impl Call {
    pub(super) fn new(number: u32, arch: u32, arguments: &[u64]) -> Self {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes[4..8].copy_from_slice(&arch.to_ne_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            let from = 16 + 8 * index;
            bytes[from..from + 8].copy_from_slice(&argument.to_ne_bytes());
        }
        Self { bytes }
    }

    fn word(&self, offset: u32) -> u32 {
        let from = offset as usize;
        u32::from_ne_bytes(self.bytes[from..from + 4].try_into().unwrap())
    }
}

/// What the filter answers. Panics where the kernel would not load the filter.
pub(super) fn run(code: &[Instruction], call: &Call) -> u32 {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, jt, jf, k } = code[at];
        at += 1;
        let taken = match code {
            LOAD => {
                accumulator = call.word(k);
                continue;
            }
            AND => {
                accumulator &= k;
                continue;
            }
            JUMP => {
                at += k as usize;
                continue;
            }
            RETURN => return k,
            IF_EQUAL => accumulator == k,
            IF_AT_LEAST => accumulator >= k,
            IF_ANY => accumulator & k != 0,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if taken { jt } else { jf });
    }
}
