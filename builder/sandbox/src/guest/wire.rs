//! What an orchestrator and a helper say to each other.
//!
//! ```text
//! frame := kind (u8) length (u32 LE, of what follows) bytes
//! ```
//!
//! Both are the same executable, so messages (postcard) never meet another version.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use repro_core::{
    build::{CopySpec, LayerPolicy, MakeDirSpec, NetworkKit, StepResult, Variation},
    tree::TreePath,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Door, Filling, Parents};
use crate::{
    protocol::{Failure, Program, Secret},
    tree::Name,
};

/// Longest frame: a thousand names with some attributes. Both sides send pieces far below.
const MAX_FRAME: u32 = 32 << 20;
/// Bytes in one piece of a stream.
pub(super) const PIECE: usize = 256 << 10;
/// Bytes of header.
const HEADER: usize = 5;

/// The first message to a helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    /// What happens.
    pub(super) action: Action,
    /// Whether there is anything below.
    pub(super) parents: Parents,
    /// How times are decided.
    pub(super) layer: LayerPolicy,
    /// The environment of the run.
    pub(super) variation: Variation,
    /// Values of the secrets that the step names.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// What a program finds of a network.
    pub(super) network: Option<NetworkKit>,
    /// How its mounts are filled, in their order.
    pub(super) fillings: Vec<Filling>,
}

/// What a step does. Trees come as streams.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Action {
    Run(Box<Program>),
    Copy(Box<CopySpec>),
    MakeDir(MakeDirSpec),
}

/// To a helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Begin(Box<Begin>),
    /// Some of the tree's names, in canonical order.
    Names(Vec<Name>),
    /// There are no more.
    NamesEnd,
    /// No more bytes on this way.
    WayEnd(u32),
}

/// From a helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// Mount points: what the tree has there is to be sent too, if files are copied.
    Points(Vec<TreePath>),
    /// A connection of the step to something outside.
    WayOpen(u32, Door),
    /// No more bytes on this way.
    WayEnd(u32),
    /// The program has ended, and everything it printed was said.
    Ended,
    /// A cache of this name follows, as a layer on nothing.
    Cache(String),
    /// Some of the names that have to be compared, in canonical order.
    Wanted(Vec<TreePath>),
    /// There are no more.
    WantedEnd,
    /// The last message.
    Done(Box<Result<StepResult, Failure>>),
}

/// A frame with messages of type `M`.
#[derive(Debug)]
pub(super) enum Frame<M> {
    Message(M),
    /// A piece of a stream of entries. One that ends a stream holds nothing of the next.
    Entries(Vec<u8>),
    /// What a program printed.
    Log(Vec<u8>),
    /// Bytes of a way.
    Way(u32, Vec<u8>),
}

impl<M: Serialize> Frame<M> {
    /// Writes the frame.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Message(message) => {
                let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
                put(out, 0, &[&bytes])
            }
            Self::Entries(bytes) => put(out, 1, &[bytes]),
            Self::Log(bytes) => put(out, 2, &[bytes]),
            Self::Way(way, bytes) => put(out, 3, &[&way.to_le_bytes(), bytes]),
        }
    }
}

fn put(out: &mut dyn Write, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::other("a message is too long"))?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    for part in parts {
        out.write_all(part)?;
    }
    out.flush()
}

/// Frames as they come in.
#[derive(Debug)]
pub(super) struct Inbox<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    start: usize,
}

impl<R: Read> Inbox<R> {
    pub(super) const fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            start: 0,
        }
    }

    pub(super) const fn source(&self) -> &R {
        &self.from
    }

    /// What it reads from; what was read already is lost.
    pub(super) fn into_source(self) -> R {
        self.from
    }

    /// Reads once what there is.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + PIECE, 0);
        let read = loop {
            match self.from.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next frame of those that were read whole.
    pub(super) fn parse<M: DeserializeOwned>(&mut self) -> io::Result<Option<Frame<M>>> {
        let held = &self.buffer[self.start..];
        let Some((header, rest)) = held.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [kind, length @ ..] = header;
        let length = u32::from_le_bytes(*length);
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if length > MAX_FRAME {
            return Err(invalid("a frame is longer than any"));
        }
        let Some(bytes) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let frame = match kind {
            0 => Frame::Message(postcard::from_bytes(bytes).map_err(io::Error::other)?),
            1 => Frame::Entries(bytes.to_vec()),
            2 => Frame::Log(bytes.to_vec()),
            3 => {
                let way = bytes.split_first_chunk::<4>();
                let (way, bytes) = way.ok_or_else(|| invalid("a frame of no way"))?;
                Frame::Way(u32::from_le_bytes(*way), bytes.to_vec())
            }
            _ => return Err(invalid("a frame of no kind")),
        };
        self.start += HEADER + length as usize;
        Ok(Some(frame))
    }

    /// The next frame, waited for.
    pub(super) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Frame<M>> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(frame);
            }
            self.fill()?;
        }
    }
}

/// Writes a stream of entries as frames. Each flush ends a frame.
pub(super) struct EntriesOut<'a> {
    out: &'a mut dyn Write,
    piece: Vec<u8>,
}

impl<'a> EntriesOut<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            piece: Vec::with_capacity(PIECE),
        }
    }
}

impl Write for EntriesOut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = bytes.len().min(room);
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        put(self.out, 1, &[&self.piece])?;
        self.piece.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (head, rest) = self.0.split_at(self.0.len().min(1));
            buffer[..head.len()].copy_from_slice(head);
            self.0 = rest;
            Ok(head.len())
        }
    }

    #[test]
    fn frames_come_back_whatever_the_pieces() {
        let mut bytes = Vec::new();
        let frames: [Frame<Ask>; 4] = [
            Frame::Message(Ask::WayEnd(7)),
            Frame::Entries(vec![1; 3]),
            Frame::Log(Vec::new()),
            Frame::Way(9, vec![2]),
        ];
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut inbox = Inbox::new(Drops(&bytes));
        for frame in &frames {
            let read: Frame<Ask> = inbox.next().unwrap();
            assert_eq!(format!("{read:?}"), format!("{frame:?}"));
        }
        let over = inbox.next::<Ask>().unwrap_err();
        assert_eq!(over.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_without_end_takes_no_memory() {
        let mut inbox = Inbox::new(&[1, 0xff, 0xff, 0xff, 0xff, 0][..]);
        assert!(inbox.next::<Ask>().is_err());
    }
}
