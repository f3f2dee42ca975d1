//! XML, value by value. Nothing outside of the document is read, and no entity is put in.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use repro_core::tree::show_bytes;

use super::{Budget, Format, NotOpened, Part, counted};
use crate::causes::{Cause, Confidence};

/// XML 1.0.
pub(super) struct Xml;

/// Deepest nesting: documents that people and programs write stay far below.
const MAX_DEPTH: usize = 256;
/// Endings of files that are XML also without a declaration.
const ENDINGS: [&[u8]; 6] = [b".xml", b".svg", b".pom", b".xhtml", b".xsd", b".plist"];

impl Format for Xml {
    fn matches(&self, path: &[u8], head: &[u8]) -> bool {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        head.starts_with(b"<?xml")
            || head.trim_ascii_start().starts_with(b"<")
                && ENDINGS.iter().any(|ending| path.ends_with(ending))
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let mut document = Document {
            parts: Vec::new(),
            path: String::new(),
            lengths: Vec::new(),
            budget,
        };
        let mut reader = Reader::from_reader(bytes);
        loop {
            match reader.read_event().map_err(|_| NotOpened::Damaged)? {
                Event::Start(tag) => document.enter(&tag)?,
                Event::Empty(tag) => {
                    document.enter(&tag)?;
                    document.leave()?;
                }
                Event::End(_) => document.leave()?,
                Event::Text(text) => document.put("", &text)?,
                Event::CData(text) => document.put("", &text)?,
                Event::GeneralRef(name) => document.put("&", &name)?,
                Event::Comment(text) => document.put("/comment", &text)?,
                Event::PI(text) => document.put("/instruction", &text)?,
                Event::Decl(text) => document.put("/declaration", &text)?,
                Event::DocType(text) => document.put("/type", &text)?,
                Event::Eof if document.lengths.is_empty() => return Ok(document.parts),
                Event::Eof => return Err(NotOpened::Damaged),
            }
        }
    }

    fn order(&self) -> Option<Cause> {
        Some(Cause::XmlForm)
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::XmlForm)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// What was read of a document.
struct Document<'a, 'b> {
    parts: Vec<Part<'a>>,
    /// The names of the elements that are open, each behind a slash.
    path: String,
    /// Lengths of `path` before each of them.
    lengths: Vec<usize>,
    budget: &'b mut Budget,
}

impl Document<'_, '_> {
    fn enter(&mut self, tag: &BytesStart<'_>) -> Result<(), NotOpened> {
        if self.lengths.len() >= MAX_DEPTH {
            return Err(NotOpened::TooLarge);
        }
        self.lengths.push(self.path.len());
        self.path.push('/');
        self.path.push_str(&show_bytes(tag.name().as_ref()));
        // Looking for names given twice takes time by the square of their number.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| NotOpened::Damaged)?;
            let name = format!("/@{}", show_bytes(attribute.key.as_ref()));
            self.put(&name, &attribute.value)?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), NotOpened> {
        let length = self.lengths.pop().ok_or(NotOpened::Damaged)?;
        self.path.truncate(length);
        Ok(())
    }

    /// A value below the open elements. White space around it is layout.
    fn put(&mut self, name: &str, value: &[u8]) -> Result<(), NotOpened> {
        let value = value.trim_ascii();
        if value.is_empty() {
            return Ok(());
        }
        let name = format!("{}{name}", self.path);
        self.budget.take((name.len() + value.len()) as u64)?;
        self.parts.push(Part::content(name, value.to_vec()));
        counted(&self.parts)
    }
}
