//! The work itself, by kind.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use repro_core::{
    build::{DeviceNumber, SnapshotInfo, Snapshotter, UserIds},
    tree::{EntryReader, EntryWriter},
};
use rustix::{
    fs::{
        AtFlags, Mode, OFlags, RenameFlags, fsync, mkdirat, openat, renameat_with, statat, syncfs,
    },
    io::Errno,
};

use super::{
    Session,
    enter::{Isolation, become_root, namespaces, open_tree},
    faults::{remove_failure, tree_failure},
    overlay::{Fill, MERGED_DIR, Scratch, Writable, unstack},
    step,
};
use crate::{
    protocol::{Answer, Done, During, Failure, FailureKind, Job},
    tree::{self, Ids, OwnerList, Owners, Root},
};

/// Buffer of a stream of entries.
const STREAM_BUFFER: usize = 256 * 1024;
/// Facts on a snapshot, beside its tree. There only if the snapshot is whole.
pub(crate) const INFO_FILE: &str = "info.json";
/// Who owns what in the tree, beside it, where steps have one id only.
const OWNERS_FILE: &str = "owners";
/// The tree of a snapshot or step.
pub(crate) const TREE_DIR: &str = "fs";

/// Does `job`.
pub(super) fn perform(job: Job, session: Session) -> Answer {
    let owners = Owners::default();
    let ids = match session.users {
        UserIds::Range => Ids::Kernel,
        UserIds::One => Ids::Recorded(&owners),
    };
    match job {
        Job::Step(job) => step::perform(&job, session, ids).map(Done::Step),
        Job::TryOverlay { directory } => try_overlay(&directory, &session).map(|()| Done::Overlay),
        Job::Unpack {
            snapshotter,
            parents,
            directory,
            name,
        } => unpack(snapshotter, &parents, (&directory, &name), session, ids).map(Done::Unpacked),
        Job::Remove { directory, names } => remove(&directory, &names, &session),
    }
}

/// Makes an overlay of an empty directory that can be written to, and writes.
fn try_overlay(directory: &str, session: &Session) -> Result<(), Failure> {
    let store = namespaces(&session.control, &session.root, Isolation::Trees)?;
    let directory = open_tree(&store, directory)?;
    become_root(session.users)?;
    let name = partial_name("overlay");
    let own = make_dir(&directory, &name)?;
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| make_dir(&own, name));
    let (lower, upper, work) = (lower?, upper?, work?);
    drop(make_dir(&lower, "below")?);
    let mut scratch = Scratch::mount(directory.as_fd(), &own, Snapshotter::Overlay, Ids::Kernel)?;
    let writable = Writable {
        upper: upper.as_fd(),
        work: work.as_fd(),
        fill: Fill::Kept,
        device: DeviceNumber::OfStore,
    };
    let tried = scratch
        .stack("tried", &[lower.as_fd()], Some(writable))
        // The one below is copied up for it, which a file system can refuse that took the mount.
        .and_then(|stacked| make_dir(&open_tree(&stacked.root, "below")?, "above").map(drop));
    // As after a failed unpacking, the first error is the one to tell.
    drop(unstack("tried"));
    let removed = tree::remove_tree(directory.as_fd(), name.as_bytes());
    tried?;
    removed.map_err(|error| remove_failure(&error))
}

fn unpack(
    snapshotter: Snapshotter,
    parents: &[String],
    (directory, name): (&str, &str),
    session: Session,
    ids: Ids<'_>,
) -> Result<SnapshotInfo, Failure> {
    let store = namespaces(&session.control, &session.root, Isolation::Trees)?;
    let parents = open_trees(&store, parents, ids)?;
    let directory = open_tree(&store, directory)?;
    become_root(session.users)?;
    let partial = partial_name(name);
    let whole = make_dir(&directory, &partial)?;
    let kept =
        Scratch::mount(directory.as_fd(), &whole, snapshotter, ids).and_then(|mut scratch| {
            let lower = lower_view(&mut scratch, &parents)?;
            let info = fill(&whole, lower.as_ref(), session.stream, ids)?;
            if snapshotter == Snapshotter::PlainCopy {
                tree::remove_tree(whole.as_fd(), MERGED_DIR.as_bytes())
                    .map_err(|error| remove_failure(&error))?;
            }
            keep(&directory, &whole, &partial, name, info)?;
            Ok(info)
        });
    if kept.is_err() {
        // The first error is the one to tell; what stays here is of no name and is swept later.
        drop(tree::remove_tree(directory.as_fd(), partial.as_bytes()));
    }
    kept
}

/// Names of unfinished snapshots begin with a dot, so that they are never taken for one.
fn partial_name(name: &str) -> String {
    format!(".{name}.{}", rustix::process::getpid().as_raw_nonzero())
}

fn fill(
    whole: &OwnedFd,
    lower: Option<&OwnedFd>,
    stream: OwnedFd,
    ids: Ids<'_>,
) -> Result<SnapshotInfo, Failure> {
    let made = make_dir(whole, TREE_DIR)?;
    let tree = Root::with(made.as_fd(), ids);
    let lower = lower.map(|lower| Root::with(lower.as_fd(), ids));
    tree::prepare_upper(tree, lower).map_err(|error| tree_failure(&error))?;
    let mut source = EntryReader::new(BufReader::with_capacity(STREAM_BUFFER, File::from(stream)));
    let info = tree::unpack(tree, lower, &mut source).map_err(|error| tree_failure(&error))?;
    keep_owners(whole, tree, ids)?;
    Ok(info)
}

/// Writes down who owns what in a tree, beside it, where the kernel does not know.
pub(super) fn keep_owners(beside: &OwnedFd, tree: Root<'_>, ids: Ids<'_>) -> Result<(), Failure> {
    match ids {
        Ids::Kernel => return Ok(()),
        Ids::Recorded(_) => {}
    }
    let list = OwnerList::of(tree).map_err(|error| tree_failure(&error))?;
    let bytes = postcard::to_stdvec(&list)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string(), None))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(beside, OWNERS_FILE, flags, Mode::from_raw_mode(0o644))
        .during("open(\"owners\", O_CREAT|O_EXCL)")?;
    File::from(file)
        .write_all(&bytes)
        .map_err(|error| Failure::io("write(\"owners\")", &error))
}

/// Reads what [`keep_owners`] wrote beside the tree at `path`.
fn read_owners(store: &OwnedFd, path: &str, tree: &OwnedFd, ids: Ids<'_>) -> Result<(), Failure> {
    match ids {
        Ids::Kernel => return Ok(()),
        Ids::Recorded(_) => {}
    }
    let beside = path.strip_suffix(TREE_DIR).unwrap_or(path);
    let path = format!("{beside}{OWNERS_FILE}");
    let damaged = |why: String, errno| {
        Failure::new(
            FailureKind::Input,
            format!("{path} of the store: {why}"),
            errno,
        )
    };
    let file = openat(
        store,
        &path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| damaged("it cannot be opened".to_owned(), Some(errno)))?;
    let mut bytes = Vec::new();
    File::from(file)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string(), None))?;
    let list: OwnerList =
        postcard::from_bytes(&bytes).map_err(|error| damaged(error.to_string(), None))?;
    list.apply(Root::with(tree.as_fd(), ids))
        .map_err(|error| tree_failure(&error))
}

/// Gives a whole snapshot its name. Everything is on disk before the name is.
fn keep(
    directory: &OwnedFd,
    whole: &OwnedFd,
    partial: &str,
    name: &str,
    info: SnapshotInfo,
) -> Result<(), Failure> {
    let json = serde_json::to_vec(&info)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string(), None))?;
    let file = openat(
        whole,
        INFO_FILE,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .during("open(\"info.json\", O_CREAT|O_EXCL)")?;
    File::from(file)
        .write_all(&json)
        .map_err(|error| Failure::io("write(\"info.json\")", &error))?;
    // A descriptor opened with O_PATH syncs nothing.
    let opened = openat(
        directory,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during("open(snapshots)")?;
    syncfs(&opened).during("syncfs(snapshots)")?;
    match renameat_with(directory, partial, directory, name, RenameFlags::NOREPLACE) {
        // Another process was faster with the same snapshot.
        Err(Errno::EXIST) => tree::remove_tree(directory.as_fd(), partial.as_bytes())
            .map_err(|error| remove_failure(&error))?,
        result => result.during(&format!("rename({partial:?}, {name:?})"))?,
    }
    fsync(&opened).during("fsync(snapshots)")
}

fn remove(directory: &str, names: &[String], session: &Session) -> Answer {
    let store = namespaces(&session.control, &session.root, Isolation::Trees)?;
    let directory = open_tree(&store, directory)?;
    become_root(session.users)?;
    for name in names {
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Failure::operation(format!("stat({name:?})"), errno)),
            Ok(_) => tree::remove_tree(directory.as_fd(), name.as_bytes())
                .map_err(|error| remove_failure(&error))?,
        }
    }
    Ok(Done::Nothing)
}

/// Opens trees below `store`, lowest first.
pub(super) fn open_trees(
    store: &OwnedFd,
    paths: &[String],
    ids: Ids<'_>,
) -> Result<Vec<OwnedFd>, Failure> {
    let open = |path: &String| {
        let tree = open_tree(store, path)?;
        read_owners(store, path, &tree, ids)?;
        Ok(tree)
    };
    paths.iter().map(open).collect()
}

/// Borrowed forms of `trees`.
pub(super) fn borrowed(trees: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    trees.iter().map(AsFd::as_fd).collect()
}

/// The merged, read-only view of `parents`; `None` for none.
///
/// One tree too goes through overlayfs: removed names and escaped attributes are then seen as
/// they are everywhere else.
pub(super) fn lower_view(
    scratch: &mut Scratch,
    parents: &[OwnedFd],
) -> Result<Option<OwnedFd>, Failure> {
    if parents.is_empty() {
        return Ok(None);
    }
    let stacked = scratch.stack("lower", &borrowed(parents), None)?;
    Ok(Some(stacked.root))
}

/// Makes a directory of the mapped root and opens it.
pub(super) fn make_dir(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    mkdirat(parent, name, Mode::from_raw_mode(0o755)).during(&format!("mkdir({name:?}, 0755)"))?;
    open_tree(parent, name)
}

/// The same, where an earlier step of the run may have made it.
pub(super) fn existing_dir(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {}
        made => made.during(&format!("mkdir({name:?}, 0700)"))?,
    }
    open_tree(parent, name)
}

/// A writer of entries to the orchestrator.
pub(super) fn entry_writer(stream: OwnedFd) -> EntryWriter<BufWriter<File>> {
    EntryWriter::new(BufWriter::with_capacity(STREAM_BUFFER, File::from(stream)))
}
