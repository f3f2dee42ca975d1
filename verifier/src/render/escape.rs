//! What keeps hostile text inside its frame.

use std::{borrow::Cow, fmt::Write as _};

use repro_core::tree::show_bytes;
use unicode_width::UnicodeWidthChar as _;

/// `text` without control characters and those that change the direction of writing or hide.
/// Text that went through [`show_bytes`] comes back as it is.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if plain(c) {
            shown.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(shown, "\\x{byte:02x}").expect("a String takes every write");
            }
        }
    }
    Cow::Owned(shown)
}

/// Whether a character can stand in every form of the report as it is.
pub(super) fn plain(c: char) -> bool {
    let mut buffer = [0; 4];
    let shown = show_bytes(c.encode_utf8(&mut buffer).as_bytes());
    // Besides what names may hold: the Arabic letter mark, the soft hyphen, invisible operators
    // and separators of lines, tags, and what is no character, which XML cannot hold.
    let hidden = matches!(
        c,
        '\u{061c}' | '\u{00ad}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
    );
    !hidden && (c == '\\' || matches!(shown, Cow::Borrowed(_)))
}

/// Columns of a terminal that `text` takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text` in at most `limit` columns, with a mark where something was left out at its end.
pub(super) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let mut short = head(text, limit.saturating_sub(1)).to_owned();
    if limit > 0 {
        short.push('…');
    }
    Cow::Owned(short)
}

/// `text` in at most `limit` columns, with a mark where something was left out in its middle: of
/// a path, the end says most.
pub(crate) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let room = limit.saturating_sub(1);
    let first = head(text, room / 2);
    let mut left = room - columns(first);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        start = at;
    }
    Cow::Owned(format!("{first}…{}", &text[start.max(first.len())..]))
}

/// The longest beginning of `text` that takes at most `limit` columns.
pub(super) fn head(text: &str, limit: usize) -> &str {
    let mut left = limit;
    for (at, c) in text.char_indices() {
        let width = c.width().unwrap_or(0);
        if width > left {
            return &text[..at];
        }
        left -= width;
    }
    text
}

/// A Markdown code span that also holds in a table: the fence is longer than any run of
/// backticks inside, and bars are escaped, which tables ask for even in code.
pub(super) fn code_span(text: &str) -> String {
    let text = printable(text).replace('|', "\\|");
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // A space on both sides is dropped by the reader; it keeps backticks off the fence, and an
    // empty span from being none.
    let pad = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Text outside of code: every character that Markdown or HTML could take for markup is
/// escaped.
pub(super) fn markdown_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A mention notifies people where the summary is shown on a forge.
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~'
            | '+' | '-' | '.' | ':' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text with a capital at its start.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_get_through() {
        assert_eq!(
            printable("a\x1b[31mb\u{202e}"),
            "a\\x1b[31mb\\xe2\\x80\\xae"
        );
        assert_eq!(printable("a\\x1b"), "a\\x1b");
    }

    #[test]
    fn code_spans_hold_backticks_and_bars() {
        assert_eq!(code_span("a"), "`a`");
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("``"), "``` `` ```");
        assert_eq!(code_span("a|b\nc"), "`a\\|b\\x0ac`");
        assert_eq!(code_span(""), "`  `");
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(
            markdown_text("<b>[x](y) @me"),
            "&lt;b&gt;\\[x\\]\\(y\\) &#64;me"
        );
    }

    #[test]
    fn what_hides_or_breaks_a_frame_is_escaped() {
        for c in [
            '\u{61c}',
            '\u{2028}',
            '\u{2066}',
            '\u{fffe}',
            '\u{e0041}',
            '\u{ad}',
        ] {
            assert!(printable(&c.to_string()).is_ascii(), "{c:?}");
        }
        assert_eq!(printable("naïve 中文 😀"), "naïve 中文 😀");
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("中文字", 4), "中…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn of_a_long_path_both_ends_are_kept() {
        assert_eq!(shortened("usr/share/doc/file", 18), "usr/share/doc/file");
        assert_eq!(shortened("usr/share/doc/file", 11), "usr/s…/file");
        assert_eq!(shortened("中文字中文字", 7), "中…文字");
        for limit in 0..8 {
            assert!(columns(&shortened("中a文b字c", limit)) <= limit.max(1));
        }
    }
}
