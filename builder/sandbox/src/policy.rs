//! What a step is given and what it is denied: one document, and constants that the sandbox sets
//! up from. Reports and cache keys name it by its digest.

use std::sync::LazyLock;

use repro_core::{build::UserIds, digest::Digest, json};
use rustix::thread::CapabilitySet;
use serde::Serialize;

use crate::{mapping::IDS, seccomp};

/// Version of the policy.
pub const VERSION: u32 = 1;

/// Open files of a process, soft and hard. Below what systemd (524288) and Docker grant, so that an
/// ordinary user can set it on nearly every machine, and small enough for programs that walk all
/// numbers; 16 times the usual soft limit.
pub const OPEN_FILES: u64 = 16_384;
/// Bytes of stack of a process, soft: the kernel's default, whatever the caller has.
pub const STACK: u64 = 8 << 20;
/// Mask of permissions of new files.
pub const UMASK: u32 = 0o022;
/// Bytes of `/dev/shm`: Docker's size.
pub const SHM_SIZE: &str = "64m";
/// Where programs are looked up if `ENV` has no `PATH`: Docker's value.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Capabilities of a step's root, inside its user namespace: those of Docker without `NET_RAW`
/// (packets past the counters), `MKNOD` (refused in a user namespace anyway) and `AUDIT_WRITE` (the
/// machine's log).
pub const CAPABILITIES: [(&str, CapabilitySet); 11] = [
    ("CAP_CHOWN", CapabilitySet::CHOWN),
    ("CAP_DAC_OVERRIDE", CapabilitySet::DAC_OVERRIDE),
    ("CAP_FOWNER", CapabilitySet::FOWNER),
    ("CAP_FSETID", CapabilitySet::FSETID),
    ("CAP_KILL", CapabilitySet::KILL),
    ("CAP_NET_BIND_SERVICE", CapabilitySet::NET_BIND_SERVICE),
    ("CAP_SETFCAP", CapabilitySet::SETFCAP),
    ("CAP_SETGID", CapabilitySet::SETGID),
    ("CAP_SETPCAP", CapabilitySet::SETPCAP),
    ("CAP_SETUID", CapabilitySet::SETUID),
    ("CAP_SYS_CHROOT", CapabilitySet::SYS_CHROOT),
];

/// Files and directories of `/proc` and `/sys` that show the machine, or what it is doing at the
/// moment: hidden.
pub const MASKED: [&str; 31] = [
    "proc/acpi",
    "proc/asound",
    "proc/buddyinfo",
    "proc/cmdline",
    "proc/diskstats",
    "proc/interrupts",
    "proc/iomem",
    "proc/ioports",
    "proc/kallsyms",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/locks",
    "proc/modules",
    "proc/pagetypeinfo",
    "proc/partitions",
    "proc/pressure",
    "proc/sched_debug",
    "proc/schedstat",
    "proc/scsi",
    "proc/slabinfo",
    "proc/softirqs",
    "proc/swaps",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/vmallocinfo",
    "proc/vmstat",
    "proc/zoneinfo",
    "sys/devices/system/node",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Files and directories of `/proc` and `/sys` that the sandbox makes: they agree with the axes, and
/// do not change by themselves.
pub const MADE: [&str; 9] = [
    "proc/cpuinfo",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/random/boot_id",
    "proc/sys/kernel/version",
    "proc/version",
    "sys/devices/system/cpu",
];

/// What of `/proc` can be read and not written.
pub const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// Device nodes in `/dev`: name, major, minor.
pub const DEVICES: [(&str, u32, u32); 6] = [
    ("full", 1, 7),
    ("null", 1, 3),
    ("random", 1, 8),
    ("tty", 5, 0),
    ("urandom", 1, 9),
    ("zero", 1, 5),
];

/// Links in `/dev`.
pub const DEVICE_LINKS: [(&str, &str); 6] = [
    ("core", "/proc/kcore"),
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// Paths of `/etc` whose content the sandbox makes; what a step writes there is in no layer.
pub const SYNTHESISED: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Version of the rules.
    pub version: u32,
    /// Namespaces that a step has for itself.
    pub namespaces: Vec<&'static str>,
    /// Ids that a step has.
    pub ids: u32,
    /// The bounding set; inheritable and ambient sets are empty.
    pub capabilities: Vec<&'static str>,
    /// Whether set-id programs and file capabilities give nothing. They work, as in Docker: what they
    /// can give ends at the user namespace.
    pub no_new_privileges: bool,
    /// Network interfaces beside loopback.
    pub network: Vec<&'static str>,
    /// Limits.
    pub limits: Limits,
    /// Rules of the environment.
    pub environment: Environment,
    /// Hidden paths.
    pub masked: Vec<&'static str>,
    /// Paths whose content the sandbox makes.
    pub made: Vec<&'static str>,
    /// Namespaces that a step has on an axis of variation only.
    pub varied_namespaces: Vec<&'static str>,
    /// Paths that cannot be written.
    pub read_only: Vec<&'static str>,
    /// Device nodes.
    pub devices: Vec<&'static str>,
    /// Files of `/etc` that the sandbox makes.
    pub synthesised: Vec<&'static str>,
    /// System calls.
    pub seccomp: seccomp::Document,
}

/// Limits of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// `RLIMIT_NOFILE`, soft and hard.
    pub open_files: u64,
    /// `RLIMIT_STACK`, soft.
    pub stack_bytes: u64,
    /// `RLIMIT_CORE`, soft and hard.
    pub core_bytes: u64,
    /// Octal text.
    pub umask: String,
    /// Size of `/dev/shm`.
    pub shm: &'static str,
}

/// Where variables come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Variables are those of the step, in its order, and these, if the step has none of the name.
    pub added: Vec<&'static str>,
    /// `PATH`, if the step has none.
    pub path: &'static str,
}

/// With an id for each user of a step, and with one for all.
static POLICIES: LazyLock<[Policy; 2]> = LazyLock::new(|| [UserIds::Range, UserIds::One].map(make));

fn make(users: UserIds) -> Policy {
    Policy {
        version: VERSION,
        namespaces: vec!["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
        ids: match users {
            UserIds::Range => IDS,
            UserIds::One => 1,
        },
        capabilities: CAPABILITIES.iter().map(|(name, _)| *name).collect(),
        no_new_privileges: false,
        network: Vec::new(),
        limits: Limits {
            open_files: OPEN_FILES,
            stack_bytes: STACK,
            core_bytes: 0,
            umask: format!("{UMASK:04o}"),
            shm: SHM_SIZE,
        },
        environment: Environment {
            added: vec!["HOME", "PATH"],
            path: DEFAULT_PATH,
        },
        masked: MASKED.to_vec(),
        made: MADE.to_vec(),
        varied_namespaces: vec!["time"],
        read_only: READ_ONLY.to_vec(),
        devices: DEVICES.iter().map(|(name, ..)| *name).collect(),
        synthesised: SYNTHESISED.to_vec(),
        seccomp: seccomp::document(users),
    }
}

static DIGESTS: LazyLock<[Digest; 2]> = LazyLock::new(|| {
    [UserIds::Range, UserIds::One].map(|users| {
        let bytes =
            json::canonical(policy(users)).expect("the policy holds texts and integers only");
        Digest::of(&bytes)
    })
});

const fn place(users: UserIds) -> usize {
    match users {
        UserIds::Range => 0,
        UserIds::One => 1,
    }
}

/// The policy of every step.
#[must_use]
pub fn policy(users: UserIds) -> &'static Policy {
    &POLICIES[place(users)]
}

/// SHA-256 of the policy's canonical JSON.
#[must_use]
pub fn policy_digest(users: UserIds) -> Digest {
    DIGESTS[place(users)]
}

/// The capabilities as a set.
pub(crate) fn capabilities() -> CapabilitySet {
    CAPABILITIES
        .iter()
        .fold(CapabilitySet::empty(), |set, (_, capability)| {
            set | *capability
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of them would let a step's root out, or packets past the counters.
    #[test]
    fn no_capability_reaches_further() {
        for denied in [
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::NET_ADMIN,
            CapabilitySet::NET_RAW,
            CapabilitySet::SYS_PTRACE,
            CapabilitySet::MKNOD,
            CapabilitySet::AUDIT_WRITE,
            CapabilitySet::DAC_READ_SEARCH,
            CapabilitySet::SYS_RESOURCE,
        ] {
            assert!(!capabilities().contains(denied), "{denied:?}");
        }
    }

    #[test]
    fn lists_are_sorted_and_without_doubles() {
        let policy = policy(UserIds::Range);
        for list in [
            &policy.capabilities,
            &policy.masked,
            &policy.made,
            &policy.read_only,
            &policy.devices,
            &policy.synthesised,
            &policy.namespaces,
        ] {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
    }

    #[test]
    fn the_digest_is_of_canonical_json() {
        let bytes = json::canonical(policy(UserIds::Range)).unwrap();
        assert_eq!(policy_digest(UserIds::Range), Digest::of(&bytes));
        assert!(bytes.starts_with(br#"{"capabilities":["CAP_CHOWN""#));
    }
}
