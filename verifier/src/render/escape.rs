//! What keeps hostile text inside its frame.

use std::borrow::Cow;

use repro_core::tree::show_bytes;

/// `text` without control characters and those that change the direction of writing. Text that
/// went through [`show_bytes`] comes back as it is.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let plain = |c: char| {
        let mut buffer = [0; 4];
        c == '\\'
            || matches!(
                show_bytes(c.encode_utf8(&mut buffer).as_bytes()),
                Cow::Borrowed(_)
            )
    };
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if plain(c) {
            shown.push(c);
        } else {
            shown.push_str(&show_bytes(c.encode_utf8(&mut [0; 4]).as_bytes()));
        }
    }
    Cow::Owned(shown)
}

/// At most `limit` characters, with a mark where something was left out.
pub(super) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.chars().count() <= limit {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
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
    fn long_text_is_cut_at_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
