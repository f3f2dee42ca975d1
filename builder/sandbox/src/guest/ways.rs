//! The helper's end of a step's ways out: connections to one port of the container's loopback, and to
//! sockets of agents, handed on through the helper's standard streams.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use rustix::event::{PollFd, PollFlags};

use super::{
    Door,
    wire::{Frame, Say},
};
use crate::protocol::Failure;

/// Bytes that wait for a slow program before no more are taken from the orchestrator.
const MAX_WAITING: usize = 4 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Connections.
#[derive(Debug, Default)]
pub(super) struct GuestWays {
    listener: Option<TcpListener>,
    agents: Vec<UnixListener>,
    open: BTreeMap<u32, Connection>,
    next: u32,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    fn end_writing(&self) {
        // One that is shut already is as good.
        drop(match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        });
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    /// Not yet written.
    waiting: Vec<u8>,
    /// Whether the program may still say something.
    is_heard: bool,
    /// Whether the orchestrator has said everything.
    is_over: bool,
}

impl GuestWays {
    /// Takes over the sockets of a step's agents.
    pub(super) fn with_agents(mut self, agents: Vec<UnixListener>) -> Result<Self, Failure> {
        for agent in &agents {
            agent
                .set_nonblocking(true)
                .map_err(|error| Failure::io("a socket of an agent", &error))?;
        }
        self.agents = agents;
        Ok(self)
    }

    /// Listens at the port of a step's network.
    pub(super) fn listen(port: u16) -> Result<Self, Failure> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let failed = |error: io::Error| Failure::io(format!("bind({address})"), &error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            listener: Some(listener),
            ..Self::default()
        })
    }

    /// What to wait for.
    pub(super) fn watched(&self) -> Vec<PollFd<'_>> {
        let listener = self.listener.iter().map(AsFd::as_fd);
        let listeners = listener.chain(self.agents.iter().map(AsFd::as_fd));
        let mut watched: Vec<_> = listeners
            .map(|listener| PollFd::from_borrowed_fd(listener, PollFlags::IN))
            .collect();
        for connection in self.open.values() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, connection.is_heard);
            flags.set(PollFlags::OUT, !connection.waiting.is_empty());
            watched.push(PollFd::from_borrowed_fd(connection.stream.as_fd(), flags));
        }
        watched
    }

    /// Whether a program takes so slowly that the orchestrator has to wait.
    pub(super) fn is_full(&self) -> bool {
        let mut open = self.open.values();
        open.any(|connection| connection.waiting.len() > MAX_WAITING)
    }

    /// Bytes of the orchestrator.
    pub(super) fn take(&mut self, way: u32, bytes: &[u8]) {
        // One that broke meanwhile wants nothing more.
        if let Some(connection) = self.open.get_mut(&way) {
            connection.waiting.extend_from_slice(bytes);
        }
    }

    /// The orchestrator has said everything.
    pub(super) fn end(&mut self, way: u32) {
        if let Some(connection) = self.open.get_mut(&way) {
            connection.is_over = true;
        }
    }

    fn accept(&self) -> Option<(Stream, Door)> {
        let listener = self.listener.as_ref();
        if let Some((stream, _)) = listener.and_then(|listener| listener.accept().ok()) {
            return Some((Stream::Tcp(stream), Door::Network));
        }
        (0..).zip(&self.agents).find_map(|(index, agent)| {
            let (stream, _) = agent.accept().ok()?;
            Some((Stream::Unix(stream), Door::Agent(index)))
        })
    }

    /// Moves what can be moved without waiting.
    pub(super) fn serve(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while let Some((stream, door)) = self.accept() {
            if stream.set_nonblocking().is_err() {
                continue;
            }
            let way = self.next;
            self.next += 1;
            Frame::Message(Say::WayOpen(way, door)).write(out)?;
            let connection = Connection {
                stream,
                waiting: Vec::new(),
                is_heard: true,
                is_over: false,
            };
            self.open.insert(way, connection);
        }
        let mut gone = Vec::new();
        for (way, connection) in &mut self.open {
            let is_broken = connection.write().is_err();
            let was_heard = connection.is_heard;
            connection.read(*way, out)?;
            let is_silent = !connection.is_heard || is_broken;
            if was_heard && is_silent {
                connection.is_heard = false;
                Frame::Message(Say::WayEnd(*way)).write(out)?;
            }
            if is_broken || (is_silent && connection.is_over && connection.waiting.is_empty()) {
                gone.push(*way);
            }
        }
        for way in gone {
            self.open.remove(&way);
        }
        Ok(())
    }
}

impl Connection {
    fn write(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_over {
            self.stream.end_writing();
        }
        Ok(())
    }

    fn read(&mut self, way: u32, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        while self.is_heard {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.is_heard = false,
                Ok(count) => {
                    Frame::<Say>::Way(way, buffer[..count].to_vec()).write(out)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_heard = false,
            }
        }
        Ok(())
    }
}
