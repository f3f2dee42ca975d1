//! The process that traces. It is forked before the stage makes the step's process namespace: from then
//! on a stage can neither start a thread nor a process outside that namespace. It does nothing else, so
//! nothing that it waits for keeps a call waiting that the supervisor answers.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair},
    process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, waitpid},
};

use super::Tracer;
use crate::sys::{Closing, Fork, close_range, exit_now, fork};

/// Longest text of an error.
const MAX_TEXT: usize = 512;

/// The stage's end of it.
#[derive(Debug)]
pub(crate) struct TracerProcess {
    pid: Pid,
    socket: OwnedFd,
}

/// How tracing ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TracingEnd {
    /// With the step.
    Done,
    /// Before it, with an error.
    Failed(String),
    /// By a signal.
    Killed(i32),
}

impl TracerProcess {
    /// Forks it. The step's clock will be so many seconds ahead.
    pub(crate) fn start(shift: u64) -> Result<Self, Errno> {
        let (socket, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        match fork()? {
            Fork::Parent(pid) => Ok(Self { pid, socket }),
            Fork::Child => serve(&theirs, shift),
        }
    }

    /// Has it attach to `process`, and to all that this one starts.
    pub(crate) fn attach(&self, process: Pid) -> Result<(), Errno> {
        let number = process.as_raw_nonzero().get().to_ne_bytes();
        send(&self.socket, &number, SendFlags::NOSIGNAL)?;
        let mut answer = [0; 4];
        let (count, _) = retry_on_intr(|| recv(&self.socket, &mut answer[..], RecvFlags::empty()))?;
        match i32::from_ne_bytes(answer) {
            0 if count == answer.len() => Ok(()),
            0 => Err(Errno::SRCH),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }

    /// Waits for its end, which comes with that of the step's last process, or now if there was none.
    pub(crate) fn finish(self) -> Result<TracingEnd, Errno> {
        // One that was never asked for anything sees that nobody will.
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write)?;
        let mut text = [0; MAX_TEXT];
        let (count, _) = retry_on_intr(|| recv(&self.socket, &mut text[..], RecvFlags::empty()))?;
        let ended = retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::empty()))?;
        if let Some(signal) = ended.and_then(|(_, status)| status.terminating_signal()) {
            return Ok(TracingEnd::Killed(signal));
        }
        Ok(match count {
            0 => TracingEnd::Done,
            _ => TracingEnd::Failed(String::from_utf8_lossy(&text[..count]).into_owned()),
        })
    }
}

fn serve(socket: &OwnedFd, shift: u64) -> ! {
    let served = prepare(socket).and_then(|()| attached(socket, shift));
    let Ok(Some(tracer)) = served else {
        exit_now(0);
    };
    if let Err(error) = tracer.watch() {
        let text = error.to_string();
        let text = &text.as_bytes()[..text.len().min(MAX_TEXT)];
        // Whoever would be told is gone, or reads it.
        let _ = send(socket, text, SendFlags::NOSIGNAL);
    }
    exit_now(0)
}

/// Dies with the stage, and holds nothing of it: the ends of log and report would not be seen.
fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let own = socket.as_raw_fd().unsigned_abs();
    if own > 0 {
        close_range(0, own - 1, Closing::Now)?;
    }
    close_range(own + 1, u32::MAX, Closing::Now)
}

/// Attaches to whom it is told; `None` if nobody says, or that one cannot be traced.
fn attached(socket: &OwnedFd, shift: u64) -> Result<Option<Tracer>, Errno> {
    let mut number = [0; 4];
    let (count, _) = retry_on_intr(|| recv(socket, &mut number[..], RecvFlags::empty()))?;
    let process = Pid::from_raw(i32::from_ne_bytes(number)).filter(|_| count == number.len());
    let Some(process) = process else {
        return Ok(None);
    };
    let (tracer, answer) = match Tracer::attach(process, shift) {
        Ok(tracer) => (Some(tracer), 0),
        Err(errno) => (None, errno.raw_os_error()),
    };
    send(socket, &answer.to_ne_bytes(), SendFlags::NOSIGNAL)?;
    Ok(tracer)
}
