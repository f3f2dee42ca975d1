//! Layers put on top of each other as one tree, and foreign tars put in canonical order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    ops::Bound,
    path::Path,
};

use crate::tree::{Entry, EntryKind, EntrySink, EntrySource, Meta, TreePath};

/// Mode of a directory that an archive leaves out though something lies in it: what every
/// unpacker makes. Owned by root, and dated 1970, since nobody gave it a time.
const IMPLIED_MODE: u16 = 0o755;

/// Why layers do not make a tree. Wrapped in [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// Something lies below an entry that is no directory. Engines disagree on whether a link
    /// there is followed or replaced.
    #[error("{path} lies below {parent}, which is not a directory")]
    ParentNotDirectory {
        /// The entry.
        path: String,
        /// What it lies below.
        parent: String,
    },
    /// A hard link to something that is not there, or to a directory.
    #[error("{path} is a hard link to {target}, which is no file of the tree")]
    LinkTarget {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A whiteout for something above all layers.
    #[error("the root of the tree cannot be removed")]
    Root,
}

impl From<FlattenError> for io::Error {
    fn from(error: FlattenError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// What several names can share.
#[derive(Debug)]
struct Node {
    kind: EntryKind,
    meta: Meta,
    /// Where the content lies in the spool.
    offset: u64,
}

/// Takes a name of a tree: the entry, the first name of its file if that is another, and the content.
pub type TakeName<'a> = dyn FnMut(&Entry, Option<&TreePath>, &mut dyn Read) -> io::Result<()> + 'a;

/// A layer while it is read: what it has and what it hides.
#[derive(Default)]
struct Upper {
    paths: BTreeMap<TreePath, usize>,
    removed: BTreeSet<TreePath>,
    emptied: BTreeSet<TreePath>,
}

/// Removes everything below `path`, itself not included.
fn remove_below(paths: &mut BTreeMap<TreePath, usize>, path: &TreePath) {
    let below = paths.range((Bound::Excluded(path.clone()), Bound::Unbounded));
    let below = below.map(|(found, _)| found);
    let below: Vec<_> = below
        .take_while(|found| found.starts_with(path))
        .cloned()
        .collect();
    for found in below {
        paths.remove(&found);
    }
}

/// One tree made of layers, lowest first. Metadata is held in memory, content in one unnamed
/// temporary file, since the order of a tar is not that of the result.
#[derive(Debug)]
pub struct FlatTree {
    /// By path in canonical order; the number is an index into `nodes`.
    paths: BTreeMap<TreePath, usize>,
    nodes: Vec<Node>,
    spool: File,
    spooled: u64,
}

impl FlatTree {
    /// An empty tree that spools to the directory `tmp`.
    pub fn new(tmp: &Path) -> io::Result<Self> {
        Ok(Self {
            paths: BTreeMap::new(),
            nodes: Vec::new(),
            spool: tempfile::tempfile_in(tmp)?,
            spooled: 0,
        })
    }

    /// Puts a layer on top. Whiteouts hide what lower layers have, whatever their place in the
    /// tar (image-spec, "Whiteouts").
    pub fn apply(&mut self, layer: &mut dyn EntrySource) -> io::Result<()> {
        let mut upper = Upper::default();
        while layer.next_entry(&mut |entry, content| self.take(entry, content, &mut upper))? {}
        self.merge(upper)
    }

    fn take(&mut self, entry: &Entry, content: &mut dyn Read, upper: &mut Upper) -> io::Result<()> {
        let path = &entry.path;
        let node = match &entry.kind {
            EntryKind::Whiteout if path.is_root() => return Err(FlattenError::Root.into()),
            EntryKind::Whiteout => {
                upper.removed.insert(path.clone());
                return Ok(());
            }
            EntryKind::OpaqueWhiteout => {
                upper.emptied.insert(path.clone());
                return Ok(());
            }
            EntryKind::Hardlink { target } => {
                let found = upper.paths.get(target).or_else(|| self.paths.get(target));
                let found = found.copied().filter(|node| !self.is_directory(*node));
                found.ok_or_else(|| FlattenError::LinkTarget {
                    path: path.to_string(),
                    target: target.to_string(),
                })?
            }
            kind => {
                let offset = self.spooled;
                if let EntryKind::File { size } = kind {
                    let copied = io::copy(&mut content.take(*size), &mut self.spool)?;
                    if copied != *size {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.spooled += copied;
                }
                self.push(Node {
                    kind: kind.clone(),
                    meta: entry.meta.clone(),
                    offset,
                })
            }
        };
        self.check_parents(&upper.paths, path)?;
        if !self.is_directory(node) {
            remove_below(&mut upper.paths, path);
        }
        upper.paths.insert(path.clone(), node);
        Ok(())
    }

    fn merge(&mut self, upper: Upper) -> io::Result<()> {
        for path in &upper.removed {
            remove_below(&mut self.paths, path);
            self.paths.remove(path);
        }
        for path in &upper.emptied {
            remove_below(&mut self.paths, path);
        }
        for (path, node) in upper.paths {
            for dir in self.check_parents(&self.paths, &path)? {
                let implied = self.push(Node {
                    kind: EntryKind::Directory,
                    meta: Meta {
                        mode: IMPLIED_MODE,
                        ..Meta::default()
                    },
                    offset: 0,
                });
                self.paths.insert(dir, implied);
            }
            if !self.is_directory(node) {
                remove_below(&mut self.paths, &path);
            }
            self.paths.insert(path, node);
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn is_directory(&self, node: usize) -> bool {
        self.nodes[node].kind == EntryKind::Directory
    }

    /// The parents of `path` that `paths` lacks, up to the nearest that it has, which must be a
    /// directory. The root is not counted.
    fn check_parents(
        &self,
        paths: &BTreeMap<TreePath, usize>,
        path: &TreePath,
    ) -> Result<Vec<TreePath>, FlattenError> {
        let mut missing = Vec::new();
        let mut parent = path.parent();
        while let Some(dir) = parent.filter(|dir| !dir.is_root()) {
            match paths.get(&dir) {
                Some(node) if self.is_directory(*node) => break,
                Some(_) => {
                    return Err(FlattenError::ParentNotDirectory {
                        path: path.to_string(),
                        parent: dir.to_string(),
                    });
                }
                None => {
                    parent = dir.parent();
                    missing.push(dir);
                }
            }
        }
        Ok(missing)
    }

    /// Newest time of any entry, in seconds since 1970.
    #[must_use]
    pub fn newest_mtime(&self) -> u64 {
        let times = self.paths.values().map(|node| self.nodes[*node].meta.mtime);
        times.max().unwrap_or(0)
    }

    /// Gives the whole tree in canonical order. Of the names that share a file the first is the
    /// file, the others are links to it (rule 7).
    pub fn write_to(&mut self, sink: &mut dyn EntrySink) -> io::Result<()> {
        self.write_names_to(&mut |entry, first, content| match first {
            None => sink.entry(entry, content),
            Some(first) => {
                let link = Entry {
                    path: entry.path.clone(),
                    kind: EntryKind::Hardlink {
                        target: first.clone(),
                    },
                    meta: entry.meta.clone(),
                };
                sink.entry(&link, &mut io::empty())
            }
        })
    }

    /// As [`FlatTree::write_to`] for those who leave names out: every name comes with the whole
    /// file, and with the first name of that file if it is another one.
    pub fn write_names_to(&mut self, take: &mut TakeName<'_>) -> io::Result<()> {
        self.spool.flush()?;
        let mut first: BTreeMap<usize, &TreePath> = BTreeMap::new();
        for (path, number) in &self.paths {
            let node = &self.nodes[*number];
            let shared = first.get(number).copied();
            first.entry(*number).or_insert(path);
            let entry = Entry {
                path: path.clone(),
                kind: node.kind.clone(),
                meta: node.meta.clone(),
            };
            if entry.content_size() == 0 {
                take(&entry, shared, &mut io::empty())?;
            } else {
                self.spool.seek(SeekFrom::Start(node.offset))?;
                let mut content = (&self.spool).take(entry.content_size());
                take(&entry, shared, &mut content)?;
            }
        }
        Ok(())
    }
}
