//! Cuts bytes into what is compared as a whole: lines of text, and runs of bytes that are none.

use std::ops::Range;

/// Printable runs shorter than this inside binary data are taken for chance, as `strings`
/// does with its default of four; two more because random data is common here.
const SHORTEST_TEXT: usize = 6;
/// A rest of a line that touches binary data and is shorter than this belongs to that data.
const SHORTEST_REST: usize = 4;

/// A line with its newline, or a run of binary data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text without a newline but at its end.
    Line(Range<usize>),
    /// Bytes that are not text.
    Binary(Range<usize>),
}

impl Segment {
    pub(super) const fn range(&self) -> &Range<usize> {
        match self {
            Self::Line(range) | Self::Binary(range) => range,
        }
    }
}

/// Cuts `bytes`; the segments follow each other without gaps.
pub(super) fn segments(bytes: &[u8]) -> Vec<Segment> {
    let mut segments = Vec::new();
    if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) {
        lines(bytes, 0..bytes.len(), &mut segments);
        return segments;
    }
    let mut binary_from: Option<usize> = None;
    let mut at = 0;
    while at < bytes.len() {
        let end = at + run(&bytes[at..]);
        if !is_text(bytes[at]) {
            binary_from.get_or_insert(at);
            at = end;
            continue;
        }
        let kept = kept_text(bytes, at..end);
        if kept.is_empty() {
            binary_from.get_or_insert(at);
        } else {
            if let Some(from) = binary_from.take() {
                segments.push(Segment::Binary(from..kept.start));
            }
            if kept.end < end {
                binary_from = Some(kept.end);
            }
            lines(bytes, kept, &mut segments);
        }
        at = end;
    }
    if let Some(from) = binary_from {
        segments.push(Segment::Binary(from..bytes.len()));
    }
    segments
}

/// The part of a printable run that is text rather than chance.
fn kept_text(bytes: &[u8], run: Range<usize>) -> Range<usize> {
    let mut end = run.end;
    if end < bytes.len() {
        let last_line = bytes[run.clone()]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(run.start, |newline| run.start + newline + 1);
        if end - last_line < SHORTEST_REST {
            end = last_line;
        }
    }
    // A short run at the very start is the first line of a file, such as a number.
    if run.start > 0 && end - run.start < SHORTEST_TEXT {
        return run.start..run.start;
    }
    run.start..end
}

/// Length of the run of bytes of the kind of the first one; at least 1.
fn run(bytes: &[u8]) -> usize {
    let text = is_text(bytes[0]);
    bytes
        .iter()
        .position(|byte| is_text(*byte) != text)
        .unwrap_or(bytes.len())
}

const fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

fn lines(bytes: &[u8], range: Range<usize>, segments: &mut Vec<Segment>) {
    let mut start = range.start;
    for line in bytes[range].split_inclusive(|byte| *byte == b'\n') {
        segments.push(Segment::Line(start..start + line.len()));
        start += line.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_at_newlines() {
        assert_eq!(
            segments(b"ab\n\nc"),
            [
                Segment::Line(0..3),
                Segment::Line(3..4),
                Segment::Line(4..5)
            ]
        );
    }

    #[test]
    fn binary_data_swallows_chance_text_and_keeps_real_text() {
        assert_eq!(
            segments(b"16\n\x00\x01ab\xffhello world\x00"),
            [
                Segment::Line(0..3),
                Segment::Binary(3..8),
                Segment::Line(8..19),
                Segment::Binary(19..20)
            ]
        );
    }

    proptest! {
        #[test]
        fn segments_cover_every_byte_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut at = 0;
            for segment in segments(&bytes) {
                prop_assert_eq!(segment.range().start, at);
                prop_assert!(segment.range().end > at);
                at = segment.range().end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
