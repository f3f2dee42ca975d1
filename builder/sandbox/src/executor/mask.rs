//! Keeps values of secrets out of what a step prints.
//!
//! Against an accident, such as `set -x` or a program that shows its settings: a value as it is,
//! without the line ends around it, and each of its lines that is long enough. A program that wants to
//! print a secret can always print it in another form.

use std::sync::{Mutex, PoisonError};

use repro_core::build::{SecretValue, StepObserver};

/// What stands for a secret.
const MASK: &[u8] = b"***";
/// Shortest line of a value of several lines that is masked by itself: shorter ones, such as a
/// brace, are in any output.
const MIN_LINE: usize = 8;

/// An observer that does not see secrets.
pub(crate) struct Masked<'a> {
    observer: &'a dyn StepObserver,
    mask: Mutex<Mask>,
}

impl<'a> Masked<'a> {
    /// Masks `secrets` in what goes to `observer`.
    pub(crate) fn new<'s>(
        observer: &'a dyn StepObserver,
        secrets: impl Iterator<Item = &'s SecretValue>,
    ) -> Self {
        let mask = Mask::new(secrets.map(SecretValue::expose));
        Self {
            observer,
            mask: Mutex::new(mask),
        }
    }

    /// Hands on what was held back: the beginning of a value whose end did not come.
    pub(crate) fn finish(self) {
        let mut mask = self
            .mask
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let rest = mask.take(b"", End::Here);
        if !rest.is_empty() {
            self.observer.output(&rest);
        }
    }
}

impl StepObserver for Masked<'_> {
    fn output(&self, bytes: &[u8]) {
        let mut mask = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        if mask.patterns.is_empty() {
            return self.observer.output(bytes);
        }
        let shown = mask.take(bytes, End::MoreMayCome);
        if !shown.is_empty() {
            self.observer.output(&shown);
        }
    }
}

/// Whether output goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    MoreMayCome,
    Here,
}

/// Finds values in a stream.
#[derive(Debug)]
struct Mask {
    /// Longest first, none empty.
    patterns: Vec<Vec<u8>>,
    /// Output that may be the beginning of a value.
    held: Vec<u8>,
}

impl Mask {
    fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut patterns = Vec::new();
        for value in values {
            let whole = trimmed(value);
            let lines = whole.split(|byte| *byte == b'\n').map(trimmed);
            patterns.extend(
                lines
                    .filter(|line| line.len() >= MIN_LINE)
                    .map(<[u8]>::to_vec),
            );
            patterns.push(whole.to_vec());
        }
        patterns.retain(|pattern| !pattern.is_empty());
        patterns.sort_by(|one, other| (other.len(), other).cmp(&(one.len(), one)));
        patterns.dedup();
        Self {
            patterns,
            held: Vec::new(),
        }
    }

    /// What can be shown of the output so far.
    fn take(&mut self, bytes: &[u8], end: End) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            let begun =
                |pattern: &&Vec<u8>| pattern.len() > rest.len() && pattern.starts_with(rest);
            // A longer value may follow where a shorter one is whole already.
            if end == End::MoreMayCome && self.patterns.iter().any(|pattern| begun(&pattern)) {
                break;
            }
            let found = self
                .patterns
                .iter()
                .find(|pattern| rest.starts_with(pattern));
            if let Some(pattern) = found {
                shown.extend_from_slice(MASK);
                at += pattern.len();
            } else {
                shown.push(rest[0]);
                at += 1;
            }
        }
        self.held.drain(..at);
        shown
    }
}

/// Without line ends and blanks around it, which programs lose and add.
fn trimmed(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: &[&[u8]], output: &[&[u8]]) -> String {
        let mut mask = Mask::new(values.iter().copied());
        let mut shown = Vec::new();
        for piece in output {
            shown.extend(mask.take(piece, End::MoreMayCome));
        }
        shown.extend(mask.take(b"", End::Here));
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_value_is_masked_however_it_is_cut() {
        let text = b"a hunter2 hunter hunter2hunter2";
        for cut in 0..text.len() {
            let (one, two) = text.split_at(cut);
            assert_eq!(masked(&[b"hunter2\n"], &[one, two]), "a *** hunter ******");
        }
    }

    #[test]
    fn the_longer_of_two_values_is_masked_whole() {
        for pieces in [&[&b"abcdef abc"[..]][..], &[b"abc", b"def abc"]] {
            assert_eq!(masked(&[b"abc", b"abcdef"], pieces), "*** ***");
        }
    }

    #[test]
    fn lines_of_a_value_are_masked_where_they_say_something() {
        let key = b"-----BEGIN-----\nMIIEvQIBADANBg\n}\n";
        assert_eq!(masked(&[key], &[b"x MIIEvQIBADANBg\n}\n"]), "x ***\n}\n");
        assert_eq!(masked(&[key], &[key]), "***\n");
    }

    #[test]
    fn without_a_value_nothing_changes_and_nothing_is_kept_back() {
        assert_eq!(masked(&[b"", b"\n "], &[b"a\n ", b"b"]), "a\n b");
        let mut mask = Mask::new([&b"secret"[..]].into_iter());
        assert_eq!(mask.take(b"line\ns", End::MoreMayCome), b"line\n");
        assert_eq!(mask.take(b"ilent\n", End::MoreMayCome), b"silent\n");
    }
}
