//! Takes a context that comes as a tar. The tree that is kept is the one that the same files in a
//! directory give, so that its digest does not depend on the way.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use repro_core::{
    build::ContextModes,
    event::{Event, EventSink, Unit, counted},
    layer::{FlatTree, LayerBuilder, LayerReader, Limits},
    ruleset::Ruleset,
    store::BlobStore,
    tree::{
        Entry, EntryKind, EntrySink as _, EntrySource, IgnoreFile, Ignored, Matched, Meta, TreePath,
    },
};

use super::take::{Context, ContextError, ContextKind, context_mode, without_entries};

/// What to take, and what not.
#[derive(Debug)]
pub struct ArchiveSpec<'a> {
    /// A plain tar.
    pub file: &'a Path,
    /// A directory for what does not fit in memory.
    pub tmp: &'a Path,
    /// `.dockerignore`.
    pub ignore: &'a IgnoreFile,
    /// Whether permission bits are kept.
    pub modes: ContextModes,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
}

const TASK: &str = "context";

/// Reads the context into `blobs`.
pub fn take_archive(
    spec: &ArchiveSpec<'_>,
    blobs: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Context, ContextError> {
    events.event(Event::TaskStarted {
        id: TASK.into(),
        title: "reading the context".into(),
        total: None,
        unit: Unit::Items,
    });
    let file = File::open(spec.file).map_err(ContextError::Archive)?;
    let tar = BufReader::with_capacity(256 << 10, file);
    let mut entries = FilesOnly(LayerReader::new(tar, Limits::default()));
    let mut tree = FlatTree::new(spec.tmp).map_err(ContextError::Archive)?;
    tree.apply(&mut entries).map_err(ContextError::Archive)?;
    let mut taking = Taking {
        spec,
        layer: LayerBuilder::new(blobs, spec.ruleset),
        above: vec![Directory {
            matched: spec.ignore.root(),
            hidden: None,
        }],
        pruned: None,
        links: BTreeMap::new(),
        paths: BTreeMap::new(),
        ignored: Vec::new(),
        bytes: 0,
        fault: None,
    };
    let written =
        tree.write_names_to(&mut |entry, first, content| taking.name(entry, first, content));
    if let Err(source) = written {
        return Err(taking.fault.unwrap_or(ContextError::Archive(source)));
    }
    let Taking {
        layer,
        paths,
        ignored,
        bytes,
        ..
    } = taking;
    let layer = layer.finish()?;
    let digest = match &layer {
        Some(layer) => layer.diff_id,
        None => without_entries(spec.ruleset)?,
    };
    events.event(Event::TaskFinished {
        id: TASK.into(),
        summary: format!(
            "{}, {}",
            counted(paths.len() as u64, "entry", "entries"),
            counted(bytes, "byte", "bytes")
        ),
    });
    Ok(Context {
        layer,
        digest,
        paths,
        ignored,
        findings: Vec::new(),
    })
}

/// The name of a file that a layer would take for the removal of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of {0} begins with .wh., which no layer can hold")]
struct WhiteoutName(TreePath);

/// An archive of files: nothing is below it that it could remove.
struct FilesOnly<S>(S);

impl<S: EntrySource> EntrySource for FilesOnly<S> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.0.next_entry(&mut |entry, content| match entry.kind {
            EntryKind::Whiteout | EntryKind::OpaqueWhiteout => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                WhiteoutName(entry.path.clone()),
            )),
            _ => take(entry, content),
        })
    }
}

/// A directory on the way to an entry.
struct Directory {
    matched: Matched,
    /// The directory itself, where a rule leaves it out and something below may bring it back.
    hidden: Option<Entry>,
}

struct Taking<'a> {
    spec: &'a ArchiveSpec<'a>,
    layer: LayerBuilder<'a>,
    /// From the root down to the parent of the entry.
    above: Vec<Directory>,
    /// A directory that is left out with everything in it.
    pruned: Option<TreePath>,
    /// By the first name of a file in the archive, the first one that is taken.
    links: BTreeMap<TreePath, TreePath>,
    paths: BTreeMap<TreePath, ContextKind>,
    ignored: Vec<TreePath>,
    bytes: u64,
    /// What an [`io::Error`] cannot say.
    fault: Option<ContextError>,
}

impl Taking<'_> {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let kind = match entry.kind {
            EntryKind::Directory => ContextKind::Directory,
            EntryKind::Symlink { .. } => ContextKind::Link,
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
                let path = entry.path.to_string();
                self.fault = Some(ContextError::Device { path });
                return Err(io::ErrorKind::Unsupported.into());
            }
            _ => ContextKind::File,
        };
        let own = Entry {
            path: entry.path.clone(),
            kind: entry.kind.clone(),
            meta: Meta {
                mode: context_mode(self.spec.modes, &entry.kind, entry.meta.mode),
                ..Meta::default()
            },
        };
        self.layer.entry(&own, content).map_err(|source| {
            let kind = source.kind();
            self.fault = Some(ContextError::Write {
                path: entry.path.to_string(),
                source,
            });
            io::Error::from(kind)
        })?;
        self.bytes += own.content_size();
        self.paths.insert(own.path, kind);
        Ok(())
    }

    /// A file that was taken under another name is one file with two, as in a directory; git knows
    /// no such names.
    fn put_name(
        &mut self,
        entry: &Entry,
        first: Option<&TreePath>,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        if self.spec.modes == ContextModes::Keep && matches!(entry.kind, EntryKind::File { .. }) {
            let file = first.unwrap_or(&entry.path);
            if let Some(target) = self.links.get(file) {
                let link = Entry {
                    kind: EntryKind::Hardlink {
                        target: target.clone(),
                    },
                    ..entry.clone()
                };
                return self.put(&link, &mut io::empty());
            }
            self.links.insert(file.clone(), entry.path.clone());
        }
        self.put(entry, content)
    }

    fn name(
        &mut self,
        entry: &Entry,
        first: Option<&TreePath>,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let path = &entry.path;
        if path.is_root()
            || self
                .pruned
                .as_ref()
                .is_some_and(|dir| path.starts_with(dir))
        {
            // The content is left for the tree to pass over.
            return Ok(());
        }
        let is_dir = entry.kind == EntryKind::Directory;
        self.above.truncate(path.names().count());
        let parent = self.above.last().map(|directory| &directory.matched);
        let root = self.spec.ignore.root();
        let (ignored, matched) = self
            .spec
            .ignore
            .descend(parent.unwrap_or(&root), path, is_dir);
        let mut hidden = None;
        match ignored {
            Ignored::No => {
                let brought_back: Vec<Entry> = self
                    .above
                    .iter_mut()
                    .filter_map(|directory| directory.hidden.take())
                    .collect();
                for directory in brought_back {
                    self.put(&directory, &mut io::empty())?;
                }
                self.put_name(entry, first, content)?;
            }
            Ignored::Prune => {
                self.ignored.push(path.clone());
                self.pruned = is_dir.then(|| path.clone());
            }
            Ignored::Descend => {
                self.ignored.push(path.clone());
                hidden = Some(entry.clone());
            }
        }
        if is_dir {
            self.above.push(Directory { matched, hidden });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use repro_core::{event::NoEvents, store::MemoryBlobs};

    use super::*;
    use crate::context::{ContextSpec, take};

    fn tar(dir: &Path, arguments: &[&str]) -> std::path::PathBuf {
        let file = dir.with_extension("tar");
        let status = Command::new("tar")
            .arg("-cf")
            .arg(&file)
            .arg("-C")
            .arg(dir)
            .args(arguments)
            .status();
        assert!(status.unwrap().success());
        file
    }

    fn taken(file: &Path, ignore: &str) -> Result<Context, ContextError> {
        let spec = ArchiveSpec {
            file,
            tmp: file.parent().unwrap(),
            ignore: &IgnoreFile::parse(ignore.as_bytes()).unwrap(),
            modes: ContextModes::Keep,
            ruleset: Ruleset::V1,
        };
        take_archive(&spec, &MemoryBlobs::default(), &NoEvents)
    }

    /// Whatever is left out and brought back: a tar in any order is the directory that it was made
    /// from.
    #[test]
    fn an_archive_is_the_directory_that_it_was_made_from() {
        let lab = tempfile::tempdir().unwrap();
        let dir = lab.path().join("context");
        for name in ["a/b/keep", "a/b/drop", "a/c", "z", "only/drop", "Makefile"] {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        fs::hard_link(dir.join("z"), dir.join("a/y")).unwrap();
        std::os::unix::fs::symlink("a/c", dir.join("link")).unwrap();
        for ignore in [
            "",
            "a/y",
            "a\n!a/b/keep",
            "*\n!a",
            "**/drop\nonly",
            "a/b",
            "*",
        ] {
            let spec = ContextSpec {
                root: &dir,
                ignore: &IgnoreFile::parse(ignore.as_bytes()).unwrap(),
                exclude: &[],
                modes: ContextModes::Keep,
                ruleset: Ruleset::V1,
            };
            let expected = take(&spec, &MemoryBlobs::default(), &NoEvents).unwrap();
            let backwards = [
                "--no-recursion",
                "z",
                "link",
                "only/drop",
                "only",
                "a/b/keep",
                "a/b/drop",
                "a/b",
                "a/c",
                "a/y",
                "a",
                "Makefile",
            ];
            for arguments in [&["."][..], &backwards] {
                let found = taken(&tar(&dir, arguments), ignore).unwrap();
                assert_eq!(found.digest, expected.digest, "{ignore:?} {arguments:?}");
                assert_eq!(found.paths, expected.paths, "{ignore:?}");
                assert_eq!(found.ignored, expected.ignored, "{ignore:?}");
            }
        }
    }

    #[test]
    fn what_no_context_can_hold_is_refused() {
        let lab = tempfile::tempdir().unwrap();
        let dir = lab.path().join("context");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(".wh.x"), "").unwrap();
        let error = taken(&tar(&dir, &["."]), "").unwrap_err();
        assert!(matches!(error, ContextError::Archive(_)), "{error}");
        fs::remove_file(dir.join(".wh.x")).unwrap();
        fs::write(dir.join("x"), "x").unwrap();
        for transform in ["s,^x,../x,", "s,^x,a/../../x,"] {
            let file = tar(&dir, &["-P", &format!("--transform={transform}"), "x"]);
            assert!(taken(&file, "").is_err(), "{transform}");
        }
        let file = tar(&dir, &["x"]);
        fs::write(&file, &fs::read(&file).unwrap()[..700]).unwrap();
        assert!(taken(&file, "").is_err(), "cut short");
    }
}
