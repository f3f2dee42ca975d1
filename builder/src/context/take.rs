//! Takes the filtered context into the store, once.
//!
//! Both runs, a rebuild and the provenance use the tree that is read here, by its digest. The
//! tree is a canonical tar whose owners are 0:0 and whose times are 0: a copy of the context
//! with other times, another inode order or another place has the same digest (rule 2 gives
//! each copied entry its time).

use std::{
    collections::{BTreeMap, btree_map},
    ffi::OsStr,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use repro_core::{
    build::{ContextModes, Finding},
    digest::{DiffId, HashingWriter},
    event::{Event, EventSink, Unit, counted},
    layer::{BuildLayerError, LayerBuilder, LayerWriter, StoredLayer},
    ruleset::Ruleset,
    store::BlobStore,
    tree::{Entry, EntryKind, EntrySink, Meta, TreePath, TreePathError, WireError},
};
use rustix::fs::{Mode, OFlags};

use repro_core::tree::{IgnoreFile, Ignored};

/// Why the context cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The context is no directory.
    #[error("the context {0} is not a directory")]
    NotDirectory(PathBuf),
    /// A file or directory cannot be read.
    #[error("cannot read {path} of the context")]
    Read {
        /// Relative to the context.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file changed while it was read, or before all was read.
    #[error("{path} of the context changed while it was read")]
    Changed {
        /// Relative to the context.
        path: String,
    },
    /// A device node.
    #[error("{path} of the context is a device node, which no sandbox without root can make")]
    Device {
        /// Relative to the context.
        path: String,
    },
    /// A path that no layer can hold.
    #[error("a path of the context does not fit a layer")]
    Path(#[from] TreePathError),
    /// An entry cannot be written to the store.
    #[error("cannot keep {path} of the context")]
    Write {
        /// Relative to the context.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It comes as an archive, which cannot be read.
    #[error("cannot read the archive that is the context")]
    Archive(#[source] io::Error),
    /// The tree cannot be kept.
    #[error("cannot keep the context")]
    Layer(#[from] BuildLayerError),
}

/// What to take, and what not.
#[derive(Debug)]
pub struct ContextSpec<'a> {
    /// The directory.
    pub root: &'a Path,
    /// `.dockerignore`.
    pub ignore: &'a IgnoreFile,
    /// Paths that are never part of it, such as the evidence directory.
    pub exclude: &'a [PathBuf],
    /// Whether permission bits and hard links are kept.
    pub modes: ContextModes,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
}

/// A context that was taken.
#[derive(Debug, Clone)]
pub struct Context {
    /// The tree as a layer; `None` for a context without entries.
    pub layer: Option<StoredLayer>,
    /// Digest of the tree's canonical tar, also of one without entries.
    pub digest: DiffId,
    /// Every path of it and whether it is a directory.
    pub paths: BTreeMap<TreePath, ContextKind>,
    /// Paths that the ignore file left out and that are named when a `COPY` misses them. Only the
    /// topmost of an ignored directory.
    pub ignored: Vec<TreePath>,
    /// What the user should know.
    pub findings: Vec<Finding>,
}

/// What a path of the context is, as far as `COPY` cares before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    File,
}

const TASK: &str = "context";
/// Events for every so many entries: often enough to see movement, seldom enough to cost nothing.
const REPORT_EVERY: u64 = 256;

/// Reads the context into `blobs`.
pub fn take(
    spec: &ContextSpec<'_>,
    blobs: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Context, ContextError> {
    if !spec.root.is_dir() {
        return Err(ContextError::NotDirectory(spec.root.to_owned()));
    }
    events.event(Event::TaskStarted {
        id: TASK.into(),
        title: "reading the context".into(),
        total: None,
        unit: Unit::Items,
    });
    let mut taking = Taking {
        spec,
        layer: LayerBuilder::new(blobs, spec.ruleset),
        context: Context {
            layer: None,
            digest: without_entries(spec.ruleset)?,
            paths: BTreeMap::new(),
            ignored: Vec::new(),
            findings: Vec::new(),
        },
        stamps: Vec::new(),
        links: BTreeMap::new(),
        bytes: 0,
    };
    taking.walk(events)?;
    taking.check_again()?;
    let Taking {
        layer,
        mut context,
        bytes,
        ..
    } = taking;
    context.layer = layer.finish()?;
    if let Some(layer) = &context.layer {
        context.digest = layer.diff_id;
    }
    events.event(Event::TaskFinished {
        id: TASK.into(),
        summary: format!(
            "{}, {}",
            counted(context.paths.len() as u64, "entry", "entries"),
            counted(bytes, "byte", "bytes")
        ),
    });
    Ok(context)
}

/// Digest of the tar that says "no entries". Provenance names what a step copied from, and an
/// empty context is a context.
pub(super) fn without_entries(ruleset: Ruleset) -> Result<DiffId, ContextError> {
    let tar = LayerWriter::new(HashingWriter::new(io::sink()), ruleset);
    let hashed = tar.finish().map_err(BuildLayerError::Write)?;
    Ok(DiffId(hashed.finish().0))
}

/// What tells one state of a file from another: inode, size, and both times to the nanosecond.
#[derive(PartialEq, Eq)]
struct Stamp([i64; 4], [u64; 3]);

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self(
            [
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ],
            [meta.ino(), meta.dev(), meta.size()],
        )
    }
}

struct Taking<'a> {
    spec: &'a ContextSpec<'a>,
    layer: LayerBuilder<'a>,
    context: Context,
    stamps: Vec<(PathBuf, Stamp)>,
    /// The first name of each file that has several, by device and inode.
    links: BTreeMap<(u64, u64), TreePath>,
    bytes: u64,
}

impl Taking<'_> {
    fn walk(&mut self, events: &dyn EventSink) -> Result<(), ContextError> {
        // Sorted by bytes: the walk is then in canonical order, and the order in which the file
        // system lists names never shows.
        let mut walker = walkdir::WalkDir::new(self.spec.root)
            .follow_links(false)
            .min_depth(1)
            .sort_by(|a, b| a.file_name().as_bytes().cmp(b.file_name().as_bytes()))
            .into_iter();
        let root = self.spec.root.symlink_metadata();
        let root = root.map_err(|source| ContextError::Read {
            path: ".".into(),
            source,
        })?;
        if root.is_dir() {
            self.stamps
                .push((self.spec.root.to_owned(), Stamp::of(&root)));
        }
        let mut seen = 0_u64;
        // What each directory on the way down matched; the first is the root.
        let mut matched = vec![self.spec.ignore.root()];
        while let Some(entry) = walker.next() {
            let entry = entry.map_err(|error| self.walk_error(error))?;
            let path = self.tree_path(entry.path())?;
            let is_dir = entry.file_type().is_dir();
            if self
                .spec
                .exclude
                .iter()
                .any(|excluded| excluded == entry.path())
            {
                if is_dir {
                    walker.skip_current_dir();
                }
                continue;
            }
            matched.truncate(entry.depth());
            let (ignored, below) =
                self.spec
                    .ignore
                    .descend(&matched[entry.depth() - 1], &path, is_dir);
            matched.push(below);
            match ignored {
                Ignored::No => self.take(entry.path(), path)?,
                Ignored::Prune => {
                    self.context.ignored.push(path);
                    if is_dir {
                        walker.skip_current_dir();
                    }
                }
                // A later `!` rule may bring back something below, and then its parents too.
                Ignored::Descend => self.context.ignored.push(path),
            }
            seen += 1;
            if seen.is_multiple_of(REPORT_EVERY) {
                events.event(Event::TaskAdvanced {
                    id: TASK.into(),
                    done: seen,
                });
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, tree_path: TreePath) -> Result<(), ContextError> {
        self.take_parents(path, &tree_path)?;
        let read_error = |source| ContextError::Read {
            path: tree_path.to_string(),
            source,
        };
        let meta = path.symlink_metadata().map_err(read_error)?;
        let kind = meta.file_type();
        let entry_kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path).map_err(read_error)?;
            EntryKind::Symlink {
                target: target.as_os_str().as_bytes().to_vec(),
            }
        } else if kind.is_file() {
            return self.take_file(path, &tree_path);
        } else if kind.is_fifo() {
            EntryKind::Fifo
        } else if kind.is_socket() {
            self.context.findings.push(Finding {
                code: "context-socket".into(),
                message: format!("{tree_path} of the context is a socket and is left out"),
                line: None,
            });
            return Ok(());
        } else {
            return Err(ContextError::Device {
                path: tree_path.to_string(),
            });
        };
        self.stamps.push((path.to_owned(), Stamp::of(&meta)));
        self.put(tree_path, entry_kind, &meta, &mut io::empty())
    }

    /// Directories that an ignore rule hid but that something below brought back.
    fn take_parents(&mut self, path: &Path, tree_path: &TreePath) -> Result<(), ContextError> {
        match (path.parent(), tree_path.parent()) {
            (Some(path), Some(tree_path))
                if !tree_path.is_root() && !self.context.paths.contains_key(&tree_path) =>
            {
                self.take(path, tree_path)
            }
            _ => Ok(()),
        }
    }

    fn take_file(&mut self, path: &Path, tree_path: &TreePath) -> Result<(), ContextError> {
        let read_error = |source| ContextError::Read {
            path: tree_path.to_string(),
            source,
        };
        // No-follow and non-blocking: a name that was swapped for a link or a pipe since it was
        // listed is an error, not a file of somewhere else and not a hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| read_error(errno.into()))?;
        let before = file.metadata().map_err(read_error)?;
        if !before.is_file() {
            return Err(ContextError::Changed {
                path: tree_path.to_string(),
            });
        }
        let stamp = Stamp::of(&before);
        if let Some(target) = self.first_name(&before, tree_path) {
            self.stamps.push((path.to_owned(), stamp));
            let kind = EntryKind::Hardlink { target };
            return self.put(tree_path.clone(), kind, &before, &mut io::empty());
        }
        let mut content = ExactFile {
            file: &file,
            left: before.len(),
        };
        let size = before.len();
        match self.put(
            tree_path.clone(),
            EntryKind::File { size },
            &before,
            &mut content,
        ) {
            Err(ContextError::Write { path, source }) if is_content_size(&source) => {
                return Err(ContextError::Changed { path });
            }
            other => other?,
        }
        let after = file.metadata().map_err(read_error)?;
        if Stamp::of(&after) != stamp {
            return Err(ContextError::Changed {
                path: tree_path.to_string(),
            });
        }
        self.bytes += size;
        self.stamps.push((path.to_owned(), stamp));
        Ok(())
    }

    /// The name under which a file of several names was taken already. Git knows no such names,
    /// so a context that is to be what git keeps has none.
    fn first_name(&mut self, meta: &Metadata, path: &TreePath) -> Option<TreePath> {
        if meta.nlink() < 2 || self.spec.modes == ContextModes::Git {
            return None;
        }
        match self.links.entry((meta.dev(), meta.ino())) {
            btree_map::Entry::Occupied(first) => Some(first.get().clone()),
            btree_map::Entry::Vacant(place) => {
                place.insert(path.clone());
                None
            }
        }
    }

    fn put(
        &mut self,
        path: TreePath,
        kind: EntryKind,
        meta: &Metadata,
        content: &mut dyn Read,
    ) -> Result<(), ContextError> {
        let context_kind = match kind {
            EntryKind::Directory => ContextKind::Directory,
            EntryKind::Symlink { .. } => ContextKind::Link,
            _ => ContextKind::File,
        };
        let mode = self.mode(&kind, meta);
        let entry = Entry {
            path: path.clone(),
            kind,
            meta: Meta {
                mode,
                uid: 0,
                gid: 0,
                mtime: 0,
                xattrs: BTreeMap::new(),
            },
        };
        self.layer
            .entry(&entry, content)
            .map_err(|source| ContextError::Write {
                path: path.to_string(),
                source,
            })?;
        self.context.paths.insert(path, context_kind);
        Ok(())
    }

    fn mode(&self, kind: &EntryKind, meta: &Metadata) -> u16 {
        let mode = u16::try_from(meta.mode() & 0o7777).unwrap_or(0o7777);
        context_mode(self.spec.modes, kind, mode)
    }

    /// Looks at every file and directory once more: one that changed after it was read, or a name
    /// that came or went, would make a tree that never existed.
    fn check_again(&self) -> Result<(), ContextError> {
        for (path, stamp) in &self.stamps {
            let same = path
                .symlink_metadata()
                .is_ok_and(|meta| Stamp::of(&meta) == *stamp);
            if !same {
                return Err(ContextError::Changed {
                    path: self.tree_path(path)?.to_string(),
                });
            }
        }
        Ok(())
    }

    fn tree_path(&self, path: &Path) -> Result<TreePath, ContextError> {
        let relative: &OsStr = path
            .strip_prefix(self.spec.root)
            .unwrap_or(path)
            .as_os_str();
        Ok(TreePath::parse(relative.as_bytes())?)
    }

    fn walk_error(&self, error: walkdir::Error) -> ContextError {
        let path = error.path().and_then(|path| self.tree_path(path).ok());
        ContextError::Read {
            path: path.unwrap_or_default().to_string(),
            source: error
                .into_io_error()
                .unwrap_or_else(|| io::Error::other("a loop of links")),
        }
    }
}

/// What becomes of permission bits.
pub(super) const fn context_mode(modes: ContextModes, kind: &EntryKind, mode: u16) -> u16 {
    match (modes, kind) {
        // The mode of a link means nothing, and some file systems report it differently.
        (_, EntryKind::Symlink { .. }) => 0o777,
        (ContextModes::Keep, _) => mode,
        (ContextModes::Git, EntryKind::Directory) => 0o755,
        (ContextModes::Git, _) if mode & 0o100 != 0 => 0o755,
        (ContextModes::Git, _) => 0o644,
    }
}

/// Whether a file turned out shorter or longer than it was when it was opened.
fn is_content_size(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<WireError>());
    matches!(inner, Some(WireError::ContentSize { .. }))
}

/// Reads a file to its end but never beyond one byte more than it had: a file that grows as fast
/// as it is read must not be read for ever.
struct ExactFile<'a> {
    file: &'a File,
    left: u64,
}

impl Read for ExactFile<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let most = most.min(buf.len());
        let read = (&mut &*self.file).read(&mut buf[..most])?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
