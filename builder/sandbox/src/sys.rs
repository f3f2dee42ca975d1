//! System calls that no crate of ours wraps safely, each with what makes it safe here.
#![expect(
    unsafe_code,
    reason = "fork, exec and the keyring have no safe form; all of them are in this file"
)]

use std::{
    ffi::{CStr, CString, c_char},
    ptr,
};

use rustix::{io::Errno, process::Pid};

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one; the id of the new one, in the namespace of the old one.
    Parent(Pid),
}

/// The number of the last failed call.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Forks. Only a stage and its init do, which have one thread; anywhere else the child could find a
/// lock taken by a thread that it does not have.
pub(crate) fn fork() -> Result<Fork, Errno> {
    // SAFETY: this process has one thread (`unshare(CLONE_NEWUSER)` has failed otherwise), so the
    // child's copy of the memory is consistent.
    let id = unsafe { libc::fork() };
    match id {
        0 => Ok(Fork::Child),
        id => Pid::from_raw(id)
            .filter(|_| id > 0)
            .map(Fork::Parent)
            .ok_or_else(last_errno),
    }
}

/// Ends this process at once: no handlers, no destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// What becomes of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// They are closed.
    Now,
    /// A successful exec closes them.
    OnExec,
}

/// Closes the descriptors from `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32, closing: Closing) -> Result<(), Errno> {
    let flags = match closing {
        Closing::Now => 0,
        Closing::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: called only in processes that end by exec or `exit_now`, so no destructor runs that
    // would close, or use, a number that this call freed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    checked(result)
}

/// Leaves the caller's session keyring for a new one. A kernel without keyrings has none to leave.
pub(crate) fn join_new_session_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the operation reads no memory if the name is null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            JOIN_SESSION_KEYRING,
            ptr::null::<c_char>(),
        )
    };
    match checked(result) {
        Err(Errno::NOSYS) => Ok(()),
        result => result,
    }
}

/// Sets every signal to its default. Exec keeps ignored signals ignored, and a step must not see
/// whether its caller ran under `nohup`.
pub(crate) fn reset_signals() {
    const LAST: libc::c_int = 64;
    // All zero is the default action with no flags and an empty mask. The kernel's own form and call:
    // the C library refuses the two signals that it keeps for itself, and a caller can have those
    // ignored too.
    let default = [0_u64; 4];
    for signal in 1..=LAST {
        // Refused for KILL and STOP, which are always at their default.
        // SAFETY: the kernel reads a `struct sigaction` of at most 32 bytes with a mask of 8.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<u64>(),
                8_usize,
            )
        };
    }
}

/// Texts with the array of pointers that exec takes, made before the fork.
#[derive(Debug)]
pub(crate) struct Strings {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
}

impl Strings {
    /// Keeps `texts`, whose memory does not move with the vector.
    pub(crate) fn new(texts: Vec<CString>) -> Self {
        let pointers = texts
            .iter()
            .map(|text| text.as_ptr())
            .chain([ptr::null()])
            .collect();
        Self {
            pointers,
            _texts: texts,
        }
    }
}

/// Becomes another program; returns only if that failed.
pub(crate) fn exec(program: &CStr, arguments: &Strings, environment: &Strings) -> Errno {
    // SAFETY: the path ends in NUL, and both arrays end in null and point to texts that live as long
    // as the arrays.
    unsafe {
        libc::execve(
            program.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    last_errno()
}

/// The limit of file locks of a process, soft and hard; with `soft`, the soft one is this afterwards.
/// Linux has kept nothing to it since 2.4.
pub(crate) fn locks_limit(process: i32, soft: Option<u64>) -> Result<(u64, u64), Errno> {
    /// Not every C library names it.
    const RLIMIT_LOCKS: libc::c_int = 10;
    let mut before = [0_u64; 2];
    // SAFETY: the kernel writes one `struct rlimit64`, which is two numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            process,
            RLIMIT_LOCKS,
            ptr::null::<u64>(),
            before.as_mut_ptr(),
        )
    };
    checked(result)?;
    let [old, hard] = before;
    if let Some(soft) = soft {
        let after = [soft, hard];
        // SAFETY: the kernel reads one `struct rlimit64`, which is two numbers.
        let result = unsafe {
            libc::syscall(
                libc::SYS_prlimit64,
                process,
                RLIMIT_LOCKS,
                after.as_ptr(),
                ptr::null_mut::<u64>(),
            )
        };
        checked(result)?;
    }
    Ok((old, hard))
}

/// The result of a raw system call that gives nothing but success.
pub(crate) fn checked(result: libc::c_long) -> Result<(), Errno> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(())
    }
}
