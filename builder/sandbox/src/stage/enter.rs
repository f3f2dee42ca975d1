//! Entering the namespaces of a step.

use std::os::fd::{AsFd, OwnedFd};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use repro_core::build::UserIds;
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    mount::{MountPropagationFlags, mount_change},
    process::{
        DumpableBehavior, Resource, Rlimit, Signal, fchdir, getrlimit, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    },
};

use crate::{
    blockers,
    channel::Channel,
    protocol::{During, Failure, FailureKind, Notice, Order, from_nix},
};

/// What a stage is kept apart from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// The machine's users and mounts: for work on trees, which starts no program.
    Trees,
    /// Everything: for a program.
    Program {
        /// Seconds by which the machine seems to have started earlier.
        boot_offset_s: u32,
    },
}

/// Flags beside the user namespace; the process namespace holds for children only.
const TREES: CloneFlags = CloneFlags::CLONE_NEWNS.union(CloneFlags::CLONE_NEWNET);
const PROGRAM: CloneFlags = TREES
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWCGROUP);

/// Enters new namespaces and gives the store's root as the new mount namespace has it.
///
/// Mounts of the namespace that the stage came from cannot be stacked or bound in the new one, so
/// descriptors from before are of no use: only the working directory moves along.
pub(super) fn namespaces(
    control: &Channel,
    root: &OwnedFd,
    isolation: Isolation,
) -> Result<OwnedFd, Failure> {
    end_with_parent()?;
    raise_open_files()?;
    fchdir(root).during("fchdir(store)")?;
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| refused_namespace("unshare(CLONE_NEWUSER)", from_nix(errno)))?;
    have_maps_written(control)?;
    let flags = match isolation {
        Isolation::Trees => TREES,
        Isolation::Program { .. } => PROGRAM,
    };
    unshare(flags)
        .map_err(|errno| refused_namespace(&format!("unshare({flags:?})"), from_nix(errno)))?;
    if let Isolation::Program { boot_offset_s } = isolation
        && boot_offset_s > 0
    {
        start_earlier(boot_offset_s)?;
    }
    mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .during("mount(\"/\", MS_PRIVATE|MS_REC)")?;
    openat(
        rustix::fs::CWD,
        c".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during("open(\".\", O_PATH|O_DIRECTORY)")
}

/// Has the machine started earlier for the children of this process. The stage itself stays in the
/// machine's time, and so do its own timeouts.
///
/// To be called before the stage becomes root, since it may then not write to its own files of `/proc`.
fn start_earlier(seconds: u32) -> Result<(), Failure> {
    const OFFSETS: &str = "/proc/self/timens_offsets";
    let lacking = |what: &str, errno| {
        Failure::machine(
            what,
            "the kernel has no time namespaces (CONFIG_TIME_NS): use one that has, or leave the axis \
             out with `--vary all,-boot-time`",
            errno,
        )
    };
    let time = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
    unshare(time).map_err(|errno| lacking("unshare(CLONE_NEWTIME)", from_nix(errno)))?;
    let file = openat(
        rustix::fs::CWD,
        OFFSETS,
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| lacking(&format!("open({OFFSETS:?}, O_WRONLY)"), errno))?;
    // Both at once: what one clock has ahead of the other is the time that the machine slept.
    let offsets = format!("monotonic {seconds} 0\nboottime {seconds} 0\n");
    rustix::io::write(&file, offsets.as_bytes())
        .map(drop)
        .during(&format!("write({OFFSETS:?}, {offsets:?})"))
}

/// Becomes root of the user namespace. Until then the stage is still the user that started it, so
/// that directories of that user's store could be opened.
pub(super) fn become_root(users: UserIds) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    match users {
        UserIds::Range => setgroups(&[]).during("setgroups([])")?,
        // The kernel denies it to whoever maps one group. The caller's other groups stay, unnamed.
        UserIds::One => {}
    }
    setresgid(gid, gid, gid).during("setresgid(0, 0, 0)")?;
    setresuid(uid, uid, uid).during("setresuid(0, 0, 0)")?;
    // What the kernel does by itself where the id changed: for an ordinary user it did not, and the
    // step's root could list the descriptors of its init.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).during("prctl(PR_SET_DUMPABLE, 0)")?;
    rustix::process::umask(Mode::empty());
    // A change of user clears the signal.
    end_with_parent()
}

/// A stage whose orchestrator is killed must not go on. The channel's end says the same later.
fn end_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).during("prctl(PR_SET_PDEATHSIG, SIGKILL)")
}

/// A stack of 500 trees takes as many descriptors; the usual soft limit is 1024, and less in places.
fn raise_open_files() -> Result<(), Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).during("setrlimit(RLIMIT_NOFILE)")
}

fn have_maps_written(control: &Channel) -> Result<(), Failure> {
    let gone = |_| Failure::new(FailureKind::Cancelled, "the orchestrator is gone", None);
    control.send(&Notice::NeedsMapping, &[]).map_err(gone)?;
    let (Order::Mapped, _) = control.receive().map_err(gone)?;
    Ok(())
}

fn refused_namespace(operation: &str, errno: Errno) -> Failure {
    Failure::machine(operation, blockers::hint(), errno)
}

/// Opens a directory below `store`. Its path was made by the orchestrator, and its last name is never
/// a link.
pub(super) fn open_tree(store: impl AsFd, path: &str) -> Result<OwnedFd, Failure> {
    openat(
        store,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| {
        let kind = match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => FailureKind::Input,
            _ => FailureKind::Internal,
        };
        Failure::new(
            kind,
            format!("open({path:?}, O_PATH|O_DIRECTORY)"),
            Some(errno),
        )
    })
}
