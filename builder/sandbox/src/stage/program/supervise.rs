//! Watching a step until its last process has ended.

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use repro_core::build::Hindrances;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read, retry_on_intr},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send, sockopt,
    },
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};

use super::init_lost;
use crate::{
    channel::Channel,
    init::{Place, REPORT_SIZE, Report},
    net::{dns::Responder, observed::Observed},
    protocol::{During, Failure, FailureKind},
    seccomp::notify::{Answers, Listener},
    trace::{TracerProcess, TracingEnd},
};

/// The stage's side of a running step.
pub(super) struct Supervisor<'a> {
    pub(super) answers: Answers<'a>,
    pub(super) control: &'a Channel,
    pub(super) init: Pid,
    /// Records of the step's first processes.
    pub(super) report: OwnedFd,
    pub(super) dns: Responder,
    /// Where the step's clock is shifted.
    pub(super) tracer: Option<TracerProcess>,
}

/// What was seen of a step beside its end.
pub(super) struct Seen {
    pub(super) observed: Observed,
    pub(super) hindrances: Hindrances,
}

/// What the step's first processes said last.
pub(super) enum End {
    /// The program ended, and everything with it.
    Program(ProgramEnd),
    /// The program was not started.
    NotStarted { place: Place, errno: Errno },
}

/// The end of a program.
pub(super) struct ProgramEnd {
    /// As `wait` gives it.
    pub(super) status: i32,
    pub(super) cpu_ms: u64,
    pub(super) peak_rss_bytes: u64,
}

/// Where the filter's listener is.
enum Calls {
    /// On its way.
    Awaited(OwnedFd),
    /// Here.
    Watched(Listener),
    /// Nobody is left to ask, or nobody ever came.
    Over,
}

/// What a descriptor has for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    No,
    Yes,
    /// Nothing, and nothing will come.
    HungUp,
}

/// Order of the descriptors that are waited for; those of the responder, which are one here, follow.
const CONTROL: usize = 0;
const REPORT: usize = 1;
const CALLS: usize = 2;
const NAMES: usize = 3;

impl Supervisor<'_> {
    /// Answers the step until it ends, and reaps its first process.
    /// `listener` brings the filter's listener.
    ///
    /// Programs are traced by a process of its own, and nothing that is answered here waits for it.
    pub(super) fn watch(mut self, listener: OwnedFd) -> Result<(End, Seen), Failure> {
        let tracer = self.tracer.take();
        if let Some(tracer) = &tracer {
            begin_tracing(tracer, &listener).inspect_err(|_| self.stop())?;
        }
        let end = self.attend(listener);
        // An end that was none of the step's own says less than what it came from.
        tracer.map_or(Ok(()), end_tracing)?;
        let end = end?;
        let Answers {
            observed, traces, ..
        } = &mut self.answers;
        let observed = std::mem::take(observed);
        let tracing_denied = std::mem::take(traces.programs());
        let hindrances = Hindrances {
            tracing_denied,
            unsorted_directories: self.answers.unsorted(),
        };
        Ok((
            end,
            Seen {
                observed,
                hindrances,
            },
        ))
    }

    fn attend(&mut self, listener: OwnedFd) -> Result<End, Failure> {
        let mut calls = Calls::Awaited(listener);
        let end = loop {
            let ready = self.wait(&calls)?;
            if ready[CONTROL] != Ready::No {
                self.stop();
                return Err(Failure::new(FailureKind::Cancelled, "interrupted", None));
            }
            calls = match ready[CALLS] {
                Ready::No => calls,
                Ready::Yes => self.answer(calls),
                // The last process under the filter has ended.
                Ready::HungUp => Calls::Over,
            };
            if ready[NAMES] != Ready::No {
                self.dns.serve(&mut self.answers.observed);
            }
            if ready[REPORT] != Ready::No {
                break self.end();
            }
        };
        let status = self.reap()?;
        match end? {
            Some(end) => Ok(end),
            None => Err(init_lost(status)),
        }
    }

    fn wait(&self, calls: &Calls) -> Result<[Ready; 4], Failure> {
        let calls = match calls {
            Calls::Awaited(socket) => Some(socket.as_fd()),
            Calls::Watched(listener) => Some(listener.as_fd()),
            Calls::Over => None,
        };
        // A place that nothing is waited for at keeps the others in theirs.
        let unused = PollFlags::empty();
        let mut watched = vec![
            PollFd::new(self.control, PollFlags::IN),
            PollFd::new(&self.report, PollFlags::IN),
            match &calls {
                Some(calls) => PollFd::new(calls, PollFlags::IN),
                None => PollFd::new(&self.report, unused),
            },
        ];
        let responder: Vec<_> = self.dns.descriptors().collect();
        watched.extend(responder.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        retry_on_intr(|| poll(&mut watched, None)).during("poll()")?;
        let named = watched[NAMES..]
            .iter()
            .fold(PollFlags::empty(), |all, fd| all | fd.revents());
        let events = [CONTROL, REPORT, CALLS].map(|index| watched[index].revents());
        let [control, report, called] = events;
        let mut ready = [control, report, called, named].map(|events| {
            if events.contains(PollFlags::IN) {
                Ready::Yes
            } else if events.is_empty() {
                Ready::No
            } else {
                Ready::HungUp
            }
        });
        if calls.is_none() {
            ready[CALLS] = Ready::No;
        }
        Ok(ready)
    }

    fn answer(&mut self, calls: Calls) -> Calls {
        match calls {
            Calls::Awaited(socket) => match receive_listener(&socket) {
                Some(listener) => Calls::Watched(Listener::new(listener)),
                None => Calls::Over,
            },
            // An error is the end of the last process under the filter. Were it anything else, calls
            // would fail with ENOSYS once the listener is closed: nothing gets through.
            Calls::Watched(listener) => match listener.answer(&mut self.answers) {
                Ok(()) => Calls::Watched(listener),
                Err(_) => Calls::Over,
            },
            Calls::Over => Calls::Over,
        }
    }

    /// The last record; `None` where the first process ended without one.
    fn end(&self) -> Result<Option<End>, Failure> {
        let mut record = [0; REPORT_SIZE];
        let count = retry_on_intr(|| read(&self.report, &mut record)).during("read(report)")?;
        if count != record.len() {
            return Ok(None);
        }
        match Report::decode(&record) {
            Some(Report::Ended {
                status,
                cpu_ms,
                peak_rss_bytes,
            }) => Ok(Some(End::Program(ProgramEnd {
                status,
                cpu_ms,
                peak_rss_bytes,
            }))),
            Some(Report::Failed { place, errno }) => Ok(Some(End::NotStarted { place, errno })),
            None => Err(Failure::new(
                FailureKind::Internal,
                "a broken report of the step's first process",
                None,
            )),
        }
    }

    /// Ends the step: its process namespace dies with its first process.
    fn stop(&self) {
        // It may have ended by itself.
        let _ = kill_process(self.init, Signal::KILL);
        drop(self.reap());
    }

    /// When the first process of a process namespace can be reaped, no other is left in it.
    fn reap(&self) -> Result<i32, Failure> {
        let ended = retry_on_intr(|| waitpid(Some(self.init), WaitOptions::empty()))
            .during("wait4(init)")?;
        Ok(ended.map_or(0, |(_, status)| status.as_raw()))
    }
}

/// Has the process traced that asks for it over `socket`. If there is none, the step ended before, which
/// its report explains.
fn begin_tracing(tracer: &TracerProcess, socket: &OwnedFd) -> Result<(), Failure> {
    let Some(process) = asking(socket).during("recvmsg(SCM_CREDENTIALS)")? else {
        return Ok(());
    };
    tracer.attach(process).map_err(|errno| match errno {
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => Failure::machine(
            "ptrace(PTRACE_SEIZE), by which a step's clock is shifted",
            "allow it (sysctl kernel.yama.ptrace_scope below 3; no debugger on repro), or build with \
             --vary all,-clock",
            errno,
        ),
        errno => Failure::operation("ptrace(PTRACE_SEIZE)", errno),
    })?;
    // If it does not get it, it has ended, which the report says.
    let _ = send(socket, &[0], SendFlags::NOSIGNAL);
    Ok(())
}

/// To be called when the step is over, or will be for want of a tracer.
fn end_tracing(tracer: TracerProcess) -> Result<(), Failure> {
    match tracer.finish().during("recv(tracer)")? {
        TracingEnd::Done => Ok(()),
        TracingEnd::Failed(why) => Err(Failure::new(
            FailureKind::Internal,
            format!("the step could not be traced any more: {why}"),
            None,
        )),
        TracingEnd::Killed(libc::SIGKILL) => Err(Failure::new(
            FailureKind::Exhausted,
            "the step's tracer was killed (SIGKILL), as machines short of memory do",
            None,
        )),
        TracingEnd::Killed(signal) => Err(Failure::new(
            FailureKind::Internal,
            format!("the step's tracer was ended by signal {signal}"),
            None,
        )),
    }
}

/// The process that has sent a byte, in the process namespace of this one; `None` if it is gone. The socket
/// has told the kernel to add the sender since before there was one.
fn asking(socket: &OwnedFd) -> Result<Option<Pid>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::empty(),
        )
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    // What follows has descriptors and no sender.
    sockopt::set_socket_passcred(socket, false)?;
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
        _ => None,
    });
    sender.map(Some).ok_or(Errno::PROTO)
}

fn receive_listener(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })
    .ok()?;
    ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    })
}
