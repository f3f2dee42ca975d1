//! Everything that a step needs from the machine, tried without a program of an image.

use std::os::fd::{AsFd, OwnedFd};

use super::{
    Session,
    enter::{Isolation, become_root, namespaces, open_tree},
    faults::remove_failure,
    job::{make_dir, remove_dir},
    overlay::{Scratch, Writable, unstack},
};
use crate::{
    net::{dns::Responder, loopback},
    protocol::{During, Failure},
    tree,
};

/// Enters all namespaces and stacks a writable tree in the directory `scratch`.
pub(super) fn perform(scratch: &str, session: &Session) -> Result<(), Failure> {
    let store = namespaces(&session.control, &session.root, Isolation::Program)?;
    let directory = open_tree(&store, scratch)?;
    become_root()?;
    loopback::up().during("ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)")?;
    drop(Responder::listen().map_err(|error| Failure::io("bind(127.0.0.1:53)", &error))?);
    let names = ["lower", "upper", "work"];
    let mut made = Vec::with_capacity(names.len());
    for name in names {
        made.push(make_dir(&directory, name)?);
    }
    let stacked = stack(&directory, &made);
    for name in names {
        tree::remove_tree(directory.as_fd(), name.as_bytes())
            .map_err(|error| remove_failure(&error))?;
    }
    stacked
}

fn stack(at: &OwnedFd, made: &[OwnedFd]) -> Result<(), Failure> {
    let [lower, upper, work] = made else {
        return Ok(());
    };
    let mut scratch = Scratch::mount(at.as_fd())?;
    let writable = Writable {
        upper: upper.as_fd(),
        work: work.as_fd(),
    };
    let root = scratch.stack("root", &[lower.as_fd()], Some(writable))?;
    // A directory copied up is what an overlay on an unfit file system cannot do.
    remove_dir_of_root(&root)?;
    drop(root);
    unstack("root")
}

fn remove_dir_of_root(root: &OwnedFd) -> Result<(), Failure> {
    drop(make_dir(root, "probe")?);
    remove_dir(root, "probe")
}
