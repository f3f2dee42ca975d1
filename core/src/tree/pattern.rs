//! File name patterns as Go's `filepath.Match` has them, with `**` of `.dockerignore`.
//!
//! `*` any bytes but `/`, `?` one byte but `/`, `[a-z]` and `[^a-z]` classes, `\x` the byte x.
//! A component that is `**` matches any number of components, none included.

use super::TreePath;

/// Why a pattern is malformed (Go's `ErrBadPattern`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `[` without its `]`, or an empty class.
    #[error("pattern {0:?} has an unclosed or empty [")]
    Class(String),
    /// A backslash at the end.
    #[error("pattern {0:?} ends in a backslash")]
    Escape(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Star,
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    /// `**` standing alone.
    Deep,
    Names(Vec<Token>),
}

/// A parsed pattern, matched against whole paths or component by component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Component>);

impl Pattern {
    /// Parses a pattern; leading, trailing and doubled slashes and `.` components are dropped.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        let mut components = Vec::new();
        for part in text.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b"**" => components.push(Component::Deep),
                part => components.push(Component::Names(tokens(part)?)),
            }
        }
        Ok(Self(components))
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

    /// Whether component `index` matches `name`. `**` matches every name.
    #[must_use]
    pub fn component_matches(&self, index: usize, name: &[u8]) -> bool {
        match self.0.get(index) {
            None => false,
            Some(Component::Deep) => true,
            Some(Component::Names(tokens)) => tokens_match(tokens, name),
        }
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &TreePath) -> bool {
        let names: Vec<&[u8]> = path.names().collect();
        // reach[i]: the components so far match the first i names. Linear in both, so a
        // pattern of many stars cannot take exponential time.
        let mut reach = vec![false; names.len() + 1];
        reach[0] = true;
        for component in &self.0 {
            let mut next = vec![false; names.len() + 1];
            match component {
                Component::Deep => {
                    let mut seen = false;
                    for (slot, before) in next.iter_mut().zip(&reach) {
                        seen |= *before;
                        *slot = seen;
                    }
                }
                Component::Names(tokens) => {
                    for (index, name) in names.iter().enumerate() {
                        next[index + 1] = reach[index] && tokens_match(tokens, name);
                    }
                }
            }
            reach = next;
        }
        reach[names.len()]
    }
}

fn tokens(part: &[u8]) -> Result<Vec<Token>, PatternError> {
    let shown = || String::from_utf8_lossy(part).into_owned();
    let mut tokens = Vec::new();
    let mut rest = part;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'*' => {
                if tokens.last() != Some(&Token::Star) {
                    tokens.push(Token::Star);
                }
            }
            b'?' => tokens.push(Token::One),
            b'\\' => {
                let (byte, tail) = rest
                    .split_first()
                    .ok_or_else(|| PatternError::Escape(shown()))?;
                tokens.push(Token::Byte(*byte));
                rest = tail;
            }
            b'[' => {
                let (token, tail) = class(rest).ok_or_else(|| PatternError::Class(shown()))?;
                tokens.push(token);
                rest = tail;
            }
            byte => tokens.push(Token::Byte(*byte)),
        }
    }
    Ok(tokens)
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
    fn two_stars_match_any_depth() {
        for (pattern, path, expected) in [
            ("**", "a/b", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("a/**", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "b/c", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
