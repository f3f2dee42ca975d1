//! Messages with descriptors over a Unix socket.
//!
//! A message is `length (u32 LE)`, the bytes in postcard. Packets keep their boundaries
//! (`SOCK_SEQPACKET`); a message longer than one packet follows in further ones. Descriptors
//! ride on the first packet.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes in one packet: well below the least send buffer that Linux gives a socket (about 200 KiB).
const PACKET: usize = 64 * 1024;
/// Longest message. Arguments and environment of a program are limited by Linux to a quarter of the
/// stack, 2 MiB by default; twice that holds them and the names of all trees.
const MAX_MESSAGE: usize = 4 << 20;
/// Most descriptors with one message.
pub(crate) const MAX_FDS: usize = 8;

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The other side is gone.
    #[error("the other side closed the channel")]
    Closed,
    /// The system refused.
    #[error("the channel failed")]
    System(#[from] Errno),
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// Not a message of the expected type.
    #[error("a message cannot be decoded")]
    Decode(#[from] postcard::Error),
}

/// One end.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Two ends, both closed on exec.
    pub(crate) fn pair() -> Result<(Self, Self), Errno> {
        let (one, two) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self { socket: one }, Self { socket: two }))
    }

    /// Takes over a socket that [`Channel::pair`] made in another process.
    pub(crate) const fn from_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// The socket, to pass it on.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends `message` with `fds`.
    pub(crate) fn send<T: Serialize>(
        &self,
        message: &T,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let bytes = postcard::to_stdvec(message)?;
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|_| bytes.len() <= MAX_MESSAGE)
            .ok_or(ChannelError::TooLong(bytes.len()))?;
        self.packet(&length.to_le_bytes(), fds)?;
        bytes
            .chunks(PACKET)
            .try_for_each(|chunk| self.packet(chunk, &[]))
    }

    /// Receives a message and its descriptors, which are closed on exec.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), ChannelError> {
        let mut length = [0; 4];
        let (count, fds) = self.take(&mut length)?;
        if count != length.len() {
            return Err(ChannelError::Closed);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_MESSAGE {
            return Err(ChannelError::TooLong(length));
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let end = length.min(filled + PACKET);
            match self.take(&mut bytes[filled..end])? {
                (0, _) => return Err(ChannelError::Closed),
                (count, _) => filled += count,
            }
        }
        Ok((postcard::from_bytes(&bytes)?, fds))
    }

    fn packet(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(ChannelError::TooLong(fds.len()));
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(
                &self.socket,
                &[IoSlice::new(bytes)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            )
        })?;
        Ok(())
    }

    fn take(&self, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        Ok((received.bytes, fds))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_longer_than_a_packet_arrives_with_its_descriptors() {
        let (one, two) = Channel::pair().unwrap();
        let text = "x".repeat(PACKET * 3 + 1);
        let sent = text.clone();
        let sender = std::thread::spawn(move || {
            one.send(&sent, &[two_fd().as_fd()]).unwrap();
        });
        let (message, fds): (String, _) = two.receive().unwrap();
        sender.join().unwrap();
        assert_eq!(message, text);
        assert_eq!(fds.len(), 1);
    }

    fn two_fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_closed_channel_is_told_from_a_message() {
        let (one, two) = Channel::pair().unwrap();
        drop(one);
        assert!(matches!(two.receive::<String>(), Err(ChannelError::Closed)));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let (one, two) = Channel::pair().unwrap();
        one.packet(&u32::MAX.to_le_bytes(), &[]).unwrap();
        assert!(matches!(
            two.receive::<String>(),
            Err(ChannelError::TooLong(_))
        ));
    }
}
