//! Debian's Podman.

use std::{fs, path::Path, process::Command};

use super::{Address, LIMITS, alone, attached, make_dir, place::driver};
use crate::{User, processes_with, tool};

pub(super) fn service(dir: &Path, user: User, address: &Address) -> Command {
    for name in ["home", "root", "run", "tmp"] {
        make_dir(&dir.join(name), user);
    }
    let quoted = LIMITS.map(|limit| format!("{limit:?}"));
    // The locks in shared memory would be those of the machine's own Podman. crun, which is the usual one, refuses machines with both versions of control groups.
    let text = format!(
        "[containers]\n\
         default_ulimits = [{}]\n\
         [engine]\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"file\"\n\
         lock_type = \"file\"\n\
         runtime = \"runc\"\n",
        quoted.join(", ")
    );
    fs::write(dir.join("containers.conf"), text).expect("the file can be written");
    let mut command = attached("podman", user);
    surroundings(&mut command, dir);
    command
        .args(storage(dir))
        .args(["system", "service", "--time=0"])
        .arg(address.to_string());
    command
}

/// The client, which works on the same files itself.
pub(super) fn client(dir: &Path, user: User) -> Command {
    let mut prefix = user.prefix().into_iter();
    let mut command = match prefix.next() {
        Some(program) => {
            let mut command = Command::new(tool(&program.to_string_lossy()));
            command.args(prefix).arg(tool("podman"));
            command
        }
        None => Command::new(tool("podman")),
    };
    surroundings(&mut command, dir);
    command.args(storage(dir));
    command
}

fn surroundings(command: &mut Command, dir: &Path) {
    alone(command, dir);
    command
        .env("CONTAINERS_CONF", dir.join("containers.conf"))
        .env("XDG_RUNTIME_DIR", dir.join("tmp"));
}

fn storage(dir: &Path) -> Vec<String> {
    let option = |name: &str, value: &str| format!("--{name}={}", dir.join(value).display());
    vec![
        option("root", "root"),
        option("runroot", "run"),
        option("tmpdir", "tmp/libpod"),
        format!("--storage-driver={}", driver(dir)),
    ]
}

/// Ends and removes all containers.
pub(super) fn end_containers(dir: &Path, user: User) {
    let removed = client(dir, user)
        .args(["rm", "--all", "--force", "--time=0"])
        .output();
    assert!(
        std::thread::panicking() || removed.as_ref().is_ok_and(|output| output.status.success()),
        "containers of podman stay: {removed:?}"
    );
}

/// Ends the process that keeps the namespaces of an ordinary user's Podman. It is called like the service.
pub(super) fn end_pause(dir: &Path, user: User) {
    if user == User::Caller {
        return;
    }
    for pid in processes_with(&dir.display().to_string()) {
        // One that is not there any more has ended by itself.
        drop(Command::new(tool("kill")).arg(pid.to_string()).output());
    }
}
