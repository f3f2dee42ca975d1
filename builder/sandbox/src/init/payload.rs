//! From a forked process to the step's program.

use std::{
    ffi::CString,
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use nix::sys::{
    personality::{Persona, set as set_personality},
    signal::SigSet,
};
use repro_core::build::AddressSpace;
use rustix::{
    fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, openat2},
    io::{Errno, retry_on_intr},
    net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, send, sendmsg},
    process::{
        DumpableBehavior, Resource, Rlimit, fchdir, getrlimit, set_dumpable_behavior, setrlimit,
        setsid, umask,
    },
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, CpuSet,
        clear_ambient_capability_set, remove_capability_from_bounding_set, sched_setaffinity,
        set_capabilities, set_capabilities_secure_bits, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};

use super::{Place, onto_standard_streams, open_null};
use crate::{
    policy,
    protocol::from_nix,
    seccomp::{Clock, Instruction, notify},
    sys::{Closing, Strings, close_range, exec, join_new_session_keyring, reset_signals},
};

/// Highest number of a capability that a kernel may have (they are kept in 64 bits).
const LAST_CAPABILITY: u32 = 63;

/// A program with everything around it.
#[derive(Debug)]
pub(crate) struct Payload {
    /// Where the program may be, in the order of `PATH`.
    pub(crate) candidates: Vec<CString>,
    /// Arguments, the program's name first.
    pub(crate) arguments: Strings,
    /// `NAME=value`.
    pub(crate) environment: Strings,
    /// Working directory, absolute inside the tree.
    pub(crate) directory: CString,
    /// Whom it becomes.
    pub(crate) identity: Identity,
    /// CPUs, if not all.
    pub(crate) cpus: Option<CpuSet>,
    /// Address space layout.
    pub(crate) address_space: AddressSpace,
    /// Limits in place of the policy's.
    pub(crate) limits: Vec<(Resource, Rlimit)>,
    /// Takes standard output and standard error.
    pub(crate) log: OwnedFd,
    /// Who watches its system calls.
    pub(crate) watch: Watch,
}

/// Who watches the system calls of a program.
#[derive(Debug)]
pub(crate) enum Watch {
    /// A supervisor, who answers some of them.
    Supervised {
        /// The system call filter.
        filter: Vec<Instruction>,
        /// Takes the filter's listener, and before it the request to be traced.
        supervisor: OwnedFd,
        /// Whether the clock is shifted: then somebody traces the program.
        clock: Clock,
    },
    /// The engine's own filter, which was there before.
    Engine,
}

/// Whom a program runs as.
#[derive(Debug)]
pub(crate) enum Identity {
    /// A user that the kernel knows.
    Own {
        /// Numeric user.
        user: Uid,
        /// Numeric group.
        group: Gid,
        /// Supplementary groups.
        groups: Vec<Gid>,
    },
    /// Root of the step, to the kernel and the supervisor.
    OnlyRoot,
    /// Somebody whom the supervisor takes for another than root, which it is to the kernel.
    OnlyOther,
}

impl Payload {
    /// Becomes the program; returns only what failed.
    pub(crate) fn become_program(&self) -> (Place, Errno) {
        match self.prepare() {
            Err(failure) => failure,
            Ok(()) => (Place::Exec, self.exec()),
        }
    }

    fn prepare(&self) -> Result<(), (Place, Errno)> {
        let at = |place: Place| move |errno: Errno| (place, errno);
        if let Watch::Supervised {
            supervisor,
            clock: Clock::Shifted,
            ..
        } = &self.watch
        {
            get_tracer(supervisor).map_err(at(Place::Tracer))?;
        }
        setsid().map_err(at(Place::Session))?;
        reset_signals();
        SigSet::empty()
            .thread_set_mask()
            .map_err(|errno| (Place::Signals, from_nix(errno)))?;
        umask(Mode::from_raw_mode(policy::UMASK));
        let persona = match self.address_space {
            AddressSpace::Fixed => Persona::ADDR_NO_RANDOMIZE,
            // Said as well, since the caller's own could be inherited.
            AddressSpace::Random => Persona::empty(),
        };
        set_personality(persona).map_err(|errno| (Place::Personality, from_nix(errno)))?;
        if let Some(cpus) = &self.cpus {
            sched_setaffinity(None, cpus).map_err(at(Place::Affinity))?;
        }
        set_limits()?;
        for (index, (resource, limit)) in (0..).zip(&self.limits) {
            setrlimit(*resource, *limit).map_err(at(Place::Limit(index)))?;
        }
        if let Watch::Supervised { .. } = &self.watch {
            join_new_session_keyring().map_err(at(Place::Keyring))?;
        }
        let null = open_null().map_err(at(Place::Streams))?;
        onto_standard_streams(&null, &self.log).map_err(at(Place::Streams))?;
        self.enter_directory()
            .map_err(at(Place::WorkingDirectory))?;
        if let Watch::Supervised {
            filter, supervisor, ..
        } = &self.watch
        {
            // While the process still may: afterwards it has not the capability to.
            let listener = notify::install(filter).map_err(at(Place::Filter))?;
            hand_over(&listener, supervisor).map_err(at(Place::Listener))?;
        }
        self.become_user()?;
        // Not closed at once: the report of a failed exec still needs its pipe.
        close_range(3, u32::MAX, Closing::OnExec).map_err(at(Place::CloseDescriptors))
    }

    /// A link such as `/proc/self/fd/7` leads to wherever a descriptor is open (CVE-2024-21626).
    fn enter_directory(&self) -> Result<(), Errno> {
        let directory = openat2(
            CWD,
            self.directory.as_c_str(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        )?;
        fchdir(&directory)
    }

    /// Gives up what the program shall not have. The order is that of the rights that each call needs.
    fn become_user(&self) -> Result<(), (Place, Errno)> {
        let at = |place: Place| move |errno: Errno| (place, errno);
        let kept = policy::capabilities();
        for number in 0..=LAST_CAPABILITY {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            if kept.contains(capability) {
                continue;
            }
            match remove_capability_from_bounding_set(capability) {
                // Beyond the last one that this kernel has.
                Err(Errno::INVAL) => break,
                result => result.map_err(at(Place::BoundingSet))?,
            }
        }
        clear_ambient_capability_set().map_err(at(Place::Capabilities))?;
        let own = match &self.identity {
            Identity::Own {
                user,
                group,
                groups,
            } => {
                set_thread_groups(groups).map_err(at(Place::Groups))?;
                set_thread_res_gid(*group, *group, *group).map_err(at(Place::Group))?;
                set_thread_res_uid(*user, *user, *user).map_err(at(Place::User))?;
                if user.is_root() {
                    kept
                } else {
                    CapabilitySet::empty()
                }
            }
            Identity::OnlyRoot => kept,
            Identity::OnlyOther => {
                // Or exec would give it all that root may have.
                set_capabilities_secure_bits(CapabilitiesSecureBits::NO_ROOT)
                    .map_err(at(Place::Capabilities))?;
                CapabilitySet::empty()
            }
        };
        let sets = CapabilitySets {
            effective: own,
            permitted: own,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).map_err(at(Place::Capabilities))
    }

    /// Tries the candidates as `execvp` does. "Not permitted" is remembered: it says more than that
    /// the last one was not there.
    fn exec(&self) -> Errno {
        let mut seen = Errno::NOENT;
        for candidate in &self.candidates {
            match exec(candidate, &self.arguments, &self.environment) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => seen = Errno::ACCESS,
                errno => return errno,
            }
        }
        seen
    }
}

/// Lets the supervisor attach, before the filter and before the first program: nothing that it would
/// have to see has happened by then.
fn get_tracer(supervisor: &OwnedFd) -> Result<(), Errno> {
    // The memory is a copy of the stage's, which was made outside the namespace that the
    // supervisor has power over. There is nobody else yet who could use the permission.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    send(supervisor, &[0], SendFlags::NOSIGNAL)?;
    let mut answer = [0];
    let (count, _) = retry_on_intr(|| recv(supervisor, &mut answer[..], RecvFlags::empty()))?;
    if count == 0 {
        return Err(Errno::PERM);
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

fn hand_over(listener: &OwnedFd, supervisor: &OwnedFd) -> Result<(), Errno> {
    let fds = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(
        supervisor,
        &[IoSlice::new(&[0])],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .map(drop)
}

fn set_limits() -> Result<(), (Place, Errno)> {
    let fixed = |limit| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(Resource::Nofile, fixed(policy::OPEN_FILES))
        .map_err(|errno| (Place::OpenFiles, errno))?;
    setrlimit(Resource::Core, fixed(0)).map_err(|errno| (Place::Core, errno))?;
    let stack = Rlimit {
        current: Some(policy::STACK),
        ..getrlimit(Resource::Stack)
    };
    setrlimit(Resource::Stack, stack).map_err(|errno| (Place::Stack, errno))
}
