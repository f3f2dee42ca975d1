//! The kernel's side of tracing.
#![expect(
    unsafe_code,
    reason = "ptrace has no safe form; all of it is in this file"
)]

use libc::c_long;
use rustix::{io::Errno, process::Pid};

use crate::sys::checked;

/// Requests, as `linux/ptrace.h` numbers them. C libraries do not agree on their type.
const POKE_DATA: c_long = 5;
const CONT: c_long = 7;
const SYSCALL: c_long = 24;
const GET_EVENT_MESSAGE: c_long = 0x4201;
const GET_REGISTERS: c_long = 0x4204;
const SET_REGISTERS: c_long = 0x4205;
const SEIZE: c_long = 0x4206;
const LISTEN: c_long = 0x4208;
const GET_SYSCALL_INFO: c_long = 0x420e;
/// `NT_PRSTATUS`: the general registers.
const GENERAL: usize = 1;

/// Why a traced thread stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A signal is about to be delivered.
    Signal(i32),
    /// All threads of its process are stopped, by a shell or a debugger of the step.
    Group,
    /// It became another program.
    Program,
    /// The filter says so.
    Filter,
    /// A call returned that was to be seen to its end.
    Return,
    /// It started another, or is that one.
    Other,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

/// `PTRACE_EVENT_STOP`, which not every C library names.
const EVENT_STOP: i32 = 128;
/// What `PTRACE_O_TRACESYSGOOD` sets in the signal of a call.
const CALL: i32 = 0x80;

impl Stopped {
    /// Reads what `wait` says; `None` for an end.
    pub(super) fn new(status: i32) -> Option<Self> {
        if !libc::WIFSTOPPED(status) {
            return None;
        }
        let signal = libc::WSTOPSIG(status);
        Some(match status >> 16 {
            0 if signal == libc::SIGTRAP | CALL => Self::Return,
            0 => Self::Signal(signal),
            libc::PTRACE_EVENT_EXEC => Self::Program,
            libc::PTRACE_EVENT_SECCOMP => Self::Filter,
            EVENT_STOP if signal != libc::SIGTRAP => Self::Group,
            _ => Self::Other,
        })
    }
}

/// How a stopped thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// Until something happens, with this signal, if it is not 0.
    Continue(i32),
    /// Until the call returns.
    ToReturn,
    /// It stays stopped until it is continued by whom it was stopped.
    Listen,
}

/// A request on a traced thread.
///
/// # Safety
///
/// `place` and `data` are what the request wants, and memory of this process that they point to is there
/// for the kernel to read or write.
unsafe fn ptrace(request: c_long, pid: Pid, place: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: the caller vouches for the arguments. The call itself is used, since the wrappers of C
    // libraries differ.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            request,
            pid.as_raw_nonzero().get(),
            place,
            data,
        )
    };
    checked(result)
}

/// Attaches this thread to a process and all that it starts.
pub(super) fn seize(pid: Pid) -> Result<(), Errno> {
    let options = usize::try_from(OPTIONS).map_err(|_| Errno::INVAL)?;
    // SAFETY: the request takes a number.
    unsafe { ptrace(SEIZE, pid, 0, options) }
}

/// Lets a stopped thread go on.
pub(super) fn resume(pid: Pid, how: Resume) -> Result<(), Errno> {
    let (request, signal) = match how {
        Resume::Continue(signal) => (CONT, usize::try_from(signal).map_err(|_| Errno::INVAL)?),
        Resume::ToReturn => (SYSCALL, 0),
        Resume::Listen => (LISTEN, 0),
    };
    // SAFETY: the requests take a number.
    unsafe { ptrace(request, pid, 0, signal) }
}

/// What goes with an event: the number that the filter gave, or that the thread had before exec.
pub(super) fn message(pid: Pid) -> Result<u64, Errno> {
    let mut message: libc::c_ulong = 0;
    let place = (&raw mut message).expose_provenance();
    // SAFETY: the kernel writes one `unsigned long`, which lives until the call returns.
    unsafe { ptrace(GET_EVENT_MESSAGE, pid, 0, place) }?;
    Ok(message)
}

/// `AUDIT_ARCH_*` of the call that a thread is in.
pub(super) fn architecture(pid: Pid) -> Result<u32, Errno> {
    /// `struct ptrace_syscall_info` as far as it is wanted: an operation of one byte, then the
    /// architecture.
    const WORDS: usize = 2;
    let mut info = [0_u32; WORDS];
    let place = info.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most as many bytes as it is told, which is what there is.
    unsafe { ptrace(GET_SYSCALL_INFO, pid, size_of_val(&info), place) }?;
    Ok(info[1])
}

/// The general registers of a stopped thread, as the kernel has them for its kind of program; gives how
/// many bytes they are.
pub(super) fn registers(pid: Pid, bytes: &mut [u64]) -> Result<usize, Errno> {
    let mut vector = libc::iovec {
        iov_len: size_of_val(bytes),
        iov_base: bytes.as_mut_ptr().cast(),
    };
    let place = (&raw mut vector).expose_provenance();
    // SAFETY: the kernel writes at most as many bytes as the vector says, which is what there is.
    unsafe { ptrace(GET_REGISTERS, pid, GENERAL, place) }?;
    Ok(vector.iov_len)
}

/// Sets them, all that [`registers`] gave.
pub(super) fn set_registers(pid: Pid, bytes: &[u64], length: usize) -> Result<(), Errno> {
    let mut vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: length.min(size_of_val(bytes)),
    };
    let place = (&raw mut vector).expose_provenance();
    // SAFETY: the kernel reads at most as many bytes as the vector says, which are there.
    unsafe { ptrace(SET_REGISTERS, pid, GENERAL, place) }
}

/// Writes a word of memory, and grows the stack for it where it lies just below.
pub(super) fn poke(pid: Pid, place: u64, word: u64) -> Result<(), Errno> {
    let place = usize::try_from(place).map_err(|_| Errno::FAULT)?;
    let word = usize::try_from(word).map_err(|_| Errno::FAULT)?;
    // SAFETY: the request takes two numbers; it writes to the other process only.
    unsafe { ptrace(POKE_DATA, pid, place, word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn status(signal: i32, event: i32) -> i32 {
        (event << 16) | (signal << 8) | 0x7f
    }

    #[test]
    fn stops_are_told_apart() {
        let cases = [
            (
                status(libc::SIGTERM, 0),
                Some(Stopped::Signal(libc::SIGTERM)),
            ),
            (
                status(libc::SIGTRAP, 0),
                Some(Stopped::Signal(libc::SIGTRAP)),
            ),
            (status(libc::SIGTRAP | CALL, 0), Some(Stopped::Return)),
            (status(libc::SIGSTOP, EVENT_STOP), Some(Stopped::Group)),
            (status(libc::SIGTSTP, EVENT_STOP), Some(Stopped::Group)),
            (status(libc::SIGTRAP, EVENT_STOP), Some(Stopped::Other)),
            (
                status(libc::SIGTRAP, libc::PTRACE_EVENT_FORK),
                Some(Stopped::Other),
            ),
            (
                status(libc::SIGTRAP, libc::PTRACE_EVENT_EXEC),
                Some(Stopped::Program),
            ),
            (
                status(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP),
                Some(Stopped::Filter),
            ),
            (0x0300, None),
            (libc::SIGKILL, None),
        ];
        for (status, expected) in cases {
            assert_eq!(Stopped::new(status), expected, "{status:#x}");
        }
    }
}
