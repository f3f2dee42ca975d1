//! Canonical layers: one tree of bytes for one list of entries (ruleset 1, rules 11 to 14).

use std::io::{self, Read, Write};

use super::{
    header::{
        BLOCK, CHECKSUM, DEV_MAJOR, DEV_MINOR, GID, LINK, MAGIC, MODE, MTIME, NAME, PREFIX, SIZE,
        TYPE, UID, USTAR, checksum,
    },
    is_kept_xattr,
    pax::record,
};
use crate::{
    ruleset::Ruleset,
    tree::{Entry, EntryKind, EntrySink, Meta, WHITEOUT_PREFIX, copy_exactly, show_bytes},
};

/// Directory that the names of extended headers begin with, where a reader that does not know
/// them would put them.
const PAX_DIR: &[u8] = b"PaxHeaders/";

/// Why an entry has no place in a canonical layer. Wrapped in [`io::Error`] of kind
/// `InvalidInput`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerWriteError {
    /// Not behind the entry before it in canonical order (rule 11).
    #[error("{path} does not come after {previous} in canonical order")]
    Order {
        /// The entry.
        path: String,
        /// The one before.
        previous: String,
    },
    /// An opaque whiteout, which is read but never written (rule 6).
    #[error("{0}: a canonical layer has no opaque whiteouts")]
    Opaque(String),
    /// A name that a reader would take for a whiteout.
    #[error("{0}: a name that begins with .wh. cannot be stored in a layer")]
    ReservedName(String),
    /// The root as something other than a directory, or hidden.
    #[error("the root of the tree is a directory in every layer")]
    Root,
    /// An attribute that rule 13 leaves out. The caller counts what it drops.
    #[error("{path}: the attribute {name} does not belong in a layer")]
    Xattr {
        /// The entry.
        path: String,
        /// The attribute.
        name: String,
    },
    /// Bits above 07777 (rule 12).
    #[error("{0}: the mode has bits of the file type")]
    Mode(String),
    /// A device number that tar has no room for.
    #[error("{0}: the device number is too large")]
    Device(String),
    /// A symbolic link to nothing.
    #[error("{0}: the link has no target that can be stored")]
    Target(String),
}

impl From<LayerWriteError> for io::Error {
    fn from(error: LayerWriteError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Writes a canonical, uncompressed layer.
#[derive(Debug)]
pub struct LayerWriter<W> {
    inner: W,
    previous: Option<Vec<Vec<u8>>>,
    entries: u64,
}

impl<W: Write> LayerWriter<W> {
    /// Writes to `inner` by the rules of `ruleset`.
    pub const fn new(inner: W, ruleset: Ruleset) -> Self {
        // A second ruleset gets a writer of its own: what is frozen shares no code that moves.
        let Ruleset::V1 = ruleset;
        Self {
            inner,
            previous: None,
            entries: 0,
        }
    }

    /// Entries written so far.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Writes the two blocks of zeros that end a tar, nothing more, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn check_order(&mut self, entry: &Entry) -> Result<(), LayerWriteError> {
        let key = entry.sort_key();
        if let Some(previous) = &self.previous
            && *previous >= key
        {
            return Err(LayerWriteError::Order {
                path: show_bytes(&key.join(&b'/')).into_owned(),
                previous: show_bytes(&previous.join(&b'/')).into_owned(),
            });
        }
        self.previous = Some(key);
        Ok(())
    }
}

impl<W: Write> EntrySink for LayerWriter<W> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let fields = Fields::of(entry)?;
        self.check_order(entry)?;
        let records = fields.records(&entry.meta);
        if !records.is_empty() {
            let header = Fields::extended(&fields.short_name(PAX_DIR), records.len() as u64);
            self.inner.write_all(&header.block())?;
            self.inner.write_all(&records)?;
            pad(&mut self.inner, records.len() as u64)?;
        }
        self.inner.write_all(&fields.block())?;
        copy_exactly(entry, content, &mut self.inner)?;
        pad(&mut self.inner, entry.content_size())?;
        self.entries += 1;
        Ok(())
    }
}

/// Fills the last block.
fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    io::copy(&mut io::repeat(0).take(padding), out).map(drop)
}

/// Largest number of seven octal digits.
const MAX_OCTAL_7: u64 = 0o7_777_777;
/// Largest number of eleven octal digits.
const MAX_OCTAL_11: u64 = 0o77_777_777_777;

/// The fields of a header before it is known what fits.
struct Fields {
    path: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    size: u64,
    mode: u64,
    uid: u64,
    gid: u64,
    mtime: u64,
    major: u64,
    minor: u64,
}

impl Fields {
    fn of(entry: &Entry) -> Result<Self, LayerWriteError> {
        let shown = || entry.path.to_string();
        let mut path = entry.path.as_bytes().to_vec();
        let (mut link, mut size, mut device) = (Vec::new(), 0, (0, 0));
        if entry.path.is_root() && entry.kind != EntryKind::Directory {
            return Err(LayerWriteError::Root);
        }
        let reserved = |name: &[u8]| name.starts_with(WHITEOUT_PREFIX);
        if entry.path.names().any(reserved) {
            return Err(LayerWriteError::ReservedName(shown()));
        }
        let kind = match &entry.kind {
            EntryKind::File { size: bytes } => {
                size = *bytes;
                b'0'
            }
            EntryKind::Hardlink { target } => {
                link = target.as_bytes().to_vec();
                b'1'
            }
            EntryKind::Symlink { target } => {
                link.clone_from(target);
                b'2'
            }
            EntryKind::CharDevice { major, minor } => {
                device = (*major, *minor);
                b'3'
            }
            EntryKind::BlockDevice { major, minor } => {
                device = (*major, *minor);
                b'4'
            }
            EntryKind::Directory => {
                // The root is `./`, the one name that every reader takes for it.
                path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
                b'5'
            }
            EntryKind::Fifo => b'6',
            EntryKind::Whiteout => {
                let name = path.iter().rposition(|byte| *byte == b'/');
                let name = name.map_or(0, |slash| slash + 1);
                path.splice(name..name, WHITEOUT_PREFIX.iter().copied());
                b'0'
            }
            EntryKind::OpaqueWhiteout => return Err(LayerWriteError::Opaque(shown())),
        };
        let needs_target = matches!(
            entry.kind,
            EntryKind::Symlink { .. } | EntryKind::Hardlink { .. }
        );
        if needs_target && (link.is_empty() || link.contains(&0)) {
            return Err(LayerWriteError::Target(shown()));
        }
        if u64::from(device.0.max(device.1)) > MAX_OCTAL_7 {
            return Err(LayerWriteError::Device(shown()));
        }
        let mut xattrs = entry.meta.xattrs.iter();
        if let Some((name, _)) = xattrs.find(|(name, value)| !is_kept_xattr(name, value)) {
            return Err(LayerWriteError::Xattr {
                path: shown(),
                name: show_bytes(name).into_owned(),
            });
        }
        if entry.meta.mode > 0o7777 {
            return Err(LayerWriteError::Mode(shown()));
        }
        Ok(Self {
            path,
            kind,
            link,
            size,
            mode: entry.meta.mode.into(),
            uid: entry.meta.uid.into(),
            gid: entry.meta.gid.into(),
            mtime: entry.meta.mtime,
            major: device.0.into(),
            minor: device.1.into(),
        })
    }

    /// The header in front of PAX records.
    fn extended(name: &[u8], size: u64) -> Self {
        Self {
            path: name.to_vec(),
            kind: b'x',
            link: Vec::new(),
            size,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            major: 0,
            minor: 0,
        }
    }

    /// Prefix and name of the path, or `None` if it does not fit: split at the last slash that
    /// leaves both short enough, as GNU tar and Go do.
    fn split_path(&self) -> Option<(&[u8], &[u8])> {
        if self.path.len() <= NAME.len() {
            return Some((b"", &self.path));
        }
        let end = self.path.len().min(PREFIX.len() + 1);
        // Not the slash that a directory ends in: the name would be empty.
        let end = end.min(self.path.len() - 1);
        let slash = self.path[..end].iter().rposition(|byte| *byte == b'/')?;
        let (prefix, name) = (&self.path[..slash], &self.path[slash + 1..]);
        (!prefix.is_empty() && name.len() <= NAME.len()).then_some((prefix, name))
    }

    /// A name for headers that cannot hold the path: `dir` and the last name, cut off. Without a
    /// slash at its end, so that no reader takes it for a directory's.
    fn short_name(&self, dir: &[u8]) -> Vec<u8> {
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let room = NAME.len() - dir.len();
        [dir, &name[..name.len().min(room)]].concat()
    }

    /// The PAX records that the entry needs, sorted by key.
    fn records(&self, meta: &Meta) -> Vec<u8> {
        let mut records = std::collections::BTreeMap::new();
        let mut add = |key: &[u8], value: &[u8]| records.insert(key.to_vec(), value.to_vec());
        if self.split_path().is_none() {
            add(b"path", &self.path);
        }
        if self.link.len() > LINK.len() {
            add(b"linkpath", &self.link);
        }
        for (key, number, largest) in [
            (&b"uid"[..], self.uid, MAX_OCTAL_7),
            (b"gid", self.gid, MAX_OCTAL_7),
            (b"size", self.size, MAX_OCTAL_11),
            (b"mtime", self.mtime, MAX_OCTAL_11),
        ] {
            if number > largest {
                add(key, number.to_string().as_bytes());
            }
        }
        for (name, value) in &meta.xattrs {
            add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect()
    }

    /// The header block. What does not fit, and so stands in a record, is zero or cut off.
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let short;
        let (prefix, name) = if let Some(split) = self.split_path() {
            split
        } else {
            short = self.short_name(b"");
            (&b""[..], &short[..])
        };
        block[NAME][..name.len()].copy_from_slice(name);
        block[PREFIX][..prefix.len()].copy_from_slice(prefix);
        let link = &self.link[..self.link.len().min(LINK.len())];
        block[LINK][..link.len()].copy_from_slice(link);
        octal(&mut block[MODE], self.mode);
        octal(&mut block[UID], self.uid);
        octal(&mut block[GID], self.gid);
        octal(&mut block[SIZE], self.size);
        octal(&mut block[MTIME], self.mtime);
        octal(&mut block[DEV_MAJOR], self.major);
        octal(&mut block[DEV_MINOR], self.minor);
        block[TYPE] = self.kind;
        block[MAGIC].copy_from_slice(USTAR);
        let sum = u64::from(checksum(&block));
        octal(&mut block[CHECKSUM][..7], sum);
        block[CHECKSUM][7] = b' ';
        block
    }
}

/// Octal digits that fill the field but for a NUL; 0 if the number does not fit.
fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let fits = number < 1 << (3 * digits);
    let mut rest = if fits { number } else { 0 };
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[digits] = 0;
}
