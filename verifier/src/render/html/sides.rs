//! Two values next to each other: text line by line, all else as hex, with what differs marked.

use std::ops::Range;

use maud::{Markup, html as template};

use super::{super::escape::plain, Sheet, text};
use crate::{causes::Around, compare::Evidence};

/// Bytes of one row of hex: two views of eight fit beside each other on a small screen.
const ROW: usize = 8;
/// Bytes by which a mark grows to hold whole words.
const WORD: usize = 16;
/// Most bytes of hex shown.
const MOST: usize = 64;

/// Both sides of a difference.
pub(super) fn sides(sheet: Sheet<'_>, evidence: &Evidence) -> Markup {
    let around = evidence.around.as_ref().and_then(views);
    let [name_a, name_b] = sheet.sides();
    let panel = |class: &str, name: &str, value: &str, view: Option<&Markup>| {
        template! {
            div class={ "panel " (class) } {
                span.who { (name) }
                @match view {
                    Some(view) => { pre tabindex="0" { code { (view) } } }
                    None => { pre.value { code { (text(value)) } } }
                }
            }
        }
    };
    template! {
        div.sides {
            (panel("a", name_a, &evidence.a, around.as_ref().map(|(a, _)| a)))
            (panel("b", name_b, &evidence.b, around.as_ref().map(|(_, b)| b)))
        }
    }
}

/// The views of both sides; none where a report from elsewhere holds no bytes.
fn views(around: &Around) -> Option<(Markup, Markup)> {
    let (a, b) = (around.a.bytes()?, around.b.bytes()?);
    if let (Some(text_a), Some(text_b)) = (lines(&a), lines(&b)) {
        let pairs = marks(&text_a, &text_b);
        let view = |lines: &[&str], side: fn(&Pair) -> &Range<usize>| {
            template! {
                @for (line, pair) in lines.iter().zip(&pairs) {
                    (marked(line, side(pair))) "\n"
                }
            }
        };
        return Some((view(&text_a, |(a, _)| a), view(&text_b, |(_, b)| b)));
    }
    Some((hex(around.a.offset, &a, &b), hex(around.b.offset, &b, &a)))
}

/// The lines of a text; none where it is no text that a page can show as it is. What was cut in
/// the middle of a character at either end is left out.
fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    let start = bytes.iter().position(|byte| byte & 0xc0 != 0x80)?;
    let bytes = &bytes[start.min(3)..];
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let shown = |c: char| plain(c) || matches!(c, '\n' | '\t');
    text.chars().all(shown).then(|| text.lines().collect())
}

type Pair = (Range<usize>, Range<usize>);

/// What differs of each line, as ranges of bytes. Lines that have no partner differ as a whole.
fn marks(a: &[&str], b: &[&str]) -> Vec<Pair> {
    let longest = a.len().max(b.len());
    if a.len() == b.len() {
        let pairs = a.iter().zip(b);
        return pairs.map(|(a, b)| differing(a, b)).collect();
    }
    let equal = |a: &&str, b: &&str| a == b;
    let first = a.iter().zip(b).take_while(|(a, b)| equal(a, b)).count();
    let rest = a.len().min(b.len()) - first;
    let last = a.iter().rev().zip(b.iter().rev());
    let last = last.take(rest).take_while(|(a, b)| equal(a, b)).count();
    let range = |lines: &[&str], at: usize| {
        let whole = at >= first && at < lines.len() - last;
        let length = lines.get(at).map_or(0, |line| line.len());
        if whole { 0..length } else { 0..0 }
    };
    (0..longest)
        .map(|at| (range(a, at), range(b, at)))
        .collect()
}

/// What is left of two lines without what they begin and end with alike.
fn differing(a: &str, b: &str) -> Pair {
    if a == b {
        return (0..0, 0..0);
    }
    let same = |(a, b): &(char, char)| a == b;
    let first: usize = a
        .chars()
        .zip(b.chars())
        .take_while(same)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let (rest_a, rest_b) = (&a[first..], &b[first..]);
    let last: usize = rest_a
        .chars()
        .rev()
        .zip(rest_b.chars().rev())
        .take_while(same)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let word = |text: &str| whole_words(text, first..text.len() - last);
    (word(a), word(b))
}

/// The range with what is left of the words that it cuts: a date of which one digit differs is read,
/// and found, as a whole. Of long words, such as digests, the place that differs says more.
fn whole_words(text: &str, range: Range<usize>) -> Range<usize> {
    let part = |c: &char| c.is_alphanumeric() || *c == ':';
    let taken = |chars: &mut dyn Iterator<Item = char>| -> usize {
        chars.take_while(part).map(char::len_utf8).sum()
    };
    let start = range.start - taken(&mut text[..range.start].chars().rev());
    let end = range.end + taken(&mut text[range.end..].chars());
    if end - start > range.len() + WORD {
        range
    } else {
        start..end
    }
}

fn marked(line: &str, mark: &Range<usize>) -> Markup {
    template! {
        (line[..mark.start])
        @if !mark.is_empty() { mark { (line[mark.clone()]) } }
        (line[mark.end..])
    }
}

/// Rows of offset, bytes and characters, with the bytes marked that `other` has not in their
/// place.
fn hex(offset: u64, bytes: &[u8], other: &[u8]) -> Markup {
    let differs = |at: usize| bytes.get(at) != other.get(at);
    let rows = bytes[..bytes.len().min(MOST)].chunks(ROW).enumerate();
    template! {
        @for (row, chunk) in rows {
            span.offset { (format!("{:08x}", offset.saturating_add((row * ROW) as u64))) } "  "
            @for (at, byte) in chunk.iter().enumerate() {
                @let shown = format!("{byte:02x}");
                @if differs(row * ROW + at) { mark { (shown) } } @else { (shown) }
                " "
            }
            @for _ in chunk.len()..ROW { "   " }
            " "
            @for (at, byte) in chunk.iter().enumerate() {
                @let shown = if byte.is_ascii_graphic() { char::from(*byte) } else { '·' };
                @if differs(row * ROW + at) { mark { (shown) } } @else { (shown) }
            }
            "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_lines_the_middle_differs() {
        for (a, b, expected) in [
            ("built 12:00 ok", "built 12:07 ok", (6..11, 6..11)),
            ("same", "same", (0..0, 0..0)),
            ("x aa", "x aaa", (2..4, 2..5)),
            ("é1", "è1", (0..3, 0..3)),
            (
                "0123456789abcdef0123",
                "0123456789abcdef0129",
                (19..20, 19..20),
            ),
        ] {
            assert_eq!(differing(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn lines_without_a_partner_differ_as_a_whole() {
        let pairs = marks(&["x", "y"], &["x", "new", "y"]);
        assert_eq!(pairs[0], (0..0, 0..0));
        assert_eq!(pairs[1], (0..0, 0..3));
    }

    #[test]
    fn what_is_no_text_is_hex() {
        assert_eq!(lines(b"a\nb"), Some(vec!["a", "b"]));
        // Cut in the middle of a character.
        assert_eq!(lines(b"\xa9a\xc3"), Some(vec!["a"]));
        for bytes in [&b"a\0"[..], b"\x1b[m", b"a\xffb", "\u{202e}".as_bytes()] {
            assert_eq!(lines(bytes), None, "{bytes:?}");
        }
        let shown = hex(0x10, b"ab<", b"ac<").into_string();
        assert!(shown.contains("00000010"), "{shown}");
        assert!(shown.contains("61 <mark>62</mark> 3c"), "{shown}");
        assert!(shown.contains("a<mark>b</mark>&lt;"), "{shown}");
    }
}
