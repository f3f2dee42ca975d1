//! `uname` with a release that is not the kernel's.
//!
//! `personality(UNAME26)` would do it without a supervisor, and says 2.6: C libraries before glibc
//! 2.36 then refuse to start programs ("kernel too old") wherever they do not find the kernel's own word
//! on itself in the vDSO.

use std::{fs::File, os::fd::OwnedFd};

use repro_core::build::Variation;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    system::uname,
};

use super::{
    Listener,
    kernel::{Notification, Reply},
};

/// Bytes of one text of `struct new_utsname`, its NUL included.
const FIELD: usize = 65;
/// `PER_LINUX32`, the low byte of a personality that says a 32-bit machine.
const LINUX32: u32 = 0x8;
/// A program asked for 2.6 itself.
const UNAME26: u32 = 0x2_0000;

/// Answers `uname`.
#[derive(Debug)]
pub(crate) struct KernelNames {
    /// The machine's, since the root of this process can be the step's.
    proc: OwnedFd,
}

impl KernelNames {
    /// To be made while `/proc` is the machine's.
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            proc: openat(CWD, "/proc", flags, Mode::empty())?,
        })
    }

    /// Answers `uname(buffer)`. Host and domain are those of the step, whose namespace the supervisor
    /// shares.
    pub(super) fn answer(&self, listener: &Listener, call: &Notification) -> Reply {
        match self.try_answer(listener, call) {
            Ok(reply) => reply,
            Err(errno) => Reply::Fail(errno),
        }
    }

    fn try_answer(&self, listener: &Listener, call: &Notification) -> Result<Reply, Errno> {
        let personality = self.personality(call.pid)?;
        if personality & UNAME26 != 0 {
            return Ok(Reply::Continue);
        }
        let names = uname();
        let machine = if personality & 0xff == LINUX32 {
            machine_of_predecessor()
        } else {
            names.machine().to_bytes()
        };
        let fields = [
            names.sysname().to_bytes(),
            names.nodename().to_bytes(),
            Variation::KERNEL_CANARY.as_bytes(),
            Variation::KERNEL_VERSION_CANARY.as_bytes(),
            machine,
            names.domainname().to_bytes(),
        ];
        listener.write(call, call.arguments[0], &structure(fields))?;
        Ok(Reply::Value(0))
    }

    /// The thread's personality, by which the kernel decides what it says of the machine.
    fn personality(&self, thread: i32) -> Result<u32, Errno> {
        let path = format!("{thread}/personality");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.proc, path, flags, Mode::empty())?;
        let text = std::io::read_to_string(File::from(file))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        u32::from_str_radix(text.trim(), 16).map_err(|_| Errno::IO)
    }
}

/// `struct new_utsname`, the same in every ABI.
fn structure(fields: [&[u8]; 6]) -> [u8; 6 * FIELD] {
    let mut bytes = [0; 6 * FIELD];
    for (place, text) in bytes.chunks_exact_mut(FIELD).zip(fields) {
        let length = text.len().min(FIELD - 1);
        place[..length].copy_from_slice(&text[..length]);
    }
    bytes
}

const fn machine_of_predecessor() -> &'static [u8] {
    if cfg!(target_arch = "x86_64") {
        b"i686"
    } else {
        b"armv8l"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_its_place_and_ends() {
        let long = [b'x'; 100];
        let bytes = structure([b"Linux", &long, b"5", b"#1", b"m", b"d"]);
        assert!(bytes.starts_with(b"Linux\0"));
        assert_eq!(bytes[FIELD..FIELD + 64], [b'x'; 64]);
        assert_eq!(bytes[2 * FIELD - 1], 0);
        assert_eq!(&bytes[5 * FIELD..5 * FIELD + 2], b"d\0");
    }
}
