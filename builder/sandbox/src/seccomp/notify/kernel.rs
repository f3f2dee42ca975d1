//! The kernel's side of user notification (`seccomp_unotify(2)`).
#![expect(
    unsafe_code,
    reason = "loading a filter and its ioctls have no safe form; all of them are in this file"
)]

use std::{
    mem::{offset_of, size_of},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::io::Errno;

use super::super::Instruction;
use crate::sys::{checked, last_errno};

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
    /// The call gives this number.
    Value(u32),
    /// The call gives this file under a number of the process.
    Install {
        /// The file.
        file: OwnedFd,
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

/// Has the kernel run the supervisor in the caller's place and back, on the same CPU: that is what an
/// answer is waited for. A kernel before 6.6 knows no such thing and wakes whom it likes.
pub(super) fn wake_at_once(listener: &OwnedFd) {
    /// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` and `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `linux/seccomp.h`.
    const SET_FLAGS: libc::Ioctl = 0x4008_2104;
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number, no pointer.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
}

/// Whether two descriptors of this process are one open file.
pub(super) fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> Result<bool, Errno> {
    const FILE: libc::c_int = 0; // KCMP_FILE
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the call compares what the numbers stand for and writes nothing.
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            own,
            own,
            FILE,
            one.as_raw_fd(),
            other.as_raw_fd(),
        )
    };
    checked(order)?;
    Ok(order == 0)
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

/// What `stat` and `statx` write, with an owner put in: the kernel's own form of it.
pub(super) struct Shown {
    bytes: [u8; SHOWN],
    length: usize,
}

/// Room for the longer of the two.
const SHOWN: usize = size_of::<libc::statx>();

impl Shown {
    /// What the kernel says of `file`, which may be open for its name only.
    pub(super) fn stat(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut shown = Self {
            bytes: [0; SHOWN],
            length: size_of::<libc::stat>(),
        };
        // SAFETY: the path ends in NUL; the kernel writes one `struct stat`, for which there is room.
        let result = unsafe {
            libc::syscall(
                libc::SYS_newfstatat,
                file.as_raw_fd(),
                c"".as_ptr(),
                shown.bytes.as_mut_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        checked(result)?;
        Ok(shown)
    }

    /// The same in the form of `statx`.
    pub(super) fn statx(file: BorrowedFd<'_>, flags: u32, mask: u32) -> Result<Self, Errno> {
        let mut shown = Self {
            bytes: [0; SHOWN],
            length: SHOWN,
        };
        // SAFETY: the path ends in NUL; the kernel writes one `struct statx`, for which there is room.
        let result = unsafe {
            libc::syscall(
                libc::SYS_statx,
                file.as_raw_fd(),
                c"".as_ptr(),
                flags | libc::AT_EMPTY_PATH.unsigned_abs(),
                mask,
                shown.bytes.as_mut_ptr(),
            )
        };
        checked(result)?;
        Ok(shown)
    }

    /// The bytes, with this owner.
    pub(super) fn with_owner(mut self, uid: u32, gid: u32) -> Vec<u8> {
        let (user, group) = if self.length == SHOWN {
            (
                offset_of!(libc::statx, stx_uid),
                offset_of!(libc::statx, stx_gid),
            )
        } else {
            (
                offset_of!(libc::stat, st_uid),
                offset_of!(libc::stat, st_gid),
            )
        };
        for (place, id) in [(user, uid), (group, gid)] {
            self.bytes[place..place + 4].copy_from_slice(&id.to_ne_bytes());
        }
        self.bytes[..self.length].to_vec()
    }
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
        Reply::Value(value) => response.val = value.into(),
        Reply::Install {
            file,
            close_on_exec,
        } => return install_file(listener, id, &file, close_on_exec),
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

/// Puts a copy of `file` into the calling process and answers with its number, in one.
fn install_file(
    listener: &OwnedFd,
    id: u64,
    file: &OwnedFd,
    close_on_exec: bool,
) -> Result<(), Errno> {
    let flag = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    let request = libc::seccomp_notif_addfd {
        id,
        flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).unwrap_or(2),
        srcfd: file.as_raw_fd().unsigned_abs(),
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
