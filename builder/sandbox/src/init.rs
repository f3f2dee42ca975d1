//! The first process of a step: sets up what only a process in the step's own process namespace can,
//! starts the program, reaps, and ends everything when the program ends.
//!
//! It is forked from a stage with one thread. Everything is computed before; here are system calls
//! only, and a failed one is reported by its place in the plan and its number.

mod attach;
pub(crate) mod mounts;
mod payload;
mod report;

use std::{
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal as NixSignal, kill},
    },
    unistd::Pid as NixPid,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    mount::{UnmountFlags, unmount},
    process::{
        Pid, Signal, WaitOptions, chdir, fchdir, pivot_root, set_parent_process_death_signal, wait,
    },
};

use self::mounts::Setup;
pub(crate) use self::{
    attach::{Attachment, PointKind},
    payload::{Identity, Payload, Watch},
    report::{Place, Report, SIZE as REPORT_SIZE},
};
use crate::{
    protocol::from_nix,
    sys::{Closing, Fork, close_range, exit_now, fork},
};

/// Everything that a step's first process needs, made before it exists.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The step's tree, mounted, in the namespace of the stage.
    pub(crate) root: OwnedFd,
    /// What is mounted and written below it.
    pub(crate) setup: Vec<Setup>,
    /// What the step asked for on top of that, in this order.
    pub(crate) attachments: Vec<Attachment>,
    /// The program.
    pub(crate) payload: Payload,
    /// Where failures and the end are reported. Closed on exec.
    pub(crate) report: OwnedFd,
}

/// Forks the first process of the process namespace that the stage has made.
pub(crate) fn start(plan: &Plan) -> Result<Pid, Errno> {
    match fork()? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => run(plan),
    }
}

fn run(plan: &Plan) -> ! {
    if let Err((place, errno)) = set_up(plan) {
        fail(plan, place, errno);
    }
    match fork() {
        Err(errno) => fail(plan, Place::Fork, errno),
        Ok(Fork::Child) => {
            let (place, errno) = plan.payload.become_program();
            fail(plan, place, errno)
        }
        Ok(Fork::Parent(program)) => attend(plan, program),
    }
}

fn set_up(plan: &Plan) -> Result<(), (Place, Errno)> {
    die_with_stage(plan).map_err(|errno| (Place::DeathSignal, errno))?;
    // The working directory moves along into the new mount namespace, where nothing of the stage's
    // own mounts can be reached by it.
    fchdir(&plan.root).map_err(|errno| (Place::EnterRoot, errno))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| (Place::MountNamespace, from_nix(errno)))?;
    for (index, setup) in plan.setup.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        setup
            .perform()
            .map_err(|errno| (Place::Setup(index), errno))?;
    }
    for (index, attachment) in plan.attachments.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        attachment
            .perform()
            .map_err(|errno| (Place::Attach(index), errno))?;
    }
    pivot_root(c".", c".").map_err(|errno| (Place::PivotRoot, errno))?;
    unmount(c".", UnmountFlags::DETACH).map_err(|errno| (Place::DetachMachine, errno))?;
    chdir(c"/").map_err(|errno| (Place::EnterRoot, errno))
}

/// The kernel kills this process, and with it the step, when the stage dies. A stage that died before
/// the request is told by the report's lost reader.
fn die_with_stage(plan: &Plan) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut watched = [PollFd::new(&plan.report, PollFlags::empty())];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut watched, Some(&now))?;
    if watched[0].revents().contains(PollFlags::ERR) {
        exit_now(1);
    }
    Ok(())
}

/// Reaps until the program ends, then ends and reaps all others, so that nobody writes any more.
fn attend(plan: &Plan, program: Pid) -> ! {
    if let Err(errno) = let_go(plan) {
        fail(plan, Place::CloseDescriptors, errno);
    }
    let status = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => break status.as_raw(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => fail(plan, Place::Wait, errno),
        }
    };
    // All but this process. There is none where the program was the last one.
    let _ = kill(NixPid::from_raw(-1), NixSignal::SIGKILL);
    while !matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
    let (cpu_ms, peak_rss_bytes) = usage();
    Report::Ended {
        status,
        cpu_ms,
        peak_rss_bytes,
    }
    .send(plan.report.as_fd());
    exit_now(0)
}

/// Gives up every descriptor but the report: the log's end is seen only if nobody holds it.
fn let_go(plan: &Plan) -> Result<(), Errno> {
    const FIRST_FREE: u32 = 3;
    let null = open_null()?;
    onto_standard_streams(&null, &null)?;
    // Before its number is closed below.
    drop(null);
    let report = std::os::fd::AsRawFd::as_raw_fd(&plan.report).unsigned_abs();
    if report > FIRST_FREE {
        close_range(FIRST_FREE, report - 1, Closing::Now)?;
    }
    close_range(report + 1, u32::MAX, Closing::Now)
}

/// `/dev/null` of the step, which the plan has just mounted there.
fn open_null() -> Result<OwnedFd, Errno> {
    const NULL: &CStr = c"/dev/null";
    openat(CWD, NULL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// CPU time and largest process of everything that was reaped.
pub(crate) fn usage() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return (0, 0);
    };
    let ms = |time: nix::sys::time::TimeVal| {
        let (seconds, micros) = (time.tv_sec(), time.tv_usec());
        u64::try_from(seconds * 1000 + micros / 1000).unwrap_or(0)
    };
    let kib = u64::try_from(usage.max_rss()).unwrap_or(0);
    (ms(usage.user_time()) + ms(usage.system_time()), kib * 1024)
}

fn fail(plan: &Plan, place: Place, errno: Errno) -> ! {
    Report::Failed { place, errno }.send(plan.report.as_fd());
    exit_now(1)
}

/// Makes `input` standard input and `output` both others, not closed on exec.
pub(crate) fn onto_standard_streams(input: &OwnedFd, output: &OwnedFd) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(output)
}
