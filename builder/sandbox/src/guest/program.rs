//! A step's program in a container, from its start until the last process it left has ended.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixListener,
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid as NixPid,
};
use repro_core::build::{Caller, NetworkObservation, StepExit, Variation};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, openat},
    io::{Errno, retry_on_intr},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, WaitOptions, pidfd_open, umask, wait},
};

use super::{
    ways::GuestWays,
    wire::{Ask, Begin, Frame, Inbox, PIECE, Say},
};
use crate::{
    init::{Place, REPORT_SIZE, Report, Watch, usage},
    net::{dns::Responder, observed::Observed},
    protocol::{During, Failure, FailureKind, Program, from_nix},
    stage::{
        faults::user_failure,
        program::{counters, exit_of, launch},
        stubs,
    },
    sys::{Fork, exit_now, fork},
    tree::Ids,
    users,
};

/// How a program ended, and what was seen of it.
pub(super) struct Ended {
    pub(super) exit: StepExit,
    pub(super) network: NetworkObservation,
    pub(super) cpu_ms: u64,
    pub(super) peak_rss_bytes: u64,
}

/// How long to sleep at most before children of nobody are taken.
const REAP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// Where hosts, host name and resolver are, for a program.
const ETC: &str = "/etc";

/// Runs the program. When this returns, none of its processes is left, and its output was said.
pub(super) fn run(
    spec: &Program,
    begin: &Begin,
    root: &OwnedFd,
    agents: Vec<UnixListener>,
    (inbox, out): (&mut Inbox<File>, &mut dyn Write),
) -> Result<Ended, Failure> {
    let user = users::resolve(root.as_fd(), &spec.user).map_err(|error| user_failure(&error))?;
    let dns = Responder::listen().map_err(|error| Failure::io("bind(127.0.0.1:53)", &error))?;
    let ways = match &begin.network {
        None => GuestWays::default(),
        Some(kit) => GuestWays::listen(kit.port)?,
    }
    .with_agents(agents)?;
    let (log, log_writer) = pipe_with(PipeFlags::CLOEXEC).during("pipe2(O_CLOEXEC)")?;
    let (report, report_writer) = pipe_with(PipeFlags::CLOEXEC).during("pipe2(O_CLOEXEC)")?;
    if begin.variation.caller == Caller::Canaries {
        // The environment came with the container.
        umask(Mode::from_raw_mode(Variation::CALLER_UMASK));
    }
    let payload = launch::payload(
        (spec, &begin.secrets, begin.network.as_ref()),
        &begin.variation,
        (&user, Ids::Kernel),
        log_writer,
        Watch::Engine,
    )?;
    let before = counters()?;
    let program = match fork().during("fork()")? {
        Fork::Child => {
            let (place, errno) = payload.become_program();
            Report::Failed { place, errno }.send(report_writer.as_fd());
            exit_now(1)
        }
        Fork::Parent(program) => program,
    };
    // The ends of log and report are seen only if nobody else holds them.
    drop((payload, report_writer));
    let mut attendant = Attendant {
        program: Some(program),
        handle: pidfd_open(program, PidfdFlags::empty()).during("pidfd_open()")?,
        status: 0,
        dns,
        ways,
        observed: Observed::default(),
        log: File::from(log),
    };
    let attended = attendant.attend(inbox, out);
    end_all()?;
    attended?;
    attendant.rest_of_log(out).map_err(lost)?;
    let mut record = [0; REPORT_SIZE];
    if let Ok(()) = File::from(report).read_exact(&mut record)
        && let Some(Report::Failed { place, errno }) = Report::decode(&record)
    {
        return Err(not_started(place, errno, spec));
    }
    let exit = exit_of(attendant.status);
    if exit == StepExit::Signal(libc::SIGKILL) {
        return Err(Failure::new(
            FailureKind::Exhausted,
            "the step's program was killed (SIGKILL), as machines short of memory do",
            None,
        ));
    }
    let (cpu_ms, peak_rss_bytes) = usage();
    Ok(Ended {
        exit,
        network: attendant.observed.finish(counters()?.since(before)),
        cpu_ms,
        peak_rss_bytes,
    })
}

fn not_started(place: Place, errno: Errno, spec: &Program) -> Failure {
    launch::not_started(place, errno, (&[], &[]), spec)
}

/// The other end of the helper's streams is gone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where an error is mapped"
)]
pub(super) fn lost(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            Failure::new(FailureKind::Cancelled, "the orchestrator is gone", None)
        }
        _ => Failure::io("a stream of the helper", &error),
    }
}

struct Attendant {
    /// The program, as long as it runs.
    program: Option<Pid>,
    handle: OwnedFd,
    /// How it ended, as `wait` gives it.
    status: i32,
    dns: Responder,
    ways: GuestWays,
    observed: Observed,
    log: File,
}

impl Attendant {
    /// Serves until the program ends.
    fn attend(&mut self, inbox: &mut Inbox<File>, out: &mut dyn Write) -> Result<(), Failure> {
        loop {
            self.reap()?;
            if self.program.is_none() {
                return Ok(());
            }
            let (has_log, is_asked) = self.watch(inbox)?;
            if has_log {
                self.forward_log(out).map_err(lost)?;
            }
            if is_asked {
                inbox.fill().map_err(lost)?;
                while let Some(frame) = inbox.parse().map_err(lost)? {
                    match frame {
                        Frame::Way(way, bytes) => self.ways.take(way, &bytes),
                        Frame::Message(Ask::WayEnd(way)) => self.ways.end(way),
                        other => return Err(out_of_turn(&other)),
                    }
                }
            }
            self.dns.serve(&mut self.observed);
            self.ways.serve(out).map_err(lost)?;
        }
    }

    /// Waits for something to do: whether there is output, and whether there is a message.
    fn watch(&self, inbox: &Inbox<File>) -> Result<(bool, bool), Failure> {
        let asked = if self.ways.is_full() {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        let mut watched = vec![
            PollFd::new(&self.log, PollFlags::IN),
            PollFd::from_borrowed_fd(inbox.source().as_fd(), asked),
            PollFd::new(&self.handle, PollFlags::IN),
        ];
        let dns = self.dns.descriptors();
        watched.extend(dns.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        watched.extend(self.ways.watched());
        retry_on_intr(|| poll(&mut watched, Some(&REAP))).during("poll()")?;
        let any = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        Ok((
            watched[0].revents().contains(PollFlags::IN),
            watched[1].revents().intersects(any),
        ))
    }

    fn forward_log(&mut self, out: &mut dyn Write) -> io::Result<bool> {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.log.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    buffer.truncate(count);
                    Frame::<Say>::Log(buffer).write(out)?;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What is left in the pipe when all who wrote to it are gone.
    fn rest_of_log(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while self.forward_log(out)? {}
        Frame::Message(Say::Ended).write(out)
    }

    /// Takes every child that has ended; those of nobody become this process's.
    fn reap(&mut self) -> Result<(), Failure> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.program => {
                    self.program = None;
                    self.status = status.as_raw();
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(Failure::operation("wait4(-1)", errno)),
            }
        }
    }
}

/// Ends and takes everything but this process, so that nobody writes any more.
fn end_all() -> Result<(), Failure> {
    match kill(NixPid::from_raw(-1), Signal::SIGKILL).map_err(from_nix) {
        // There is none where the program was the last one.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(Failure::operation("kill(-1, SIGKILL)", errno)),
    }
    loop {
        match wait(WaitOptions::empty()) {
            Err(Errno::CHILD) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::operation("wait4(-1)", errno)),
        }
    }
}

pub(super) fn out_of_turn(frame: &Frame<Ask>) -> Failure {
    let shown: String = format!("{frame:?}").chars().take(200).collect();
    Failure::new(
        FailureKind::Internal,
        format!("the orchestrator said something out of turn: {shown}"),
        None,
    )
}

/// Makes the files of `/etc` that a step finds, over those of the engine.
pub(super) fn write_files(spec: &Program, begin: &Begin) -> Result<(), Failure> {
    let epoch = i64::try_from(begin.layer.epoch.seconds()).unwrap_or(i64::MAX);
    match rustix::fs::mkdir(ETC, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::operation("mkdir(\"/etc\")", errno)),
    }
    for name in crate::policy::SYNTHESISED {
        let text = stubs::content(name, &begin.variation.hostname, &spec.settings.hosts);
        let path = format!("{ETC}/{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = match openat(CWD, path.as_str(), flags, mode) {
            // A link of the image to where nothing is.
            Err(Errno::NOENT) => {
                rustix::fs::unlink(path.as_str()).during(&format!("unlink({path:?})"))?;
                openat(CWD, path.as_str(), flags, mode)
            }
            opened => opened,
        }
        .during(&format!("open({path:?}, O_TRUNC)"))?;
        let mut file = File::from(file);
        file.write_all(text.as_bytes())
            .map_err(|error| Failure::io(format!("write({path:?})"), &error))?;
        // The clock must not show in it.
        let time = rustix::fs::Timespec {
            tv_sec: epoch,
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::futimens(&file, &times).during(&format!("futimens({path:?})"))?;
    }
    let mut files: Vec<(&str, String, &[u8], u32)> = Vec::new();
    if let Some(script) = &spec.script {
        let directory = repro_core::build::InlineFile::SCRIPT_DIR;
        let path = format!("{directory}/{}", script.name);
        files.push((directory, path, script.content.as_bytes(), 0o755));
    }
    for file in begin.network.iter().flat_map(|kit| &kit.files) {
        let directory = repro_core::build::NetworkKit::DIR;
        let path = repro_core::build::NetworkKit::path(&file.name);
        files.push((directory, path, &file.content, 0o644));
    }
    for (directory, path, content, mode) in files {
        match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Failure::operation(format!("mkdir({directory:?})"), errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let file = openat(CWD, path.as_str(), flags, mode).during(&format!("open({path:?})"))?;
        rustix::fs::fchmod(&file, mode).during(&format!("chmod({path:?})"))?;
        File::from(file)
            .write_all(content)
            .map_err(|error| Failure::io(format!("write({path:?})"), &error))?;
    }
    Ok(())
}
