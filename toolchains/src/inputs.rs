//! Declared inputs: source packages as trees.
//!
//! The upstream tar without its first directory, further upstream parts in directories of their
//! names, and `debian/` on top: what `dpkg-source --extract --skip-patches` gives. Patches are
//! in the tree (`debian/patches`) and not applied: a recipe applies those that it wants, where a
//! reader can see it. Owners are root's, times and modes those of the tars.

mod dsc;

use std::io;

use repro_core::{
    image::LayerDescriptor,
    layer::{BuildLayerError, FlatTree, LayerBuilder, LayerReader, Limits},
    store::{BlobStore as _, CacheKind, StoreError, read_small},
    tree::{Entry, EntryKind, TreePath},
};
use serde::{Deserialize, Serialize};

pub use dsc::DscError;

use self::dsc::{Dsc, Role};
use crate::{
    codec::Codec,
    entries::{EntryList, Mapped, path},
    fetch::FetchError,
    lock::{LockedInput, LockedSourceFile},
    materialise::Workshop,
};

/// Number of the way in which trees are made of source packages.
const RECIPE: u32 = 1;

const CACHE: CacheKind = match CacheKind::new("input") {
    Ok(kind) => kind,
    Err(_) => panic!("lower-case letters"),
};

/// Largest `.dsc`; those with many binary packages have some ten KiB.
const MAX_DSC: u64 = 1 << 20;

/// Limits on one tar of a source package.
const LIMITS: Limits = Limits {
    max_entries: 1_000_000,
    max_extended_header: 1 << 20,
    max_xattr_bytes: 64 << 10,
    max_content: 32 << 30,
    max_ratio: 1100,
};

/// Why an input was not made. Nothing is kept but downloads.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file is not to be had.
    #[error("cannot fetch the files of {purl}")]
    Fetch {
        /// The input.
        purl: String,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// The lock's files are not a source package.
    #[error("the files of {purl} are no source package that can be unpacked")]
    Dsc {
        /// The input.
        purl: String,
        /// Why.
        #[source]
        source: DscError,
    },
    /// A file cannot be read or unpacked.
    #[error("cannot unpack {file}")]
    Unpack {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The tree cannot be kept.
    #[error("cannot keep the tree of {purl}")]
    Layer {
        /// The input.
        purl: String,
        /// Why.
        #[source]
        source: BuildLayerError,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Made {
    layer: LayerDescriptor,
}

impl Workshop<'_> {
    /// The tree of an input as a layer on nothing; made unless it was made before.
    pub fn input(&self, input: &LockedInput) -> Result<LayerDescriptor, InputError> {
        let key = self.input_key(input);
        if let Some(made) = self.store.cache_get::<Made>(CACHE, &key)? {
            return Ok(made.layer);
        }
        let purl = input.purl.to_string();
        let files: Vec<_> = input.files.iter().map(|file| &file.file).collect();
        let title = format!("fetch {} {}", input.purl.name(), input.purl.version());
        let published = input.archive.date.epoch();
        self.fetcher
            .fetch(&title, &files, published, self.store.blobs(), self.events)
            .map_err(|source| InputError::Fetch {
                purl: purl.clone(),
                source: Box::new(source),
            })?;
        let dsc = self.dsc(input)?;
        let in_tree = |source| InputError::Unpack {
            file: purl.clone(),
            source,
        };
        let mut tree = FlatTree::new(self.store.blobs().tmp()).map_err(in_tree)?;
        for (role, file) in &dsc.tars {
            self.unpack(&mut tree, role, file)
                .map_err(|source| InputError::Unpack {
                    file: file.name.clone(),
                    source,
                })?;
        }
        let mut builder = LayerBuilder::new(self.store.blobs(), self.ruleset);
        tree.write_to(&mut builder).map_err(in_tree)?;
        let layer = builder.finish().map_err(|source| InputError::Layer {
            purl: purl.clone(),
            source,
        })?;
        let layer = layer
            .ok_or_else(|| in_tree(io::Error::other("the source package is empty")))?
            .descriptor();
        let made = Made { layer };
        self.store
            .cache_put(CACHE, &key, &[made.layer.digest], &made)?;
        Ok(made.layer)
    }

    fn input_key(&self, input: &LockedInput) -> String {
        let ruleset = u32::from(self.ruleset);
        let files = input
            .files
            .iter()
            .map(|file| format!(" {}", file.file.sha256));
        format!(
            "recipe {RECIPE} ruleset {ruleset} files{}",
            files.collect::<String>()
        )
    }

    fn dsc<'i>(&self, input: &'i LockedInput) -> Result<Dsc<'i>, InputError> {
        let refuse = |source| InputError::Dsc {
            purl: input.purl.to_string(),
            source,
        };
        let file = dsc::find(&input.files).map_err(refuse)?;
        let bytes = read_small(self.store.blobs(), file.file.sha256, MAX_DSC);
        let bytes = bytes.map_err(|error| InputError::Unpack {
            file: file.name.clone(),
            source: io::Error::other(error),
        })?;
        Dsc::parse(&bytes, input).map_err(refuse)
    }

    fn unpack(&self, tree: &mut FlatTree, role: &Role, file: &LockedSourceFile) -> io::Result<()> {
        let blob = self.store.blobs().open(file.file.sha256);
        let mut blob = blob.map_err(io::Error::other)?;
        let codec = role.codec();
        let mut reader = LayerReader::new(codec.decode(&mut blob)?, LIMITS);
        match role {
            Role::Upstream(_) => {
                let mut top = None;
                let strip = |entry| strip_first(entry, &TreePath::root(), &mut top);
                tree.apply(&mut Mapped::new(&mut reader, strip))?;
            }
            Role::Component(name, _) => {
                let mut top = None;
                let below = path(name);
                let strip = |entry| strip_first(entry, &below, &mut top);
                tree.apply(&mut Mapped::new(&mut reader, strip))?;
            }
            Role::Debian(_) => {
                // The debian/ of upstream is not part of the package (dpkg-source(1)).
                let mut list = EntryList::default();
                list.whiteout(path("debian"));
                tree.apply(&mut list)?;
                tree.apply(&mut Mapped::new(&mut reader, only_debian))?;
            }
        }
        drop(reader);
        // The digest of the blob is checked at its end, which the tar may not reach.
        io::copy(&mut blob, &mut io::sink()).map(drop)
    }
}

impl Role {
    const fn codec(&self) -> Codec {
        match self {
            Self::Upstream(codec) | Self::Component(_, codec) | Self::Debian(codec) => *codec,
        }
    }
}

fn refuse(path: &TreePath, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {why}"))
}

/// Owned by root, and nothing that a source tree does not have.
fn plain(mut entry: Entry) -> io::Result<Entry> {
    match entry.kind {
        EntryKind::Directory
        | EntryKind::File { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::Hardlink { .. } => {}
        _ => {
            return Err(refuse(
                &entry.path,
                "a source package has files, directories and links",
            ));
        }
    }
    (entry.meta.uid, entry.meta.gid) = (0, 0);
    entry.meta.mode &= 0o777;
    entry.meta.xattrs.clear();
    Ok(entry)
}

/// Moves an entry from the one directory that all of a tar lies in to `below`.
fn strip_first(
    entry: Entry,
    below: &TreePath,
    top: &mut Option<Vec<u8>>,
) -> io::Result<Option<Entry>> {
    if entry.path.is_root() {
        return Ok(None);
    }
    let mut entry = plain(entry)?;
    let first = entry.path.names().next().unwrap_or_default();
    let known = top.get_or_insert_with(|| first.to_vec());
    let alone = entry.path.names().count() == 1;
    if known.as_slice() != first || (alone && entry.kind != EntryKind::Directory) {
        return Err(refuse(
            &entry.path,
            "not in the one directory that the tar begins with",
        ));
    }
    let moved = |path: &TreePath| -> io::Result<TreePath> {
        let rest = path.as_bytes().get(known.len()..).unwrap_or_default();
        let joined = [below.as_bytes(), rest].concat();
        TreePath::parse(&joined).map_err(|error| refuse(path, &error.to_string()))
    };
    let path = moved(&entry.path)?;
    if let EntryKind::Hardlink { target } = &mut entry.kind {
        if target.names().next() != Some(known.as_slice()) {
            return Err(refuse(&entry.path, "a link out of the tar"));
        }
        *target = moved(target)?;
    }
    entry.path = path;
    Ok(Some(entry))
}

fn only_debian(entry: Entry) -> io::Result<Option<Entry>> {
    if entry.path.is_root() {
        return Ok(None);
    }
    if !entry.path.starts_with(&path("debian")) {
        return Err(refuse(&entry.path, "not below debian/"));
    }
    plain(entry).map(Some)
}

#[cfg(test)]
mod tests {
    use repro_core::tree::Meta;

    use super::*;

    fn entry(at: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path(at),
            kind,
            meta: Meta {
                mode: 0o6755,
                uid: 1000,
                gid: 1000,
                ..Meta::default()
            },
        }
    }

    #[test]
    fn the_first_directory_goes() {
        let mut top = None;
        let mut strip = |at: &str, kind| strip_first(entry(at, kind), &TreePath::root(), &mut top);
        let dir = strip("zlib-1.2", EntryKind::Directory).unwrap().unwrap();
        assert!(dir.path.is_root());
        let file = EntryKind::File { size: 0 };
        let moved = strip("zlib-1.2/a/b", file.clone()).unwrap().unwrap();
        assert_eq!(moved.path, path("a/b"));
        assert_eq!((moved.meta.uid, moved.meta.mode), (0, 0o755));
        let link = EntryKind::Hardlink {
            target: path("zlib-1.2/a/b"),
        };
        let moved = strip("zlib-1.2/c", link).unwrap().unwrap();
        let target = path("a/b");
        assert_eq!(moved.kind, EntryKind::Hardlink { target });
        assert!(strip("other/a", file.clone()).is_err());
        assert!(strip("zlib-1.2", file).is_err());
        assert!(strip("zlib-1.2/x", EntryKind::Fifo).is_err());
        let out = EntryKind::Hardlink {
            target: path("etc/passwd"),
        };
        assert!(strip("zlib-1.2/d", out).is_err());
    }

    #[test]
    fn a_component_gets_a_directory_of_its_name() {
        let mut top = None;
        let file = entry("x-1/a", EntryKind::File { size: 0 });
        let moved = strip_first(file, &path("part"), &mut top).unwrap().unwrap();
        assert_eq!(moved.path, path("part/a"));
    }
}
