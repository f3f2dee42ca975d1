//! Connections of a step to an ssh agent of the caller.
//!
//! The socket in the step is one of its own, made in its namespaces: that of the caller belongs to an
//! id that the step does not have. Each connection to it is answered with one to the agent, and bytes
//! go both ways until either side ends.

use std::{
    io,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::Scope,
};

use rustix::net::{Shutdown as Way, shutdown};

/// Connections of one step at a time; each is two threads. More are closed at once.
const MAX_CONNECTIONS: usize = 32;

/// Agents at the service of a step; dropping it ends the service.
pub(super) struct Agents {
    listeners: Vec<OwnedFd>,
}

impl Agents {
    /// Serves each listener from the agent of the same place. Connections end with the step's
    /// processes.
    pub(super) fn serve<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        listeners: Vec<OwnedFd>,
        agents: Vec<&'env Path>,
    ) -> io::Result<Self> {
        let mut kept = Vec::with_capacity(listeners.len());
        let open = Arc::new(AtomicUsize::new(0));
        for (listener, agent) in listeners.into_iter().zip(agents) {
            kept.push(listener.try_clone()?);
            let listener = UnixListener::from(listener);
            let open = Arc::clone(&open);
            scope.spawn(move || accept(scope, &listener, agent, &open));
        }
        Ok(Self { listeners: kept })
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Wakes whoever accepts on it. One that is shut already is what is wanted.
            let _ = shutdown(listener, Way::Both);
        }
    }
}

fn accept<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listener: &UnixListener,
    agent: &'scope Path,
    open: &Arc<AtomicUsize>,
) {
    // An error is the end of the service, or of the machine's descriptors: the step then sees a
    // closed connection.
    while let Ok((step, _)) = listener.accept() {
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let open = Arc::clone(open);
        scope.spawn(move || {
            if let Ok(agent) = UnixStream::connect(agent) {
                relay(&step, &agent);
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Passes bytes both ways. When the step has no more to say, the agent need not answer any more.
fn relay(step: &UnixStream, agent: &UnixStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pass(agent, step);
            drop(step.shutdown(Shutdown::Both));
        });
        pass(step, agent);
        drop(agent.shutdown(Shutdown::Both));
    });
}

fn pass(mut from: &UnixStream, mut to: &UnixStream) {
    // A broken connection is one that has ended.
    drop(io::copy(&mut from, &mut to));
}
