//! Layers as an executor keeps them on this machine: an engine's containers come and go, and what is
//! unpacked in them comes from here.
//!
//! ```text
//! engine/<chain>/{names,content,info.json}         a stored layer
//! runs/<invocation>/engine/<run>/<index>/{names,content}   what a step made
//! ```
//!
//! `content` has the contents of all files one after the other, `names` (postcard) the entries with
//! where theirs begins: a container that needs one file of a layer is not given the others.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use repro_core::{
    build::{ExecutorError, InvocationId, SnapshotInfo, SnapshotName},
    digest::ChainId,
    fs::sorted_names,
    tree::{Entry, EntrySink, EntrySource},
};
use serde::{Deserialize, Serialize};

use super::RunKey;

/// Directory of stored layers, and of those of an invocation in its directory.
pub(super) const ENGINE: &str = "engine";
const RUNS: &str = "runs";
const NAMES: &str = "names";
const CONTENT: &str = "content";
const INFO: &str = "info.json";
/// Beginning of a directory that is not whole.
const PARTIAL: &str = ".partial-";

/// An entry with where its content begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) entry: Entry,
    offset: u64,
}

/// A layer that was written whole.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) items: Vec<Item>,
    content: File,
}

impl Layer {
    /// The content of an item.
    pub(super) fn content(&self, item: &Item) -> Content<'_> {
        Content {
            file: &self.content,
            offset: item.offset,
            left: item.entry.content_size(),
        }
    }

    fn open(directory: &Path) -> io::Result<Self> {
        let names = fs::read(directory.join(NAMES))?;
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok(Self {
            items: postcard::from_bytes(&names).map_err(invalid)?,
            content: File::open(directory.join(CONTENT))?,
        })
    }
}

/// A part of a file. Several can be read side by side.
#[derive(Debug)]
pub(super) struct Content<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Gives the entries of a layer again.
#[derive(Debug)]
pub(super) struct LayerSource {
    layer: Arc<Layer>,
    next: usize,
}

impl LayerSource {
    pub(super) const fn new(layer: Arc<Layer>) -> Self {
        Self { layer, next: 0 }
    }
}

impl EntrySource for LayerSource {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Some(item) = self.layer.items.get(self.next) else {
            return Ok(false);
        };
        self.next += 1;
        take(&item.entry, &mut self.layer.content(item))?;
        Ok(true)
    }
}

/// Writes a layer, and hands it on if somebody else wants it too.
pub(super) struct LayerWriter<'a> {
    directory: PathBuf,
    items: Vec<Item>,
    content: File,
    at: u64,
    info: SnapshotInfo,
    also: Option<&'a mut dyn EntrySink>,
}

impl<'a> LayerWriter<'a> {
    fn new(directory: PathBuf, also: Option<&'a mut dyn EntrySink>) -> io::Result<Self> {
        let content = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(directory.join(CONTENT))?;
        Ok(Self {
            directory,
            items: Vec::new(),
            content,
            at: 0,
            info: SnapshotInfo::default(),
            also,
        })
    }

    /// Ends the layer; it can then be read.
    pub(super) fn finish(self) -> io::Result<(Layer, SnapshotInfo)> {
        let names = postcard::to_stdvec(&self.items).map_err(io::Error::other)?;
        fs::write(self.directory.join(NAMES), names)?;
        let layer = Layer {
            items: self.items,
            content: self.content,
        };
        Ok((layer, self.info))
    }
}

impl EntrySink for LayerWriter<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let size = entry.content_size();
        let copied = io::copy(&mut content.take(size), &mut self.content)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(also) = &mut self.also {
            let mut written = Content {
                file: &self.content,
                offset: self.at,
                left: size,
            };
            also.entry(entry, &mut written)?;
        }
        self.items.push(Item {
            entry: entry.clone(),
            offset: self.at,
        });
        self.at += size;
        self.info.entries += 1;
        self.info.bytes += size;
        self.info.newest_mtime = self.info.newest_mtime.max(entry.meta.mtime);
        Ok(())
    }
}

/// Where layers are, below the store's directory.
#[derive(Debug)]
pub(super) struct Layers {
    root: PathBuf,
}

impl Layers {
    /// Makes what is missing below `root`.
    pub(super) fn create(root: &Path) -> Result<Self, ExecutorError> {
        let layers = Self {
            root: root.to_owned(),
        };
        make(&layers.stored_root())?;
        Ok(layers)
    }

    fn stored_root(&self) -> PathBuf {
        self.root.join(ENGINE)
    }

    fn invocation(&self, invocation: &InvocationId) -> PathBuf {
        self.root
            .join(RUNS)
            .join(invocation.to_string())
            .join(ENGINE)
    }

    fn directory(&self, name: &SnapshotName) -> PathBuf {
        match name {
            SnapshotName::Stored(chain) => self.stored_root().join(chain.0.hex()),
            SnapshotName::Step {
                invocation,
                run,
                index,
            } => self
                .invocation(invocation)
                .join(run.to_string())
                .join(index.to_string()),
        }
    }

    /// Facts on a stored layer.
    pub(super) fn info(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        let path = self.directory(&SnapshotName::Stored(chain)).join(INFO);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path)(error)),
        };
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| unreadable(&path)(error.into()))
    }

    /// A layer that is there.
    pub(super) fn open(&self, name: &SnapshotName) -> Result<Arc<Layer>, ExecutorError> {
        let directory = self.directory(name);
        let layer = Layer::open(&directory).map_err(unreadable(&directory))?;
        Ok(Arc::new(layer))
    }

    /// Keeps a layer as `chain`, whole or not at all.
    pub(super) fn store(
        &self,
        chain: ChainId,
        layer: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError> {
        let root = self.stored_root();
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&root)
            .map_err(unwritable(&root))?;
        let failed = unwritable(partial.path());
        let mut writer = LayerWriter::new(partial.path().to_owned(), None)
            .map_err(unwritable(partial.path()))?;
        let mut unwritten = None;
        loop {
            let more = layer.next_entry(&mut |entry, content| {
                writer.entry(entry, content).inspect_err(|error| {
                    unwritten = Some(error.kind());
                })
            });
            match (more, unwritten) {
                (Ok(true), _) => {}
                (Ok(false), _) => break,
                (Err(error), Some(io::ErrorKind::StorageFull)) => return Err(failed(error)),
                (Err(error), _) => {
                    return Err(ExecutorError::Input {
                        what: "cannot read the layer to unpack".to_owned(),
                        source: Some(error),
                    });
                }
            }
        }
        let (layer, info) = writer.finish().map_err(unwritable(partial.path()))?;
        let json = serde_json::to_vec(&info).map_err(|error| failed(error.into()))?;
        let target = self.directory(&SnapshotName::Stored(chain));
        let kept = || -> io::Result<()> {
            layer.content.sync_all()?;
            for (name, bytes) in [(INFO, Some(&json)), (NAMES, None)] {
                let path = partial.path().join(name);
                if let Some(bytes) = bytes {
                    File::create(&path)?.write_all(bytes)?;
                }
                File::open(&path)?.sync_all()?;
            }
            match fs::rename(partial.path(), &target) {
                // Another process was faster with the same layer.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                renamed => renamed,
            }?;
            File::open(&root)?.sync_all()
        };
        kept().map_err(unwritable(&target))?;
        Ok(info)
    }

    /// A new layer of a step, which goes to `also` as well.
    pub(super) fn step<'a>(
        &self,
        name: &SnapshotName,
        also: &'a mut dyn EntrySink,
    ) -> Result<LayerWriter<'a>, ExecutorError> {
        let directory = self.directory(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(unwritable(&directory))?;
        LayerWriter::new(directory.clone(), Some(also)).map_err(unwritable(&directory))
    }

    fn cache_directory(&self, (invocation, run): &RunKey, key: &str) -> PathBuf {
        let run = self.invocation(invocation).join(run.to_string());
        run.join(format!("cache-{key}"))
    }

    /// What a step of the run left in a cache, if one had it.
    pub(super) fn cache(
        &self,
        run: &RunKey,
        key: &str,
    ) -> Result<Option<Arc<Layer>>, ExecutorError> {
        let directory = self.cache_directory(run, key);
        match Layer::open(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            layer => layer
                .map(|layer| Some(Arc::new(layer)))
                .map_err(unreadable(&directory)),
        }
    }

    /// Keeps what a step left in a cache, in place of what was there. No other step of the run has it
    /// meanwhile.
    pub(super) fn keep_cache(
        &self,
        run: &RunKey,
        key: &str,
        entries: &mut dyn EntrySource,
    ) -> io::Result<()> {
        let directory = self.cache_directory(run, key);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        let mut writer = LayerWriter::new(directory, None)?;
        while entries.next_entry(&mut |entry, content| writer.entry(entry, content))? {}
        writer.finish().map(drop)
    }

    /// Removes what steps of an invocation made.
    pub(super) fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        let directory = self.invocation(invocation);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unwritable(&directory)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes every stored layer whose chain `is_kept` does not want, and what was left unfinished.
    pub(super) fn retain(&self, is_kept: &dyn Fn(&str) -> bool) -> Result<u64, ExecutorError> {
        let root = self.stored_root();
        let mut removed = 0;
        for name in sorted_names(&root).map_err(unreadable(&root))? {
            // All names there are this program's own.
            let name = name.to_string_lossy();
            if name != super::store_id::FILE && !is_kept(&name) {
                let path = root.join(name.as_ref());
                fs::remove_dir_all(&path).map_err(unwritable(&path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn make(path: &Path) -> Result<(), ExecutorError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unwritable(path)(error)),
        _ => Ok(()),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> ExecutorError {
    let what = format!("cannot read {}", path.display());
    move |source| ExecutorError::Input {
        what: what.clone(),
        source: Some(source),
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> ExecutorError {
    let what = format!("cannot write {}", path.display());
    move |source| ExecutorError::Exhausted {
        what: what.clone(),
        source: Some(source),
    }
}
