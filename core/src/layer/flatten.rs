//! Layers put on top of each other as one tree, and foreign tars put in canonical order.

use std::{
    collections::BTreeMap,
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
        // Nodes below this number are of lower layers.
        let lower = self.nodes.len();
        while layer.next_entry(&mut |entry, content| self.take(entry, content, lower))? {}
        Ok(())
    }

    fn take(&mut self, entry: &Entry, content: &mut dyn Read, lower: usize) -> io::Result<()> {
        match &entry.kind {
            EntryKind::Whiteout => {
                if entry.path.is_root() {
                    return Err(FlattenError::Root.into());
                }
                self.hide_below(&entry.path, lower);
                if self
                    .paths
                    .get(&entry.path)
                    .is_some_and(|node| *node < lower)
                {
                    // A directory that this layer has filled again stays, as a new one.
                    self.paths.remove(&entry.path);
                    self.imply_parents_of_children(&entry.path);
                }
                return Ok(());
            }
            EntryKind::OpaqueWhiteout => {
                self.hide_below(&entry.path, lower);
                return Ok(());
            }
            _ => {}
        }
        self.make_parents(&entry.path)?;
        if entry.kind != EntryKind::Directory {
            self.remove_below(&entry.path);
        }
        let node = match &entry.kind {
            EntryKind::Hardlink { target } => {
                let found = self.paths.get(target).copied();
                let found = found.filter(|node| self.nodes[*node].kind != EntryKind::Directory);
                found.ok_or_else(|| FlattenError::LinkTarget {
                    path: entry.path.to_string(),
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
        self.paths.insert(entry.path.clone(), node);
        Ok(())
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Everything below `path`, itself not included.
    fn below(&self, path: &TreePath) -> Vec<(TreePath, usize)> {
        self.paths
            .range((Bound::Excluded(path.clone()), Bound::Unbounded))
            .take_while(|(found, _)| found.starts_with(path))
            .map(|(found, node)| (found.clone(), *node))
            .collect()
    }

    fn hide_below(&mut self, path: &TreePath, lower: usize) {
        for (found, node) in self.below(path) {
            if node < lower {
                self.paths.remove(&found);
            }
        }
        self.imply_parents_of_children(path);
    }

    fn remove_below(&mut self, path: &TreePath) {
        for (found, _) in self.below(path) {
            self.paths.remove(&found);
        }
    }

    /// Directories of lower layers that were hidden, though this layer has put something in them
    /// before the whiteout came.
    fn imply_parents_of_children(&mut self, path: &TreePath) {
        for (found, _) in self.below(path) {
            let mut parent = found.parent();
            while let Some(dir) = parent.filter(|dir| !dir.is_root()) {
                if !self.paths.contains_key(&dir) {
                    self.imply(dir.clone());
                }
                parent = dir.parent();
            }
        }
    }

    fn make_parents(&mut self, path: &TreePath) -> Result<(), FlattenError> {
        let mut missing = Vec::new();
        let mut parent = path.parent();
        while let Some(dir) = parent {
            match self.paths.get(&dir) {
                Some(node) if self.nodes[*node].kind == EntryKind::Directory => break,
                Some(_) => {
                    return Err(FlattenError::ParentNotDirectory {
                        path: path.to_string(),
                        parent: dir.to_string(),
                    });
                }
                None if dir.is_root() => break,
                None => {
                    parent = dir.parent();
                    missing.push(dir);
                }
            }
        }
        for dir in missing {
            self.imply(dir);
        }
        Ok(())
    }

    fn imply(&mut self, dir: TreePath) {
        let node = self.push(Node {
            kind: EntryKind::Directory,
            meta: Meta {
                mode: IMPLIED_MODE,
                ..Meta::default()
            },
            offset: 0,
        });
        self.paths.insert(dir, node);
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
        self.spool.flush()?;
        let mut first: BTreeMap<usize, &TreePath> = BTreeMap::new();
        for (path, number) in &self.paths {
            let node = &self.nodes[*number];
            let shared = first.get(number).copied();
            let kind = match shared {
                Some(target) => EntryKind::Hardlink {
                    target: target.clone(),
                },
                None => node.kind.clone(),
            };
            first.entry(*number).or_insert(path);
            let entry = Entry {
                path: path.clone(),
                kind,
                meta: node.meta.clone(),
            };
            if entry.content_size() == 0 {
                sink.entry(&entry, &mut io::empty())?;
            } else {
                self.spool.seek(SeekFrom::Start(node.offset))?;
                let mut content = (&self.spool).take(entry.content_size());
                sink.entry(&entry, &mut content)?;
            }
        }
        Ok(())
    }
}
