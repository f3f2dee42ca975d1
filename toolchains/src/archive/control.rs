//! Paragraphs of fields, as every index of the archive has them (deb-control(5), section 5.1 of
//! Debian's policy).

use std::ops::Range;

/// Why a text is no list of paragraphs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line that is neither a field nor the continuation of one.
    #[error("line {0} is no field")]
    NoField(usize),
    /// A field that comes twice in one paragraph.
    #[error("line {line} has the field {name} for the second time")]
    Twice {
        /// Where, from 1.
        line: usize,
        /// Which.
        name: String,
    },
}

/// The fields of one paragraph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paragraph<'a>(&'a str);

impl<'a> Paragraph<'a> {
    /// A text that is one paragraph: checked, so that a field means one thing.
    pub(crate) fn parse(text: &'a str) -> Result<Self, ControlError> {
        let mut seen: Vec<&str> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with([' ', '\t']) {
                if number == 1 {
                    return Err(ControlError::NoField(number));
                }
                continue;
            }
            let name = line.split_once(':').map(|(name, _)| name);
            let name = name.filter(|name| is_name(name));
            let name = name.ok_or(ControlError::NoField(number))?;
            if seen.iter().any(|old| old.eq_ignore_ascii_case(name)) {
                return Err(ControlError::Twice {
                    line: number,
                    name: name.chars().take(80).collect(),
                });
            }
            seen.push(name);
        }
        Ok(Self(text))
    }

    /// The value of a field with its further lines, without white space around it; `None` if the
    /// paragraph does not have it. Names are compared without regard to case.
    pub(crate) fn field(self, name: &str) -> Option<&'a str> {
        let mut start = None;
        let mut end = 0;
        let mut at = 0;
        for line in self.0.split_inclusive('\n') {
            let continued = line.starts_with([' ', '\t']);
            if start.is_some() && !continued {
                break;
            }
            if start.is_none()
                && !continued
                && let Some((found, value)) = line.split_once(':')
                && found.eq_ignore_ascii_case(name)
            {
                start = Some(at + line.len() - value.len());
            }
            at += line.len();
            end = at;
        }
        start.map(|start| self.0[start..end].trim())
    }
}

/// Printable and without a colon; `#` and `-` begin what is no field.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Where the paragraphs of `text` are. Empty lines stand between them.
pub(crate) fn paragraphs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while text[at..].starts_with('\n') {
            at += 1;
        }
        let start = at;
        if start == text.len() {
            return None;
        }
        let end = text[start..]
            .find("\n\n")
            .map_or(text.len(), |found| start + found + 1);
        at = end;
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_further_lines() {
        let text = "Package: a\nDepends: b,\n c\n\td\nX-Y:\n one\n two\nSize: 3";
        let paragraph = Paragraph::parse(text).unwrap();
        assert_eq!(paragraph.field("package"), Some("a"));
        assert_eq!(paragraph.field("Depends"), Some("b,\n c\n\td"));
        assert_eq!(paragraph.field("X-Y"), Some("one\n two"));
        assert_eq!(paragraph.field("Size"), Some("3"));
        assert_eq!(paragraph.field("Pack"), None);
        assert_eq!(paragraph.field("one"), None);
    }

    #[test]
    fn what_is_no_paragraph() {
        for (text, line) in [
            ("no field", 1),
            (" a: b", 1),
            ("A: b\n-c: d", 2),
            ("A: b\n: c", 2),
        ] {
            let error = Paragraph::parse(text).unwrap_err();
            assert_eq!(error, ControlError::NoField(line), "{text}");
        }
        let error = Paragraph::parse("A: b\na: c\n").unwrap_err();
        assert!(
            matches!(error, ControlError::Twice { line: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn paragraphs_are_split_at_empty_lines() {
        let text = "\nA: b\n\n\nC: d\n e\n\nF: g";
        let found: Vec<&str> = paragraphs(text).map(|range| &text[range]).collect();
        assert_eq!(found, ["A: b\n", "C: d\n e\n", "F: g"]);
        assert_eq!(paragraphs("").count(), 0);
    }
}
