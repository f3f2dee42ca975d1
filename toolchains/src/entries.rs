//! Small entry sources: lists, and sources seen through a change of names.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use repro_core::tree::{Entry, EntryKind, EntrySource, Meta, TreePath};

/// A list of entries with their content.
#[derive(Default)]
pub(crate) struct EntryList(VecDeque<(Entry, Content)>);

enum Content {
    Bytes(Vec<u8>),
    Stream(Box<dyn Read>),
}

impl EntryList {
    pub(crate) fn directory(&mut self, path: TreePath, mode: u16, mtime: u64) {
        self.push(
            path,
            EntryKind::Directory,
            mode,
            mtime,
            Content::Bytes(Vec::new()),
        );
    }

    pub(crate) fn symlink(&mut self, path: TreePath, target: &[u8], mtime: u64) {
        let kind = EntryKind::Symlink {
            target: target.to_vec(),
        };
        self.push(path, kind, 0o777, mtime, Content::Bytes(Vec::new()));
    }

    pub(crate) fn file(&mut self, path: TreePath, mode: u16, mtime: u64, content: &[u8]) {
        let kind = EntryKind::File {
            size: content.len() as u64,
        };
        self.push(path, kind, mode, mtime, Content::Bytes(content.to_vec()));
    }

    pub(crate) fn stream(&mut self, path: TreePath, mtime: u64, size: u64, content: Box<dyn Read>) {
        let kind = EntryKind::File { size };
        self.push(path, kind, 0o644, mtime, Content::Stream(content));
    }

    pub(crate) fn whiteout(&mut self, path: TreePath) {
        self.push(path, EntryKind::Whiteout, 0, 0, Content::Bytes(Vec::new()));
    }

    fn push(&mut self, path: TreePath, kind: EntryKind, mode: u16, mtime: u64, content: Content) {
        let meta = Meta {
            mode,
            mtime,
            ..Meta::default()
        };
        self.0.push_back((Entry { path, kind, meta }, content));
    }
}

impl EntrySource for EntryList {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        match self.0.pop_front() {
            None => Ok(false),
            Some((entry, Content::Bytes(bytes))) => {
                take(&entry, &mut bytes.as_slice()).map(|()| true)
            }
            Some((entry, Content::Stream(mut content))) => {
                take(&entry, &mut content)?;
                // A reader that verifies does so at its end.
                io::copy(&mut content, &mut io::sink())?;
                Ok(true)
            }
        }
    }
}

/// A source whose entries are changed on the way; `None` leaves an entry out.
pub(crate) struct Mapped<'a, F> {
    inner: &'a mut dyn EntrySource,
    map: F,
}

impl<'a, F: FnMut(Entry) -> io::Result<Option<Entry>>> Mapped<'a, F> {
    pub(crate) fn new(inner: &'a mut dyn EntrySource, map: F) -> Self {
        Self { inner, map }
    }
}

impl<F: FnMut(Entry) -> io::Result<Option<Entry>>> EntrySource for Mapped<'_, F> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let map = &mut self.map;
        self.inner.next_entry(&mut |entry, content| {
            match map(entry.clone())? {
                Some(entry) => take(&entry, content),
                // The source is read to the end of each entry, as a sink would.
                None => io::copy(content, &mut io::sink()).map(drop),
            }
        })
    }
}

/// The path of a constant of this program.
pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).expect("a constant path is well-formed")
}
