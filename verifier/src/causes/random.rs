//! Text and bytes that look drawn at random.

use std::collections::BTreeSet;

use super::lexer::is_uuid;

/// Shortest word that can be called random: shorter ones differ for other reasons too often.
const SHORTEST_WORD: usize = 6;
/// Shortest run of bytes that can be called random.
const SHORTEST_BYTES: usize = 8;
/// Shortest text of several words, such as a hex dump, that can be called random.
const SHORTEST_TEXT: usize = 16;
/// Bytes by which two random runs may differ in length: chance text at their edges is
/// counted to the lines beside them.
const EDGE: usize = 8;

/// Whether one word was drawn anew: same length, same alphabet, hardly a character the same.
pub(super) fn random_words(a: &[u8], b: &[u8]) -> bool {
    if is_uuid(a) && is_uuid(b) {
        return true;
    }
    a.len() == b.len()
        && a.len() >= SHORTEST_WORD
        && mostly_different(a, b)
        && drawn(a)
        && drawn(b)
        && (a.len() >= SHORTEST_BYTES || (mixed(a) && mixed(b)))
}

/// Whether a text of several words, such as a hex dump, was drawn anew. Only letters and
/// digits count.
pub(super) fn random_text(a: &[u8], b: &[u8]) -> bool {
    let letters = |text: &[u8]| -> Vec<u8> {
        let kept = text.iter().copied();
        kept.filter(u8::is_ascii_alphanumeric).collect()
    };
    let (a, b) = (letters(a), letters(b));
    // Base 64 has a few characters that do not count, and not as many on both sides.
    let alike = a.len().abs_diff(b.len()) * 8 <= a.len();
    a.len().min(b.len()) >= SHORTEST_TEXT && alike && mostly_different(&a, &b) && {
        let enough = |text: &[u8]| drawn(text) || text.iter().all(u8::is_ascii_digit);
        enough(&a) && enough(&b)
    }
}

/// Whether binary data was drawn anew.
pub(super) fn random_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len().min(b.len()) >= SHORTEST_BYTES
        && a.len().abs_diff(b.len()) <= EDGE.min(a.len() / 2)
        && mostly_different(a, b)
        && dense(a)
        && dense(b)
}

/// At most one position in three holds the same byte. Two random hexadecimal texts agree in
/// one of sixteen; one in three leaves room for short ones.
fn mostly_different(a: &[u8], b: &[u8]) -> bool {
    let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
    same * 3 <= a.len()
}

/// Letters and digits mixed as no word of a language does: hexadecimal, or base 64.
fn drawn(word: &[u8]) -> bool {
    let hex = word.iter().all(u8::is_ascii_hexdigit);
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    if hex {
        return digits > 0 && (digits < word.len() || word.len() >= SHORTEST_TEXT);
    }
    word.iter().all(u8::is_ascii_alphanumeric) && mixed(word)
}

/// Characters of at least two of the kinds lower case, upper case, digit, beyond a capital at
/// the start and a number at the end.
fn mixed(word: &[u8]) -> bool {
    let changes = word
        .windows(2)
        .filter(|pair| kind(pair[0]) != kind(pair[1]))
        .count();
    changes >= 2
}

const fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

/// Nearly as many distinct bytes as random data of this length has: 256 (1 - e^(-n/256)).
/// Integers below a million times n keep the sum exact enough and the same everywhere.
fn dense(bytes: &[u8]) -> bool {
    let looked_at = &bytes[..bytes.len().min(1024)];
    let distinct = looked_at.iter().collect::<BTreeSet<_>>().len();
    // Expected number of empty places after n throws at 256, in millionths.
    let mut empty: u64 = 256_000_000;
    for _ in looked_at {
        empty -= empty / 256;
    }
    let expected = (256_000_000 - empty) / 1_000_000;
    distinct as u64 * 10 >= expected * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_things_are_recognised() {
        assert!(random_words(b"9f86d081", b"60303ae2"));
        assert!(random_words(b"Xa3kPq", b"0ZbT9w"));
        assert!(random_words(
            b"0f0c28b1-6b4e-4b6f-9a53-8f8a3b0f7d11",
            b"c0e8a2d4-1f0b-4f57-8d3e-5b6a7c8d9e0f"
        ));
        assert!(random_text(b"9f86 d081 884c 7d65", b"6030 3ae2 2b99 8861"));
        assert!(random_bytes(
            &[0x80, 0x12, 0xfe, 0x00, 0x7a, 0xc3, 0x19, 0xdd],
            &[0x11, 0xe2, 0x7e, 0x90, 0xba, 0x03, 0xf9, 0x1d]
        ));
    }

    #[test]
    fn ordinary_things_are_not() {
        for (a, b) in [
            ("Success", "Failure"),
            ("success1", "failures"),
            ("12345678", "87654321"),
            ("9f86d081", "9f86d082"),
            ("abcdef", "fedcba"),
            ("short1", "longer12"),
        ] {
            assert!(!random_words(a.as_bytes(), b.as_bytes()), "{a}");
        }
        assert!(!random_bytes(&[0; 16], &[1; 16]));
        assert!(!random_text(
            b"the quick brown fox jumps",
            b"lazy dogs sleep all day ."
        ));
    }
}
