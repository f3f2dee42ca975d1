//! Podman, as tests use it.

use std::process::Command;

use crate::{TestContext, tool};

/// podman with a storage of its own, and runc.
#[must_use]
pub fn podman(context: &TestContext) -> Command {
    let mut podman = Command::new(tool("podman"));
    podman
        .arg("--root")
        .arg(context.path("podman"))
        .arg("--runroot")
        .arg(context.path("podman-run"))
        .arg("--tmpdir")
        .arg(context.path("podman-tmp"))
        .args(["--storage-driver", "vfs", "--runtime", "runc"])
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    podman
}
