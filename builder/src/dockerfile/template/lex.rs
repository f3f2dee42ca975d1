//! Text to parts.

use super::{Count, Empty, Escape, Operation, Part, Reach, TemplateError};

/// Levels of variables within variables. A file of nothing but `${a:-` would otherwise take the
/// stack of this program.
pub(super) const MAX_DEPTH: usize = 64;

/// What becomes of an escape character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Removed, and the next character stands for itself.
    Removed,
    /// Kept, for the pattern that is made of the text later.
    Kept,
}

/// What quotes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// What they mean in a shell.
    Special,
    /// Nothing.
    Plain,
}

type Fault = (usize, TemplateError);

pub(super) fn parts(raw: &str, escape: Escape) -> Result<Vec<Part>, Fault> {
    lexer(raw, escape, Quotes::Special).until(None, Escapes::Removed)
}

/// As [`parts`], with quotes that mean nothing.
pub(super) fn text_parts(raw: &str, escape: Escape) -> Result<Vec<Part>, Fault> {
    lexer(raw, escape, Quotes::Plain).until(None, Escapes::Removed)
}

fn lexer(raw: &str, escape: Escape, quotes: Quotes) -> Lexer<'_> {
    Lexer {
        raw,
        at: 0,
        escape: escape.char(),
        quotes,
        depth: 0,
    }
}

struct Lexer<'a> {
    raw: &'a str,
    at: usize,
    escape: char,
    quotes: Quotes,
    depth: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.raw[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Parts up to `stop`, which is taken, or to the end of the text where `stop` is `None`.
    fn until(&mut self, stop: Option<char>, escapes: Escapes) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += c.len_utf8();
                return Ok(parts);
            }
            match c {
                '\'' if self.quotes == Quotes::Special => {
                    parts.push(Part::Exact(self.single_quoted()?));
                }
                '"' if self.quotes == Quotes::Special => {
                    parts.push(Part::Quoted(self.double_quoted(escapes)?));
                }
                '$' => parts.push(self.dollar()?),
                c if c == self.escape => {
                    self.at += c.len_utf8();
                    let next = self.next();
                    let mut text = String::new();
                    text.extend(Some(c).filter(|_| escapes == Escapes::Kept));
                    text.extend(next);
                    push(&mut parts, text, Part::Exact);
                }
                c => {
                    self.at += c.len_utf8();
                    push(&mut parts, c.into(), Part::Plain);
                }
            }
        }
        match stop {
            None => Ok(parts),
            Some('/') => Err((self.at, TemplateError::Replacement)),
            Some(_) => Err((self.at, TemplateError::Brace)),
        }
    }

    /// Nothing is special but the closing quote.
    fn single_quoted(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.at += 1;
        match self.raw[self.at..].find('\'') {
            Some(length) => {
                let text = self.raw[self.at..self.at + length].to_owned();
                self.at += length + 1;
                Ok(text)
            }
            None => Err((start, TemplateError::Quote('\''))),
        }
    }

    /// Variables are expanded; an escape works before `"`, `$` and itself, and is text elsewhere.
    fn double_quoted(&mut self, escapes: Escapes) -> Result<Vec<Part>, Fault> {
        let start = self.at;
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            let Some(c) = self.peek() else {
                return Err((start, TemplateError::Quote('"')));
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(parts);
                }
                '$' => parts.push(self.dollar()?),
                c if c == self.escape => {
                    self.at += c.len_utf8();
                    let Some(next) = self.peek() else {
                        continue;
                    };
                    // In a pattern an escape that is text must be escaped itself.
                    let mut text = String::new();
                    text.extend(Some(c).filter(|_| escapes == Escapes::Kept));
                    if next == '"' || next == '$' || next == self.escape {
                        self.at += next.len_utf8();
                        text.push(next);
                    } else {
                        text.push(c);
                    }
                    push(&mut parts, text, Part::Exact);
                }
                c => {
                    self.at += c.len_utf8();
                    push(&mut parts, c.into(), Part::Exact);
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<Part, Fault> {
        self.at += 1;
        if !self.take('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok(Part::Plain("$".into()));
            }
            return Ok(Part::Variable {
                name,
                operation: Operation::Value,
            });
        }
        if self.depth == MAX_DEPTH {
            return Err((self.at, TemplateError::Depth));
        }
        self.depth += 1;
        let start = self.at;
        let name = self.name();
        if name.is_empty() {
            let error = match self.peek() {
                None => TemplateError::Brace,
                Some(_) => TemplateError::Name,
            };
            return Err((start, error));
        }
        let operation = self.operation()?;
        self.depth -= 1;
        Ok(Part::Variable { name, operation })
    }

    fn operation(&mut self) -> Result<Operation, Fault> {
        let start = self.at;
        let empty = if self.take(':') {
            Empty::CountsAsUnset
        } else {
            Empty::CountsAsSet
        };
        let Some(modifier) = self.next() else {
            return Err((self.at, TemplateError::Brace));
        };
        Ok(match modifier {
            '}' if empty == Empty::CountsAsSet => Operation::Value,
            '-' => Operation::Default(empty, self.until(Some('}'), Escapes::Removed)?),
            '+' => Operation::Alternative(empty, self.until(Some('}'), Escapes::Removed)?),
            '?' => Operation::Required(empty, self.until(Some('}'), Escapes::Removed)?),
            '#' | '%' => {
                let reach = if self.take(modifier) {
                    Reach::Longest
                } else {
                    Reach::Shortest
                };
                let pattern = self.until(Some('}'), Escapes::Kept)?;
                if modifier == '#' {
                    Operation::TrimStart(reach, pattern)
                } else {
                    Operation::TrimEnd(reach, pattern)
                }
            }
            '/' if empty == Empty::CountsAsSet => {
                let count = if self.take('/') {
                    Count::All
                } else {
                    Count::First
                };
                let pattern = self.until(Some('/'), Escapes::Kept)?;
                let replacement = self.until(Some('}'), Escapes::Kept)?;
                Operation::Replace(count, pattern, replacement)
            }
            other => return Err((start, TemplateError::Modifier(other))),
        })
    }

    /// Letters, digits and `_`; digits alone if it begins with one, as positional parameters of
    /// a shell; or one of a shell's special parameters. Those are never set.
    fn name(&mut self) -> String {
        let rest = &self.raw[self.at..];
        let mut chars = rest.chars();
        let length = match chars.next() {
            Some(c) if c.is_numeric() => rest.find(|c: char| !c.is_numeric()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => rest.find(|c: char| !(c.is_alphanumeric() || c == '_')),
        };
        let name = rest[..length.unwrap_or(rest.len())].to_owned();
        self.at += name.len();
        name
    }
}

/// Adds text to the last part if it is of the same kind.
fn push(parts: &mut Vec<Part>, text: String, kind: fn(String) -> Part) {
    match (parts.last_mut(), kind(text)) {
        (Some(Part::Plain(last)), Part::Plain(text))
        | (Some(Part::Exact(last)), Part::Exact(text)) => last.push_str(&text),
        (_, part) => parts.push(part),
    }
}
