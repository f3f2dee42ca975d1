//! `COPY` and `ADD`: files from one tree into another.

mod select;

use std::{collections::BTreeMap, os::fd::AsFd};

use repro_core::{
    build::{
        Archives, CopyLayout, CopySource, CopySpec, InlineFile, LayerPolicy, ModeChange, Owner,
    },
    tree::TreePath,
};

use self::select::Selection;
use super::{
    Root, TreeError,
    archive::{Unpacking, is_archive, unpack_archive},
    diff::join,
    make::{facts_of, implicit_directory, make_directory, make_file, transfer},
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

/// Copies as `COPY` and `ADD` of a Dockerfile do. `source` is the merged view of the source trees,
/// `dest` the tree written to, `names` the tree whose users `--chown` means.
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
/// * With `--parents` a source is a pattern below its pivot, and so are its parents, which are made
///   as they are in the source.
/// * `--exclude` is matched below a source that is a directory, and against the name of a file.
///
/// From the context every time is that of the tick; from a tree times are kept, and capped by
/// [`super::diff()`]; so are those of an archive's entries.
pub fn copy(
    spec: &CopySpec,
    source: Root<'_>,
    dest: Root<'_>,
    names: Root<'_>,
    policy: LayerPolicy,
) -> Result<CopyReport, TreeError> {
    let is_directory = spec
        .destination
        .rsplit('/')
        .next()
        .is_some_and(|last| matches!(last, "" | "." | ".."));
    if spec.patterns.len() + spec.files.len() > 1 && !is_directory {
        return Err(TreeError::SeveralSources(spec.destination.clone()));
    }
    let root = TreePath::root();
    let owner = match &spec.owner {
        Owner::Keep => None,
        Owner::Named(owner) => Some(resolve_owner(names.fd(), owner)?),
    };
    let (uid, gid) = owner.unwrap_or_default();
    let made = made(&root, uid, gid, policy)?;
    let mut copier = Copier {
        source,
        dest,
        destination: &spec.destination,
        is_directory,
        owner,
        mode: spec.mode.as_ref(),
        stamp: match spec.source {
            CopySource::Context { .. } => Some(made.mtime),
            CopySource::Tree { .. } => None,
        },
        made,
        archives: spec.archives,
        selection: Selection::new(&spec.exclude)?,
        directories: BTreeMap::new(),
        inodes: BTreeMap::new(),
        report: CopyReport::default(),
    };
    for pattern in &spec.patterns {
        match spec.layout {
            CopyLayout::Contents => copier.pattern(pattern)?,
            CopyLayout::Parents => copier.parents(pattern)?,
        }
    }
    for file in &spec.files {
        copier.inline(file)?;
    }
    copier.finish()
}

struct Copier<'a> {
    source: Root<'a>,
    dest: Root<'a>,
    destination: &'a str,
    /// Whether the destination is written as a directory.
    is_directory: bool,
    /// The owner of all that is copied; `None` keeps each its own.
    owner: Option<(u32, u32)>,
    mode: Option<&'a ModeChange>,
    /// The time of all that is copied; `None` keeps each its own.
    stamp: Option<Time>,
    /// What directories get that the destination lacks.
    made: Facts,
    archives: Archives,
    selection: Selection,
    /// Directories written, with the times to set at the end.
    directories: BTreeMap<TreePath, Time>,
    /// Where each file of several names went, for one source.
    inodes: BTreeMap<Inode, TreePath>,
    report: CopyReport,
}

impl Copier<'_> {
    fn pattern(&mut self, pattern: &str) -> Result<(), TreeError> {
        let sources = expand(self.source, pattern)?;
        if sources.is_empty() {
            self.report.unmatched.push(pattern.to_owned());
        }
        for source in sources {
            self.one(&source)?;
        }
        Ok(())
    }

    fn one(&mut self, source: &Source) -> Result<(), TreeError> {
        self.inodes.clear();
        let Some(node) = self.source.visible(&source.path)? else {
            // Found a moment ago, in a tree that nobody writes.
            return Err(TreeError::NoSource {
                pattern: source.path.to_string(),
                near: Vec::new(),
            });
        };
        if node.is_directory() {
            self.make_holder()?;
            let target = resolve(self.dest, self.destination.as_bytes())?;
            return self.contents(&source.path, &target, None);
        }
        if node.kind == Kind::Socket {
            return Err(TreeError::Socket(source.path.clone()));
        }
        if self.selection.leaves_out(&source.name)? {
            return Ok(());
        }
        if self.archives == Archives::Unpack
            && node.kind == Kind::File
            && is_archive(self.source, &source.path, node.size)?
        {
            return self.unpack(&source.path, &node);
        }
        let target = self.place(&source.name)?;
        self.entry(&source.path, &node, &target)
    }

    /// Makes the directory above the destination, or the destination where that is one.
    fn make_holder(&mut self) -> Result<(), TreeError> {
        let holder = if self.is_directory {
            self.destination
        } else {
            self.destination
                .rsplit_once('/')
                .map_or("", |(above, _)| above)
        };
        let holder = resolve(self.dest, holder.as_bytes())?;
        self.make_missing(&holder)
    }

    /// Where a file of this name goes: into the destination if that is a directory.
    fn place(&mut self, name: &[u8]) -> Result<TreePath, TreeError> {
        self.make_holder()?;
        let target = resolve(self.dest, self.destination.as_bytes())?;
        let there = self.dest.node(&target)?;
        if there.is_some_and(|there| there.is_directory()) {
            return join(&target, name);
        }
        // A link in the destination's last name may have led below missing directories.
        if let Some(parent) = target.parent() {
            self.make_missing(&parent)?;
        }
        Ok(target)
    }

    fn unpack(&mut self, archive: &TreePath, node: &Node) -> Result<(), TreeError> {
        let target = resolve(self.dest, self.destination.as_bytes())?;
        self.make_missing(&target)?;
        let directory = self.dest.open_read(&target)?;
        let implied = Facts {
            mtime: self.made.mtime,
            ..implicit_directory()
        };
        let unpacking = Unpacking {
            owner: self.owner,
            implied: &implied,
        };
        let entries = unpack_archive(
            self.source,
            archive,
            node.size,
            self.dest.below(directory.as_fd()),
            &unpacking,
        )?;
        // Its own time came from the entries made in it; a directory that was there keeps the one
        // that it has in the tree below (rule 3).
        self.report.entries += entries;
        Ok(())
    }

    /// Writes a file whose text is in the Dockerfile.
    fn inline(&mut self, file: &InlineFile) -> Result<(), TreeError> {
        let target = self.place(file.name.as_bytes())?;
        self.make_way(&target)?;
        let (uid, gid) = self.owner.unwrap_or_default();
        let mode = self
            .mode
            .map_or(InlineFile::MODE, |mode| mode.apply(InlineFile::MODE, false));
        let facts = Facts {
            mode,
            uid,
            gid,
            mtime: self.made.mtime,
            xattrs: BTreeMap::new(),
        };
        let content = file.content.as_bytes();
        self.report.entries += 1;
        make_file(
            self.dest,
            &target,
            &facts,
            content.len() as u64,
            &mut &*content,
        )
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
        self.make_way(target)?;
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

    /// Removes what a file replaces.
    fn make_way(&self, target: &TreePath) -> Result<(), TreeError> {
        match self.dest.node(target)? {
            None => Ok(()),
            Some(there) if there.is_directory() => {
                Err(TreeError::FileOverDirectory(target.clone()))
            }
            Some(_) => self.dest.unlink(target),
        }
    }

    /// What a copy of `node` gets.
    fn facts(&self, path: &TreePath, node: &Node) -> Result<Facts, TreeError> {
        let mut facts = facts_of(self.source, path, node)?;
        if let Some((uid, gid)) = self.owner {
            (facts.uid, facts.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode
            && node.kind != Kind::Symlink
        {
            facts.mode = mode.apply(facts.mode, node.is_directory());
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
