//! One entry of a tree or layer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TreePath;

/// Prefix of the name of a removed entry (OCI image-spec, "Whiteouts").
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Name of the entry that hides everything below its directory in lower layers.
pub const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";

/// What every entry but a whiteout carries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits, set-id bits and sticky bit: 07777, no type bits.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Whole seconds since 1970.
    pub mtime: u64,
    /// Extended attributes that ruleset 1 keeps (rule 13), by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The type of an entry and what only that type has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file; its `size` bytes of content follow in a stream.
    File {
        /// Bytes of content.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// The target, any bytes but NUL.
        target: Vec<u8>,
    },
    /// Another name of a file that came earlier in the same layer or lies in a lower one.
    Hardlink {
        /// The path of that file.
        target: TreePath,
    },
    /// A named pipe.
    Fifo,
    /// A character device. Only ever read from images; a step cannot make one.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device. Only ever read from images; a step cannot make one.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// The path is removed. The entry's path is that of the removed entry, not `.wh.` form;
    /// its [`Meta`] is the default.
    Whiteout,
    /// Everything below the path in lower layers is removed. Read, never written (rule 6).
    OpaqueWhiteout,
}

/// One entry of a layer, or of a whole tree as a layer on nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// Mode, owner, time, attributes.
    pub meta: Meta,
}

impl Entry {
    /// Bytes of content that follow this entry in a stream.
    #[must_use]
    pub const fn content_size(&self) -> u64 {
        match self.kind {
            EntryKind::File { size } => size,
            _ => 0,
        }
    }

    /// Position in a layer: pre-order, names bytewise, a whiteout by its written name `.wh.NAME`
    /// (rule 11).
    #[must_use]
    pub fn sort_key(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self.path.names().map(<[u8]>::to_vec).collect();
        match self.kind {
            EntryKind::Whiteout => {
                if let Some(last) = names.last_mut() {
                    *last = [WHITEOUT_PREFIX, last].concat();
                }
            }
            EntryKind::OpaqueWhiteout => names.push(WHITEOUT_OPAQUE.to_vec()),
            _ => {}
        }
        names
    }
}
