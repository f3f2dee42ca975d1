//! Words of a text, in which a date, a UUID or an address is one word, and the words that
//! differ between two texts.

use std::{cmp::Reverse, ops::Range, sync::LazyLock};

use memchr::memmem;
use regex::bytes::Regex;

use super::{
    align::hunks,
    moment::PATTERNS,
    segments::{Segment, segments},
};

/// Most words on one side of a hunk that are compared one by one; a longer hunk is one change.
const MAX_WORDS: usize = 20_000;
/// Most changes found in one window; what lies behind them is not looked at.
const MAX_CHANGES: usize = 4_000;

/// A UUID in its canonical form.
const UUID: &str = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b";

static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let moments = PATTERNS.map(unnamed).join("|");
    let pattern =
        format!(r"(?-u)(?:{moments}|{UUID}|0[xX][0-9A-Fa-f]+\b|[0-9A-Za-z]+|[ \t\r\n]+|(?s:.))");
    Regex::new(&pattern).expect("a constant pattern")
});

static WHOLE_UUID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("^(?-u){UUID}$")).expect("a constant pattern"));

/// A pattern without its group names, which a pattern may hold once only.
fn unnamed(pattern: &str) -> String {
    "ymndHMSpze".chars().fold(pattern.to_owned(), |text, name| {
        text.replace(&format!("(?P<{name}>"), "(?:")
    })
}

/// Whether `word` is a UUID.
pub(super) fn is_uuid(word: &[u8]) -> bool {
    WHOLE_UUID.is_match(word)
}

/// Bytes of one window that differ from bytes of the other; either may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Where in window A.
    pub(super) a: Range<usize>,
    /// Where in window B.
    pub(super) b: Range<usize>,
    /// Whether it is binary data.
    pub(super) binary: bool,
}

/// What differs between two windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Changes {
    /// The same segments in another order.
    Reordered {
        /// The first words that differ.
        first: Change,
        /// The first two segments that stand in one place, without what ends their lines.
        place: Change,
    },
    /// These bytes, in order of their place.
    Words(Vec<Change>),
}

/// Finds what differs between windows `a` and `b`. Each of `names` is a word of its own wherever it
/// stands, so that what is written beside it is one too.
pub(super) fn changes(a: &[u8], b: &[u8], names: &[&[u8]]) -> Changes {
    let (cut_a, cut_b) = (segments(a), segments(b));
    let mut found = Vec::new();
    let lines_a = slices(a, &cut_a, Segment::range);
    let lines_b = slices(b, &cut_b, Segment::range);
    for hunk in hunks(&lines_a, &lines_b) {
        if found.len() >= MAX_CHANGES {
            break;
        }
        hunk_changes(
            (a, &cut_a[hunk.0]),
            (b, &cut_b[hunk.1]),
            (end_before(&found), a.len(), b.len()),
            names,
            &mut found,
        );
    }
    if let Some(first) = found.first()
        && reordered((a, &cut_a), (b, &cut_b))
    {
        return Changes::Reordered {
            first: first.clone(),
            place: first_place((a, &cut_a), (b, &cut_b)).unwrap_or_else(|| first.clone()),
        };
    }
    Changes::Words(found)
}

/// Where the last change ended, for hunks that have no segments on one side.
fn end_before(found: &[Change]) -> (usize, usize) {
    found
        .last()
        .map_or((0, 0), |change| (change.a.end, change.b.end))
}

/// The first two segments of one number that differ in more than white space at their end.
fn first_place((a, cut_a): (&[u8], &[Segment]), (b, cut_b): (&[u8], &[Segment])) -> Option<Change> {
    let trimmed = |bytes: &[u8], segment: &Segment| {
        let range = segment.range();
        range.start..range.start + bytes[range.clone()].trim_ascii_end().len()
    };
    let pairs = cut_a.iter().zip(cut_b);
    let mut places = pairs.map(|(one, two)| Change {
        a: trimmed(a, one),
        b: trimmed(b, two),
        binary: [one, two]
            .iter()
            .any(|cut| matches!(cut, Segment::Binary(_))),
    });
    places.find(|place| a[place.a.clone()] != b[place.b.clone()])
}

/// Whether both have the same lines in another order. Only the newline does not count, which the
/// last line can lack: other ends of the same lines are no order.
fn reordered((a, cut_a): (&[u8], &[Segment]), (b, cut_b): (&[u8], &[Segment])) -> bool {
    fn lines<'a>(bytes: &'a [u8], cut: &[Segment]) -> Vec<&'a [u8]> {
        let lines = cut.iter().map(|segment| &bytes[segment.range().clone()]);
        lines
            .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
            .collect()
    }
    if cut_a.len() != cut_b.len() {
        return false;
    }
    let (mut a, mut b) = (lines(a, cut_a), lines(b, cut_b));
    if a == b {
        return false;
    }
    a.sort_unstable();
    b.sort_unstable();
    a == b
}

/// The bytes of each of `parts`.
fn slices<'a, P>(bytes: &'a [u8], parts: &[P], range: fn(&P) -> &Range<usize>) -> Vec<&'a [u8]> {
    let parts = parts.iter().map(range);
    parts.map(|range| &bytes[range.clone()]).collect()
}

fn hunk_changes(
    (a, cut_a): (&[u8], &[Segment]),
    (b, cut_b): (&[u8], &[Segment]),
    (after, len_a, len_b): ((usize, usize), usize, usize),
    names: &[&[u8]],
    found: &mut Vec<Change>,
) {
    let words_a = words(a, cut_a, names);
    let words_b = words(b, cut_b, names);
    if words_a.len() > MAX_WORDS || words_b.len() > MAX_WORDS {
        found.push(Change {
            a: span(&words_a, 0..words_a.len(), after.0.min(len_a)),
            b: span(&words_b, 0..words_b.len(), after.1.min(len_b)),
            binary: false,
        });
        return;
    }
    let slices_a = slices(a, &words_a, |word| &word.range);
    let slices_b = slices(b, &words_b, |word| &word.range);
    for (range_a, range_b) in hunks(&slices_a, &slices_b) {
        if found.len() >= MAX_CHANGES {
            return;
        }
        // As many words on both sides: each replaces one.
        if range_a.len() == range_b.len() {
            found.extend(
                words_a[range_a]
                    .iter()
                    .zip(&words_b[range_b])
                    .filter(|(word_a, word_b)| a[word_a.range.clone()] != b[word_b.range.clone()])
                    .map(|(word_a, word_b)| replaced((a, word_a), (b, word_b))),
            );
            continue;
        }
        let binary = words_a[range_a.clone()]
            .iter()
            .chain(&words_b[range_b.clone()])
            .any(|word| word.kind == Kind::Binary);
        found.push(Change {
            a: span(&words_a, range_a, after.0.min(len_a)),
            b: span(&words_b, range_b, after.1.min(len_b)),
            binary,
        });
    }
}

/// A word in the place of another; of two names what differs of them.
fn replaced((a, word_a): (&[u8], &Word), (b, word_b): (&[u8], &Word)) -> Change {
    let is = |kind: Kind| [word_a, word_b].map(|word| word.kind == kind);
    let same = match is(Kind::Name) {
        [true, true] => same_parts(&a[word_a.range.clone()], &b[word_b.range.clone()]),
        _ => 0,
    };
    Change {
        a: word_a.range.start + same..word_a.range.end,
        b: word_b.range.start + same..word_b.range.end,
        binary: is(Kind::Binary).contains(&true),
    }
}

/// Bytes of the equal parts, up to a separator, that two names begin with.
fn same_parts(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let separator = a[..same]
        .iter()
        .rposition(|byte| !byte.is_ascii_alphanumeric());
    let parts = separator.map_or(0, |at| at + 1);
    if parts == a.len().min(b.len()) {
        0
    } else {
        parts
    }
}

/// The bytes from the first to the last word of `range`; empty where the range is.
fn span(words: &[Word], range: Range<usize>, otherwise: usize) -> Range<usize> {
    let start = words
        .get(range.start)
        .map(|word| word.range.start)
        .or_else(|| words.last().map(|word| word.range.end))
        .unwrap_or(otherwise);
    let end = range
        .end
        .checked_sub(1)
        .and_then(|last| words.get(last))
        .map_or(start, |word| word.range.end);
    start..end.max(start)
}

struct Word {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// One of the names that are looked for.
    Name,
    Binary,
}

fn words(bytes: &[u8], cut: &[Segment], names: &[&[u8]]) -> Vec<Word> {
    let mut words = Vec::new();
    for segment in cut {
        match segment {
            Segment::Binary(range) => words.push(Word {
                range: range.clone(),
                kind: Kind::Binary,
            }),
            Segment::Line(range) => {
                let mut from = range.start;
                while let Some(name) = first_name(&bytes[from..range.end], names) {
                    let (start, end) = (from + name.start, from + name.end);
                    text_words(bytes, from..start, &mut words);
                    words.push(Word {
                        range: start..end,
                        kind: Kind::Name,
                    });
                    from = end;
                }
                text_words(bytes, from..range.end, &mut words);
            }
        }
    }
    words
}

fn text_words(bytes: &[u8], range: Range<usize>, words: &mut Vec<Word>) {
    let found = WORDS.find_iter(&bytes[range.clone()]);
    words.extend(found.map(|found| Word {
        range: range.start + found.start()..range.start + found.end(),
        kind: Kind::Text,
    }));
}

/// The first of `names` in a text; of two at one place the longer one.
fn first_name(text: &[u8], names: &[&[u8]]) -> Option<Range<usize>> {
    let found = names.iter().filter_map(|name| {
        let start = memmem::find(text, name).filter(|_| !name.is_empty())?;
        Some(start..start + name.len())
    });
    found.min_by_key(|range| (range.start, Reverse(range.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'a>(a: &'a str, b: &'a str) -> Vec<(&'a str, &'a str)> {
        match changes(a.as_bytes(), b.as_bytes(), &[]) {
            Changes::Words(found) => found
                .into_iter()
                .map(|change| (&a[change.a], &b[change.b]))
                .collect(),
            Changes::Reordered { .. } => panic!("reordered"),
        }
    }

    #[test]
    fn a_date_is_one_word() {
        assert_eq!(
            pairs(
                "on Mon Nov 23 21:33:27 UTC 2026 by x\n8 CPUs\n",
                "on Mon Nov 23 21:33:29 UTC 2026 by x\n1 CPUs\n"
            ),
            [
                (
                    "Mon Nov 23 21:33:27 UTC 2026",
                    "Mon Nov 23 21:33:29 UTC 2026"
                ),
                ("8", "1")
            ]
        );
    }

    #[test]
    fn equal_numbers_of_words_are_paired() {
        assert_eq!(
            pairs("a1 b2 same", "c3 d4 same"),
            [("a1", "c3"), ("b2", "d4")]
        );
    }

    #[test]
    fn insertions_have_an_empty_side() {
        assert_eq!(pairs("one\n", "one\ntwo\n"), [("", "two\n")]);
    }

    #[test]
    fn another_order_is_not_a_change_of_words() {
        assert!(matches!(
            changes(b"x\ny\nz", b"z\nx\ny\n", &[]),
            Changes::Reordered { .. }
        ));
    }

    #[test]
    fn other_ends_of_the_same_lines_are_no_order() {
        assert_eq!(pairs("hello\r\n", "hello\n"), [("\r\n", "\n")]);
        assert_eq!(pairs("a\n", "a"), [("\n", "")]);
        assert_eq!(pairs("a \nb\n", "a\nb\n"), [(" \n", "\n")]);
        let both = changes(b"b\na\r\n", b"a\nb\n", &[]);
        assert!(matches!(both, Changes::Words(_)), "{both:?}");
    }

    #[test]
    fn uuids() {
        assert!(is_uuid(b"0f0c28b1-6b4e-4b6f-9a53-8f8a3b0f7d11"));
        assert!(!is_uuid(b"0f0c28b1-6b4e-4b6f-9a53-8f8a3b0f7d1"));
    }
}
