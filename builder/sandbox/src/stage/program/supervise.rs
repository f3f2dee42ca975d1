//! Watching a step until its last process has ended.

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read, retry_on_intr},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};

use super::init_lost;
use crate::{
    channel::Channel,
    init::{Place, REPORT_SIZE, Report},
    net::{dns::Responder, observed::Observed},
    protocol::{During, Failure, FailureKind},
    seccomp::notify::{KernelNames, Listener, Users},
};

/// The stage's side of a running step.
pub(super) struct Supervisor<'a> {
    /// Those that the kernel does not know.
    pub(super) users: Option<Users<'a>>,
    pub(super) control: &'a Channel,
    pub(super) init: Pid,
    /// Records of the step's first processes.
    pub(super) report: OwnedFd,
    pub(super) dns: Responder,
    pub(super) observed: Observed,
    pub(super) names: KernelNames,
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

/// Order of the descriptors that are waited for; those of the responder follow.
const CONTROL: usize = 0;
const REPORT: usize = 1;
const CALLS: usize = 2;

impl Supervisor<'_> {
    /// Answers the step until it ends, and reaps its first process.
    /// `listener` brings the filter's listener.
    pub(super) fn watch(mut self, listener: OwnedFd) -> Result<(End, Observed), Failure> {
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
            self.dns.serve(&mut self.observed);
            if ready[REPORT] != Ready::No {
                break self.end();
            }
        };
        let status = self.reap()?;
        match end? {
            Some(end) => Ok((end, self.observed)),
            None => Err(init_lost(status)),
        }
    }

    fn wait(&self, calls: &Calls) -> Result<[Ready; 3], Failure> {
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
        let mut ready = [CONTROL, REPORT, CALLS].map(|index| {
            let events = watched[index].revents();
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
            Calls::Watched(listener) => {
                match listener.answer(&mut self.observed, self.users.as_mut(), &self.names) {
                    Ok(()) => Calls::Watched(listener),
                    Err(_) => Calls::Over,
                }
            }
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
