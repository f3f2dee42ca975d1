//! File name patterns as Go's `filepath.Match` has them: what `COPY` takes.
//!
//! `*` any bytes but `/`, `?` one character but `/`, `[a-z]` and `[^a-z]` classes, `\x` the byte x.
//! Here `**` means no more than `*`; any depth is [`DeepPattern`](super::DeepPattern).

use super::TreePath;

/// Longest pattern, in bytes: that of a path, and nothing longer could match without stars.
pub(super) const MAX_PATTERN: usize = super::path::MAX_PATH;

/// Why a pattern is malformed (Go's `ErrBadPattern`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `[` without its `]`, or an empty class.
    #[error("pattern {0:?} has an unclosed or empty [")]
    Class(String),
    /// A backslash at the end.
    #[error("pattern {0:?} ends in a backslash")]
    Escape(String),
    /// Longer than any path.
    #[error("a pattern has at most {MAX_PATTERN} bytes, this one has {0}")]
    TooLong(usize),
}

/// One token of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Byte(u8),
    One,
    Star,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

/// A parsed pattern, matched against whole paths or component by component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Vec<Token>>);

impl Pattern {
    /// Parses a pattern; leading, trailing and doubled slashes and `.` components are dropped.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong(text.len()));
        }
        text.split(|b| *b == b'/')
            .filter(|part| !matches!(*part, b"" | b"."))
            .map(tokens)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the text has any character that is special in a pattern.
    #[must_use]
    pub fn is_literal(text: &[u8]) -> bool {
        !text.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
    }

    /// Number of components.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether component `index` matches `name`.
    #[must_use]
    pub fn component_matches(&self, index: usize, name: &[u8]) -> bool {
        self.0
            .get(index)
            .is_some_and(|tokens| tokens_match(tokens, name))
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &TreePath) -> bool {
        path.names().count() == self.0.len()
            && path
                .names()
                .zip(&self.0)
                .all(|(name, tokens)| tokens_match(tokens, name))
    }
}

fn tokens(part: &[u8]) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut rest = part;
    while let Some(taken) = next_token(rest, part)? {
        let token;
        (token, rest) = taken;
        if token != Token::Star || tokens.last() != Some(&Token::Star) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The first token of `rest` and what follows it; `None` at the end. `whole` is for messages.
pub(super) fn next_token<'a>(
    rest: &'a [u8],
    whole: &[u8],
) -> Result<Option<(Token, &'a [u8])>, PatternError> {
    let shown = || String::from_utf8_lossy(whole).into_owned();
    let Some((byte, rest)) = rest.split_first() else {
        return Ok(None);
    };
    Ok(Some(match byte {
        b'*' => (Token::Star, rest),
        b'?' => (Token::One, rest),
        b'\\' => {
            let (byte, rest) = rest
                .split_first()
                .ok_or_else(|| PatternError::Escape(shown()))?;
            (Token::Byte(*byte), rest)
        }
        b'[' => class(rest).ok_or_else(|| PatternError::Class(shown()))?,
        byte => (Token::Byte(*byte), rest),
    }))
}

fn class(mut rest: &[u8]) -> Option<(Token, &[u8])> {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&b']') && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, &rest[1..]));
        }
        let (low, tail) = class_char(rest)?;
        rest = tail;
        let mut high = low;
        if rest.first() == Some(&b'-') {
            let (end, tail) = class_char(&rest[1..])?;
            high = end;
            rest = tail;
        }
        ranges.push((low, high));
    }
}

/// One character of a class; `]` and `-` must be escaped, as in Go.
fn class_char(rest: &[u8]) -> Option<(u32, &[u8])> {
    match rest.first()? {
        b'-' | b']' => None,
        b'\\' => Some((u32::from(*rest.get(1)?), &rest[2..])),
        _ => Some(first_char(rest)),
    }
}

/// The first character, or the first byte where the bytes are not UTF-8.
fn first_char(bytes: &[u8]) -> (u32, &[u8]) {
    let head = &bytes[..bytes.len().min(4)];
    match head
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next())
    {
        Some(c) => (u32::from(c), &bytes[c.len_utf8()..]),
        None => (u32::from(bytes[0]), &bytes[1..]),
    }
}

/// Matches with one point of return, the last star: linear for each star.
fn tokens_match(tokens: &[Token], name: &[u8]) -> bool {
    let (mut tokens, mut name) = (tokens, name);
    let mut retry: Option<(&[Token], &[u8])> = None;
    loop {
        let step = match tokens.first() {
            None if name.is_empty() => return true,
            None => None,
            Some(Token::Star) => {
                retry = Some((&tokens[1..], name));
                Some(name)
            }
            Some(_) if name.is_empty() => None,
            Some(Token::Byte(byte)) => (name[0] == *byte).then(|| &name[1..]),
            Some(Token::One) => Some(first_char(name).1),
            Some(Token::Class { negated, ranges }) => {
                let (c, tail) = first_char(name);
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                (inside != *negated).then_some(tail)
            }
        };
        if let Some(tail) = step {
            (tokens, name) = (&tokens[1..], tail);
            continue;
        }
        match retry {
            Some((after_star, from)) if !from.is_empty() => {
                (tokens, name) = (after_star, &from[1..]);
                retry = Some((after_star, name));
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern.as_bytes())
            .unwrap()
            .matches(&TreePath::parse(path.as_bytes()).unwrap())
    }

    #[test]
    fn follows_filepath_match() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("[[]", "[", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for pattern in [
            "[", "[^", "[a", "[]a]", "[-]", "[x-]", "[-x]", "a[", "a\\", "[a-b-c]", "[^]",
        ] {
            assert!(Pattern::parse(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn two_stars_are_one() {
        for (pattern, path, expected) in [
            ("**", "a", true),
            ("**", "a/b", false),
            ("**/x", "a/x", true),
            ("**/x", "x", false),
            ("a**b", "axb", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert!(Pattern::parse(&[b'a'; MAX_PATTERN + 1]).is_err());
    }
}
