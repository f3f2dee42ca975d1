//! What a step may reach besides itself: one port on its own loopback, at which somebody outside
//! answers.
//!
//! The step still has no interface but loopback. The executor makes the listening socket inside the
//! step's network namespace and hands it out: a socket belongs to the namespace where it was made, so
//! whoever accepts on it need not be there.

use std::{io, net::TcpListener, os::unix::net::UnixListener};

use serde::{Deserialize, Serialize};

/// What a step is given while its program runs, so that its tools find the port. Nothing of it
/// reaches a layer or a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkKit {
    /// The port on 127.0.0.1: the same in every run and on every machine, since a program may write
    /// down what it was told.
    pub port: u16,
    /// Variables. One that the step or its image sets is left alone.
    pub variables: Vec<(String, String)>,
    /// Files in [`NetworkKit::DIR`], read-only.
    pub files: Vec<NetworkFile>,
}

impl NetworkKit {
    /// Where the files are: among the devices, which are the sandbox's own. In a directory of the
    /// image they would have to be mounted, and a step that clears it would fail.
    pub const DIR: &'static str = "/dev/repro";

    /// The path at which a step finds the file `name`.
    #[must_use]
    pub fn path(name: &str) -> String {
        format!("{}/{name}", Self::DIR)
    }
}

/// A file of a [`NetworkKit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkFile {
    /// One name, without a slash.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Where a step's connections come in.
#[derive(Debug)]
pub enum StepListener {
    /// The socket of the step itself, made in its network namespace.
    Step(TcpListener),
    /// A socket of this machine, to which an executor hands on what comes from a step elsewhere.
    Relay(UnixListener),
}

/// The one who answers a step's requests.
pub trait StepNetwork: Send + Sync {
    /// What the step is given.
    fn kit(&self) -> &NetworkKit;

    /// Begins to answer connections to `listener`, and returns.
    ///
    /// # Errors
    ///
    /// The operating system's word.
    fn serve(&self, listener: StepListener) -> io::Result<()>;

    /// Ends the service. When this returns, no connection is left and what was seen is complete.
    /// Called once after [`StepNetwork::serve`], however the step ended.
    fn close(&self);
}
