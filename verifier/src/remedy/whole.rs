//! Whether a file differs from beginning to end.
//!
//! A row shows the bytes around the first place that differs, of a short file all. Of a file that is
//! not shown to its end nothing is known.

use crate::compare::Difference;

/// Bytes that are shown of binary data; a content with fewer is all there.
const BINARY: usize = 64;
/// The same behind a difference in a text of one line.
const TEXT: usize = 192;
/// Bytes that two random texts have in common at one end by chance.
const CHANCE: usize = 2;

/// Whether everything in the file of `row` differs, as far as two contents show that.
pub(super) fn differs(row: &Difference) -> bool {
    let Some(evidence) = &row.evidence else {
        return false;
    };
    let Some(around) = &evidence.around else {
        return false;
    };
    let (Some(a), Some(b)) = (around.a.bytes(), around.b.bytes()) else {
        return false;
    };
    evidence.inside.is_none() && (around.a.offset, around.b.offset) == (0, 0) && all_differs(&a, &b)
}

/// The same of what is shown from the beginning of each content.
fn all_differs(a: &[u8], b: &[u8]) -> bool {
    if is_binary(a) || is_binary(b) {
        return a.len().max(b.len()) < BINARY && apart(a, b);
    }
    // Of several lines not all may be shown.
    let (line_a, line_b) = (
        a.strip_suffix(b"\n").unwrap_or(a),
        b.strip_suffix(b"\n").unwrap_or(b),
    );
    a.len().max(b.len()) < TEXT && token(line_a) && token(line_b) && apart(line_a, line_b)
}

/// What shows a content as binary data, not as lines.
fn is_binary(bytes: &[u8]) -> bool {
    let control = |byte: &u8| byte.is_ascii_control() && !b"\n\t\r".contains(byte);
    bytes.iter().any(control)
}

/// Whether a text is one value in digits and letters, on one line and without a name in front.
fn token(value: &[u8]) -> bool {
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &value[..value.len() - padding.min(2)];
    digits
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+/_-".contains(byte))
}

/// Whether two values have no more in common at their ends than chance gives.
fn apart(a: &[u8], b: &[u8]) -> bool {
    let padded = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let trim = |text: &[u8]| text.len() - text.iter().rev().take_while(|byte| padded(byte)).count();
    let (a, b) = (&a[..trim(a)], &b[..trim(b)]);
    let ahead = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let behind = a.iter().rev().zip(b.iter().rev());
    let behind = behind.take_while(|(a, b)| a == b).count();
    ahead <= CHANCE && behind <= CHANCE && 2 * (ahead + behind) < a.len().min(b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_content_that_is_shown_and_random_as_a_whole_differs() {
        let (long_a, long_b) = ("a7".repeat(95), "f3".repeat(95));
        for (a, b, expected) in [
            (
                &b"\x01\x92\xfe\n\x80x"[..],
                &b"\xee\x00k\xd4\xc3\xaa"[..],
                true,
            ),
            (b"3f86f4ae2c\n", b"98bd00c7e1\n", true),
            (
                b"1bcf50ad-7d4e-4fcb-b9f4-1a1b2f3b7d41\n",
                b"9e0f6f1c-0b6a-4a53-8f0e-6f6a1c7c2f10\n",
                true,
            ),
            (b"dGhpcyBpcw==\n", b"bm90IGl0Ig==\n", true),
            (b"abcdefgh\nijklmnop\n", b"qrstuvwx\nyzABCDEF\n", false),
            (long_a.as_bytes(), long_b.as_bytes(), true),
            (b"key=3f86f4ae\n", b"key=98bd00c7\n", false),
            (b"k=3f86f4ae\n", b"k=98bd00c7\n", false),
            (b"3f86f4ae\nport=8080\n", b"98bd00c7\nport=8080\n", false),
            (b"3f86f4ae\n\n", b"98bd00c7\n\n", false),
            (b"id: 3f86f4ae", b"id: 98bd00c7", false),
            (b"\x01\x02\x03abcdef", b"\x01\x02\x03ghijkl", false),
            (b"a\nb\nc\nd\n", b"e\nf\ng\nh\n", false),
            (&[0; BINARY], &[1; BINARY], false),
            (&[b'a'; TEXT], &[b'b'; TEXT], false),
            (b"", b"abcdef", false),
        ] {
            assert_eq!(all_differs(a, b), expected, "{}", a.escape_ascii());
        }
    }
}
