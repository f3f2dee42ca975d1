//! Unpacking a layer into a directory that overlayfs takes as a layer.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    os::fd::AsFd,
};

use repro_core::{
    build::SnapshotInfo,
    tree::{Entry, EntryKind, EntrySource, Meta, TreePath},
};

use super::{
    DeviceKind, Root, TreeError,
    attributes::set_opaque,
    make::{
        facts_of, implicit_directory, make_directory, make_fifo, make_file, make_symlink, transfer,
    },
    node::{Kind, Time},
    resolve::{resolve, resolve_parent},
    root::Facts,
};

/// Unpacks a layer into the empty directory `dest`; `lower` is the merged view of the trees
/// below, read-only, `None` for none.
///
/// What is decided where archives leave room:
/// * Removals act on `lower` alone, wherever they stand in the layer: an entry of the same name
///   in the same layer stays, a directory of the same name becomes opaque.
/// * The last of several entries of one name counts; a directory given twice is one directory.
/// * A directory that the layer has entries for but does not describe is that of `lower`, else
///   0755 of root. One that `lower` has as something else, a link included, is made anew, as
///   Docker and containerd do.
/// * A link that the layer itself made is followed inside the layer's own root when entries
///   lie below it, as Docker and containerd do. Nothing is ever followed out of the root.
/// * A hard link to a file that only `lower` has brings a copy of it into the layer first. The
///   other names of that file in `lower` stay what they were: the group is split as by a write
///   through overlayfs (rule 7).
/// * Attributes that rule 13 does not keep, overlayfs' own above all, are passed over.
///
/// After an error `dest` is of no use.
pub fn unpack(
    dest: Root<'_>,
    lower: Option<Root<'_>>,
    source: &mut dyn EntrySource,
) -> Result<SnapshotInfo, TreeError> {
    let mut unpacker = Unpacker {
        dest,
        lower,
        info: SnapshotInfo::default(),
        directories: BTreeMap::new(),
        opaque: BTreeSet::new(),
    };
    unpacker.directory(&TreePath::root(), None)?;
    each_entry(source, |entry, content| unpacker.entry(entry, content))?;
    unpacker.finish()
}

/// Gives every entry of `source` to `take`, whose own error is what comes of it.
pub(super) fn each_entry(
    source: &mut dyn EntrySource,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    loop {
        let mut failure = None;
        let more = source.next_entry(&mut |entry, content| {
            take(entry, content).map_err(|error| {
                let shown = io::Error::other(error.to_string());
                failure = Some(error);
                shown
            })
        });
        match (failure, more) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) => return Err(TreeError::Source(error)),
            (None, Ok(true)) => {}
            (None, Ok(false)) => return Ok(()),
        }
    }
}

struct Unpacker<'fd> {
    dest: Root<'fd>,
    lower: Option<Root<'fd>>,
    info: SnapshotInfo,
    /// Every directory of the layer with its time, set last: each entry made in it changes it.
    directories: BTreeMap<TreePath, Time>,
    /// Directories of the layer that hide those of `lower`.
    opaque: BTreeSet<TreePath>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), TreeError> {
        self.info.entries += 1;
        self.info.bytes += entry.content_size();
        self.info.newest_mtime = self.info.newest_mtime.max(entry.meta.mtime);
        if entry.path.is_root() {
            return match entry.kind {
                EntryKind::Directory => self.directory(&entry.path, Some(&entry.meta)),
                EntryKind::OpaqueWhiteout => self.mark_opaque(&entry.path),
                _ => Err(TreeError::RootEntry),
            };
        }
        let path = self.place(&entry.path)?;
        self.parents(&path)?;
        match &entry.kind {
            EntryKind::Whiteout => return self.whiteout(&path),
            EntryKind::OpaqueWhiteout => {
                // Its directory is the entry's path itself, which may be a link of this layer.
                let path = resolve(self.dest, path.as_bytes())?;
                self.parents(&path)?;
                self.described(&path)?;
                return self.mark_opaque(&path);
            }
            EntryKind::Directory => return self.directory(&path, Some(&entry.meta)),
            _ => {}
        }
        let facts = facts_from(&path, &entry.meta)?;
        match &entry.kind {
            EntryKind::File { size } => {
                self.make_way(&path)?;
                make_file(self.dest, &path, &facts, *size, content)
            }
            EntryKind::Symlink { target } => {
                self.make_way(&path)?;
                make_symlink(self.dest, &path, &facts, target)
            }
            EntryKind::Fifo => {
                self.make_way(&path)?;
                make_fifo(self.dest, &path, &facts)
            }
            EntryKind::Hardlink { target } => self.hard_link(&path, target),
            EntryKind::CharDevice { major, minor } => {
                Err(device(path, DeviceKind::Character, *major, *minor))
            }
            EntryKind::BlockDevice { major, minor } => {
                Err(device(path, DeviceKind::Block, *major, *minor))
            }
            EntryKind::Directory | EntryKind::Whiteout | EntryKind::OpaqueWhiteout => Ok(()),
        }
    }

    /// Where `path` is in the layer once links of the layer are followed.
    fn place(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        match path.parent() {
            Some(parent) if self.directories.contains_key(&parent) => Ok(path.clone()),
            _ => resolve_parent(self.dest, path),
        }
    }

    /// Makes a directory with the facts of `meta`, else with those of `lower`'s, else with
    /// [`implicit_directory`]'s. Over a removal in the same layer it is opaque.
    fn directory(&mut self, path: &TreePath, meta: Option<&Meta>) -> Result<(), TreeError> {
        let below = self.lower_directory(path)?;
        let there = self.dest.node(path)?;
        let removed_below = there.is_some_and(|there| there.is_whiteout());
        if there.is_some_and(|there| !there.is_directory()) {
            self.dest.unlink(path)?;
        }
        let facts = match (meta, below) {
            (Some(meta), _) => facts_from(path, meta)?,
            (None, Some(facts)) if !removed_below => facts,
            (None, _) => implicit_directory(),
        };
        make_directory(self.dest, path, &facts)?;
        self.directories.insert(path.clone(), facts.mtime);
        if removed_below {
            self.mark_opaque(path)?;
        }
        Ok(())
    }

    /// Makes the directory unless the layer has one there.
    fn described(&mut self, path: &TreePath) -> Result<(), TreeError> {
        match self.dest.visible(path)? {
            Some(there) if there.is_directory() => Ok(()),
            None => self.directory(path, None),
            Some(_) => Err(TreeError::NotADirectory(path.clone())),
        }
    }

    /// Makes the directories above `path`.
    fn parents(&mut self, path: &TreePath) -> Result<(), TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        if self.directories.contains_key(&parent) {
            return Ok(());
        }
        let mut above = TreePath::root();
        for name in parent.names() {
            above = above.join(name)?;
            self.described(&above)?;
        }
        Ok(())
    }

    /// Removes what this layer had at `path` before.
    fn make_way(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if self.dest.node(path)?.is_none() {
            return Ok(());
        }
        let below: Vec<TreePath> = self
            .directories
            .range(path.clone()..)
            .map(|(directory, _)| directory)
            .take_while(|directory| directory.starts_with(path))
            .cloned()
            .collect();
        for directory in below {
            self.directories.remove(&directory);
            self.opaque.remove(&directory);
        }
        self.dest.remove(path)
    }

    fn whiteout(&mut self, path: &TreePath) -> Result<(), TreeError> {
        match self.dest.node(path)?.map(|node| node.kind) {
            Some(Kind::Directory) => self.mark_opaque(path),
            None if self.in_lower(path)? => self.dest.make_whiteout(path),
            Some(_) | None => Ok(()),
        }
    }

    fn mark_opaque(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if path.is_root() || self.lower_directory(path)?.is_some() {
            self.opaque.insert(path.clone());
        }
        Ok(())
    }

    /// Whether `lower` shows something at `path` through what this layer hides.
    fn in_lower(&self, path: &TreePath) -> Result<bool, TreeError> {
        let Some(lower) = self.lower else {
            return Ok(false);
        };
        let mut above = path.parent();
        while let Some(directory) = above.filter(|directory| !directory.is_root()) {
            if self.opaque.contains(&directory) {
                return Ok(false);
            }
            above = directory.parent();
        }
        Ok(lower.visible(path)?.is_some())
    }

    /// The facts of `lower`'s directory at `path`, if it shows one there.
    fn lower_directory(&self, path: &TreePath) -> Result<Option<Facts>, TreeError> {
        let Some(lower) = self.lower else {
            return Ok(None);
        };
        if !self.in_lower(path)? {
            return Ok(None);
        }
        match lower.node(path)? {
            Some(node) if node.is_directory() => facts_of(lower, path, &node).map(Some),
            _ => Ok(None),
        }
    }

    fn hard_link(&mut self, path: &TreePath, target: &TreePath) -> Result<(), TreeError> {
        let missing = || TreeError::LinkTarget {
            path: path.clone(),
            target: target.clone(),
        };
        let target = self.place(target)?;
        if target.starts_with(path) {
            // Making way for the link would remove its target.
            return Err(missing());
        }
        match self.dest.node(&target)? {
            Some(there) if there.is_directory() || there.is_whiteout() => return Err(missing()),
            Some(_) => {}
            None => {
                let Some(lower) = self.lower else {
                    return Err(missing());
                };
                match lower.visible(&target)? {
                    Some(node) if !node.is_directory() && self.in_lower(&target)? => {
                        self.parents(&target)?;
                        let facts = facts_of(lower, &target, &node)?;
                        transfer((lower, &target, &node), self.dest, &target, &facts)?;
                    }
                    _ => return Err(missing()),
                }
            }
        }
        self.make_way(path)?;
        self.dest.make_link(path, &target)
    }

    /// Opaque marks and times of directories, deepest first.
    fn finish(mut self) -> Result<SnapshotInfo, TreeError> {
        if self.opaque.remove(&TreePath::root()) {
            self.hide_lower_root()?;
        }
        for path in &self.opaque {
            set_opaque(self.dest.open_read(path)?.as_fd(), path)?;
        }
        for (path, mtime) in self.directories.iter().rev() {
            self.dest.set_time(path, *mtime)?;
        }
        Ok(self.info)
    }

    /// Overlayfs takes no opaque mark on a root: every name of `lower` is hidden by itself.
    fn hide_lower_root(&mut self) -> Result<(), TreeError> {
        let Some(lower) = self.lower else {
            return Ok(());
        };
        for name in lower.names(&TreePath::root())? {
            let path = TreePath::root().join(&name)?;
            self.whiteout(&path)?;
        }
        Ok(())
    }
}

/// The facts of an entry.
pub(super) fn facts_from(path: &TreePath, meta: &Meta) -> Result<Facts, TreeError> {
    Ok(Facts {
        mode: meta.mode & 0o7777,
        uid: meta.uid,
        gid: meta.gid,
        mtime: Time::whole(path, meta.mtime)?,
        xattrs: meta.xattrs.clone(),
    })
}

fn device(path: TreePath, kind: DeviceKind, major: u32, minor: u32) -> TreeError {
    TreeError::Device {
        path,
        kind,
        major,
        minor,
    }
}
