//! Stacks of trees as one tree, by overlayfs; where that is refused, by plain copies.

use std::{
    fmt::Write as _,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat, removexattr, symlinkat},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, move_mount, unmount,
    },
    process::fchdir,
};

use super::{
    device::{self, Taken},
    faults::{remove_failure, tree_failure},
    job::existing_dir,
    plain,
};
use crate::{
    protocol::{During, Failure},
    tree::{self, Content, Ids, Merged, Root},
};
use repro_core::build::{DeviceNumber, Snapshotter};

/// Most directories below a writable one. Overlayfs takes 500; one is left for the directory that
/// a stack of one tree without a writable one needs.
const MAX_LOWER: usize = 499;

/// How often a stack is mounted to get a number of one kind.
const NUMBER_ATTEMPTS: usize = 32;

/// Where overlayfs notes that it knows an upper directory.
const UUID: &str = "user.overlay.uuid";

/// Options of every stack. Whole files and directories, no links between layers: what lies in the
/// upper directory then is what the step wrote (a layer is computed from nothing else).
const OPTIONS: &str = "userxattr,redirect_dir=nofollow,index=off,metacopy=off,xino=off";

/// Writable directories of a stack, on one file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writable<'a> {
    /// Takes the changes.
    pub upper: BorrowedFd<'a>,
    /// Overlayfs's own.
    pub work: BorrowedFd<'a>,
    /// What a plain copy puts into `upper`.
    pub fill: Fill,
    /// The number that an overlay shall have.
    pub device: DeviceNumber,
}

/// What becomes of the upper directory where trees are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// It is empty, and gets what the trees hold.
    From(Content),
    /// It is one that was filled before.
    Kept,
}

/// A stack that is mounted.
#[derive(Debug)]
pub(super) struct Stacked {
    pub root: OwnedFd,
    /// What was copied into the upper directory, to be distilled from it again.
    pub merged: Option<Merged>,
}

/// A file system in memory that holds mount points and short names for directories.
///
/// `mount` takes at most a page of options, and 500 paths of a store are longer. Links such as
/// `7 -> /proc/self/fd/31` keep them short with any kernel, where the options for single layers
/// (`lowerdir+`) want a recent one.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    links: usize,
    snapshotter: Snapshotter,
    ids: Ids<'a>,
    /// Where plain copies that nobody writes to are made, in a directory of their own.
    holder: OwnedFd,
}

/// Directory of plain copies that nobody writes to. It goes when they are not needed any more.
pub(super) const MERGED_DIR: &str = "merged";

impl<'a> Scratch<'a> {
    /// Mounts it over `at`, and makes its root the working directory. Directories that were opened
    /// before stay as they were.
    ///
    /// `at` belongs to the mapped root: a mount point is found by path, and that user may not even
    /// look into the store's directory.
    /// `holder` is where plain copies are made.
    pub(super) fn mount(
        at: BorrowedFd<'_>,
        holder: &OwnedFd,
        snapshotter: Snapshotter,
        ids: Ids<'a>,
    ) -> Result<Self, Failure> {
        let holder = holder
            .try_clone()
            .map_err(|error| Failure::io("dup(holder of copies)", &error))?;
        fchdir(at).during("fchdir(mount point)")?;
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen(\"tmpfs\")")?;
        // Room for the links of two stacks and a few directories.
        fsconfig_set_string(&context, c"size", c"1m").during("fsconfig(\"size\", \"1m\")")?;
        fsconfig_set_string(&context, c"mode", c"0700").during("fsconfig(\"mode\", \"0700\")")?;
        fsconfig_create(&context).during("fsconfig(FSCONFIG_CMD_CREATE)")?;
        let tree = fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        )
        .during("fsmount(tmpfs)")?;
        move_mount(
            &tree,
            c"",
            CWD,
            c".",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .during("move_mount(tmpfs, \".\")")?;
        fchdir(&tree).during("fchdir(tmpfs)")?;
        Ok(Self {
            links: 0,
            snapshotter,
            ids,
            holder,
        })
    }

    /// How trees are stacked.
    pub(super) const fn snapshotter(&self) -> Snapshotter {
        self.snapshotter
    }

    /// Stacks `trees` (lowest first) under `writable`, or read-only, and gives the root.
    /// `name` becomes a directory of the scratch space.
    pub(super) fn stack(
        &mut self,
        name: &str,
        trees: &[BorrowedFd<'_>],
        writable: Option<Writable<'_>>,
    ) -> Result<Stacked, Failure> {
        match self.snapshotter {
            Snapshotter::Overlay => {
                let root = self.overlay(name, trees, writable)?;
                Ok(Stacked { root, merged: None })
            }
            // The executor of this room is asked for no other.
            Snapshotter::PlainCopy | Snapshotter::Engine => self.copy(name, trees, writable),
        }
    }

    fn copy(
        &self,
        name: &str,
        trees: &[BorrowedFd<'_>],
        writable: Option<Writable<'_>>,
    ) -> Result<Stacked, Failure> {
        let ids = self.ids;
        let trees: Vec<Root<'_>> = trees.iter().map(|tree| Root::with(*tree, ids)).collect();
        let merge = |dest, content| {
            let dest = Root::with(dest, ids);
            tree::merge(&trees, dest, content).map_err(|error| tree_failure(&error))
        };
        make_dir(name)?;
        let mut merged = None;
        if let Some(Writable { upper, fill, .. }) = writable {
            if let Fill::From(content) = fill {
                merged = Some(merge(upper, content)?);
            }
            plain::attach(upper, name, MountFlags::empty())?;
        } else {
            let all = existing_dir(&self.holder, MERGED_DIR)?;
            let dest = existing_dir(&all, name)?;
            let top = trees.last().copied();
            tree::prepare_upper(Root::with(dest.as_fd(), ids), top)
                .map_err(|error| tree_failure(&error))?;
            merge(dest.as_fd(), Content::Linked)?;
            plain::attach(dest.as_fd(), name, MountFlags::RDONLY)?;
        }
        let root = open_dir(name)?;
        Ok(Stacked { root, merged })
    }

    fn overlay(
        &mut self,
        name: &str,
        trees: &[BorrowedFd<'_>],
        writable: Option<Writable<'_>>,
    ) -> Result<OwnedFd, Failure> {
        let bottom;
        let mut trees = trees;
        let mut lower;
        if trees.len() > MAX_LOWER {
            // The lowest ones become one tree; a stack may lie on another, once.
            let (low, high) = trees.split_at(MAX_LOWER);
            bottom = self.stack_once(&format!("{name}-low"), low, None)?;
            lower = vec![bottom.as_fd()];
            lower.extend_from_slice(high);
            trees = &lower;
        }
        self.stack_once(name, trees, writable)
    }

    fn stack_once(
        &mut self,
        name: &str,
        trees: &[BorrowedFd<'_>],
        writable: Option<Writable<'_>>,
    ) -> Result<OwnedFd, Failure> {
        if trees.is_empty() && writable.is_none() {
            // Nothing on nothing, as an empty context has it, is a directory.
            make_dir(name)?;
            return open_dir(name);
        }
        let mut options = OPTIONS.to_owned();
        let mut separator = ",lowerdir=";
        for tree in trees.iter().rev() {
            let link = self.link(*tree)?;
            write!(options, "{separator}{link}").expect("a String takes every write");
            separator = ":";
        }
        // Overlayfs wants one lower directory under a writable one and two without.
        if trees.is_empty() || (trees.len() == 1 && writable.is_none()) {
            let empty = format!("{name}-empty");
            make_dir(&empty)?;
            write!(options, "{separator}{empty}").expect("a String takes every write");
        }
        if let Some(Writable { upper, work, .. }) = writable {
            let (upper, work) = (self.link(upper)?, self.link(work)?);
            // `volatile`: a step's tree is of use as a whole or not at all, so nothing is synced.
            write!(options, ",volatile,upperdir={upper},workdir={work}")
                .expect("a String takes every write");
        }
        make_dir(name)?;
        let flags = match writable {
            Some(_) => MountFlags::NODEV,
            None => MountFlags::NODEV | MountFlags::RDONLY,
        };
        let text = cstring(&options)?;
        let mount = || {
            mount(c"overlay", name, c"overlay", flags, Some(text.as_c_str()))
                .map_err(|errno| refused(&options, errno))?;
            open_dir(name)
        };
        match writable {
            Some(writable) if writable.device != DeviceNumber::OfStore => {
                numbered(&writable, || {
                    let root = mount()?;
                    if device::fits(&root, writable.device)? {
                        return Ok(Some(root));
                    }
                    drop(root);
                    unstack(name).map(|()| None)
                })
            }
            _ => mount(),
        }
    }

    fn link(&mut self, directory: BorrowedFd<'_>) -> Result<String, Failure> {
        let name = self.links.to_string();
        self.links += 1;
        let target = format!("/proc/self/fd/{}", directory.as_raw_fd());
        symlinkat(&target, CWD, &name).during(&format!("symlink({target:?}, {name:?})"))?;
        Ok(name)
    }
}

/// Mounts a stack until it has a number of the kind that it shall have: between a look at the next
/// number and the mount, others can take it.
fn numbered(
    writable: &Writable<'_>,
    mut mount: impl FnMut() -> Result<Option<OwnedFd>, Failure>,
) -> Result<OwnedFd, Failure> {
    let mut taken = Taken::default();
    for _ in 0..NUMBER_ATTEMPTS {
        taken.until(writable.device)?;
        if let Some(root) = mount()? {
            return Ok(root);
        }
        // A volatile stack leaves a mark, with which it is not mounted again.
        tree::remove_tree(writable.work, b"work").map_err(|error| remove_failure(&error))?;
        forget_mount(writable.upper)?;
    }
    Err(Failure::operation(
        format!(
            "no overlay with a {:?} device number after {NUMBER_ATTEMPTS}",
            writable.device
        ),
        Errno::AGAIN,
    ))
}

/// Removes what a first mount left on an upper directory: with it the list of mounts shows an option more,
/// so that a program could see how often its tree was mounted.
fn forget_mount(upper: BorrowedFd<'_>) -> Result<(), Failure> {
    let path = format!("/proc/self/fd/{}", upper.as_raw_fd());
    match removexattr(&path, UUID) {
        // Kernels before 6.6 leave none.
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(Failure::operation(
            format!("removexattr(upper, {UUID:?})"),
            errno,
        )),
    }
}

/// Takes a stack away. Nothing may be open in it any more: what a writer still held could change the
/// layer after it was read.
pub(super) fn unstack(name: &str) -> Result<(), Failure> {
    unmount(name, UnmountFlags::empty()).during(&format!("umount({name:?})"))
}

fn make_dir(name: &str) -> Result<(), Failure> {
    mkdirat(CWD, name, Mode::from_raw_mode(0o755)).during(&format!("mkdir({name:?})"))
}

fn open_dir(name: &str) -> Result<OwnedFd, Failure> {
    openat(
        CWD,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during(&format!("open({name:?}, O_PATH|O_DIRECTORY)"))
}

fn cstring(text: &str) -> Result<std::ffi::CString, Failure> {
    std::ffi::CString::new(text).map_err(|_| Failure::operation("mount(options)", Errno::INVAL))
}

fn refused(options: &str, errno: Errno) -> Failure {
    let shown: String = options.chars().take(200).collect();
    Failure::machine(
        format!("mount(\"overlay\", {shown:?})"),
        "overlayfs needs a store on a local file system that it can write to (ext4, xfs, btrfs or tmpfs; \
         not NFS and not another overlay: in a container, put REPRO_STORE on a volume), and a kernel \
         of 5.11 or later; `--snapshotter plain-copy` does without it",
        errno,
    )
}
