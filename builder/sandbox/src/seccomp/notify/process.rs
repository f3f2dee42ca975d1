//! The files and names of processes that wait for an answer, and those that wanted to trace.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
};

use repro_core::tree::show_bytes;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::{Listener, int, kernel::Notification};

/// A descriptor of a single thread (`PIDFD_THREAD`), which Linux 6.9 has.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.unsigned_abs());

/// Opens what processes have open.
#[derive(Debug)]
pub(super) struct Processes {
    /// The machine's, since the root of this process can be the step's.
    proc: OwnedFd,
    /// The last one asked: programs that list directories list many.
    last: Option<(i32, OwnedFd)>,
}

impl Processes {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            proc: openat(CWD, "/proc", flags, Mode::empty())?,
            last: None,
        })
    }

    /// The caller's open file with this number, its position shared.
    pub(super) fn file(
        &mut self,
        listener: &Listener,
        call: &Notification,
        number: u64,
    ) -> Result<OwnedFd, Errno> {
        let get = |process: &OwnedFd| pidfd_getfd(process, int(number), PidfdGetfdFlags::empty());
        let known = self.last.as_ref().filter(|(pid, _)| *pid == call.pid);
        match known.map(|(_, process)| get(process)) {
            // It ended, and another has its number.
            None | Some(Err(Errno::SRCH)) => {}
            Some(file) => return file,
        }
        let process = self.open(call.pid)?;
        // Another may have taken the number before it was opened.
        if !listener.is_waiting(call) {
            return Err(Errno::SRCH);
        }
        let file = get(&process);
        self.last = Some((call.pid, process));
        file
    }

    fn open(&self, thread: i32) -> Result<OwnedFd, Errno> {
        let pid = Pid::from_raw(thread).ok_or(Errno::SRCH)?;
        match pidfd_open(pid, THREAD) {
            Err(Errno::INVAL) => {}
            opened => return opened,
        }
        // Threads that share no files with their process are those of no program that is known.
        let status = self.text(&format!("{thread}/status"))?;
        let status = String::from_utf8_lossy(&status);
        let leader = status
            .lines()
            .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        let leader = leader.and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        pidfd_open(leader, PidfdFlags::empty())
    }

    /// What the calling program calls itself.
    pub(super) fn name(&self, call: &Notification) -> String {
        let name = self.text(&format!("{}/comm", call.pid)).unwrap_or_default();
        show_bytes(name.trim_ascii_end()).into_owned()
    }

    fn text(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.proc, path, flags, Mode::empty())?;
        let mut bytes = Vec::new();
        File::from(file)
            .read_to_end(&mut bytes)
            .map_err(|_| Errno::SRCH)?;
        Ok(bytes)
    }
}

/// Different programs that are kept.
const MAX_PROGRAMS: usize = 20;

/// Programs that wanted to trace others, or to be traced, in a step whose processes have a tracer.
#[derive(Debug)]
pub(crate) struct Traces {
    log: File,
    programs: BTreeMap<String, u64>,
}

impl Traces {
    /// Says so in `log`.
    pub(super) fn new(log: OwnedFd) -> Self {
        Self {
            log: File::from(log),
            programs: BTreeMap::new(),
        }
    }

    pub(super) fn refused(&mut self, program: &str) {
        if let Some(times) = self.programs.get_mut(program) {
            *times += 1;
            return;
        }
        if self.programs.len() >= MAX_PROGRAMS {
            return;
        }
        self.programs.insert(program.to_owned(), 1);
        // A log that nobody reads any more is that of a step that is being stopped.
        drop(writeln!(
            self.log,
            "repro: {program} asks for ptrace(), which this run needs itself to shift the clock: it \
             is denied (EPERM). For a step that cannot do without: --vary all,-clock"
        ));
    }

    /// How often each program asked.
    pub(crate) const fn programs(&mut self) -> &mut BTreeMap<String, u64> {
        &mut self.programs
    }
}
