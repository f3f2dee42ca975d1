//! Physical lines to logical ones: comments dropped, continuations joined, every byte of the
//! result traceable to its place in the file.

use std::ops::Range;

use super::{
    directives::Escape,
    error::SyntaxError,
    heredoc::Heredoc,
    parse::MAX_LINE_BYTES,
    source::{Source, Span},
};

/// A part of a logical line that lies in one physical line.
#[derive(Debug)]
struct Piece {
    /// Where it starts in the logical line.
    offset: usize,
    line: u32,
    /// From 1.
    column: u32,
}

/// One instruction with its continuations joined.
#[derive(Debug)]
pub(super) struct Logical {
    pub(super) text: String,
    pieces: Vec<Piece>,
    /// Last physical line that belongs to it.
    pub(super) end_line: u32,
    /// First empty line inside it.
    pub(super) empty_line: Option<u32>,
}

impl Logical {
    /// The first physical line that has something of the instruction.
    pub(super) fn line(&self) -> u32 {
        self.span(self.text.len() - self.text.trim_start().len()..self.text.len())
            .line
    }

    /// Where a range of the text is in the file. A range over several physical lines is cut to
    /// the first.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let after = self.pieces.partition_point(|p| p.offset <= range.start);
        let piece = &self.pieces[after.saturating_sub(1)];
        let end = self.pieces.get(after).map_or(self.text.len(), |p| p.offset);
        Span {
            line: piece.line,
            column: piece
                .column
                .saturating_add(count(range.start.saturating_sub(piece.offset))),
            length: count(range.end.min(end).saturating_sub(range.start)),
        }
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Something wrong with a line, before it is an instruction.
#[derive(Debug)]
pub(super) struct LineFault {
    pub(super) span: Span,
    pub(super) error: SyntaxError,
}

/// Reads logical lines.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: &'a Source,
    /// Index of the next physical line.
    next: usize,
    escape: Escape,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(source: &'a Source, escape: Escape) -> Self {
        Self {
            source,
            next: 0,
            escape,
        }
    }

    /// The next physical line with its number.
    fn physical(&mut self) -> Option<(u32, &'a [u8])> {
        let line = self.source.line(self.next)?;
        self.next += 1;
        let line = if self.next == 1 {
            without_bom(line)
        } else {
            line
        };
        Some((count(self.next), line))
    }

    /// The next instruction.
    pub(super) fn logical(&mut self) -> Option<Result<Logical, LineFault>> {
        loop {
            let (number, bytes) = self.physical()?;
            if !is_comment(bytes) && !is_blank(bytes) {
                return Some(self.join(number, bytes));
            }
        }
    }

    fn join(&mut self, first: u32, bytes: &[u8]) -> Result<Logical, LineFault> {
        let mut joined = Logical {
            text: String::new(),
            pieces: Vec::new(),
            end_line: first,
            empty_line: None,
        };
        let text = checked(first, bytes)?;
        let trimmed = text.trim_start();
        let mut more = self.push(&mut joined, first, text.len() - trimmed.len(), trimmed);
        while more {
            let Some((number, bytes)) = self.physical() else {
                break;
            };
            joined.end_line = number;
            if is_comment(bytes) {
                continue;
            }
            if is_blank(bytes) {
                joined.empty_line.get_or_insert(number);
                continue;
            }
            let text = match checked(number, bytes) {
                Ok(text) if joined.text.len() + text.len() <= MAX_LINE_BYTES => text,
                Ok(_) => {
                    self.skip_continued(bytes);
                    return Err(at_start(number, SyntaxError::LineTooLong));
                }
                Err(fault) => {
                    self.skip_continued(bytes);
                    return Err(fault);
                }
            };
            more = self.push(&mut joined, number, 0, text);
        }
        Ok(joined)
    }

    /// Adds a physical line; says whether the instruction goes on.
    fn push(&self, joined: &mut Logical, line: u32, skipped: usize, text: &str) -> bool {
        joined.pieces.push(Piece {
            offset: joined.text.len(),
            line,
            column: count(skipped).saturating_add(1),
        });
        let continued = self.escape.continued(text);
        joined.text.push_str(continued.unwrap_or(text));
        continued.is_some()
    }

    /// Skips what is left of an instruction that was refused in its middle.
    fn skip_continued(&mut self, from: &[u8]) {
        let mut more = self.escape.continued_bytes(from);
        while more {
            let Some((_, bytes)) = self.physical() else {
                break;
            };
            more = is_comment(bytes) || is_blank(bytes) || self.escape.continued_bytes(bytes);
        }
    }

    /// Takes the text of a heredoc; gives its last line, or `None` if it does not end.
    pub(super) fn heredoc(&mut self, heredoc: &mut Heredoc) -> Result<Option<u32>, LineFault> {
        loop {
            let Some((number, line)) = self.physical() else {
                return Ok(None);
            };
            if heredoc.ends_at(line) {
                return Ok(Some(number));
            }
            let raw = self.source.raw_line(self.next - 1).unwrap_or_default();
            let text = checked(number, raw)?;
            heredoc.content.push_str(text);
        }
    }
}

impl Lines<'_> {
    /// Skips what is left of a heredoc that was refused in its middle.
    pub(super) fn skip_heredoc(&mut self, heredoc: &Heredoc) {
        while let Some((_, line)) = self.physical() {
            if heredoc.ends_at(line) {
                break;
            }
        }
    }
}

fn at_start(line: u32, error: SyntaxError) -> LineFault {
    let span = Span {
        line,
        column: 1,
        length: 0,
    };
    LineFault { span, error }
}

/// A line as text: what reaches a program's arguments or an image's configuration must be
/// UTF-8 without NUL.
fn checked(number: u32, bytes: &[u8]) -> Result<&str, LineFault> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(at_start(number, SyntaxError::LineTooLong));
    }
    let place = |at: usize| Span {
        line: number,
        column: count(at).saturating_add(1),
        length: 1,
    };
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let (span, error) = (place(at), SyntaxError::Nul);
        return Err(LineFault { span, error });
    }
    std::str::from_utf8(bytes).map_err(|error| LineFault {
        span: place(error.valid_up_to()),
        error: SyntaxError::NotUtf8,
    })
}

/// Bytes without a byte order mark.
pub(super) fn without_bom(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// The valid start of a line: comments may hold any bytes, instructions not.
fn valid_start(line: &[u8]) -> &str {
    line.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

fn is_comment(line: &[u8]) -> bool {
    valid_start(line).trim_start().starts_with('#')
}

fn is_blank(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty())
}
