//! Making the tree that an engine shows in a container equal to what the layers say.
//!
//! An engine unpacks an image with rules of its own: attributes are lost, directories for mounts are
//! made, times of directories move. Nothing of that may reach a layer.

use std::{collections::BTreeSet, io::Read, os::fd::AsFd, time::Duration};

use repro_core::tree::{Entry, EntryKind, EntrySource, TreePath};

use super::{
    Detour, Listing, MountsSeen, Name, Origin, Root, TreeError,
    attributes::remove_others,
    diff::join,
    make::{facts_of, implicit_directory, make_directory, make_fifo, make_file, make_symlink},
    node::{Kind, Node, Time},
    root::Facts,
    unpack::{each_entry, facts_from},
};

/// Brings the contained tree `root` to what `listing` says: what is not in it goes, what is sent comes
/// from `sent` in canonical order, and every mode, owner, time and attribute is put right.
///
/// Contents that the image has are taken as they are: the engine found them by digest. An entry of it
/// that is missing or of another type or size is an error.
pub(crate) fn align(
    root: Root<'_>,
    detour: Detour<'_>,
    listing: &Listing,
    sent: &mut dyn EntrySource,
) -> Result<(), TreeError> {
    let mut aligner = Aligner {
        root,
        detour,
        listing,
        carriers: Vec::new(),
    };
    aligner.clear()?;
    each_entry(sent, |entry, content| aligner.make(entry, content))?;
    aligner.facts()
}

/// Puts modes, owners, times and attributes right once more, where names went or came.
pub(crate) fn align_facts(
    root: Root<'_>,
    detour: Detour<'_>,
    listing: &Listing,
) -> Result<(), TreeError> {
    let aligner = Aligner {
        root,
        detour,
        listing,
        carriers: Vec::new(),
    };
    aligner.facts()
}

/// Puts the root itself right, in which a name was made or removed.
pub(crate) fn align_root(root: Root<'_>, listing: &Listing) -> Result<(), TreeError> {
    let path = TreePath::root();
    let facts = match listing.get(&path) {
        Some(name) => facts_from(&path, &name.entry.meta)?,
        None => implicit_directory(),
    };
    make_directory(root, &path, &facts)
}

/// Waits until a change of a file has another time than every change before, so that the time of the
/// last change tells whether there was one. `probe` is a free name.
pub(crate) fn let_time_pass(root: Root<'_>, probe: &TreePath) -> Result<(), TreeError> {
    let stamp = || -> Result<Time, TreeError> {
        drop(root.make_file(probe)?);
        let node = root.node(probe)?.ok_or(TreeError::RootEntry)?;
        root.unlink(probe)?;
        Ok(node.ctime)
    };
    let first = stamp()?;
    while stamp()? <= first {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

struct Aligner<'a> {
    root: Root<'a>,
    detour: Detour<'a>,
    listing: &'a Listing,
    /// Directories that the engine made to mount something in them, outermost first.
    carriers: Vec<TreePath>,
}

impl Aligner<'_> {
    /// Removes what is not in the listing, or is sent.
    fn clear(&mut self) -> Result<(), TreeError> {
        let mut directories = vec![TreePath::root()];
        while let Some(directory) = directories.pop() {
            for name in self.root.names(&directory)? {
                let path = join(&directory, &name)?;
                let Some(node) = self.root.node(&path)? else {
                    continue;
                };
                match self.listing.get(&path) {
                    // A file that is sent is another, also where it looks alike.
                    Some(name)
                        if stays(name, &node)
                            && (node.is_directory() || name.origin == Origin::Image) =>
                    {
                        if node.is_directory() {
                            directories.push(path);
                        }
                    }
                    None if node.is_directory() && self.leads_to_mount(&path) => {
                        self.carriers.push(path.clone());
                        directories.push(path);
                    }
                    Some(Name {
                        origin: Origin::Image,
                        ..
                    }) => return Err(TreeError::Engine(path)),
                    Some(_) | None => self.root.remove(&path)?,
                }
            }
        }
        Ok(())
    }

    fn leads_to_mount(&self, path: &TreePath) -> bool {
        let mut points = self.detour.points.iter();
        points.any(|point| point.starts_with(path))
    }

    fn make(&self, entry: &Entry, content: &mut dyn Read) -> Result<(), TreeError> {
        let path = &entry.path;
        if self.detour.hides(path) {
            return Ok(());
        }
        let facts = facts_from(path, &entry.meta)?;
        match &entry.kind {
            EntryKind::Directory => make_directory(self.root, path, &facts),
            EntryKind::File { size } => make_file(self.root, path, &facts, *size, content),
            EntryKind::Symlink { target } => make_symlink(self.root, path, &facts, target),
            EntryKind::Fifo => make_fifo(self.root, path, &facts),
            EntryKind::Hardlink { target } => self.root.make_link(path, target),
            EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Whiteout
            | EntryKind::OpaqueWhiteout => Err(TreeError::Engine(path.clone())),
        }
    }

    /// Puts right what every name carries; directories last, from the inside out.
    fn facts(&self) -> Result<(), TreeError> {
        let is_directory = |name: &&Name| name.entry.kind == EntryKind::Directory;
        for name in self.listing.names().filter(|name| !is_directory(name)) {
            self.put_right(name)?;
        }
        for name in self.listing.names().rev().filter(is_directory) {
            self.put_right(name)?;
        }
        for carrier in self.carriers.iter().rev() {
            make_directory(self.root, carrier, &implicit_directory())?;
        }
        align_root(self.root, self.listing)
    }

    fn put_right(&self, name: &Name) -> Result<(), TreeError> {
        let path = &name.entry.path;
        let there = self.root.node(path)?;
        let Some(node) = there.filter(|node| stays(name, node)) else {
            // What the tree has below a mount is not seen, and nobody can change it.
            if self.detour.hides(path) {
                return Ok(());
            }
            return Err(TreeError::Engine(path.clone()));
        };
        let wanted = facts_from(path, &name.entry.meta)?;
        let found = facts_of(self.root, path, &node)?;
        if is_same(&found, &wanted, node.kind) {
            return Ok(());
        }
        if found.xattrs != wanted.xattrs {
            let fd = self.root.open_read(path)?;
            remove_others(fd.as_fd(), path, &wanted.xattrs)?;
        }
        self.root.set_facts(path, node.kind, &wanted)
    }
}

/// Whether what is there is what `name` says, but for its facts.
fn stays(name: &Name, node: &Node) -> bool {
    match (&name.entry.kind, node.kind) {
        (EntryKind::File { size }, Kind::File) => *size == node.size,
        (EntryKind::Symlink { target }, Kind::Symlink) => target.len() as u64 == node.size,
        (EntryKind::Directory, Kind::Directory) | (EntryKind::Fifo, Kind::Fifo) => true,
        _ => false,
    }
}

fn is_same(found: &Facts, wanted: &Facts, kind: Kind) -> bool {
    (kind == Kind::Symlink || found.mode == wanted.mode)
        && (found.uid, found.gid, found.mtime) == (wanted.uid, wanted.gid, wanted.mtime)
        && found.xattrs == wanted.xattrs
}

/// Names of mount points, none below another. Where a copy is made, nobody has to find the mounts at
/// their places, and directories that were made for them alone are not there either.
#[must_use]
pub(crate) fn points(
    mounts: &BTreeSet<TreePath>,
    listing: &Listing,
    seen: MountsSeen,
) -> BTreeSet<TreePath> {
    let mut points = BTreeSet::new();
    for mount in mounts {
        let mut place = mount.clone();
        if seen == MountsSeen::ByNobody {
            let mut at = TreePath::root();
            for name in mount.names() {
                at = at.join(name).unwrap_or_else(|_| mount.clone());
                let known = listing.get(&at);
                if known.is_none_or(|name| name.entry.kind != EntryKind::Directory) {
                    place = at;
                    break;
                }
            }
        }
        points.insert(place);
    }
    let all = points.clone();
    points.retain(|point| {
        let mut others = all.iter().filter(|other| *other != point);
        !others.any(|other| point.starts_with(other))
    });
    points
}
