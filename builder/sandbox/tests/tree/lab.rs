//! Overlay mounts in namespaces of one's own, and steps on them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};
use repro_core::{
    build::{LayerPolicy, Normalisation, SnapshotInfo},
    epoch::{Epoch, Tick},
    tree::{Entry, EntryKind, EntrySink, EntrySource, Meta, TreePath},
};
use repro_sandbox::tree::{
    Content, DiffRequest, Merged, Root, TimeRule, TreeError, diff, distill, merge, prepare_upper,
    unpack,
};

/// `SOURCE_DATE_EPOCH` of the tests.
pub(crate) const EPOCH: u64 = 1_600_000_000;

type AnyError = Box<dyn std::error::Error>;

/// Entries with their content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer(pub(crate) Vec<(Entry, Vec<u8>)>);

impl EntrySink for Layer {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, entry.content_size(), "{}", entry.path);
        self.0.push((entry.clone(), bytes));
        Ok(())
    }
}

impl Layer {
    /// The entries as short lines: a letter for the type, the path, what it links to.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(entry, _): &(Entry, Vec<u8>)| match &entry.kind {
            EntryKind::Directory => format!("d {}", entry.path),
            EntryKind::File { .. } => format!("f {}", entry.path),
            EntryKind::Symlink { target } => {
                format!("l {} {}", entry.path, String::from_utf8_lossy(target))
            }
            EntryKind::Hardlink { target } => format!("h {} {target}", entry.path),
            EntryKind::Fifo => format!("p {}", entry.path),
            EntryKind::Whiteout => format!("- {}", entry.path),
            other => format!("? {} {other:?}", entry.path),
        };
        self.0.iter().map(line).collect()
    }

    pub(crate) fn get(&self, path: &str) -> &Entry {
        let found = self.0.iter().find(|(entry, _)| entry.path == at(path));
        &found
            .unwrap_or_else(|| panic!("no {path} in {:?}", self.lines()))
            .0
    }

    /// A source of these entries.
    pub(crate) fn source(&self) -> impl EntrySource + '_ {
        Entries(self.0.iter())
    }
}

struct Entries<'a>(std::slice::Iter<'a, (Entry, Vec<u8>)>);

impl EntrySource for Entries<'_> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Some((entry, content)) = self.0.next() else {
            return Ok(false);
        };
        take(entry, &mut content.as_slice())?;
        Ok(true)
    }
}

pub(crate) fn at(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).expect("a path of a test")
}

/// An entry of root's, 0644 or 0755, of the time 1000.
pub(crate) fn entry(path: &str, kind: EntryKind) -> Entry {
    let mode = if kind == EntryKind::Directory {
        0o755
    } else {
        0o644
    };
    let removal = matches!(kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout);
    let meta = Meta {
        mode,
        mtime: 1000,
        ..Meta::default()
    };
    Entry {
        path: at(path),
        kind,
        meta: if removal { Meta::default() } else { meta },
    }
}

/// A file entry with content.
pub(crate) fn file(path: &str, content: &str) -> (Entry, Vec<u8>) {
    let size = content.len() as u64;
    (entry(path, EntryKind::File { size }), content.into())
}

/// Any entry without content.
pub(crate) fn bare(path: &str, kind: EntryKind) -> (Entry, Vec<u8>) {
    (entry(path, kind), Vec::new())
}

/// k of the step on `layers` trees.
pub(crate) fn policy(layers: usize) -> LayerPolicy {
    let mut tick = Tick::FIRST;
    for _ in 0..layers {
        tick = tick.next().expect("few layers");
    }
    LayerPolicy {
        epoch: Epoch::new(EPOCH).expect("a sound epoch"),
        tick,
    }
}

/// The time of the step on `layers` trees.
pub(crate) fn tick(layers: usize) -> u64 {
    let policy = policy(layers);
    policy.tick.time(policy.epoch)
}

/// What a step gave.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) layer: Layer,
    pub(crate) counts: BTreeMap<Normalisation, u64>,
    /// The upper directory, put right.
    pub(crate) snapshot: PathBuf,
}

/// A directory to work in.
pub(crate) struct Lab {
    root: PathBuf,
    next: AtomicU32,
}

/// An overlay mount that ends with this value.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::empty()).expect("unmount");
    }
}

impl Lab {
    /// Enters new namespaces, in which the process that started this one maps the ids.
    pub(crate) fn enter(root: PathBuf) -> Result<Self, AnyError> {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        io::stdout().write_all(b"r")?;
        io::stdout().flush()?;
        io::stdin().read_exact(&mut [0])?;
        setgroups(&[])?;
        setgid(Gid::from_raw(0))?;
        setuid(Uid::from_raw(0))?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        Ok(Self {
            root,
            next: AtomicU32::new(0),
        })
    }

    /// A new empty directory.
    pub(crate) fn directory(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(number.to_string());
        fs::create_dir(&path).expect("make a directory of the lab");
        path
    }

    fn mount(&self, options: &str) -> Result<Mounted, AnyError> {
        let path = self.directory();
        let options = format!("{options},userxattr,index=off");
        mount(
            Some("overlay"),
            &path,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        Ok(Mounted(path))
    }

    /// The merged view of trees, lowest first, read-only.
    pub(crate) fn view(&self, trees: &[PathBuf]) -> Result<Mounted, AnyError> {
        // Overlayfs takes no single lower directory without an upper one. The highest gives the
        // root, so one more at the bottom changes nothing.
        let mut lower = trees.to_vec();
        while lower.len() < 2 {
            lower.insert(0, self.directory());
        }
        self.mount(&format!("lowerdir={}", stack(&lower)))
    }

    /// Runs `work` on the mounted trees and gives what changed.
    pub(crate) fn step(
        &self,
        trees: &[PathBuf],
        times: TimeRule,
        provided: &[TreePath],
        work: impl FnOnce(&Path) -> Result<(), AnyError>,
    ) -> Result<Step, AnyError> {
        let upper = self.upper(trees, work)?;
        self.diff(trees, upper, times, provided)
    }

    /// Runs `work` and leaves the upper directory as overlayfs wrote it.
    pub(crate) fn upper(
        &self,
        trees: &[PathBuf],
        work: impl FnOnce(&Path) -> Result<(), AnyError>,
    ) -> Result<PathBuf, AnyError> {
        let (upper, scratch, empty) = (self.directory(), self.directory(), self.directory());
        let view = if trees.is_empty() {
            None
        } else {
            Some(self.view(trees)?)
        };
        let below = view
            .as_ref()
            .map(|view| File::open(view.path()))
            .transpose()?;
        prepare_upper(Root::new(File::open(&upper)?.as_fd()), tree(below.as_ref()))?;
        let lower = if trees.is_empty() {
            &[empty][..]
        } else {
            trees
        };
        let mounted = self.mount(&format!(
            "lowerdir={},upperdir={},workdir={}",
            stack(lower),
            upper.display(),
            scratch.display()
        ))?;
        work(mounted.path())?;
        Ok(upper)
    }

    /// As [`Lab::upper`], in a plain copy of the trees.
    pub(crate) fn distilled(
        &self,
        trees: &[PathBuf],
        work: impl FnOnce(&Path) -> Result<(), AnyError>,
    ) -> Result<PathBuf, AnyError> {
        let upper = self.directory();
        let lower = self.merged(trees, Content::Linked)?.0;
        let lower = File::open(&lower)?;
        prepare_upper(Root::new(File::open(&upper)?.as_fd()), tree(Some(&lower)))?;
        let files = opened(trees)?;
        let roots: Vec<_> = files.iter().map(|file| Root::new(file.as_fd())).collect();
        let root = File::open(&upper)?;
        let merged = merge(&roots, Root::new(root.as_fd()), Content::Copied)?;
        work(&upper)?;
        distill(tree(Some(&lower)), Root::new(root.as_fd()), &merged)?;
        Ok(upper)
    }

    /// The merged tree as files.
    pub(crate) fn merged(
        &self,
        trees: &[PathBuf],
        content: Content,
    ) -> Result<(PathBuf, Merged), AnyError> {
        let dest = self.directory();
        let files = opened(trees)?;
        let roots: Vec<_> = files.iter().map(|file| Root::new(file.as_fd())).collect();
        let root = File::open(&dest)?;
        prepare_upper(Root::new(root.as_fd()), roots.last().copied())?;
        let merged = merge(&roots, Root::new(root.as_fd()), content)?;
        Ok((dest, merged))
    }

    /// Compares an upper directory with the trees below it and puts it right.
    pub(crate) fn diff(
        &self,
        trees: &[PathBuf],
        upper: PathBuf,
        times: TimeRule,
        provided: &[TreePath],
    ) -> Result<Step, AnyError> {
        let mut layer = Layer::default();
        let counts = self.try_diff(trees, &upper, times, provided, &mut layer)??;
        Ok(Step {
            layer,
            counts,
            snapshot: upper,
        })
    }

    /// As [`Lab::diff`], with the error apart.
    pub(crate) fn try_diff(
        &self,
        trees: &[PathBuf],
        upper: &Path,
        times: TimeRule,
        provided: &[TreePath],
        layer: &mut Layer,
    ) -> Result<Result<BTreeMap<Normalisation, u64>, TreeError>, AnyError> {
        let view = if trees.is_empty() {
            None
        } else {
            Some(self.view(trees)?)
        };
        let below = view
            .as_ref()
            .map(|view| File::open(view.path()))
            .transpose()?;
        let upper = File::open(upper)?;
        let request = DiffRequest {
            lower: tree(below.as_ref()),
            upper: Root::new(upper.as_fd()),
            policy: policy(trees.len()),
            times,
            provided,
        };
        Ok(diff(request, layer))
    }

    /// A step in which a program runs.
    pub(crate) fn run(
        &self,
        trees: &[PathBuf],
        work: impl FnOnce(&Path) -> Result<(), AnyError>,
    ) -> Result<Step, AnyError> {
        self.step(trees, TimeRule::Counts, &[], work)
    }

    /// Unpacks a layer on top of `trees`.
    pub(crate) fn unpack(
        &self,
        trees: &[PathBuf],
        layer: &Layer,
    ) -> Result<(PathBuf, Result<SnapshotInfo, TreeError>), AnyError> {
        let dest = self.directory();
        let view = if trees.is_empty() {
            None
        } else {
            Some(self.view(trees)?)
        };
        let below = view
            .as_ref()
            .map(|view| File::open(view.path()))
            .transpose()?;
        let info = unpack(
            Root::new(File::open(&dest)?.as_fd()),
            tree(below.as_ref()),
            &mut layer.source(),
        );
        Ok((dest, info))
    }

    /// A tree made of entries, unpacked on `trees`.
    pub(crate) fn tree(
        &self,
        trees: &[PathBuf],
        entries: &[(Entry, Vec<u8>)],
    ) -> Result<PathBuf, AnyError> {
        let (tree, info) = self.unpack(trees, &Layer(entries.to_vec()))?;
        info?;
        Ok(tree)
    }
}

fn tree(file: Option<&File>) -> Option<Root<'_>> {
    file.map(|file| Root::new(file.as_fd()))
}

fn opened(trees: &[PathBuf]) -> io::Result<Vec<File>> {
    trees.iter().map(File::open).collect()
}

/// The trees for `lowerdir`, highest first.
fn stack(trees: &[PathBuf]) -> String {
    let paths: Vec<String> = trees
        .iter()
        .rev()
        .map(|tree| tree.display().to_string())
        .collect();
    paths.join(":")
}

/// `trees` and one more on top.
pub(crate) fn plus(trees: &[PathBuf], tree: &Path) -> Vec<PathBuf> {
    let mut more = trees.to_vec();
    more.push(tree.to_owned());
    more
}
