//! What a step asked to be mounted: sources made ready, places for them prepared.
//!
//! Places come on the tree that the sandbox puts between the image and the step's changes, as those
//! of `/proc` do: nothing is made in the layer that would have to be removed again
//! (CVE-2024-23652). Sources are found and opened by descriptors before the step runs, so that no
//! other step can put a link in the way (CVE-2024-23651).

mod lent;
mod points;

use std::{
    collections::BTreeMap,
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use repro_core::{
    build::{DeviceNumber, MountAccess, MountFacts, MountSource, MountSpec, cache_key},
    tree::TreePath,
};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fstat,
        mkdirat, openat2, statx,
    },
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_remount,
        move_mount, open_tree, unmount,
    },
};

use self::lent::Lent;
use super::{
    faults::{remove_failure, tree_failure},
    job::{borrowed, existing_dir, make_dir},
    overlay::{Fill, Scratch, Stacked, Writable, unstack},
    plain::inherited,
};
use crate::{
    init::{Attachment, PointKind},
    mapping::IDS,
    protocol::{During, Failure, Secret},
    tree::{self, Content, FileId, Ids, Owner, Root, resolve},
};

/// Directory for what steps write to mounts, beside the tree of a step.
pub(super) const WRITTEN_DIR: &str = "mounts";
/// Directory of a run's caches.
const CACHES_DIR: &str = "caches";
/// Mode of memory that is put on nothing: `tmpfs`'s own.
const MEMORY_MODE: u16 = 0o1777;

/// The mounts of a step, ready to be attached in this order.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) attachments: Vec<Attachment>,
    /// Places that were made for them, which are in no layer.
    pub(super) provided: Vec<TreePath>,
    /// Sockets that programs of the step will connect to, in the order of its agents.
    pub(super) listeners: Vec<OwnedFd>,
    /// What is mounted in the scratch space.
    stacks: Vec<String>,
    /// Where files in memory are mounted there.
    lent: Option<&'static str>,
}

/// What mounts are made from.
pub(super) struct Ingredients<'a> {
    pub(super) specs: &'a [MountSpec<Vec<String>>],
    /// The open trees of each of them.
    pub(super) trees: &'a [Vec<OwnedFd>],
    pub(super) secrets: &'a BTreeMap<String, Secret>,
    /// The image.
    pub(super) lower: Option<BorrowedFd<'a>>,
    /// Where owners are known from.
    pub(super) ids: Ids<'a>,
    /// The tree between the image and the step's changes.
    pub(super) stub: &'a OwnedFd,
    /// The run's directory in the store.
    pub(super) run: &'a OwnedFd,
    /// The step's directory in it.
    pub(super) own: &'a OwnedFd,
}

/// A mount that is nowhere yet.
struct Source {
    tree: OwnedFd,
    kind: PointKind,
}

impl Mounts {
    /// Makes everything ready.
    pub(super) fn prepare(
        ingredients: &Ingredients<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Self, Failure> {
        let Ingredients { specs, lower, .. } = *ingredients;
        let mut mounts = Self::default();
        if specs.is_empty() {
            return Ok(mounts);
        }
        let points = points::resolve(specs, lower)?;
        let mut making = Making {
            ingredients,
            scratch,
            written: make_dir(ingredients.own, WRITTEN_DIR)?,
            caches: BTreeMap::new(),
            lent: Lent::default(),
            mounts: &mut mounts,
        };
        let mut sources = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let mode = points[index].mode(lower)?.unwrap_or(MEMORY_MODE);
            sources.push(making.source(index, spec, mode)?);
        }
        let Making { lent, .. } = making;
        let lent = lent.finish()?;
        mounts.lent = lent.mounted_at;
        mounts.listeners = lent.listeners;
        let mut files = lent.files.into_iter();
        let mut made = Vec::with_capacity(specs.len());
        for source in sources {
            let lent = || Failure::operation("a lent file is missing", Errno::NOENT);
            made.push(match source {
                Some(source) => source,
                None => Source {
                    tree: files.next().ok_or_else(lent)?,
                    kind: PointKind::File,
                },
            });
        }
        let kinds: Vec<PointKind> = made.iter().map(|source| source.kind).collect();
        mounts.provided =
            points::make(&points, &kinds, ingredients.stub, (lower, ingredients.ids))?;
        let mut made: Vec<Option<Source>> = made.into_iter().map(Some).collect();
        for index in points::order(&points) {
            let point = &points[index];
            if let Some(Source { tree, kind }) = made[index].take() {
                mounts.attachments.push(Attachment {
                    tree,
                    kind,
                    start: CString::new(point.start.as_bytes()).during("a mount target")?,
                    names: point.names()?,
                    target: specs[index].target.clone(),
                });
            }
        }
        Ok(mounts)
    }

    /// Unmounts what was mounted. Attachments must be gone.
    pub(super) fn take_away(self) -> Result<(), Failure> {
        let Self { stacks, lent, .. } = self;
        if let Some(lent) = lent {
            // A socket that the orchestrator still has open keeps it busy. Nothing of it is in a layer.
            unmount(lent, UnmountFlags::DETACH).during("umount2(lent, MNT_DETACH)")?;
        }
        stacks.iter().rev().try_for_each(|name| unstack(name))
    }
}

/// Sources in the making.
struct Making<'a, 'b> {
    ingredients: &'a Ingredients<'a>,
    scratch: &'a mut Scratch<'b>,
    /// Holds what is written.
    written: OwnedFd,
    /// Directories of caches, by the names of what is written to them: one for all mounts of the
    /// step.
    caches: BTreeMap<String, OwnedFd>,
    lent: Lent,
    mounts: &'a mut Mounts,
}

impl<'a> Making<'a, '_> {
    /// Makes the source of a mount; `None` for a file that is lent, which is ready with all others.
    fn source(
        &mut self,
        index: usize,
        spec: &'a MountSpec<Vec<String>>,
        mode: u16,
    ) -> Result<Option<Source>, Failure> {
        match &spec.source {
            MountSource::Bind { path, .. } => {
                let root = self.stack(index, spec.access)?;
                let file = open_source(root.as_fd(), path, spec)?;
                Ok(Some(detached(file.as_fd(), spec)?))
            }
            MountSource::Cache {
                id,
                trees,
                path,
                facts,
            } => {
                let key = cache_key(id, trees.as_deref().unwrap_or_default(), path);
                if !self.caches.contains_key(&key) {
                    let root = self.stack_cache(index, &key)?;
                    let directory = open_source(root.as_fd(), path, spec)?;
                    set_facts(directory.as_fd(), *facts, spec, self.ingredients.ids)?;
                    self.caches.insert(key.clone(), directory);
                }
                let cache = detached(self.caches[&key].as_fd(), spec)?;
                match spec.access {
                    MountAccess::ReadWrite => Ok(Some(cache)),
                    MountAccess::ReadOnly => self.read_only(index, &cache).map(Some),
                }
            }
            MountSource::Tmpfs { size } => memory(*size, mode, spec.access).map(Some),
            MountSource::Secret { id, facts } => {
                let secret = self.ingredients.secrets.get(id);
                let secret = secret
                    .ok_or_else(|| Failure::refused(format!("the secret {id} was not given")))?;
                self.lent
                    .file(&secret.0, *facts, spec, self.ingredients.ids)
                    .map(|()| None)
            }
            MountSource::Agent { facts, .. } => self
                .lent
                .socket(*facts, spec, self.ingredients.ids)
                .map(|()| None),
        }
    }

    /// Stacks the trees of a mount. What is written goes to a directory of its own and is removed
    /// with it.
    fn stack(&mut self, index: usize, access: MountAccess) -> Result<OwnedFd, Failure> {
        match access {
            MountAccess::ReadOnly => self.stack_on(index, None),
            MountAccess::ReadWrite => {
                let upper = make_dir(&self.written, &format!("{index}"))?;
                let work = make_dir(&self.written, &format!("{index}-work"))?;
                self.stack_on(index, Some((&upper, &work, Fill::From(Content::Copied))))
            }
        }
    }

    /// Stacks the trees of a cache. What is written stays for the next steps of the run; no other
    /// step of it has the cache meanwhile, since the plan lets them wait for each other.
    fn stack_cache(&mut self, index: usize, key: &str) -> Result<OwnedFd, Failure> {
        let caches = existing_dir(self.ingredients.run, CACHES_DIR)?;
        let cache = existing_dir(&caches, key)?;
        let fill = match mkdirat(&cache, "upper", Mode::from_raw_mode(0o700)) {
            Ok(()) => Fill::From(Content::Copied),
            Err(Errno::EXIST) => Fill::Kept,
            Err(errno) => return Err(Failure::operation("mkdir(\"upper\", 0700)", errno)),
        };
        let upper = existing_dir(&cache, "upper")?;
        // Overlayfs marks the one that it used, and takes none that is marked.
        tree::remove_tree(cache.as_fd(), b"work").map_err(|error| remove_failure(&error))?;
        let work = make_dir(&cache, "work")?;
        self.stack_on(index, Some((&upper, &work, fill)))
    }

    fn stack_on(
        &mut self,
        index: usize,
        writable: Option<(&OwnedFd, &OwnedFd, Fill)>,
    ) -> Result<OwnedFd, Failure> {
        let name = format!("mount-{index}");
        let trees = borrowed(&self.ingredients.trees[index]);
        let writable = writable.map(|(upper, work, fill)| Writable {
            upper: upper.as_fd(),
            work: work.as_fd(),
            fill,
            device: DeviceNumber::OfStore,
        });
        let Stacked { root, .. } = self.scratch.stack(&name, &trees, writable)?;
        self.mounts.stacks.push(name);
        Ok(root)
    }

    /// The same directory, not to be written to.
    fn read_only(&mut self, index: usize, source: &Source) -> Result<Source, Failure> {
        let name = format!("read-only-{index}");
        mkdirat(CWD, &name, Mode::from_raw_mode(0o755)).during(&format!("mkdir({name:?})"))?;
        put(&source.tree, &name)?;
        self.mounts.stacks.push(name.clone());
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NODEV;
        let flags = flags | inherited(source.tree.as_fd())?;
        mount_remount(&name, flags, c"").during(&format!("mount({name:?}, MS_BIND|MS_RDONLY)"))?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &name, flags).during(&format!("open_tree({name:?})"))?;
        Ok(Source {
            tree,
            kind: source.kind,
        })
    }
}

/// Puts a mount on a directory of the scratch space.
fn put(tree: &OwnedFd, name: &str) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, c"", CWD, name, flags).during(&format!("move_mount({name:?})"))
}

/// Opens what a mount shows of its trees. Links are followed inside them (CVE-2024-1753).
fn open_source(
    root: BorrowedFd<'_>,
    path: &str,
    spec: &MountSpec<Vec<String>>,
) -> Result<OwnedFd, Failure> {
    let place = resolve(Root::new(root), path.as_bytes()).map_err(|error| tree_failure(&error))?;
    open_beneath(root, &place, OFlags::PATH)
        .during(&format!("openat2({place:?})"))?
        .ok_or_else(|| {
            Failure::refused(format!(
                "the source {path:?} of the mount at {:?} is not there",
                spec.target
            ))
        })
}

/// Opens a place of a tree without following a link; `None` where there is nothing.
fn open_beneath(
    root: BorrowedFd<'_>,
    place: &TreePath,
    flags: OFlags,
) -> Result<Option<OwnedFd>, Errno> {
    let name = if place.is_root() {
        std::ffi::OsStr::new(".")
    } else {
        place.as_os_str()
    };
    let opened = openat2(
        root,
        name,
        flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    );
    match opened {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A mount of its own of an open directory or file.
fn detached(file: BorrowedFd<'_>, spec: &MountSpec<Vec<String>>) -> Result<Source, Failure> {
    let stat = fstat(file).during("fstat(source)")?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => PointKind::Directory,
        FileType::RegularFile => PointKind::File,
        _ => {
            return Err(Failure::refused(format!(
                "the source of the mount at {:?} is neither a directory nor a file",
                spec.target
            )));
        }
    };
    if kind == PointKind::File && matches!(spec.source, MountSource::Cache { .. }) {
        return Err(Failure::refused(format!(
            "the source of the cache at {:?} is no directory",
            spec.target
        )));
    }
    let tree = open_tree(
        file,
        c"",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .during("open_tree(source, OPEN_TREE_CLONE)")?;
    Ok(Source { tree, kind })
}

/// Gives mode and owner to an open directory, which may be open for its name only.
fn set_facts(
    directory: BorrowedFd<'_>,
    facts: MountFacts,
    spec: &MountSpec<Vec<String>>,
    ids: Ids<'_>,
) -> Result<(), Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, c".", flags, Mode::empty());
    let opened = match opened {
        // Told with the source's own name.
        Err(Errno::NOTDIR) => return Ok(()),
        opened => opened.during("open(cache)")?,
    };
    own(&opened, facts, spec, ids)?;
    fchmod(&opened, Mode::from_raw_mode(facts.mode.into())).during("fchmod(cache)")
}

/// Gives an owner to an open file.
fn own(
    file: impl AsFd,
    facts: MountFacts,
    spec: &MountSpec<Vec<String>>,
    ids: Ids<'_>,
) -> Result<(), Failure> {
    let MountFacts { uid, gid, .. } = facts;
    if uid >= IDS || gid >= IDS {
        return Err(foreign_owner(Errno::INVAL, facts, spec));
    }
    match ids {
        Ids::Kernel => fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| foreign_owner(errno, facts, spec)),
        Ids::Recorded(owners) => {
            let flags = AtFlags::EMPTY_PATH;
            let stat = statx(file, "", flags, FileId::WANTED).during("statx(mount)")?;
            if let Some(file) = FileId::new(&stat) {
                owners.set(file, Owner { uid, gid });
            }
            Ok(())
        }
    }
}

/// Why an owner cannot be had.
fn foreign_owner(errno: Errno, facts: MountFacts, spec: &MountSpec<Vec<String>>) -> Failure {
    match errno {
        Errno::INVAL => Failure::refused(format!(
            "the owner {}:{} of the mount at {:?} is beyond the ids that a step has",
            facts.uid, facts.gid, spec.target
        )),
        errno => Failure::operation("chown(mount)", errno),
    }
}

/// A file system in memory.
fn memory(size: Option<u64>, mode: u16, access: MountAccess) -> Result<Source, Failure> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen(\"tmpfs\")")?;
    if let Some(size) = size {
        let size = size.to_string();
        fsconfig_set_string(&context, c"size", size.as_str())
            .map_err(|_| Failure::refused(format!("memory of {size} bytes cannot be had")))?;
    }
    fsconfig_set_string(&context, c"mode", format!("{mode:04o}").as_str())
        .during("fsconfig(\"mode\")")?;
    fsconfig_create(&context).during("fsconfig(FSCONFIG_CMD_CREATE)")?;
    let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if access == MountAccess::ReadOnly {
        flags |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).during("fsmount(tmpfs)")?;
    Ok(Source {
        tree,
        kind: PointKind::Directory,
    })
}
