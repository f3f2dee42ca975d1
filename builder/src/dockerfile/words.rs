//! A line's arguments: flags, blank-separated words, words with quotes.

use std::ops::Range;

use super::directives::Escape;

/// What parts the words of `FROM`, `COPY` and `EXPOSE`, and the instruction from its arguments.
/// Other white space of Unicode does not.
pub(super) const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// A flag, quotes and escapes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// Where it stands in the text that was given.
    pub(super) range: Range<usize>,
    /// Without the two dashes, up to `=`.
    pub(super) name: String,
    /// Behind `=`.
    pub(super) value: Option<String>,
}

/// Takes the flags from the front of `text`; gives them and where the rest begins.
///
/// A word `--` ends them. Quotes are removed and a backslash stands for the next character,
/// whatever the escape directive says: that is how BuildKit reads them.
pub(super) fn flags(text: &str) -> (Vec<Flag>, usize) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if !text[at..].starts_with("--") {
            return (flags, at);
        }
        let start = at;
        let mut word = String::new();
        let mut quote = None;
        let mut chars = text[at..].chars();
        while let Some(c) = chars.next() {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            at += c.len_utf8();
            match c {
                '\\' => {
                    if let Some(next) = chars.next() {
                        at += next.len_utf8();
                        word.push(next);
                    }
                }
                c if quote == Some(c) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(c),
                c => word.push(c),
            }
        }
        if word == "--" {
            return (flags, at);
        }
        let (name, value) = match word[2..].split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&word[2..], None),
        };
        flags.push(Flag {
            range: start..at,
            name: name.to_owned(),
            value,
        });
    }
}

/// Words between [`BLANKS`]; quotes mean nothing here.
pub(super) fn fields(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if BLANKS.contains(&c) {
            words.extend(start.take().map(|start| start..at));
        } else {
            start.get_or_insert(at);
        }
    }
    words.extend(start.map(|start| start..text.len()));
    words
}

/// Words between white space that is neither quoted nor escaped. Quotes and escapes stay, for the
/// expansion to remove; a quote may be left open, for the expansion to refuse.
pub(super) fn quoted_words(text: &str, escape: Escape) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut end = text.len();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        if c == escape.char() && quote != Some('\'') {
            // An escape with nothing behind it is dropped.
            if chars.next().is_none() {
                end = at;
            }
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '"' | '\'') {
            quote = Some(c);
        }
    }
    words.extend(start.filter(|start| *start < end).map(|start| start..end));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn flags_end_at_the_first_other_word() {
        for (text, expected, rest) in [
            ("a --b", vec![], "a --b"),
            ("--a=b  c", vec![flag("a", Some("b"))], "c"),
            (
                "--a --b=\"x y\" -c",
                vec![flag("a", None), flag("b", Some("x y"))],
                "-c",
            ),
            (r"--a=x\ y z", vec![flag("a", Some("x y"))], "z"),
            ("-- --a", vec![], " --a"),
            ("--a=b=c", vec![flag("a", Some("b=c"))], ""),
        ] {
            let (flags, at) = flags(text);
            let flags: Vec<_> = flags.into_iter().map(|f| (f.name, f.value)).collect();
            assert_eq!((flags, &text[at..]), (expected, rest), "{text}");
        }
    }

    #[test]
    fn words_keep_their_quotes() {
        for (text, expected) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            ("a=\"b c\" d='e f'", vec!["a=\"b c\"", "d='e f'"]),
            (r"a=b\ c d", vec![r"a=b\ c", "d"]),
            (r#"a="b\" c" d"#, vec![r#"a="b\" c""#, "d"]),
            (r"a='b\' c", vec![r"a='b\'", "c"]),
            ("a=\"b c", vec!["a=\"b c"]),
            (r"a\", vec!["a"]),
            (r"a \", vec!["a"]),
            ("", vec![]),
        ] {
            let words: Vec<&str> = quoted_words(text, Escape::Backslash)
                .into_iter()
                .map(|range| &text[range])
                .collect();
            assert_eq!(words, expected, "{text}");
        }
        assert_eq!(fields(" a \u{b}b\u{a0}c ").len(), 2);
    }
}
