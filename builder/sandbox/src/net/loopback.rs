//! Switching loopback on in a new network namespace.
#![expect(
    unsafe_code,
    reason = "interface flags are changed by an ioctl that no crate of ours wraps"
)]

use std::os::fd::AsRawFd;

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

/// Sets loopback up: servers that tests of a build start, and the responder for names, are there.
pub(crate) fn up() -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut name = [0; libc::IFNAMSIZ];
    name[0] = b'l'.cast_signed();
    name[1] = b'o'.cast_signed();
    let flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(libc::c_short::MAX);
    let request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 {
        Ok(())
    } else {
        Err(crate::sys::last_errno())
    }
}
