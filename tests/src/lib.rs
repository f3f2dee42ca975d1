//! What the end-to-end tests share: the program as a user starts it, in surroundings of its own.
//!
//! Tests whose name begins with `privileged_` need root. Without it they fail; they never pass
//! unseen. `tests/run` leaves them out by name, and says so, where it does not run as root.
#![forbid(unsafe_code)]
#![expect(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a helper of a test panics where the test fails, and that is its use"
)]

mod built;
pub mod conformance;
mod context;
mod engines;
mod events;
mod fetching;
mod output;
mod pack;
mod podman;
mod processes;
mod program;
mod project;
mod redact;
mod registry;
mod seed;
mod server;
mod standin;
mod user;

pub use built::Built;
pub use context::TestContext;
pub use engines::Engine;
pub use events::{Events, tasks};
pub use fetching::FetchingExample;
pub use output::{Ended, Output};
pub use pack::{Pack, files_below, statement};
pub use podman::podman;
pub use processes::{descendants, mounts_below, processes_with, wait_until};
pub use program::{Repro, program, root, succeeds, target, tool};
pub use project::{example, write_project};
pub use registry::{PASSWORD, Registry, RegistryKind};
pub use seed::{random, seed};
pub use server::{Answer, Asked, HOST, Server, git_backend};
pub use standin::StandIn;
pub use user::{User, require_root};

/// The declaration that makes `FROM busybox` and `FROM c` mean the shipped toolchains.
pub const TOOLCHAINS: &str = "\
[toolchain.busybox]
use = \"busybox\"
[toolchain.c]
use = \"debian-c\"
";
