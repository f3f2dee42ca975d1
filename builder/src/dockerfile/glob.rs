//! The patterns of `${name#pattern}` and its like: `*` any text, `?` any character, `\` before
//! one of them or itself. Neither takes a newline. There are no classes.

/// Longest pattern: matching takes time with pattern times value.
const MAX_TOKENS: usize = 1024;

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A backslash at the end, or before a character that needs none.
    #[error("a backslash stands before *, ?, / or }} or another backslash, nowhere else")]
    Escape,
    /// Too many characters.
    #[error("a pattern has at most {MAX_TOKENS} characters")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Star,
    One,
    Char(char),
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

impl Glob {
    pub(super) fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\' | '/' | '}')) => Token::Char(c),
                    _ => return Err(GlobError::Escape),
                },
                c => Token::Char(c),
            });
            if tokens.len() > MAX_TOKENS {
                return Err(GlobError::TooLong);
            }
        }
        tokens.dedup_by(|a, b| *a == Token::Star && *b == Token::Star);
        Ok(Self(tokens))
    }

    /// `value` without the shortest or longest start that matches.
    pub(super) fn trim_start(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        chars[taken(&self.0, &chars, longest)..].iter().collect()
    }

    /// `value` without the shortest or longest end that matches.
    pub(super) fn trim_end(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().rev().collect();
        let reversed: Vec<Token> = self.0.iter().rev().copied().collect();
        chars[taken(&reversed, &chars, longest)..]
            .iter()
            .rev()
            .collect()
    }

    /// `value` with the first or every match replaced: the leftmost and of those the longest.
    /// `None` if the result has more than `limit` bytes.
    pub(super) fn replace(
        &self,
        value: &str,
        replacement: &str,
        all: bool,
        limit: usize,
    ) -> Option<String> {
        let chars: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut previous = None;
        while let Some((start, end)) = self.find(&chars, at) {
            result.extend(&chars[at..start]);
            // Nothing, right behind a match, is no match of its own.
            if start != end || previous != Some(start) {
                result.push_str(replacement);
            }
            previous = Some(end);
            at = end;
            if start == end {
                result.extend(chars.get(at));
                at += 1;
            }
            if result.len() > limit {
                return None;
            }
            if !all || at > chars.len() {
                break;
            }
        }
        result.extend(chars.get(at..).unwrap_or_default());
        (result.len() <= limit).then_some(result)
    }

    /// Leftmost match at or behind `from`, the longest of that start.
    ///
    /// One pass: each state keeps the leftmost start that led to it. Two starts in one state have
    /// the same future, so nothing is lost with the later one.
    fn find(&self, chars: &[char], from: usize) -> Option<(usize, usize)> {
        let mut states: Vec<Option<usize>> = vec![None; self.0.len() + 1];
        let mut next = states.clone();
        let mut best: Option<(usize, usize)> = None;
        for at in from..=chars.len() {
            if best.is_none() {
                keep(&mut states[0], Some(at));
            }
            for index in 0..self.0.len() {
                if self.0[index] == Token::Star {
                    let start = states[index];
                    keep(&mut states[index + 1], start);
                }
            }
            if let Some(start) = states[self.0.len()]
                && best.is_none_or(|(found, _)| start <= found)
            {
                best = Some((start, at));
            }
            let wanted = |start: &usize| best.is_none_or(|(found, _)| *start <= found);
            let Some(c) = chars.get(at) else { break };
            next.fill(None);
            for (index, token) in self.0.iter().enumerate() {
                let start = states[index].filter(wanted);
                match token {
                    Token::Star if *c != '\n' => keep(&mut next[index], start),
                    Token::One if *c != '\n' => keep(&mut next[index + 1], start),
                    Token::Char(wanted) if wanted == c => keep(&mut next[index + 1], start),
                    _ => {}
                }
            }
            std::mem::swap(&mut states, &mut next);
            if best.is_some() && states.iter().all(Option::is_none) {
                break;
            }
        }
        best
    }
}

/// Keeps the smaller start.
fn keep(slot: &mut Option<usize>, start: Option<usize>) {
    if let Some(start) = start {
        *slot = Some(slot.map_or(start, |kept| kept.min(start)));
    }
}

/// How many characters from the first on match; 0 if none do.
fn taken(tokens: &[Token], chars: &[char], longest: bool) -> usize {
    let mut states = vec![false; tokens.len() + 1];
    let mut next = states.clone();
    states[0] = true;
    let mut best = 0;
    for at in 0..=chars.len() {
        for (index, token) in tokens.iter().enumerate() {
            if *token == Token::Star && states[index] {
                states[index + 1] = true;
            }
        }
        if states[tokens.len()] {
            best = at;
            if !longest {
                break;
            }
        }
        let Some(c) = chars.get(at) else { break };
        next.fill(false);
        for (index, token) in tokens.iter().enumerate().filter(|(i, _)| states[*i]) {
            match token {
                Token::Star if *c != '\n' => next[index] = true,
                Token::One if *c != '\n' => next[index + 1] = true,
                Token::Char(wanted) if wanted == c => next[index + 1] = true,
                _ => {}
            }
        }
        std::mem::swap(&mut states, &mut next);
        if !states.contains(&true) {
            break;
        }
    }
    best
}
