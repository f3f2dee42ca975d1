//! One stage, from its start to its answer.

use std::{
    io::{self, Read as _},
    net::{Shutdown, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _, process::ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
};

use repro_core::build::{Caller, ExecutorError, StepObserver, Variation};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{
    StageImage,
    channel::{Channel, ChannelError},
    mapping::IdMapping,
    protocol::{Done, Job, Notice, Order, Request},
    stage::STAGE_NAME,
};

/// How long a stage that was told to stop may take before it is killed. It ends its step's processes,
/// which takes milliseconds; a copy of files, which it does not break off, may take longer.
const GRACE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// Bytes of output handed on at a time.
const LOG_BUFFER: usize = 64 * 1024;

/// A running stage.
#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    control: Channel,
    stream: UnixStream,
    log: std::fs::File,
}

/// Stops a stage from another thread.
#[derive(Debug)]
pub(super) struct Stop {
    control: UnixStream,
    stream: UnixStream,
}

impl Stop {
    /// Cuts both connections: the stage ends its step at one, or its reading or writing at the other.
    pub(super) fn now(&self) {
        // A connection that is cut already is what is wanted.
        drop(self.control.shutdown(Shutdown::Both));
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl Session {
    /// Starts a stage for `job`. It has its namespaces and ids when this returns.
    pub(super) fn start(
        image: &StageImage,
        store: &OwnedFd,
        mapping: &IdMapping,
        job: Job,
    ) -> Result<Self, ExecutorError> {
        let (control, theirs) =
            Channel::pair().map_err(|errno| exhausted("socketpair()", errno))?;
        let (stream, their_stream) =
            UnixStream::pair().map_err(|error| exhausted("socketpair()", error))?;
        let (log, their_log) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| exhausted("pipe2()", errno))?;
        let child = Command::new(image.path())
            .arg0(STAGE_NAME)
            .env_clear()
            .envs(environment(&job).iter().copied())
            .stdin(Stdio::from(theirs.into_socket()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(not_started)?;
        let mut session = Self {
            child,
            control,
            stream,
            log: log.into(),
        };
        let fds = [store.as_fd(), their_stream.as_fd(), their_log.as_fd()];
        let sent = session.control.send(
            &Request {
                job,
                users: mapping.user_ids(),
            },
            &fds,
        );
        drop((their_stream, their_log));
        sent.map_err(|error| session.broken(&error))?;
        session.give_ids(mapping)?;
        Ok(session)
    }

    fn give_ids(&mut self, mapping: &IdMapping) -> Result<(), ExecutorError> {
        let (notice, _) = self
            .control
            .receive()
            .map_err(|error| self.broken(&error))?;
        match notice {
            Notice::NeedsMapping => {}
            Notice::Answer(answer) => {
                return Err(match answer {
                    Err(failure) => failure.into(),
                    Ok(done) => super::unexpected(&done),
                });
            }
            notice @ (Notice::Agents | Notice::Network) => return Err(out_of_turn(&notice)),
        }
        mapping.write(self.child.id())?;
        self.control
            .send(&Order::Mapped, &[])
            .map_err(|error| self.broken(&error))
    }

    /// The means to stop it from another thread.
    pub(super) fn stop(&self) -> Result<Stop, ExecutorError> {
        let copy = |error| exhausted("dup()", error);
        Ok(Stop {
            control: self
                .control
                .as_fd()
                .try_clone_to_owned()
                .map_err(copy)?
                .into(),
            stream: self.stream.try_clone().map_err(copy)?,
        })
    }

    /// Entries of a layer, in or out.
    pub(super) const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The listening sockets of a step that has agents. Its program starts when they are here.
    pub(super) fn listeners(&mut self) -> Result<Vec<OwnedFd>, ExecutorError> {
        match self.control.receive() {
            Ok((Notice::Agents, listeners)) => Ok(listeners),
            Ok((Notice::Answer(Err(failure)), _)) => Err(failure.into()),
            Ok((notice, _)) => Err(out_of_turn(&notice)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// The listening socket of a step that has a network. Its program starts when it is here.
    pub(super) fn network(&mut self) -> Result<TcpListener, ExecutorError> {
        match self.control.receive() {
            Ok((Notice::Network, mut listeners)) => match listeners.pop() {
                Some(listener) => Ok(listener.into()),
                None => Err(out_of_turn(&Notice::Network)),
            },
            Ok((Notice::Answer(Err(failure)), _)) => Err(failure.into()),
            Ok((notice, _)) => Err(out_of_turn(&notice)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Hands the step's output on until its last process has closed it.
    pub(super) fn forward_log(&mut self, observer: &dyn StepObserver) -> Result<(), ExecutorError> {
        let mut buffer = vec![0; LOG_BUFFER];
        loop {
            match self.log.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => observer.output(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(ExecutorError::Internal {
                        what: "cannot read the step's output".to_owned(),
                        source: Some(error),
                    });
                }
            }
        }
    }

    /// The answer. Nothing more is read or written on the stream.
    pub(super) fn finish(mut self) -> Result<Done, ExecutorError> {
        match self.control.receive() {
            Ok((Notice::Answer(answer), _)) => {
                // It has nothing more to do than to end.
                self.end();
                answer.map_err(ExecutorError::from)
            }
            Ok((notice, _)) => Err(out_of_turn(&notice)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// What it means that the stage does not answer.
    fn broken(&mut self, error: &ChannelError) -> ExecutorError {
        let status = self.end();
        if status.is_some_and(|status| status.signal() == Some(libc::SIGKILL)) {
            return ExecutorError::Exhausted {
                what: "the sandbox was killed, as machines short of memory do".to_owned(),
                source: None,
            };
        }
        let ended = status.map_or_else(String::new, |status| format!(", {status}"));
        ExecutorError::Internal {
            what: format!("a stage gave no answer: {error}{ended}"),
            source: None,
        }
    }

    /// Waits for the process to end, and kills it if it takes too long.
    fn end(&mut self) -> Option<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let ended = pid
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .is_some_and(|process| {
                let mut watched = [PollFd::new(&process, PollFlags::IN)];
                rustix::io::retry_on_intr(|| poll(&mut watched, Some(&GRACE)))
                    .is_ok_and(|count| count > 0)
            });
        if !ended {
            // One that ended just now cannot be killed, which is as good.
            drop(self.child.kill());
        }
        self.child.wait().ok()
    }
}

impl Drop for Session {
    /// The step dies with its stage.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The environment of the stage: none, or that of a caller whose settings must not show in a step.
fn environment(job: &Job) -> &'static [(&'static str, &'static str)] {
    match job {
        Job::Step(step) if step.variation.caller == Caller::Canaries => &Variation::CALLER,
        _ => &[],
    }
}

fn out_of_turn(notice: &Notice) -> ExecutorError {
    ExecutorError::Internal {
        what: format!("a stage said something out of turn: {notice:?}"),
        source: None,
    }
}

fn exhausted(what: &str, error: impl Into<io::Error>) -> ExecutorError {
    ExecutorError::Exhausted {
        what: format!("{what} for a stage"),
        source: Some(error.into()),
    }
}

fn not_started(error: io::Error) -> ExecutorError {
    let what = "cannot start the sandbox's stage".to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied => ExecutorError::Machine {
            what,
            hint: "programs in memory files must be allowed: sysctl vm.memfd_noexec below 2, and \
                   /proc mounted without noexec tricks"
                .to_owned(),
            source: Some(error),
        },
        io::ErrorKind::NotFound => ExecutorError::Machine {
            what,
            hint: "mount /proc".to_owned(),
            source: Some(error),
        },
        _ => ExecutorError::Exhausted {
            what,
            source: Some(error),
        },
    }
}
