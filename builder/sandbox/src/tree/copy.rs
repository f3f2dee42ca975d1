//! `COPY`: files from one tree into another.

use std::{collections::BTreeMap, os::fd::BorrowedFd};

use repro_core::{
    build::{CopySource, CopySpec, LayerPolicy, Owner},
    tree::TreePath,
};

use super::{
    Root, TreeError,
    diff::join,
    make::{facts_of, make_directory, transfer},
    make_dir::{made, make_missing},
    node::{Inode, Kind, Node, Time},
    resolve::resolve,
    root::Facts,
    sources::{Source, expand},
};
use crate::users::resolve_owner;

/// What a copy did that its caller may want to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Entries written.
    pub entries: u64,
    /// Sockets passed over.
    pub sockets: u64,
    /// Patterns with a wildcard that matched nothing.
    pub unmatched: Vec<String>,
}

/// Copies as `COPY` of a Dockerfile does. `source` is the merged view of the source trees,
/// `dest` the mounted tree.
///
/// As in `BuildKit`:
/// * A directory as source stands for its contents. It keeps its name nowhere, and gives the
///   destination itself neither mode nor owner.
/// * A source that is a link is followed, under its own name; links inside a directory are
///   copied as links.
/// * A file that is there is replaced, a directory merged into, and takes on the mode and owner
///   of the one copied. Neither replaces the other, and a link is never a directory here, but for
///   the links of the destination path itself, which are followed inside the tree.
/// * Directories that the destination lacks are 0755, of the given owner, else of root.
/// * `mode` is for files and directories; links among files of one source stay links.
/// * Sockets are passed over and counted, devices refused.
///
/// From the context every time is that of the tick; from a tree times are kept, and capped by
/// [`super::diff()`].
pub fn copy(
    spec: &CopySpec,
    source: BorrowedFd<'_>,
    dest: BorrowedFd<'_>,
    policy: LayerPolicy,
) -> Result<CopyReport, TreeError> {
    let is_directory = spec
        .destination
        .rsplit('/')
        .next()
        .is_some_and(|last| matches!(last, "" | "." | ".."));
    if spec.patterns.len() > 1 && !is_directory {
        return Err(TreeError::SeveralSources(spec.destination.clone()));
    }
    let root = TreePath::root();
    let owner = match &spec.owner {
        Owner::Keep => None,
        Owner::Named(owner) => Some(resolve_owner(dest, owner)?),
    };
    let (uid, gid) = owner.unwrap_or_default();
    let made = made(&root, uid, gid, policy)?;
    let mut copier = Copier {
        source: Root::new(source),
        dest: Root::new(dest),
        owner,
        mode: spec.mode,
        stamp: match spec.source {
            CopySource::Context { .. } => Some(made.mtime),
            CopySource::Tree { .. } => None,
        },
        made,
        directories: BTreeMap::new(),
        inodes: BTreeMap::new(),
        report: CopyReport::default(),
    };
    for pattern in &spec.patterns {
        let sources = expand(copier.source, pattern)?;
        if sources.is_empty() {
            copier.report.unmatched.push(pattern.clone());
        }
        for source in sources {
            copier.one(&source, &spec.destination, is_directory)?;
        }
    }
    copier.finish()
}

struct Copier<'fd> {
    source: Root<'fd>,
    dest: Root<'fd>,
    /// The owner of all that is copied; `None` keeps each its own.
    owner: Option<(u32, u32)>,
    mode: Option<u16>,
    /// The time of all that is copied; `None` keeps each its own.
    stamp: Option<Time>,
    /// What directories get that the destination lacks.
    made: Facts,
    /// Directories written, with the times to set at the end.
    directories: BTreeMap<TreePath, Time>,
    /// Where each file of several names went, for one source.
    inodes: BTreeMap<Inode, TreePath>,
    report: CopyReport,
}

impl Copier<'_> {
    fn one(
        &mut self,
        source: &Source,
        destination: &str,
        is_directory: bool,
    ) -> Result<(), TreeError> {
        self.inodes.clear();
        let holder = if is_directory {
            destination
        } else {
            destination.rsplit_once('/').map_or("", |(above, _)| above)
        };
        let holder = resolve(self.dest, holder.as_bytes())?;
        self.make_missing(&holder)?;
        let target = resolve(self.dest, destination.as_bytes())?;
        let Some(node) = self.source.visible(&source.path)? else {
            // Found a moment ago, in a tree that nobody writes.
            return Err(TreeError::NoSource {
                pattern: source.path.to_string(),
                near: Vec::new(),
            });
        };
        if node.is_directory() {
            return self.contents(&source.path, &target);
        }
        if node.kind == Kind::Socket {
            return Err(TreeError::Socket(source.path.clone()));
        }
        let there = self.dest.node(&target)?;
        let target = if there.is_some_and(|there| there.is_directory()) {
            join(&target, &source.name)?
        } else {
            // A link in the destination's last name may have led below missing directories.
            if let Some(parent) = target.parent() {
                self.make_missing(&parent)?;
            }
            target
        };
        self.entry(&source.path, &node, &target)
    }

    /// Copies the contents of a directory into `target`, which is made if it is missing.
    fn contents(&mut self, source: &TreePath, target: &TreePath) -> Result<(), TreeError> {
        match self.dest.node(target)? {
            Some(node) if !node.is_directory() => {
                return Err(TreeError::DirectoryOverFile(target.clone()));
            }
            _ => self.make_missing(target)?,
        }
        // Not by recursion: the depth is the source's choice.
        let mut directories = vec![(source.clone(), target.clone())];
        while let Some((from, to)) = directories.pop() {
            for name in self.source.names(&from)? {
                let (path, target) = (join(&from, &name)?, join(&to, &name)?);
                let Some(node) = self.source.visible(&path)? else {
                    continue;
                };
                match node.kind {
                    Kind::Directory => {
                        self.directory(&path, &node, &target)?;
                        directories.push((path, target));
                    }
                    Kind::Socket => self.report.sockets += 1,
                    _ => self.entry(&path, &node, &target)?,
                }
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        path: &TreePath,
        node: &Node,
        target: &TreePath,
    ) -> Result<(), TreeError> {
        let facts = self.facts(path, node)?;
        match self.dest.node(target)? {
            None => make_directory(self.dest, target, &facts)?,
            Some(there) if there.is_directory() => {
                self.dest.set_facts(target, Kind::Directory, &facts)?;
            }
            Some(_) => return Err(TreeError::DirectoryOverFile(target.clone())),
        }
        self.directories.insert(target.clone(), facts.mtime);
        self.report.entries += 1;
        Ok(())
    }

    fn entry(&mut self, path: &TreePath, node: &Node, target: &TreePath) -> Result<(), TreeError> {
        match self.dest.node(target)? {
            None => {}
            Some(there) if there.is_directory() => {
                return Err(TreeError::FileOverDirectory(target.clone()));
            }
            Some(_) => self.dest.unlink(target)?,
        }
        self.report.entries += 1;
        if node.kind == Kind::File && node.nlink > 1 {
            if let Some(first) = self.inodes.get(&node.inode) {
                return self.dest.make_link(target, first);
            }
            self.inodes.insert(node.inode, target.clone());
        }
        let facts = self.facts(path, node)?;
        transfer((self.source, path, node), self.dest, target, &facts)
    }

    /// What a copy of `node` gets.
    fn facts(&self, path: &TreePath, node: &Node) -> Result<Facts, TreeError> {
        let mut facts = facts_of(self.source, path, node)?;
        if let Some((uid, gid)) = self.owner {
            (facts.uid, facts.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode {
            facts.mode = mode & 0o7777;
        }
        if let Some(stamp) = self.stamp {
            facts.mtime = stamp;
        }
        Ok(facts)
    }

    fn make_missing(&mut self, path: &TreePath) -> Result<(), TreeError> {
        for path in make_missing(self.dest, path, &self.made)? {
            self.directories.insert(path, self.made.mtime);
            self.report.entries += 1;
        }
        Ok(())
    }

    /// Times of directories come last: each entry made in one changes its time.
    fn finish(self) -> Result<CopyReport, TreeError> {
        for (path, mtime) in self.directories.iter().rev() {
            self.dest.set_time(path, *mtime)?;
        }
        Ok(self.report)
    }
}
