//! Patterns of `.dockerignore`: as [`Pattern`](super::Pattern), with `**` for any depth.
//!
//! `moby/patternmatcher` makes a regular expression of the whole pattern, and its corners are kept:
//!
//! - `**/` and `**` in front of more text: nothing, or text that ends in a slash;
//! - `**` at the end: any text, but `a/**` is not `a` itself;
//! - `**` at the start with nothing special behind it: any text, so that `**.o` matches `x.o`;
//! - a class may match a slash.

use super::{
    TreePath,
    pattern::{MAX_PATTERN, PatternError, Token, next_token},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Char(u32),
    /// One character but a slash.
    One,
    /// Any text without a slash.
    Star,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// Any text.
    Any,
    /// Nothing, or any text with a slash at its end.
    Directories,
}

/// A parsed pattern of an ignore file, matched against whole paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeepPattern(Vec<Step>);

/// Which steps come next, after some part of a path.
#[derive(Debug, Clone)]
struct States {
    /// Before step `i`; the last means that all matched.
    before: Vec<bool>,
    /// Inside [`Step::Directories`] `i`, not behind a slash.
    inside: Vec<bool>,
}

impl DeepPattern {
    /// Parses a pattern that has been cleaned: no leading, trailing or doubled slash.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong(text.len()));
        }
        let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\');
        let mut steps = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        loop {
            if let Some(behind) = rest.strip_prefix(b"**") {
                flush(&mut literal, &mut steps);
                let slash = behind.strip_prefix(b"/");
                rest = slash.unwrap_or(behind);
                let any_start = steps.is_empty() && slash.is_none() && !rest.iter().any(special);
                steps.push(if rest.is_empty() || any_start {
                    Step::Any
                } else {
                    Step::Directories
                });
                continue;
            }
            let Some((token, behind)) = next_token(rest, text)? else {
                break;
            };
            rest = behind;
            let step = match token {
                Token::Byte(byte) => {
                    literal.push(byte);
                    continue;
                }
                Token::One => Step::One,
                Token::Star => Step::Star,
                Token::Class { negated, ranges } => Step::Class { negated, ranges },
            };
            flush(&mut literal, &mut steps);
            steps.push(step);
        }
        flush(&mut literal, &mut steps);
        Ok(Self(steps))
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &TreePath) -> bool {
        let mut states = self.start();
        self.run(&mut states, path.as_bytes());
        states.before[self.0.len()]
    }

    /// Whether a path below `dir` could match. May say so where none does, never the other way.
    #[must_use]
    pub fn may_match_below(&self, dir: &TreePath) -> bool {
        let mut states = self.start();
        self.run(&mut states, dir.as_bytes());
        if !dir.is_root() {
            self.run(&mut states, b"/");
        }
        // All matched already is a match of the directory alone, with a slash behind it.
        states.before[..self.0.len()].contains(&true) || states.inside.contains(&true)
    }

    fn start(&self) -> States {
        let mut states = States {
            before: vec![false; self.0.len() + 1],
            inside: vec![false; self.0.len()],
        };
        states.before[0] = true;
        self.skip(&mut states);
        states
    }

    /// Passes over steps that may take nothing.
    fn skip(&self, states: &mut States) {
        for (index, step) in self.0.iter().enumerate() {
            let optional = matches!(step, Step::Star | Step::Any | Step::Directories);
            if optional && states.before[index] {
                states.before[index + 1] = true;
            }
        }
    }

    fn run(&self, states: &mut States, text: &[u8]) {
        for c in chars(text) {
            let slash = c == u32::from(b'/');
            let mut next = States {
                before: vec![false; self.0.len() + 1],
                inside: vec![false; self.0.len()],
            };
            for (index, step) in self.0.iter().enumerate() {
                let here = states.before[index];
                match step {
                    Step::Any => next.before[index] |= here,
                    Step::Star => next.before[index] |= here && !slash,
                    Step::One => next.before[index + 1] |= here && !slash,
                    Step::Char(wanted) => next.before[index + 1] |= here && *wanted == c,
                    Step::Class { negated, ranges } => {
                        let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        next.before[index + 1] |= here && inside != *negated;
                    }
                    Step::Directories => {
                        let inside = here || states.inside[index];
                        next.inside[index] |= inside;
                        next.before[index + 1] |= inside && slash;
                    }
                }
            }
            self.skip(&mut next);
            *states = next;
        }
    }
}

fn flush(literal: &mut Vec<u8>, steps: &mut Vec<Step>) {
    steps.extend(chars(literal).map(Step::Char));
    literal.clear();
}

/// Characters, and bytes that are not UTF-8 as values that no character has.
fn chars(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let invalid = |byte: &u8| u32::from(char::MAX) + 1 + u32::from(*byte);
    bytes.utf8_chunks().flat_map(move |chunk| {
        let valid = chunk.valid().chars().map(u32::from);
        valid.chain(chunk.invalid().iter().map(invalid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn follows_patternmatcher() {
        for (pattern, file, expected) in [
            ("**", "a", true),
            ("**", "a/b", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/bx", false),
            ("**x", "a/bx", true),
            ("**.o", "a.o", true),
            ("**.[oa]", "a.o", false),
            ("**.[oa]", "a/.o", true),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("a**", "a", true),
            ("a**", "ab/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "b/c", false),
            ("a**/c", "ab/c", true),
            ("a**c", "abc", false),
            ("a**c", "ab/c", true),
            ("**/a/**", "x/a/y", true),
            ("**/a/**", "x/a", false),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a?c", "a/c", false),
            ("a[^b]c", "a/c", true),
            ("a[*]c", "a*c", true),
            ("a\\**", "a*b", true),
            ("***", "a/b", true),
            ("h?llo", "héllo", true),
            ("hé*", "héllo", true),
        ] {
            let parsed = DeepPattern::parse(pattern.as_bytes()).unwrap();
            assert_eq!(parsed.matches(&path(file)), expected, "{pattern} {file}");
        }
    }

    #[test]
    fn bytes_are_not_the_characters_of_their_number() {
        let pattern = DeepPattern::parse("é".as_bytes()).unwrap();
        assert!(!pattern.matches(&TreePath::parse(b"\xe9").unwrap()));
        let pattern = DeepPattern::parse(b"\xe9").unwrap();
        assert!(pattern.matches(&TreePath::parse(b"\xe9").unwrap()));
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for pattern in ["[", "a/[", "**/[a", "a\\"] {
            assert!(DeepPattern::parse(pattern.as_bytes()).is_err(), "{pattern}");
        }
        assert!(DeepPattern::parse(&[b'*'; MAX_PATTERN + 1]).is_err());
    }

    #[test]
    fn what_cannot_match_below_is_known() {
        for (pattern, dir, expected) in [
            ("a/b", "a", true),
            ("a/b", "a/b", false),
            ("a/b", "c", false),
            ("**/b", "c", true),
            ("a/**", "a/b", true),
            ("a*", "ab", false),
            ("a*/x", "ab", true),
            ("x", "", true),
        ] {
            let parsed = DeepPattern::parse(pattern.as_bytes()).unwrap();
            assert_eq!(
                parsed.may_match_below(&path(dir)),
                expected,
                "{pattern} {dir}"
            );
        }
    }
}
