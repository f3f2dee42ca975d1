//! Running a step's program to its end.

pub(crate) mod launch;
mod supervise;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::{AsFd as _, OwnedFd},
};

use nix::unistd::sethostname;
use repro_core::build::{Hindrances, NetworkKit, NetworkObservation, StepExit, Variation};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
    pipe::{PipeFlags, pipe_with},
    system::setdomainname,
};

use super::{faults::user_failure, machine, stubs::Stubs};
use crate::{
    channel::Channel,
    init::{self, Attachment, Plan, Watch, mounts},
    net::{counters::Counters, dns::Responder, loopback},
    protocol::{During, Failure, FailureKind, Notice, Program, Secret},
    seccomp::{
        self, Clock, Varying,
        notify::{Answers, Users},
    },
    trace::TracerProcess,
    tree::Ids,
    users,
};

/// How a program and everything that it started ended.
pub(super) struct Ended {
    pub(super) exit: StepExit,
    pub(super) network: NetworkObservation,
    pub(super) hindrances: Hindrances,
    pub(super) cpu_ms: u64,
    pub(super) peak_rss_bytes: u64,
}

/// A program with its surroundings.
pub(super) struct Given<'a> {
    pub(super) spec: &'a Program,
    /// Values that the program's variables name.
    pub(super) secrets: &'a BTreeMap<String, Secret>,
    /// What the program finds of a network.
    pub(super) network: Option<&'a NetworkKit>,
    pub(super) variation: &'a Variation,
    pub(super) stubs: &'a Stubs,
    /// What is mounted on request.
    pub(super) attachments: Vec<Attachment>,
    /// Where owners are known from.
    pub(super) ids: Ids<'a>,
    /// Where the clock is shifted.
    pub(super) tracer: Option<TracerProcess>,
}

/// Runs the program in the mounted tree `root`. When this returns, none of its processes is left.
pub(super) fn run(
    given: Given<'_>,
    root: OwnedFd,
    log: OwnedFd,
    control: &Channel,
) -> Result<Ended, Failure> {
    let Given {
        spec,
        secrets,
        network,
        variation,
        stubs,
        attachments,
        ids,
        tracer,
    } = given;
    // Before anything is mounted in the tree.
    let user = users::resolve(root.as_fd(), &spec.user).map_err(|error| user_failure(&error))?;
    name_machine(variation)?;
    loopback::up().during("ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)")?;
    let dns = Responder::listen().map_err(|error| Failure::io("bind(127.0.0.1:53)", &error))?;
    let (report, report_writer) = pipe_with(PipeFlags::CLOEXEC).during("pipe2(O_CLOEXEC)")?;
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .during("socketpair(AF_UNIX, SOCK_SEQPACKET)")?;
    let clock = if tracer.is_some() {
        sockopt::set_socket_passcred(&ours, true).during("setsockopt(SO_PASSCRED)")?;
        Clock::Shifted
    } else {
        Clock::Real
    };
    let own_log = log
        .try_clone()
        .map_err(|error| Failure::io("dup(log)", &error))?;
    let payload = launch::payload(
        (spec, secrets, network),
        variation,
        (&user, ids),
        log,
        Watch::Supervised {
            filter: seccomp::program(Varying {
                users: ids.users(),
                kernel: variation.kernel,
                clock,
            }),
            supervisor: theirs,
            clock,
        },
    )?;
    let mut setup = mounts::plan(
        &stubs.files,
        variation.first_pid,
        spec.settings.shm_bytes,
        ids.users(),
    );
    if let Some(script) = &spec.script {
        setup.extend(mounts::script(script).during("name of a script")?);
    }
    if let Some(kit) = network {
        setup.extend(mounts::kit(kit).during("name of a file")?);
        open_way_out(kit, control)?;
    }
    let mut machine = machine::attachments(variation, payload.cpus.as_ref())?;
    // What a step mounts over them is seen.
    machine.extend(attachments);
    let plan = Plan {
        root,
        setup,
        attachments: machine,
        payload,
        report: report_writer,
    };
    let before = counters()?;
    let kills = out_of_memory_kills();
    let init = init::start(&plan).during("fork()")?;
    // The log's end and the report's end are seen only if nobody else holds them.
    let Plan {
        root,
        setup,
        attachments,
        payload,
        report: report_writer,
    } = plan;
    let targets: Vec<String> = attachments
        .into_iter()
        .map(|attachment| attachment.target)
        .collect();
    drop((root, payload, report_writer));
    let users = match ids {
        Ids::Kernel => None,
        Ids::Recorded(owners) => Some(Users::new(owners, &user).during("open(\"/proc\", O_PATH)")?),
    };
    let answers = Answers::new(users, variation, own_log).during("open(\"/proc\", O_PATH)")?;
    let supervisor = supervise::Supervisor {
        answers,
        control,
        init,
        report,
        dns,
        tracer,
    };
    let (end, seen) = supervisor.watch(ours)?;
    let ended = match end {
        supervise::End::Program(ended) => ended,
        supervise::End::NotStarted { place, errno } => {
            return Err(launch::not_started(place, errno, (&setup, &targets), spec));
        }
    };
    let exit = exit_of(ended.status);
    if exit != StepExit::Success && out_of_memory_kills() > kills {
        return Err(Failure::new(
            FailureKind::Exhausted,
            "the machine ran out of memory while the step ran, and processes were killed",
            None,
        ));
    }
    if exit == StepExit::Signal(libc::SIGKILL) {
        return Err(Failure::new(
            FailureKind::Exhausted,
            "the step's program was killed (SIGKILL), as machines short of memory do",
            None,
        ));
    }
    Ok(Ended {
        exit,
        network: seen.observed.finish(counters()?.since(before)),
        hindrances: seen.hindrances,
        cpu_ms: ended.cpu_ms,
        peak_rss_bytes: ended.peak_rss_bytes,
    })
}

/// Listens where the step's tools are told to ask, and hands the socket to the orchestrator. It stays
/// open there, and nowhere else.
fn open_way_out(kit: &NetworkKit, control: &Channel) -> Result<(), Failure> {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, kit.port);
    let listener = TcpListener::bind(address)
        .map_err(|error| Failure::io(format!("bind({address})"), &error))?;
    control
        .send(&Notice::Network, &[listener.as_fd()])
        .map_err(|_| Failure::new(FailureKind::Cancelled, "the orchestrator is gone", None))
}

fn name_machine(variation: &Variation) -> Result<(), Failure> {
    let Variation {
        hostname,
        domainname,
        ..
    } = variation;
    sethostname(hostname).during(&format!("sethostname({hostname:?})"))?;
    setdomainname(domainname.as_bytes()).during(&format!("setdomainname({domainname:?})"))
}

pub(crate) fn counters() -> Result<Counters, Failure> {
    Counters::read().map_err(|error| Failure::io("read(\"/proc/self/net/snmp\")", &error))
}

/// Processes that the kernel has killed for want of memory since the machine started, in any cgroup.
/// Another's kill at the same time makes a failed step look exhausted: then it is tried once more.
fn out_of_memory_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

pub(crate) fn exit_of(status: i32) -> StepExit {
    if libc::WIFSIGNALED(status) {
        return StepExit::Signal(libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        0 => StepExit::Success,
        code => StepExit::Code(code),
    }
}

/// What the first process's end without a report means.
fn init_lost(status: i32) -> Failure {
    if exit_of(status) == StepExit::Signal(libc::SIGKILL) {
        return Failure::new(
            FailureKind::Exhausted,
            "the step's first process was killed (SIGKILL), as machines short of memory do",
            None,
        );
    }
    Failure::new(
        FailureKind::Internal,
        format!(
            "the step's first process ended without a report, {:?}",
            exit_of(status)
        ),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_as_wait_gives_them() {
        assert_eq!(exit_of(0), StepExit::Success);
        assert_eq!(exit_of(3 << 8), StepExit::Code(3));
        assert_eq!(exit_of(libc::SIGTERM), StepExit::Signal(libc::SIGTERM));
        assert_eq!(
            exit_of(libc::SIGSEGV | 0x80),
            StepExit::Signal(libc::SIGSEGV)
        );
    }
}
