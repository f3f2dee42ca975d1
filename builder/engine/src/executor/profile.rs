//! The one policy of steps, in the words of an engine.

use std::{io::Write as _, path::Path};

use bollard::models::{
    HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ResourcesUlimits,
};
use repro_core::{
    build::{ExecutorError, UserIds},
    digest::Digest,
    json,
};
use repro_sandbox::policy::{CAPABILITIES, MASKED, OPEN_FILES, Policy, READ_ONLY, STACK, policy};
use serde_json::{Value, json as value};
use tempfile::NamedTempFile;

use crate::{About, Endpoint, EngineKind};

/// Bytes of `/dev/shm`: Docker's size.
const SHM_BYTES: i64 = 64 << 20;
/// Processes of a user where an engine insists on a number: the most that kernels had as process ids for
/// long.
const PROCESSES: u64 = 32_768;
/// `clone` flags that make a namespace.
const NAMESPACES: u64 = 0x7e02_0000;
/// What an argument `type` of `socket` says without its flags.
const SOCKET_TYPE: u64 = 0xf;

/// What a container may do: the policy of steps, as far as an engine holds it.
#[derive(Debug)]
pub(super) struct Profile {
    digest: Digest,
    filter: String,
    /// The same in a file, for an engine that takes it from there.
    file: Option<NamedTempFile>,
}

impl Profile {
    /// Renders the policy for an engine. `tmp` is for files that go with this process.
    pub(super) fn for_engine(about: &About, tmp: &Path) -> Result<Self, ExecutorError> {
        let mut profile = Self::new();
        match (about.kind, &about.endpoint) {
            (EngineKind::Docker, _) => {}
            // It takes what it is given for a path.
            (EngineKind::Podman, Endpoint::Unix(_)) => {
                let written = NamedTempFile::new_in(tmp).and_then(|mut file| {
                    file.write_all(profile.filter.as_bytes())?;
                    Ok(file)
                });
                profile.file = Some(written.map_err(|source| ExecutorError::Exhausted {
                    what: "cannot write the filter of system calls".to_owned(),
                    source: Some(source),
                })?);
            }
            (EngineKind::Podman, Endpoint::Tcp { .. } | Endpoint::Tls { .. }) => {
                return Err(ExecutorError::Machine {
                    what: "Podman on another machine cannot be given a filter of system calls"
                        .to_owned(),
                    hint:
                        "use Podman by its socket on this machine, or Docker: it takes the filter \
                           with the request"
                            .to_owned(),
                    source: None,
                });
            }
        }
        Ok(profile)
    }

    /// Renders the policy.
    fn new() -> Self {
        let policy = policy(UserIds::Range);
        let filter = filter(policy);
        let document = value!({
            "version": policy.version,
            "network": [],
            "capabilities": policy.capabilities,
            "noNewPrivileges": policy.no_new_privileges,
            "limits": policy.limits,
            "environment": policy.environment,
            "masked": policy.masked,
            "readOnly": policy.read_only,
            "synthesised": policy.synthesised,
            "seccomp": filter,
        });
        let bytes = json::canonical(&document).expect("the policy holds texts and integers only");
        Self {
            digest: Digest::of(&bytes),
            filter: filter.to_string(),
            file: None,
        }
    }

    /// SHA-256 of the rendered policy's canonical JSON.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// How a container is made, whose `/dev/shm` has `shm` bytes.
    pub(super) fn host_config(&self, shm: Option<u64>) -> HostConfig {
        let filter = match &self.file {
            None => self.filter.as_str().into(),
            Some(file) => file.path().to_string_lossy(),
        };
        let limit = |name: &str, soft: u64, hard: Option<u64>| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: i64::try_from(soft).ok(),
            hard: i64::try_from(hard.unwrap_or(soft)).ok(),
        };
        let mut ulimits = vec![limit("nofile", OPEN_FILES, None), limit("core", 0, None)];
        // Podman would raise it for root to a number of its own, which not every root may.
        if self.file.is_some() {
            ulimits.push(limit("nproc", PROCESSES, None));
        }
        let rooted = |paths: &[&str]| paths.iter().map(|path| format!("/{path}")).collect();
        HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(|(name, _)| name.to_owned()).to_vec()),
            privileged: Some(false),
            security_opt: Some(vec![format!("seccomp={filter}")]),
            ulimits: Some(ulimits),
            shm_size: Some(
                shm.and_then(|bytes| i64::try_from(bytes).ok())
                    .unwrap_or(SHM_BYTES),
            ),
            masked_paths: Some(rooted(&MASKED)),
            readonly_paths: Some(rooted(&READ_ONLY)),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            ipc_mode: Some("private".to_owned()),
            // What a step prints comes by the helper; a copy on the engine's disk would be one more
            // place for it.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            auto_remove: Some(false),
            init: Some(false),
            ..HostConfig::default()
        }
    }
}

/// The rules of system calls. What the sandbox's supervisor would answer is allowed if it ends inside the
/// step, and denied if not; nobody counts it.
fn filter(policy: &Policy) -> Value {
    let mut calls = vec![value!({
        "names": policy.seccomp.allowed,
        "action": "SCMP_ACT_ALLOW",
    })];
    for (name, _) in &policy.seccomp.special {
        calls.extend(special(name));
    }
    value!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        "syscalls": calls,
    })
}

/// The rules of a call that is neither allowed nor denied as a whole. A call that is not known here is
/// denied.
fn special(name: &str) -> Vec<Value> {
    let equal =
        |index: u32, number: u64| value!({"index": index, "value": number, "op": "SCMP_CMP_EQ"});
    let masked = |index: u32, mask: u64, number: u64| value!({"index": index, "value": mask, "valueTwo": number, "op": "SCMP_CMP_MASKED_EQ"});
    let allow = |arguments: Vec<Value>| value!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": arguments});
    match name {
        "clone" => vec![allow(vec![masked(0, NAMESPACES, 0)])],
        // Programs then take `clone`, whose flags a filter can read.
        "clone3" => vec![value!({
            "names": [name],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": libc_enosys(),
        })],
        "connect" | "uname" => vec![allow(Vec::new())],
        // PER_LINUX and PER_LINUX32, with and without UNAME26, and with fixed addresses, which the
        // helper sets for the program.
        "personality" => [
            0,
            8,
            0x0002_0000,
            0x0002_0008,
            0x0004_0000,
            0x0004_0008,
            0xffff_ffff,
        ]
        .into_iter()
        .map(|persona| allow(vec![equal(0, persona)]))
        .collect(),
        "socket" => {
            const UNIX: u64 = 1;
            const INET: u64 = 2;
            const INET6: u64 = 10;
            const NETLINK: u64 = 16;
            const STREAM: u64 = 1;
            const DATAGRAM: u64 = 2;
            let mut rules = vec![
                allow(vec![equal(0, UNIX)]),
                allow(vec![equal(0, NETLINK), equal(2, 0)]),
            ];
            for family in [INET, INET6] {
                for kind in [STREAM, DATAGRAM] {
                    rules.push(allow(vec![equal(0, family), masked(1, SOCKET_TYPE, kind)]));
                }
            }
            rules
        }
        // `socketcall`: its arguments lie in memory, where a filter cannot read.
        _ => Vec::new(),
    }
}

/// The number of "not implemented", the same on every machine that runs steps.
const fn libc_enosys() -> i32 {
    38
}

/// The stack of a program, soft: set by the helper, within what the engine allows.
const _: u64 = STACK;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_call_has_a_rule_or_is_denied_on_purpose() {
        for (name, _) in &policy(UserIds::Range).seccomp.special {
            assert_eq!(special(name).is_empty(), *name == "socketcall", "{name}");
        }
    }

    #[test]
    fn nothing_reaches_past_the_container() {
        let profile = Profile::new();
        let host = profile.host_config(None);
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.privileged, Some(false));
        assert!(host.binds.is_none() && host.mounts.is_none() && host.devices.is_none());
        let added = host.cap_add.unwrap();
        for denied in [
            "CAP_SYS_ADMIN",
            "CAP_NET_RAW",
            "CAP_NET_ADMIN",
            "CAP_SYS_PTRACE",
        ] {
            assert!(!added.iter().any(|name| name == denied), "{denied}");
        }
        let rules: Value = serde_json::from_str(&profile.filter).unwrap();
        assert_eq!(rules["defaultAction"], "SCMP_ACT_ERRNO");
        let allowed = rules["syscalls"][0]["names"].as_array().unwrap();
        for denied in [
            "mount",
            "unshare",
            "setns",
            "bpf",
            "keyctl",
            "io_uring_setup",
        ] {
            assert!(!allowed.iter().any(|name| name == denied), "{denied}");
        }
    }
}
