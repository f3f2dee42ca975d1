//! The kernel's side of user notification (`seccomp_unotify(2)`).
#![expect(
    unsafe_code,
    reason = "loading a filter and its ioctls have no safe form; all of them are in this file"
)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::super::Instruction;
use crate::sys::last_errno;

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notification {
    /// Names the call.
    pub(super) id: u64,
    /// The calling thread, in the namespace of this process.
    pub(super) pid: i32,
    /// `AUDIT_ARCH_*`.
    pub(super) arch: u32,
    /// Number of the call.
    pub(super) number: i32,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// An answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// The kernel does what was asked.
    Continue,
    /// The call fails.
    Fail(Errno),
    /// The call gives this socket under a number of the process.
    Install {
        /// The socket.
        socket: OwnedFd,
        /// Whether it is closed on exec there.
        close_on_exec: bool,
    },
}

/// Loads the filter into this process for good and gives the supervisor's end of it.
///
/// Wants `CAP_SYS_ADMIN` in the user namespace, since no-new-privileges stays off.
pub(crate) fn install(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // Without WAIT_KILLABLE_RECV, a signal makes a waiting call start anew, and be counted twice.
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: `program` and the filter it points to live until the call returns; the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    let listener = RawFd::try_from(result).map_err(|_| Errno::INVAL)?;
    if listener < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// Waits for a call.
pub(super) fn receive(listener: &OwnedFd) -> Result<Notification, Errno> {
    // The kernel wants it zeroed.
    let mut call = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data {
            nr: 0,
            arch: 0,
            instruction_pointer: 0,
            args: [0; 6],
        },
    };
    let result = loop {
        // SAFETY: the kernel writes one `seccomp_notif`, which lives until the call returns.
        let result = unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut call,
            )
        };
        if result == 0 || last_errno() != Errno::INTR {
            break result;
        }
    };
    if result != 0 {
        return Err(last_errno());
    }
    Ok(Notification {
        id: call.id,
        pid: i32::try_from(call.pid).map_err(|_| Errno::SRCH)?,
        arch: call.data.arch,
        number: call.data.nr,
        arguments: call.data.args,
    })
}

/// Whether the call still waits, so that what was read of its process is of its process.
pub(super) fn is_valid(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one `u64`, which lives until the call returns.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    result == 0
}

/// Answers the call `id`.
pub(super) fn reply(listener: &OwnedFd, id: u64, reply: Reply) -> Result<(), Errno> {
    let mut response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: 0,
    };
    match reply {
        Reply::Continue => {
            response.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        }
        Reply::Fail(errno) => response.error = -errno.raw_os_error(),
        Reply::Install {
            socket,
            close_on_exec,
        } => return install_socket(listener, id, &socket, close_on_exec),
    }
    // SAFETY: the kernel reads one `seccomp_notif_resp`, which lives until the call returns.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut response,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Puts a copy of `socket` into the calling process and answers with its number, in one.
fn install_socket(
    listener: &OwnedFd,
    id: u64,
    socket: &OwnedFd,
    close_on_exec: bool,
) -> Result<(), Errno> {
    let flag = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    let request = libc::seccomp_notif_addfd {
        id,
        flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).unwrap_or(2),
        srcfd: socket.as_raw_fd().unsigned_abs(),
        newfd: 0,
        newfd_flags: flag.unsigned_abs(),
    };
    // SAFETY: the kernel reads one `seccomp_notif_addfd`, which lives until the call returns.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ADDFD,
            &raw const request,
        )
    };
    if result >= 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}
