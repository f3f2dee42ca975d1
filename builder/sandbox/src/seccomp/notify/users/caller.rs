//! The process that made a call: its memory, and the files that it means.

use std::{fs::File, io::Read as _, os::fd::OwnedFd};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    process::{chroot, fchdir, umask},
};

use super::super::{Listener, kernel::Notification};

/// Longest path that the kernel takes, with its NUL.
const MAX_PATH: usize = 4096;
/// Size of the smallest page: memory beyond the end of one may not be there.
const PAGE: u64 = 4096;
/// Groups of one process that the kernel takes.
const MAX_GROUPS: u32 = 65_536;

/// Where a relative path begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base {
    Cwd,
    File(i32),
}

impl Base {
    /// What a descriptor argument means.
    pub(super) fn new(argument: u64) -> Self {
        match super::super::int(argument) {
            libc::AT_FDCWD => Self::Cwd,
            fd => Self::File(fd),
        }
    }

    /// Its name in the process's directory of `/proc`.
    fn name(self) -> String {
        match self {
            Self::Cwd => "cwd".to_owned(),
            Self::File(fd) => format!("fd/{fd}"),
        }
    }
}

/// A process that waits for an answer.
pub(super) struct Caller<'a> {
    pub(super) listener: &'a Listener,
    pub(super) call: &'a Notification,
}

impl Caller<'_> {
    /// The thread that made the call.
    pub(super) fn thread(&self) -> i32 {
        self.call.pid
    }

    /// A text of the process's memory, without its NUL.
    pub(super) fn text(&self, from: u64) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut at = from;
        while text.len() < MAX_PATH {
            let left = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let mut bytes = vec![0; left.min(MAX_PATH - text.len())];
            let read = self
                .listener
                .read(self.call, at, &mut bytes)
                .ok_or(Errno::FAULT)?;
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&read[..end]);
                return Ok(text);
            }
            if read.is_empty() {
                return Err(Errno::FAULT);
            }
            text.extend_from_slice(read);
            at += read.len() as u64;
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Some numbers of the process's memory.
    pub(super) fn words<const N: usize>(&self, from: u64) -> Result<[u64; N], Errno> {
        let mut words = [0; N];
        for (place, word) in (from..).step_by(8).zip(&mut words) {
            let mut bytes = [0; 8];
            self.exactly(place, &mut bytes)?;
            *word = u64::from_ne_bytes(bytes);
        }
        Ok(words)
    }

    /// A list of ids.
    pub(super) fn ids(&self, from: u64, count: u32) -> Result<Vec<u32>, Errno> {
        if count > MAX_GROUPS {
            // The kernel says so.
            return Err(Errno::INVAL);
        }
        let mut ids = Vec::new();
        for place in (from..)
            .step_by(4)
            .take(usize::try_from(count).unwrap_or(0))
        {
            let mut bytes = [0; 4];
            self.exactly(place, &mut bytes)?;
            ids.push(u32::from_ne_bytes(bytes));
        }
        Ok(ids)
    }

    fn exactly(&self, from: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let wanted = bytes.len();
        let read = self.listener.read(self.call, from, bytes);
        match read {
            Some(read) if read.len() == wanted => Ok(()),
            _ => Err(Errno::FAULT),
        }
    }

    /// Writes into the process's memory.
    pub(super) fn write(&self, to: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.listener.write(self.call, to, bytes)
    }
}

/// The machine, for as long as this process looks at files as those of the step do.
#[derive(Debug)]
pub(super) struct Machine {
    proc: OwnedFd,
    root: OwnedFd,
    directory: OwnedFd,
}

impl Machine {
    pub(super) fn new() -> Result<Self, Errno> {
        let open = |path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty())
        };
        Ok(Self {
            proc: open("/proc")?,
            root: open("/")?,
            directory: open(".")?,
        })
    }

    /// Takes on the root of the caller, and `base` as working directory: paths then lead where they
    /// would lead the caller, links and all.
    pub(super) fn enter(&self, caller: &Caller<'_>, base: Base) -> Result<(), Errno> {
        let root = self.of(caller, "root")?;
        fchdir(&root)?;
        chroot(".")?;
        match self.of(caller, &base.name()) {
            Ok(base) => match fchdir(&base) {
                // An absolute path does not begin there.
                Err(Errno::NOTDIR) => Ok(()),
                entered => entered,
            },
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// A file that the caller has open.
    pub(super) fn file_of(&self, caller: &Caller<'_>, base: Base) -> Result<OwnedFd, Errno> {
        self.of(caller, &base.name())
    }

    fn of(&self, caller: &Caller<'_>, name: &str) -> Result<OwnedFd, Errno> {
        let path = format!("{}/{name}", caller.thread());
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = openat(&self.proc, path, flags, Mode::empty())?;
        if caller.listener.is_waiting(caller.call) {
            Ok(file)
        } else {
            // Another process may have taken the number.
            Err(Errno::SRCH)
        }
    }

    /// A line of what the kernel tells of a process, such as `PPid`.
    pub(super) fn status(&self, process: i32, name: &str) -> Result<String, Errno> {
        let text = self.text(process, "status")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned()).ok_or(Errno::SRCH)
    }

    fn text(&self, process: i32, file: &str) -> Result<String, Errno> {
        let path = format!("{process}/{file}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.proc, path, flags, Mode::empty())?;
        let mut bytes = Vec::new();
        File::from(file)
            .read_to_end(&mut bytes)
            .map_err(|_| Errno::SRCH)?;
        // The name of a program is any bytes.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Does something under the mask of new files that the caller has.
    pub(super) fn with_umask<T>(
        &self,
        caller: &Caller<'_>,
        work: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mask = self.status(caller.thread(), "Umask")?;
        let mask = u32::from_str_radix(&mask, 8).map_err(|_| Errno::SRCH)?;
        let own = umask(Mode::from_raw_mode(mask));
        let done = work();
        umask(own);
        done
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both are open, and this process may do both, as it did when it left them.
        let _ = fchdir(&self.root)
            .and_then(|()| chroot("."))
            .and_then(|()| fchdir(&self.directory));
    }
}
