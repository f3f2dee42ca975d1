//! Writing the maps of a stage's user namespace.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use repro_core::build::ExecutorError;

use super::{Extent, IdMapping, Writer, map_text};

impl IdMapping {
    /// Writes the maps of the process `pid`, which waits for it in a new user namespace.
    pub(crate) fn write(&self, pid: u32) -> Result<(), ExecutorError> {
        match self.writer {
            Writer::Root | Writer::RootOfContainer => {
                write_file(pid, "uid_map", &self.uids)?;
                write_file(pid, "gid_map", &self.gids)
            }
            Writer::OneId => {
                // The kernel takes a map of groups from an ordinary user on this condition: who could
                // drop groups could pass by what is denied to them.
                let path = format!("/proc/{pid}/setgroups");
                fs::write(&path, "deny").map_err(|error| ExecutorError::Machine {
                    what: format!("write({path:?}, \"deny\")"),
                    hint: "see `repro doctor`".to_owned(),
                    source: Some(error),
                })?;
                write_file(pid, "uid_map", &self.uids)?;
                write_file(pid, "gid_map", &self.gids)
            }
            Writer::Tools => {
                run_tool("newuidmap", pid, &self.uids)?;
                run_tool("newgidmap", pid, &self.gids)
            }
        }
    }
}

fn write_file(pid: u32, file: &str, map: &[Extent]) -> Result<(), ExecutorError> {
    let path = format!("/proc/{pid}/{file}");
    fs::write(&path, map_text(map)).map_err(|error| ExecutorError::Machine {
        what: format!("write({path:?}, {:?})", map_text(map)),
        hint: "root needs CAP_SETUID and CAP_SETGID to give a step its ids; in a container, add \
               them or run repro as an ordinary user with subordinate ids"
            .to_owned(),
        source: Some(error),
    })
}

/// The tools are set-id programs: an ordinary user may write no more than one id.
fn run_tool(tool: &'static str, pid: u32, map: &[Extent]) -> Result<(), ExecutorError> {
    let mut command = Command::new(tool);
    command
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for extent in map {
        command.args([extent.inside, extent.outside, extent.count].map(|id| id.to_string()));
    }
    let output = command.output().map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "install newuidmap and newgidmap (Debian and Ubuntu: uidmap; Fedora: shadow-utils)"
            }
            _ => "newuidmap and newgidmap must be executable for this user",
        };
        ExecutorError::Machine {
            what: format!("{tool} cannot be started"),
            hint: hint.to_owned(),
            source: Some(error),
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(400).collect();
    Err(ExecutorError::Machine {
        what: format!("{tool} refused the ids of /etc/subuid and /etc/subgid: {said}"),
        hint: "newuidmap and newgidmap must be set-id root (or have file capabilities), and lie \
               on a file system that is not mounted nosuid"
            .to_owned(),
        source: None,
    })
}
