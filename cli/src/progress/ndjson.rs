//! Events for programs: one JSON document a line.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use repro_core::event::{EVENT_VERSION, Event, EventSink};
use serde::Serialize;

/// Writes each event as `{"version":1,"event":...}`.
pub(super) struct Ndjson<W> {
    out: Mutex<W>,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

impl<W: Write + Send> Ndjson<W> {
    pub(super) const fn new(out: W) -> Self {
        Self {
            out: Mutex::new(out),
        }
    }
}

impl<W: Write + Send> EventSink for Ndjson<W> {
    fn event(&self, event: Event) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line {
            version: EVENT_VERSION,
            event: &event,
        };
        // An event always has a JSON form, so an error here is a closed stream: there is nobody
        // to tell, and the build goes on.
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            drop(out.write_all(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::board::tests::recorded;

    #[test]
    fn every_line_is_a_document_that_reads_back() {
        let ndjson = Ndjson::new(Vec::new());
        for event in recorded() {
            ndjson.event(event);
        }
        let text = String::from_utf8(ndjson.out.into_inner().unwrap()).unwrap();
        let mut read = Vec::new();
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["version"], 1);
            read.push(serde_json::from_value::<Event>(value).unwrap());
        }
        assert_eq!(read, recorded());
    }
}
