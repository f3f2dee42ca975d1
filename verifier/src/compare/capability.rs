//! What a file's capabilities mean (`linux/capability.h`), in whichever version they are written.

use std::collections::BTreeMap;

/// The attribute of a file's capabilities.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// Bits of capabilities by number.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
/// The bit of the magic that says that permitted capabilities are effective at once.
const EFFECTIVE: u32 = 1;

/// The capabilities of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Capabilities {
    effective: bool,
    permitted: u64,
    inheritable: u64,
    /// The user that is root where they count; 0 for the initial namespace.
    root: u32,
}

impl Capabilities {
    fn parse(value: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let raw = value.get(4 * index..4 * index + 4)?;
            Some(u32::from_le_bytes(raw.try_into().ok()?))
        };
        let magic = word(0)?;
        let wide =
            |low: usize, high: usize| Some(u64::from(word(low)?) | u64::from(word(high)?) << 32);
        let (permitted, inheritable, root) = match (magic >> 24, value.len()) {
            (1, 12) => (u64::from(word(1)?), u64::from(word(2)?), 0),
            (2, 20) => (wide(1, 3)?, wide(2, 4)?, 0),
            (3, 24) => (wide(1, 3)?, wide(2, 4)?, word(5)?),
            _ => return None,
        };
        Some(Self {
            effective: magic & EFFECTIVE != 0,
            permitted,
            inheritable,
            root,
        })
    }

    /// As `getcap` writes it.
    fn text(self) -> String {
        let names = |bits: u64| -> String {
            let names: Vec<String> = (0..64)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| {
                    let known = NAMES.get(bit).map(|name| format!("cap_{name}"));
                    known.unwrap_or_else(|| format!("cap_{bit}"))
                })
                .collect();
            names.join(",")
        };
        let effective = if self.effective { "e" } else { "" };
        let mut sets = Vec::new();
        if self.permitted == self.inheritable && self.permitted != 0 {
            sets.push(format!("{}={effective}ip", names(self.permitted)));
        } else {
            if self.permitted != 0 {
                sets.push(format!("{}={effective}p", names(self.permitted)));
            }
            if self.inheritable != 0 {
                sets.push(format!("{}=i", names(self.inheritable)));
            }
        }
        if sets.is_empty() {
            sets.push("none".into());
        }
        if self.root != 0 {
            sets.push(format!("[rootid={}]", self.root));
        }
        sets.join(" ")
    }
}

/// Whether two sets of attributes mean the same: capabilities of another version can.
pub(super) fn same_xattrs(a: &BTreeMap<Vec<u8>, Vec<u8>>, b: &BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|(name, value)| b.get(name).is_some_and(|other| same(name, value, other)))
}

/// Whether two values of the attribute `name` mean the same.
pub(super) fn same(name: &[u8], a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let parsed = (Capabilities::parse(a), Capabilities::parse(b));
    name == CAPABILITY && matches!(parsed, (Some(a), Some(b)) if a == b)
}

/// The capabilities in words.
pub(super) fn words(value: &[u8]) -> String {
    Capabilities::parse(value)
        .map_or_else(|| "not readable as capabilities".into(), Capabilities::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_mean_the_same_are_equal() {
        let v2 = [&[1, 0, 0, 2, 0, 0x20, 0, 0][..], &[0; 12]].concat();
        let v3 = [&[1, 0, 0, 3, 0, 0x20, 0, 0][..], &[0; 16]].concat();
        let nested = [&[1, 0, 0, 3, 0, 0x20, 0, 0][..], &[0; 12], &[0xe8, 3, 0, 0]].concat();
        assert!(same(CAPABILITY, &v2, &v3));
        assert!(!same(CAPABILITY, &v2, &nested));
        assert!(!same(b"user.x", &v2, &v3));
        assert_eq!(words(&v2), "cap_net_raw=ep");
        assert_eq!(words(&nested), "cap_net_raw=ep [rootid=1000]");
        assert_eq!(words(b"x"), "not readable as capabilities");
    }
}
