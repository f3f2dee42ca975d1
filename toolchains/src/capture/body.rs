//! Bodies of answers on their way to a client.

use std::{
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Bytes passed on at a time.
pub(super) const CHUNK: usize = 64 << 10;
/// Chunks between the one who reads and the client.
const AHEAD: usize = 8;

/// The body of an answer. An error in it ends the connection before the end that was promised, so that
/// no client takes a part for the whole.
pub(super) enum AnswerBody {
    /// What is at hand.
    Ready(Option<Bytes>),
    /// What comes from a file or a server, with its length if that is known.
    Streamed {
        chunks: mpsc::Receiver<io::Result<Bytes>>,
        length: Option<u64>,
    },
}

/// The other end of a streamed body.
pub(super) type Chunks = mpsc::Sender<io::Result<Bytes>>;

impl AnswerBody {
    pub(super) const fn empty() -> Self {
        Self::Ready(None)
    }

    pub(super) fn text(text: String) -> Self {
        Self::Ready(Some(Bytes::from(text)))
    }

    /// A body of what is given to the other end.
    pub(super) fn streamed(length: Option<u64>) -> (Chunks, Self) {
        let (sender, chunks) = mpsc::channel(AHEAD);
        (sender, Self::Streamed { chunks, length })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Ready(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed { chunks, .. } => chunks
                .poll_recv(context)
                .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Ready(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Streamed {
                length: Some(length),
                ..
            } => SizeHint::with_exact(*length),
            Self::Streamed { length: None, .. } => SizeHint::new(),
        }
    }
}

/// Gives a part of what `source` has to the client, and reads to the end all the same: only there is
/// it known whether the bytes are those that they should be. The last chunk of the part is held back
/// until then.
pub(super) fn send_part(
    mut source: impl Read,
    (first, count): (u64, u64),
    chunks: &Chunks,
) -> io::Result<()> {
    let mut held: Option<Bytes> = None;
    let mut at = 0_u64;
    let end = first.saturating_add(count);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let next = at + read as u64;
        let (from, to) = (first.max(at), end.min(next));
        if from < to {
            // Both lie within the buffer.
            let slice = &buffer[usize::try_from(from - at).unwrap_or(0)..]
                [..usize::try_from(to - from).unwrap_or(0)];
            let chunk = Bytes::copy_from_slice(slice);
            if let Some(held) = held.replace(chunk)
                && chunks.blocking_send(Ok(held)).is_err()
            {
                // The client is gone; what was asked for is checked all the same.
                held_back(&mut source, &mut buffer)?;
                return Ok(());
            }
        }
        at = next;
    }
    if let Some(held) = held {
        // A client that is gone misses nothing.
        drop(chunks.blocking_send(Ok(held)));
    }
    Ok(())
}

fn held_back(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    while source.read(buffer)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(source: impl Read + Send, part: (u64, u64)) -> (io::Result<()>, Vec<u8>) {
        let (chunks, body) = AnswerBody::streamed(None);
        let AnswerBody::Streamed {
            chunks: mut received,
            ..
        } = body
        else {
            panic!("not streamed")
        };
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || send_part(source, part, &chunks));
            let mut bytes = Vec::new();
            while let Some(chunk) = received.blocking_recv() {
                bytes.extend(chunk.unwrap());
            }
            (sender.join().unwrap(), bytes)
        })
    }

    struct Broken<'a>(&'a [u8]);

    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::InvalidData.into()),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn parts_cross_chunks() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for (first, count) in [(0, 200_000), (0, 1), (199_999, 1), (60_000, 80_000), (5, 0)] {
            let (result, got) = sent(bytes.as_slice(), (first, count));
            result.unwrap();
            let (first, count) = (
                usize::try_from(first).unwrap(),
                usize::try_from(count).unwrap(),
            );
            assert!(got == bytes[first..first + count], "{first} {count}");
        }
    }

    #[test]
    fn damage_is_known_before_the_end_is_sent() {
        let bytes = vec![1; 150_000];
        let (result, got) = sent(Broken(&bytes), (0, 150_000));
        assert!(result.is_err());
        assert!(got.len() < bytes.len());
        // Also where the damage is behind the part.
        let (result, got) = sent(Broken(&bytes), (0, 10));
        assert!(result.is_err() && got.is_empty());
    }
}
