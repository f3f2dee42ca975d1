//! A tree behind a directory descriptor. Every path of it is opened in one call that follows
//! no link, leaves no root and crosses no mount.
//!
//! Whole paths instead of one descriptor a level: a [`TreePath`] always fits one call, and the
//! number of open files does not grow with the depth that a hostile layer chooses.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use repro_core::tree::TreePath;
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, chownat, fchmod, fchown, futimens,
        linkat, mkdirat, mknodat, openat, openat2, readlinkat, renameat, statx, symlinkat,
        unlinkat, utimensat,
    },
    fs::{Gid, Uid},
    io::Errno,
};

use crate::mapping::IDS;

use super::{
    Ids, Owner, Owners, RemoveError, TreeError,
    attributes::Attributes,
    node::{Kind, Node, Time},
    owners::FileId,
    remove::remove_tree,
};

/// Mode, owner, time and attributes to be given to a node.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) xattrs: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The root of a tree, an open directory.
#[derive(Debug, Clone, Copy)]
pub struct Root<'fd> {
    fd: BorrowedFd<'fd>,
    ids: Ids<'fd>,
    detour: Option<Detour<'fd>>,
}

/// Where a tree that lies in a container is seen through what an engine mounted in it.
#[derive(Debug, Clone, Copy)]
pub struct Detour<'fd> {
    /// A directory that holds, under the same paths, what the tree has at the mount points.
    pub aside: BorrowedFd<'fd>,
    /// The mount points, a few, and none below another.
    pub points: &'fd BTreeSet<TreePath>,
    /// A name at the root that is no part of the tree.
    pub hidden: &'fd [u8],
    /// Who sees the mounts.
    pub seen: MountsSeen,
}

/// Who sees what an engine mounted in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountsSeen {
    /// A program. What the tree has at the mount points nobody sees, and nobody changes.
    ByProgram,
    /// Nobody: files are copied, to the mount points too.
    ByNobody,
}

impl Detour<'_> {
    /// Whether `path` is a mount point or below one.
    #[must_use]
    pub fn covers(&self, path: &TreePath) -> bool {
        self.points.iter().any(|point| path.starts_with(point))
    }

    /// Whether what the tree has at `path` is out of reach.
    pub(super) fn hides(&self, path: &TreePath) -> bool {
        self.seen == MountsSeen::ByProgram && self.covers(path)
    }
}

impl<'fd> Root<'fd> {
    /// The tree below `fd`, whose owners the kernel knows.
    #[must_use]
    pub const fn new(fd: BorrowedFd<'fd>) -> Self {
        Self::with(fd, Ids::Kernel)
    }

    /// The tree below `fd`.
    #[must_use]
    pub const fn with(fd: BorrowedFd<'fd>, ids: Ids<'fd>) -> Self {
        Self {
            fd,
            ids,
            detour: None,
        }
    }

    /// The tree below `fd` in a container, whose owners the kernel knows.
    #[must_use]
    pub const fn contained(fd: BorrowedFd<'fd>, detour: Detour<'fd>) -> Self {
        Self {
            fd,
            ids: Ids::Kernel,
            detour: Some(detour),
        }
    }

    /// A directory of this tree as a tree.
    pub(super) const fn below<'a>(self, fd: BorrowedFd<'a>) -> Root<'a>
    where
        'fd: 'a,
    {
        Root {
            fd,
            ids: self.ids,
            detour: None,
        }
    }

    /// The directory that `path` is looked up in.
    fn base(self, path: &TreePath) -> BorrowedFd<'fd> {
        match self.detour {
            Some(detour) if detour.covers(path) => detour.aside,
            _ => self.fd,
        }
    }

    /// The directory.
    #[must_use]
    pub const fn fd(self) -> BorrowedFd<'fd> {
        self.fd
    }

    /// Opens what is at `path`; a link itself, never its target.
    pub(super) fn open(self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() {
            OsStr::new(".")
        } else {
            path.as_os_str()
        };
        openat2(
            self.base(path),
            name,
            flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH
                | ResolveFlags::NO_SYMLINKS
                | ResolveFlags::NO_MAGICLINKS
                | ResolveFlags::NO_XDEV,
        )
    }

    /// Opens a file, FIFO or directory for reading. A FIFO does not block.
    pub(super) fn open_read(self, path: &TreePath) -> Result<OwnedFd, TreeError> {
        self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)
            .map_err(TreeError::io("open it", path))
    }

    /// Opens a regular file for reading its content.
    pub(super) fn open_file(self, path: &TreePath) -> Result<File, TreeError> {
        self.open_read(path).map(File::from)
    }

    /// Opens a regular file for reading; `None` where there is nothing. Anything else is an
    /// error: a pipe could be read without end.
    pub(crate) fn open_regular(self, path: &TreePath) -> Result<Option<File>, TreeError> {
        match self.visible(path)?.map(|node| node.kind) {
            None => Ok(None),
            Some(Kind::File) => self.open_file(path).map(Some),
            Some(_) => Err(TreeError::NotAFile(path.clone())),
        }
    }

    /// What is at `path`; `None` where there is nothing, or something that is no directory
    /// further up.
    pub(super) fn node(self, path: &TreePath) -> Result<Option<Node>, TreeError> {
        let fd = match self.open(path, OFlags::PATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(TreeError::io("look at it", path)(error)),
        };
        let stat = statx(
            &fd,
            "",
            AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
            FileId::WANTED,
        )
        .map_err(TreeError::io("look at it", path))?;
        let mut node = Node::new(&stat);
        if let Ids::Recorded(owners) = self.ids {
            let file = FileId::new(&stat).ok_or_else(|| TreeError::Birth(path.clone()))?;
            let owner = owners.get(file);
            (node.uid, node.gid) = (owner.uid, owner.gid);
        }
        Ok(Some(node))
    }

    /// As [`Root::node`], for a tree whose whiteouts mean nothing: there is nothing below.
    pub(super) fn visible(self, path: &TreePath) -> Result<Option<Node>, TreeError> {
        Ok(self.node(path)?.filter(|node| !node.is_whiteout()))
    }

    /// The names in a directory, sorted bytewise.
    pub(super) fn names(self, path: &TreePath) -> Result<Vec<Vec<u8>>, TreeError> {
        let fd = self
            .open(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(TreeError::io("list it", path))?;
        let mut names = sorted_names(fd.as_fd()).map_err(TreeError::io("list it", path))?;
        let Some(detour) = self.detour else {
            return Ok(names);
        };
        if path.is_root() {
            names.retain(|name| name != detour.hidden);
        }
        // A mount point is there for the mount; in the tree it may not be.
        let mut real = Vec::with_capacity(names.len());
        for name in names {
            let child = path.join(&name).map_err(|source| TreeError::Path {
                parent: path.clone(),
                source,
            })?;
            if !detour.points.contains(&child) || self.node(&child)?.is_some() {
                real.push(name);
            }
        }
        Ok(real)
    }

    /// The target of a symbolic link.
    pub(super) fn read_link(self, path: &TreePath) -> Result<Vec<u8>, TreeError> {
        let fd = self
            .open(path, OFlags::PATH)
            .map_err(TreeError::io("read the link", path))?;
        readlinkat(&fd, "", Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(TreeError::io("read the link", path))
    }

    /// The attributes of a file or directory. Other types have none that a step can set or a
    /// layer keeps: the kernel allows `user.*` on these two only, and capabilities on files.
    pub(super) fn attributes(self, path: &TreePath, kind: Kind) -> Result<Attributes, TreeError> {
        match kind {
            Kind::Directory | Kind::File => Attributes::read(self.open_read(path)?.as_fd(), path),
            _ => Ok(Attributes::default()),
        }
    }

    /// The directory that holds `path`, and the name in it.
    fn parent(self, path: &TreePath) -> Result<(OwnedFd, &OsStr), TreeError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(TreeError::RootEntry);
        };
        let fd = self
            .open_parent(path, &parent)
            .map_err(TreeError::io("open the directory", &parent))?;
        Ok((fd, OsStr::from_bytes(name)))
    }

    /// Opens the directory `parent` that holds `path`: a mount point is not where its directory is.
    fn open_parent(self, path: &TreePath, parent: &TreePath) -> Result<OwnedFd, Errno> {
        let base = Root {
            fd: self.base(path),
            ids: self.ids,
            detour: None,
        };
        base.open(parent, OFlags::PATH | OFlags::DIRECTORY)
    }

    pub(super) fn make_directory(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        mkdirat(&parent, name, Mode::RWXU).map_err(TreeError::io("make the directory", path))
    }

    /// Makes an empty file, open for writing.
    pub(super) fn make_file(self, path: &TreePath) -> Result<File, TreeError> {
        let (parent, name) = self.parent(path)?;
        openat(
            &parent,
            name,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .map(File::from)
        .map_err(TreeError::io("make the file", path))
    }

    pub(super) fn make_symlink(self, path: &TreePath, target: &[u8]) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        symlinkat(OsStr::from_bytes(target), &parent, name)
            .map_err(TreeError::io("make the symbolic link", path))
    }

    pub(super) fn make_fifo(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        mknodat(&parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(TreeError::io("make the named pipe", path))
    }

    /// Makes the mark of a removed name: a device 0:0, as overlayfs has it. An overlay lets nobody
    /// make one in it; there it is a socket of mode 0, which plain copies alone have to read.
    pub(super) fn make_whiteout(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        let make = |kind| mknodat(&parent, name, kind, Mode::empty(), 0);
        match make(FileType::CharacterDevice) {
            Err(Errno::PERM) => make(FileType::Socket),
            result => result,
        }
        .map_err(TreeError::io("make the whiteout", path))
    }

    /// Makes `path` another name of `target`, a link itself if that is one.
    pub(super) fn make_link(self, path: &TreePath, target: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        let (target_parent, target_name) = self.parent(target)?;
        linkat(&target_parent, target_name, &parent, name, AtFlags::empty())
            .map_err(TreeError::io("make the hard link", path))
    }

    /// Makes `path` another name of what `source` has at `there`, a link itself if that is one.
    /// Both are on one file system.
    pub(super) fn link_from(
        self,
        path: &TreePath,
        source: Root<'_>,
        there: &TreePath,
    ) -> Result<(), Errno> {
        let named = |root: Root<'_>, path: &TreePath| {
            let parent = path.parent().unwrap_or_else(TreePath::root);
            root.open_parent(path, &parent)
        };
        let name =
            |path: &TreePath| OsStr::from_bytes(path.file_name().unwrap_or_default()).to_owned();
        linkat(
            named(source, there)?,
            name(there),
            named(self, path)?,
            name(path),
            AtFlags::empty(),
        )
    }

    /// Gives what is at `path` another name in its place.
    pub(super) fn rename(self, from: &TreePath, to: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(from)?;
        let (target_parent, target) = self.parent(to)?;
        renameat(&parent, name, &target_parent, target)
            .map_err(TreeError::io("rename it to its place", from))
    }

    /// Removes one name that is no directory.
    pub(super) fn unlink(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        unlinkat(&parent, name, AtFlags::empty()).map_err(TreeError::io("delete it", path))
    }

    /// Removes an empty directory.
    pub(super) fn remove_directory(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(TreeError::io("delete it", path))
    }

    /// Removes whatever is there, with everything below.
    pub(crate) fn remove(self, path: &TreePath) -> Result<(), TreeError> {
        let (parent, name) = self.parent(path)?;
        remove_tree(parent.as_fd(), name.as_bytes()).map_err(|source: RemoveError| {
            TreeError::Remove {
                path: path.clone(),
                source,
            }
        })
    }

    /// Sets the time of what is at `path`, of a link itself.
    pub(super) fn set_time(self, path: &TreePath, mtime: Time) -> Result<(), TreeError> {
        if path.is_root() {
            // The descriptor of the root may be one that names a place only.
            return utimensat(self.fd, ".", &mtime.stamps(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(TreeError::io("set its time", path));
        }
        let (parent, name) = self.parent(path)?;
        utimensat(&parent, name, &mtime.stamps(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(TreeError::io("set its time", path))
    }

    /// Gives `facts` to what is at `path`. The owner comes first: a change of owner clears
    /// set-id bits and capabilities.
    pub(super) fn set_facts(
        self,
        path: &TreePath,
        kind: Kind,
        facts: &Facts,
    ) -> Result<(), TreeError> {
        if kind == Kind::Symlink {
            let (uid, gid) = owner(path, facts)?;
            match self.ids {
                Ids::Kernel => {
                    let (parent, name) = self.parent(path)?;
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    chownat(&parent, name, Some(uid), Some(gid), flags)
                        .map_err(|error| owner_error(error, path, facts))?;
                }
                Ids::Recorded(_) => self.record(path, given(facts))?,
            }
            return self.set_time(path, facts.mtime);
        }
        self.set_facts_of(self.open_read(path)?.as_fd(), path, facts)
    }

    /// As [`Root::set_facts`] for an open file, FIFO or directory.
    pub(super) fn set_facts_of(
        self,
        fd: BorrowedFd<'_>,
        path: &TreePath,
        facts: &Facts,
    ) -> Result<(), TreeError> {
        let (uid, gid) = owner(path, facts)?;
        match self.ids {
            Ids::Kernel => {
                fchown(fd, Some(uid), Some(gid))
                    .map_err(|error| owner_error(error, path, facts))?;
            }
            Ids::Recorded(owners) => record(owners, fd, path, given(facts))?,
        }
        fchmod(fd, Mode::from_raw_mode(facts.mode.into()))
            .map_err(TreeError::io("set its mode", path))?;
        super::attributes::set(fd, path, &facts.xattrs)?;
        futimens(fd, &facts.mtime.stamps()).map_err(TreeError::io("set its time", path))
    }

    /// Writes down who owns what is at `path`, if owners are written down here.
    pub(super) fn record(self, path: &TreePath, owner: Owner) -> Result<(), TreeError> {
        let Ids::Recorded(owners) = self.ids else {
            return Ok(());
        };
        match self.open(path, OFlags::PATH) {
            Ok(fd) => record(owners, fd.as_fd(), path, owner),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(TreeError::io("look at it", path)(error)),
        }
    }
}

fn record(
    owners: &Owners,
    fd: BorrowedFd<'_>,
    path: &TreePath,
    owner: Owner,
) -> Result<(), TreeError> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let stat = statx(fd, "", flags, FileId::WANTED).map_err(TreeError::io("look at it", path))?;
    let file = FileId::new(&stat).ok_or_else(|| TreeError::Birth(path.clone()))?;
    owners.set(file, owner);
    Ok(())
}

fn given(facts: &Facts) -> Owner {
    Owner {
        uid: facts.uid,
        gid: facts.gid,
    }
}

/// Owner and group for the kernel: one of those that a step has.
fn owner(path: &TreePath, facts: &Facts) -> Result<(Uid, Gid), TreeError> {
    if facts.uid >= IDS || facts.gid >= IDS {
        return Err(owner_error(Errno::INVAL, path, facts));
    }
    Ok((Uid::from_raw(facts.uid), Gid::from_raw(facts.gid)))
}

fn owner_error(error: Errno, path: &TreePath, facts: &Facts) -> TreeError {
    if error == Errno::INVAL {
        TreeError::Owner {
            path: path.clone(),
            uid: facts.uid,
            gid: facts.gid,
        }
    } else {
        TreeError::io("set its owner", path)(error)
    }
}

/// The names in an open directory but `.` and `..`, sorted bytewise.
pub(super) fn sorted_names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
