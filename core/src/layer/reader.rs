//! Foreign layers as entries.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::{
    Limits, is_kept_xattr,
    raw::{EndMarker, RawEntry, RawError, RawKind, RawReader},
};
use crate::tree::{
    Entry, EntryKind, EntrySource, MAX_PATH, Meta, TreePath, TreePathError, WHITEOUT_OPAQUE,
    WHITEOUT_PREFIX, show_bytes,
};

/// What is wrong with an entry of a tar, or with the tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerFault {
    /// The sum of the header's bytes is not what it says: damage, or no tar at all.
    #[error("the header's checksum is wrong, or this is not a tar")]
    Checksum,
    /// Neither POSIX nor GNU nor the form before them.
    #[error("the header is of no known tar format")]
    Magic,
    /// A number that is none, negative where that means nothing, or too large.
    #[error("the header's {0} is not a number that can be used")]
    Number(&'static str),
    /// The archive ends inside an entry, or without the block of zeros that ends one.
    #[error("the archive ends too early")]
    Truncated,
    /// Something other than zeros behind the end.
    #[error("there is data behind the end of the archive")]
    TrailingData,
    /// A PAX record that is not `LENGTH KEY=VALUE`.
    #[error("an extended header has a malformed record")]
    PaxRecord,
    /// A PAX key twice.
    #[error("an extended header has two records for {0}")]
    PaxTwice(String),
    /// A PAX value that is not of the kind its key needs.
    #[error("an extended header has a value for {0} that cannot be used")]
    PaxValue(String),
    /// A global PAX record that would change entries.
    #[error("a global header sets {0}, which readers treat differently")]
    GlobalHeader(String),
    /// The same property given by two headers.
    #[error("two extended headers of the same entry give the same property")]
    ExtensionTwice,
    /// An extended header without an entry behind it.
    #[error("an extended header has no entry behind it")]
    DanglingExtension,
    /// Beyond [`Limits::max_extended_header`].
    #[error("an extended header is longer than the {0} bytes allowed")]
    ExtensionTooLong(u64),
    /// A GNU long name that is empty, or has bytes behind its end.
    #[error("a long name header does not hold one name")]
    LongName,
    /// A GNU long name beyond Linux's `PATH_MAX`.
    #[error("a long name header holds a path or target of more than the {0} bytes allowed")]
    LongNameTooLong(usize),
    /// A sparse file.
    #[error("the file is stored sparse, which layers should not use and readers disagree on")]
    Sparse,
    /// A type that is none of an image's.
    #[error("the entry has type {:?}, which layers do not have", char::from(*.0))]
    Type(u8),
    /// A file whose name ends in a slash.
    #[error("a file's name ends in a slash")]
    FileWithSlash,
    /// Content behind something that is no file.
    #[error("an entry that is no file has content")]
    ContentWithoutFile,
    /// Beyond [`Limits::max_entries`].
    #[error("there are more than the {0} entries allowed")]
    TooManyEntries(u64),
    /// Beyond [`Limits::max_content`].
    #[error("there are more than the {0} bytes of content allowed")]
    TooMuchContent(u64),
    /// Beyond [`Limits::max_xattr_bytes`].
    #[error("there are more than the {0} bytes of extended attributes allowed")]
    TooManyXattrs(u64),
    /// An attribute's name that no kernel takes.
    #[error("{0:?} is not the name of an extended attribute")]
    XattrName(String),
    /// No name at all.
    #[error("the entry has no name")]
    NoName,
    /// A path that is none inside a tree.
    #[error("the path cannot be used")]
    Path(#[source] TreePathError),
    /// A link's target that is none.
    #[error("the target of the link cannot be used")]
    LinkTarget(#[source] TreePathError),
    /// A link without target, or with one that no kernel takes.
    #[error("the link has no target that can be used")]
    NoTarget,
    /// The root of the tree as something other than a directory.
    #[error("the root of the tree is not a directory")]
    RootKind,
    /// A whiteout that hides nothing that can exist, or is no empty file.
    #[error("the whiteout is malformed")]
    Whiteout,
    /// Names that begin with `.wh.` where no whiteout can be, such as those of AUFS.
    #[error("a name that begins with .wh. is reserved")]
    ReservedName,
}

/// A fault, and where it is. Wrapped in [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.place())]
pub struct LayerError {
    /// Number of the entry, from 1.
    pub entry: u64,
    /// Its path as the tar has it, made printable, if the fault is not in its headers.
    pub path: Option<String>,
    /// What is wrong.
    #[source]
    pub fault: LayerFault,
}

impl LayerError {
    fn place(&self) -> String {
        match &self.path {
            Some(path) => format!("entry {} of the layer, {path}", self.entry),
            None => format!("entry {} of the layer", self.entry),
        }
    }
}

impl From<LayerError> for io::Error {
    fn from(error: LayerError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Which extended attributes a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Xattrs {
    /// Those that belong to an image (rule 13).
    #[default]
    Kept,
    /// Whatever the tar has: for those who compare, not for those who unpack.
    All,
}

/// Reads a foreign layer strictly, entry by entry, in the order of the tar.
///
/// A path may come twice; the later entry then counts, as in every engine. Entries need not be
/// in canonical order, and parents may be missing. Times are whole seconds, rounded down, none
/// before 1970. Attributes that no image keeps (rule 13) are left out and counted. Whiteouts
/// are entries of their own kind. At the end the input was read to its own end.
#[derive(Debug)]
pub struct LayerReader<R> {
    raw: RawReader<R>,
    limits: Limits,
    xattrs: Xattrs,
    entries: u64,
    dropped: BTreeMap<Vec<u8>, u64>,
}

impl<R: Read> LayerReader<R> {
    /// Reads the uncompressed tar `inner`, which should be buffered.
    pub const fn new(inner: R, limits: Limits) -> Self {
        Self {
            raw: RawReader::new(inner, limits),
            limits,
            xattrs: Xattrs::Kept,
            entries: 0,
            dropped: BTreeMap::new(),
        }
    }

    /// The same reader, that sees the end of the tar so.
    #[must_use]
    pub(super) fn ending(mut self, end: EndMarker) -> Self {
        self.raw = self.raw.ending(end);
        self
    }

    /// The same reader, that takes `xattrs`.
    #[must_use]
    pub fn taking(mut self, xattrs: Xattrs) -> Self {
        self.xattrs = xattrs;
        self
    }

    /// Names of the attributes that were left out so far, and on how many entries.
    #[must_use]
    pub const fn dropped_xattrs(&self) -> &BTreeMap<Vec<u8>, u64> {
        &self.dropped
    }

    /// Entries read so far.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    fn convert(&mut self, raw: RawEntry) -> Result<Entry, LayerFault> {
        if raw.path.is_empty() {
            return Err(LayerFault::NoName);
        }
        let path = TreePath::parse(&raw.path).map_err(LayerFault::Path)?;
        if path.is_root() && raw.kind != RawKind::Directory {
            return Err(LayerFault::RootKind);
        }
        if let Some(whiteout) = whiteout(&path, &raw)? {
            return Ok(whiteout);
        }
        let kind = match raw.kind {
            RawKind::File => EntryKind::File { size: raw.size },
            RawKind::Directory => EntryKind::Directory,
            RawKind::Fifo => EntryKind::Fifo,
            RawKind::Symlink => {
                let usable = (1..=MAX_PATH).contains(&raw.link.len()) && !raw.link.contains(&0);
                if !usable {
                    return Err(LayerFault::NoTarget);
                }
                EntryKind::Symlink { target: raw.link }
            }
            RawKind::Hardlink => {
                let target = TreePath::parse(&raw.link).map_err(LayerFault::LinkTarget)?;
                if target.is_root() || target == path || has_reserved_name(&target) {
                    return Err(LayerFault::NoTarget);
                }
                EntryKind::Hardlink { target }
            }
            RawKind::CharDevice => EntryKind::CharDevice {
                major: raw.major,
                minor: raw.minor,
            },
            RawKind::BlockDevice => EntryKind::BlockDevice {
                major: raw.major,
                minor: raw.minor,
            },
        };
        Ok(Entry {
            path,
            kind,
            meta: Meta {
                mode: raw.mode,
                uid: raw.uid,
                gid: raw.gid,
                mtime: raw.mtime,
                xattrs: self.keep_xattrs(raw.xattrs)?,
            },
        })
    }

    fn keep_xattrs(
        &mut self,
        mut xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, LayerFault> {
        xattrs.retain(|name, value| {
            let kept = self.xattrs == Xattrs::All || is_kept_xattr(name, value);
            if !kept {
                *self.dropped.entry(name.clone()).or_default() += 1;
            }
            kept
        });
        let sizes = xattrs.iter().map(|(name, value)| name.len() + value.len());
        if sizes.sum::<usize>() as u64 > self.limits.max_xattr_bytes {
            return Err(LayerFault::TooManyXattrs(self.limits.max_xattr_bytes));
        }
        Ok(xattrs)
    }
}

fn has_reserved_name(path: &TreePath) -> bool {
    path.names().any(|name| name.starts_with(WHITEOUT_PREFIX))
}

/// The whiteout that an entry is, if it is one (image-spec, "Whiteouts").
fn whiteout(path: &TreePath, raw: &RawEntry) -> Result<Option<Entry>, LayerFault> {
    let Some(hidden) = path
        .file_name()
        .and_then(|name| name.strip_prefix(WHITEOUT_PREFIX))
    else {
        // Nothing lies below a whiteout.
        return if has_reserved_name(path) {
            Err(LayerFault::ReservedName)
        } else {
            Ok(None)
        };
    };
    let parent = path.parent().ok_or(LayerFault::Whiteout)?;
    if has_reserved_name(&parent) {
        return Err(LayerFault::ReservedName);
    }
    if raw.kind != RawKind::File || raw.size != 0 {
        return Err(LayerFault::Whiteout);
    }
    let (path, kind) = if path.file_name() == Some(WHITEOUT_OPAQUE) {
        (parent, EntryKind::OpaqueWhiteout)
    } else if hidden.starts_with(WHITEOUT_PREFIX) {
        // AUFS keeps its own files under such names; engines disagree on whether to drop them.
        return Err(LayerFault::ReservedName);
    } else if matches!(hidden, b"" | b"." | b"..") {
        return Err(LayerFault::Whiteout);
    } else {
        let path = parent.join(hidden).map_err(LayerFault::Path)?;
        (path, EntryKind::Whiteout)
    };
    Ok(Some(Entry {
        path,
        kind,
        meta: Meta::default(),
    }))
}

impl<R: Read> EntrySource for LayerReader<R> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let entry = self.entries + 1;
        let raw = match self.raw.next() {
            Ok(None) => return Ok(false),
            Ok(Some(raw)) => raw,
            Err(RawError::Io(error)) => return Err(error),
            Err(RawError::Fault(fault)) => {
                let path = None;
                return Err(LayerError { entry, path, fault }.into());
            }
        };
        self.entries = entry;
        let path = show_bytes(&raw.path[..raw.path.len().min(200)]).into_owned();
        let converted = self.convert(raw).map_err(|fault| LayerError {
            entry,
            path: Some(path),
            fault,
        })?;
        take(&converted, &mut self.raw.content()).map_err(|error| {
            match error.downcast::<LayerFault>() {
                // The archive ended inside the content, seen by whoever read it.
                Ok(fault) => LayerError {
                    entry,
                    path: Some(converted.path.to_string()),
                    fault,
                }
                .into(),
                Err(error) => error,
            }
        })?;
        Ok(true)
    }
}
