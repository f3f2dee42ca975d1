//! The process that does the work of one request inside the namespaces of a step.
//!
//! It is this executable started again under a name of its own, because namespaces can only be
//! entered by a process with one thread. It stays outside the step's process namespace, so the
//! step cannot see it, and inside the step's user, mount and network namespaces.

mod device;
mod enter;
pub(crate) mod faults;
pub(crate) mod job;
mod machine;
mod memory;
mod mounts;
mod overlay;
mod plain;
pub(crate) mod program;
mod step;
pub(crate) mod stubs;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use repro_core::build::UserIds;
use rustix::net::{AddressFamily, sockopt};

use crate::{
    channel::{Channel, ChannelError},
    protocol::{Answer, Failure, FailureKind, Notice, Request},
};

/// The name by which a started process knows that it is a stage.
pub(crate) const STAGE_NAME: &str = "repro-sandbox-stage";

/// Serves a request and ends the process, if this process was started as a stage, or as the helper in
/// a container; returns at once otherwise.
///
/// To be called first in `main`: a stage must not have started a thread.
pub fn enter_if_stage() {
    crate::guest::enter_if_guest();
    let is_stage = std::env::args_os()
        .next()
        .is_some_and(|name| name == STAGE_NAME);
    if is_stage {
        let code = match serve() {
            Ok(()) => 0,
            // Without a channel there is nobody to tell.
            Err(_) => 2,
        };
        leave(code);
    }
}

#[expect(
    clippy::exit,
    reason = "a stage is a process of its own, and the caller of enter_if_stage must not go on"
)]
pub(crate) fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// What came with a request.
struct Session {
    users: UserIds,
    control: Channel,
    /// The store's root.
    root: OwnedFd,
    /// Entries of layers, in or out.
    stream: OwnedFd,
    /// What the step prints goes here.
    log: Option<OwnedFd>,
}

fn serve() -> Result<(), ChannelError> {
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(|error| {
        ChannelError::System(
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        )
    })?;
    // Somebody who starts the program under this name by hand has no channel.
    if sockopt::socket_domain(&socket)? != AddressFamily::UNIX {
        return Err(ChannelError::Closed);
    }
    let control = Channel::from_socket(socket);
    let (request, fds): (Request, Vec<OwnedFd>) = control.receive()?;
    let mut fds = fds.into_iter();
    let (Some(root), Some(stream)) = (fds.next(), fds.next()) else {
        return Err(ChannelError::Closed);
    };
    let session = Session {
        users: request.users,
        control,
        root,
        stream,
        log: fds.next(),
    };
    let control = session.control.as_fd().try_clone_to_owned();
    let work = AssertUnwindSafe(move || job::perform(request.job, session));
    let answer: Answer = catch_unwind(work).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Failure::new(
            FailureKind::Internal,
            format!("a stage panicked: {said}"),
            None,
        ))
    });
    let control = Channel::from_socket(control.map_err(|_| ChannelError::Closed)?);
    control.send(&Notice::Answer(answer), &[])
}
