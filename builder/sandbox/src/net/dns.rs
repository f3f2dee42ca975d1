//! The responder for names: refuses every question and notes it.
//!
//! Without it a lookup ends in a timeout, or in an error that says nothing of the name.

mod message;

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use super::observed::Observed;

/// Where it listens: what a resolver takes if `resolv.conf` is empty or gone.
pub(crate) const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

/// `resolv.conf` of a step. One attempt: the answer will not change.
pub(crate) const RESOLV_CONF: &str = "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n";

/// Connections over TCP at one time. Resolvers ask over TCP only after an answer over UDP that was
/// cut, which never happens here.
const MAX_CONNECTIONS: usize = 8;
/// Messages taken in one go, so that a flood of questions does not keep the supervisor from its other
/// work.
const MAX_BURST: usize = 64;
/// Longest question that is looked at.
const MAX_MESSAGE: usize = 4096;

/// The sockets.
#[derive(Debug)]
pub(crate) struct Responder {
    udp: UdpSocket,
    tcp: TcpListener,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Responder {
    /// Listens in the network namespace of this process.
    pub(crate) fn listen() -> io::Result<Self> {
        let udp = UdpSocket::bind(ADDRESS)?;
        udp.set_nonblocking(true)?;
        let tcp = TcpListener::bind(ADDRESS)?;
        tcp.set_nonblocking(true)?;
        Ok(Self {
            udp,
            tcp,
            connections: Vec::new(),
        })
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.udp.as_fd(), self.tcp.as_fd()].into_iter().chain(
            self.connections
                .iter()
                .map(|connection| connection.stream.as_fd()),
        )
    }

    /// Answers what has come. Never blocks; a client that misbehaves is dropped.
    pub(crate) fn serve(&mut self, observed: &mut Observed) {
        self.serve_datagrams(observed);
        for _ in 0..MAX_BURST {
            let Ok((stream, _)) = self.tcp.accept() else {
                break;
            };
            if self.connections.len() < MAX_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection {
                    stream,
                    received: Vec::new(),
                });
            }
        }
        self.connections
            .retain_mut(|connection| connection.serve(observed).is_ok());
    }

    fn serve_datagrams(&self, observed: &mut Observed) {
        let mut buffer = [0; MAX_MESSAGE];
        for _ in 0..MAX_BURST {
            let Ok((count, from)) = self.udp.recv_from(&mut buffer) else {
                break;
            };
            if let Some(question) = message::question(&buffer[..count]) {
                observed.name(&question.name);
                // A client that is gone misses nothing.
                drop(self.udp.send_to(&question.refusal, from));
            }
        }
    }
}

impl Connection {
    /// `Err` where the connection is over. A message is preceded by its length (RFC 1035, 4.2.2).
    fn serve(&mut self, observed: &mut Observed) -> io::Result<()> {
        let mut buffer = [0; 512];
        for _ in 0..MAX_BURST {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.answer(observed)?;
        }
        Ok(())
    }

    fn answer(&mut self, observed: &mut Observed) -> io::Result<()> {
        while let Some((length, rest)) = self.received.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_MESSAGE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(question) = rest.get(..length) else {
                return Ok(());
            };
            let question =
                message::question(question).ok_or(io::Error::from(io::ErrorKind::InvalidData))?;
            observed.name(&question.name);
            let size = u16::try_from(question.refusal.len()).unwrap_or(u16::MAX);
            self.stream.write_all(&size.to_be_bytes())?;
            self.stream.write_all(&question.refusal)?;
            self.received.drain(..2 + length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_names_the_responder() {
        assert!(RESOLV_CONF.contains(&ADDRESS.ip().to_string()));
    }
}
