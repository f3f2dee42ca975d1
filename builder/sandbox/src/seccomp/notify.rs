//! Calls that the filter hands to the supervisor: refused sockets and observed connections.

mod address;
mod kernel;
mod kernel_name;
mod users;

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    unistd::Pid,
};
use rustix::{
    io::Errno,
    net::{AddressFamily, Protocol, RawProtocol, SocketFlags, SocketType, socket_with},
};

use self::{
    address::{Target, is_bound, target},
    kernel::{Notification, Reply},
};
use super::bpf::{Notified, SOCK_PACKET, notified};
use crate::net::observed::Observed;
pub(crate) use kernel::install;
pub(crate) use kernel_name::KernelNames;
pub(crate) use users::Users;

/// Longest socket address (`struct sockaddr_storage`).
const MAX_ADDRESS: usize = 128;

/// The supervisor's end of the filter.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Takes over what [`install`] gave in the step's process.
    pub(crate) const fn new(listener: OwnedFd) -> Self {
        Self(listener)
    }

    /// Answers one call. `Err` only if the listener itself is of no use.
    pub(crate) fn answer(
        &self,
        observed: &mut Observed,
        users: Option<&mut Users<'_>>,
        names: &KernelNames,
    ) -> Result<(), Errno> {
        let call = match kernel::receive(&self.0) {
            Ok(call) => call,
            // The process died between the poll and here.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let reply = self.decide(&call, observed, users, names);
        match kernel::reply(&self.0, call.id, reply) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }

    fn decide(
        &self,
        call: &Notification,
        observed: &mut Observed,
        users: Option<&mut Users<'_>>,
        names: &KernelNames,
    ) -> Reply {
        match notified(call.arch, call.number) {
            Some(Notified::Connect) => {
                self.observe(call, observed);
                // The kernel reads the address once more, and it may be another by then. Nothing
                // hangs on it: there is nowhere to go, and what was tried is counted there.
                Reply::Continue
            }
            Some(Notified::Socket) => {
                let [family, kind, protocol, ..] = call.arguments;
                // The filter allowed all others.
                Reply::Fail(refuse(int(family), int(kind), int(protocol), observed))
            }
            Some(Notified::SocketCall) => self.old_socket(call, observed),
            Some(Notified::KernelName) => names.answer(self, call),
            Some(Notified::Users(what)) => match users {
                Some(users) => users.answer(self, call, what),
                // The filter hands none on where the kernel knows all users.
                None => Reply::Continue,
            },
            None => Reply::Fail(Errno::PERM),
        }
    }

    fn observe(&self, call: &Notification, observed: &mut Observed) {
        let [_, address, length, ..] = call.arguments;
        let length = usize::try_from(length).map_or(MAX_ADDRESS, |length| length.min(MAX_ADDRESS));
        let mut bytes = [0; MAX_ADDRESS];
        let Some(bytes) = self.read(call, address, &mut bytes[..length]) else {
            return;
        };
        match target(bytes) {
            Some(Target::Internet(address)) => observed.address(address),
            // A socket of the machine has no name in the step's namespace.
            Some(Target::Abstract(name)) if !is_bound(name) => observed.abstract_socket(),
            Some(Target::Abstract(_)) | None => {}
        }
    }

    /// `socketcall(SYS_SOCKET, [family, type, protocol])`. The supervisor makes the socket and puts
    /// it into the process: letting the call go on would have the kernel read the arguments again,
    /// after they were checked.
    fn old_socket(&self, call: &Notification, observed: &mut Observed) -> Reply {
        let mut bytes = [0; 12];
        let Some(bytes) = self.read(call, call.arguments[1], &mut bytes) else {
            return Reply::Fail(Errno::FAULT);
        };
        let mut words = bytes
            .chunks_exact(4)
            .map(|word| word.try_into().map_or(0, i32::from_ne_bytes));
        let mut next = || words.next().unwrap_or(0);
        let (family, kind, protocol) = (next(), next(), next());
        if !stays_inside(family, kind, protocol) {
            return Reply::Fail(refuse(family, kind, protocol, observed));
        }
        match make_socket(family, kind, protocol) {
            Ok(socket) => Reply::Install {
                file: socket,
                close_on_exec: kind & libc::SOCK_CLOEXEC != 0,
            },
            Err(errno) => Reply::Fail(errno),
        }
    }

    /// Whether the call still waits for its answer.
    fn is_waiting(&self, call: &Notification) -> bool {
        kernel::is_valid(&self.0, call.id)
    }

    /// Memory of the calling process; `None` if it is gone or has nothing there.
    fn read<'a>(&self, call: &Notification, from: u64, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        let remote = RemoteIoVec {
            base: usize::try_from(from).ok()?,
            len: bytes.len(),
        };
        let count = process_vm_readv(
            Pid::from_raw(call.pid),
            &mut [IoSliceMut::new(bytes)],
            &[remote],
        )
        .ok()?;
        // Another process may have taken the id while we read: then the bytes are of that one.
        kernel::is_valid(&self.0, call.id).then_some(&bytes[..count])
    }

    /// Writes into the calling process's memory.
    fn write(&self, call: &Notification, to: u64, bytes: &[u8]) -> Result<(), Errno> {
        if !self.is_waiting(call) {
            return Err(Errno::SRCH);
        }
        let remote = RemoteIoVec {
            base: usize::try_from(to).map_err(|_| Errno::FAULT)?,
            len: bytes.len(),
        };
        let pid = Pid::from_raw(call.pid);
        match process_vm_writev(pid, &[IoSlice::new(bytes)], &[remote]) {
            Ok(count) if count == bytes.len() => Ok(()),
            _ => Err(Errno::FAULT),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The kernel takes an `int` and ignores the upper half.
fn int(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// The rule of the filter once more, for arguments that the filter could not see.
fn stays_inside(family: i32, kind: i32, protocol: i32) -> bool {
    match family {
        libc::AF_UNIX => true,
        libc::AF_INET | libc::AF_INET6 => !is_raw(kind),
        libc::AF_NETLINK => protocol == libc::NETLINK_ROUTE,
        _ => false,
    }
}

const fn is_raw(kind: i32) -> bool {
    matches!(kind & 0xf, libc::SOCK_RAW | SOCK_PACKET)
}

/// Counts the attempt and says what it fails with: what a kernel without the family says, or one that
/// wants a capability.
fn refuse(family: i32, kind: i32, protocol: i32, observed: &mut Observed) -> Errno {
    if family == libc::AF_NETLINK && protocol == libc::NETLINK_AUDIT {
        // The filter answers the same where it can see it: no way out, so no attempt.
        return Errno::PROTONOSUPPORT;
    }
    let (name, errno) = match family {
        libc::AF_INET | libc::AF_INET6 if is_raw(kind) => ("raw", Errno::PERM),
        libc::AF_PACKET => ("packet", Errno::PERM),
        libc::AF_NETLINK => ("netlink", Errno::PROTONOSUPPORT),
        libc::AF_VSOCK => ("vsock", Errno::AFNOSUPPORT),
        libc::AF_ALG => ("alg", Errno::AFNOSUPPORT),
        libc::AF_BLUETOOTH => ("bluetooth", Errno::AFNOSUPPORT),
        libc::AF_CAN => ("can", Errno::AFNOSUPPORT),
        libc::AF_TIPC => ("tipc", Errno::AFNOSUPPORT),
        libc::AF_XDP => ("xdp", Errno::AFNOSUPPORT),
        _ => ("other", Errno::AFNOSUPPORT),
    };
    observed.refused_socket(name);
    errno
}

fn make_socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    let family = AddressFamily::from_raw(u16::try_from(family).map_err(|_| Errno::AFNOSUPPORT)?);
    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, kind & libc::SOCK_NONBLOCK != 0);
    let kind = SocketType::from_raw((kind & 0xf).unsigned_abs());
    let protocol = RawProtocol::new(u32::try_from(protocol).map_err(|_| Errno::PROTONOSUPPORT)?)
        .map(Protocol::from_raw);
    socket_with(family, kind, flags, protocol)
}

#[cfg(test)]
mod tests {
    use repro_core::build::NetworkObservation;

    use super::*;
    use crate::net::counters::Counters;

    #[test]
    fn each_family_is_counted_under_its_name() {
        let mut observed = Observed::default();
        for family in [libc::AF_VSOCK, libc::AF_VSOCK, libc::AF_ALG, 9999] {
            refuse(family, libc::SOCK_STREAM, 0, &mut observed);
        }
        let raw = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        refuse(libc::AF_INET6, raw, libc::IPPROTO_ICMPV6, &mut observed);
        for protocol in [libc::NETLINK_AUDIT, libc::NETLINK_GENERIC] {
            refuse(libc::AF_NETLINK, libc::SOCK_RAW, protocol, &mut observed);
        }
        let NetworkObservation {
            refused_sockets, ..
        } = observed.finish(Counters::default());
        let found: Vec<_> = refused_sockets
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        assert_eq!(
            found,
            [
                ("alg", 1),
                ("netlink", 1),
                ("other", 1),
                ("raw", 1),
                ("vsock", 2)
            ]
        );
    }
}
