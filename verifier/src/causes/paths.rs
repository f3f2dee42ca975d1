//! Paths of the machine that built, and digests, by what stands around a change.

use std::ops::Range;

/// Where builds usually happen. Other paths differ for other reasons too.
const ROOTS: [&[u8]; 9] = [
    b"/build/",
    b"/builds/",
    b"/home/",
    b"/tmp/",
    b"/var/tmp/",
    b"/work/",
    b"/src/",
    b"/usr/src/",
    b"/root/",
];
/// Longest path that is looked at.
const LONGEST: usize = 4096;
/// What stands before a digest that is written with its algorithm.
const ALGORITHMS: [&[u8]; 7] = [
    b"sha256",
    b"sha512",
    b"sha384",
    b"sha1",
    b"md5",
    b"SHA256",
    b"integrity",
];

/// Whether both changes are parts of a path of the build: it begins the same way and goes on.
pub(super) fn differ(
    (a, range_a): (&[u8], &Range<usize>),
    (b, range_b): (&[u8], &Range<usize>),
) -> bool {
    is_inside(a, range_a) && is_inside(b, range_b)
}

/// Whether `range` begins in a path below one of [`ROOTS`].
fn is_inside(bytes: &[u8], range: &Range<usize>) -> bool {
    let floor = range.start.saturating_sub(LONGEST);
    let before = &bytes[floor..range.start];
    let start = before.iter().rposition(|byte| !in_path(*byte));
    let path = &before[start.map_or(0, |at| at + 1)..];
    // What stands before the first slash is the option or key that the path belongs to.
    let slash = path.iter().position(|byte| *byte == b'/');
    slash.is_some_and(|at| ROOTS.iter().any(|root| path[at..].starts_with(root)))
}

const fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'~' | b'@')
}

/// Whether a change is a digest that is written with its algorithm: it follows from what was
/// digested, and is not random.
pub(super) fn is_digest(bytes: &[u8], range: &Range<usize>) -> bool {
    let Some((separator, before)) = bytes[..range.start].split_last() else {
        return false;
    };
    matches!(separator, b':' | b'=' | b'-') && ALGORITHMS.iter().any(|name| before.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, part: &str) -> (Vec<u8>, Range<usize>) {
        let start = text.find(part).unwrap();
        (text.as_bytes().to_vec(), start..start + part.len())
    }

    #[test]
    fn paths_of_builds_are_told_from_others() {
        for (text, part, expected) in [
            ("in /build/one/x.c", "one", true),
            ("-ffile=/home/one", "one", true),
            ("/usr/one/x", "one", false),
            ("see /tmp/ or one", "one", false),
            ("one", "one", false),
        ] {
            let (bytes, range) = at(text, part);
            let found = differ((&bytes, &range), (&bytes, &range));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn digests_are_told_by_their_algorithm() {
        for (text, expected) in [
            ("FROM x@sha256:abcd", true),
            ("sha512-abcd", true),
            ("token=abcd", false),
            ("abcd", false),
        ] {
            let (bytes, range) = at(text, "abcd");
            assert_eq!(is_digest(&bytes, &range), expected, "{text}");
        }
    }
}
