//! What a step prints: to a blob for the evidence, line by line to whoever watches.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use repro_core::{
    build::{RunId, StepObserver},
    digest::Digest,
    event::{Event, EventSink},
    store::{BlobError, BlobStore, BlobWriter},
};

/// Longest log that is kept of one step. A step that prints for ever must not fill the disk.
const MAX_LOG: u64 = 64 << 20;
/// Longest piece of a line that is sent on its own.
const MAX_LINE: usize = 8 << 10;
const CUT: &[u8] = b"\n[the log is cut here: it has more than 64 MiB]\n";

/// Keeps and passes on the output of one step.
pub(crate) struct StepLog<'a> {
    run: RunId,
    index: u32,
    events: &'a dyn EventSink,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    blob: Box<dyn BlobWriter + 'a>,
    kept: u64,
    line: Vec<u8>,
    broken: Option<std::io::Error>,
}

impl<'a> StepLog<'a> {
    pub(crate) fn new(
        run: RunId,
        index: u32,
        blobs: &'a dyn BlobStore,
        events: &'a dyn EventSink,
    ) -> Result<Self, BlobError> {
        let blob = blobs.create()?;
        let state = State {
            blob,
            kept: 0,
            line: Vec::new(),
            broken: None,
        };
        Ok(Self {
            run,
            index,
            events,
            state: Mutex::new(state),
        })
    }

    /// The blob of the log; `None` where the step printed nothing.
    pub(crate) fn finish(self) -> Result<Option<Digest>, BlobError> {
        let mut state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if !state.line.is_empty() {
            send(self.events, self.run, self.index, &state.line);
        }
        if let Some(source) = state.broken.take() {
            return Err(BlobError::Io {
                what: "write the log of a step".into(),
                source,
            });
        }
        if state.kept == 0 {
            return Ok(None);
        }
        Ok(Some(state.blob.commit()?.digest))
    }
}

impl StepObserver for StepLog<'_> {
    fn output(&self, bytes: &[u8]) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        let room = usize::try_from(MAX_LOG.saturating_sub(state.kept)).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(room)];
        if state.broken.is_none() && room > 0 {
            let cut = if kept.len() < bytes.len() { CUT } else { b"" };
            let written = state
                .blob
                .write_all(kept)
                .and_then(|()| state.blob.write_all(cut));
            state.broken = written.err();
            state.kept += (kept.len() + cut.len()) as u64;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            state.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || state.line.len() > MAX_LINE {
                send(self.events, self.run, self.index, &state.line);
                state.line.clear();
            }
        }
    }
}

fn send(events: &dyn EventSink, run: RunId, index: u32, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(line).into_owned();
    events.event(Event::StepOutput { run, index, text });
}
