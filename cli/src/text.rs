//! Text from outside, made harmless for a terminal.

use std::borrow::Cow;

use repro_core::event::counted;

/// Replaces everything that could move a cursor, colour a line or reorder letters.
///
/// Step output, file names and instructions are written by whoever wrote the image. Control
/// characters become `\xNN`; the marks that reverse the direction of text become `\u{NNNN}`,
/// since they can make one file name look like another. A tab becomes spaces, a line end a space.
#[must_use]
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => clean.push(' '),
            '\t' => clean.push_str("    "),
            c if is_harmful(c) => push_escaped(&mut clean, c),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// The same, with line ends kept.
#[must_use]
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(one_line).collect();
    Cow::Owned(lines.join("\n"))
}

/// The last state of a line of step output: what stands after the last carriage return, without
/// the colour codes that programs print even where nobody sees them.
#[must_use]
pub(crate) fn output_line(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let shown = text.rsplit('\r').next().unwrap_or(text);
    one_line(&console::strip_ansi_codes(shown)).into_owned()
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_escaped(text: &mut String, c: char) {
    use std::fmt::Write as _;
    let number = u32::from(c);
    let written = if number < 0x100 {
        write!(text, "\\x{number:02x}")
    } else {
        write!(text, "\\u{{{number:x}}}")
    };
    debug_assert!(written.is_ok(), "a String takes every write");
}

/// `n` with its unit: `1 file`, `2 files`.
#[must_use]
pub(crate) fn plural(n: u64, one: &str) -> String {
    counted(n, one, &format!("{one}s"))
}

/// Bytes as people read them, in powers of 1024.
#[must_use]
pub(crate) fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}

/// Milliseconds as seconds with one digit.
#[must_use]
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (text, clean) in [
            ("plain ünï", "plain ünï"),
            ("\x1b[2Jgone", "\\x1b[2Jgone"),
            ("a\tb\nc", "a    b c"),
            ("\u{9b}31m", "\\x9b31m"),
            ("gpj\u{202e}exe.", "gpj\\u{202e}exe."),
            ("bell\x07", "bell\\x07"),
        ] {
            assert_eq!(one_line(text), clean);
        }
        assert_eq!(lines("a\n\x1bb"), "a\n\\x1bb");
    }

    #[test]
    fn an_output_line_shows_what_a_terminal_would() {
        assert_eq!(output_line("10%\r20%\r\n"), "20%");
        assert_eq!(output_line("\x1b[31mred\x1b[0m"), "red");
        assert_eq!(output_line("\x1b]0;title\x07x\x1b"), "x\\x1b");
    }

    #[test]
    fn units() {
        assert_eq!(
            (plural(1, "file"), plural(0, "file")),
            ("1 file".into(), "0 files".into())
        );
        assert_eq!(seconds(61_234), "61.2 s");
        assert_eq!(bytes(2048), "2.00 KiB");
    }
}
