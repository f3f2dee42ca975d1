//! Switches of the machine that keep an ordinary user from making namespaces.

use std::fs;

/// One switch: whom it keeps from it, whether a value blocks, and how it is changed.
struct Switch {
    whom: Whom,
    /// As `sysctl` writes it.
    name: &'static str,
    blocks: fn(&str) -> bool,
    /// What root says to change it.
    remedy: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Everybody,
    AllButRoot,
}

const SWITCHES: [Switch; 3] = [
    Switch {
        whom: Whom::Everybody,
        name: "user.max_user_namespaces",
        blocks: |value| value == "0",
        remedy: "sysctl -w user.max_user_namespaces=28633",
    },
    Switch {
        whom: Whom::AllButRoot,
        name: "kernel.unprivileged_userns_clone",
        blocks: |value| value == "0",
        remedy: "sysctl -w kernel.unprivileged_userns_clone=1",
    },
    Switch {
        whom: Whom::AllButRoot,
        name: "kernel.apparmor_restrict_unprivileged_userns",
        blocks: |value| value != "0",
        remedy: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or give repro an AppArmor \
                 profile with the rule \"userns,\")",
    },
];

/// A switch that this kernel has, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// As `sysctl` writes it.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: String,
    /// What root says to change it, where it keeps this user from namespaces.
    pub(crate) remedy: Option<&'static str>,
}

/// Every switch that this kernel has.
pub(crate) fn settings() -> Vec<Setting> {
    let is_root = rustix::process::geteuid().is_root();
    let setting = |switch: &Switch| {
        let value = sysctl(switch.name)?;
        let concerns = switch.whom == Whom::Everybody || !is_root;
        let remedy = (concerns && (switch.blocks)(&value)).then_some(switch.remedy);
        Some(Setting {
            name: switch.name,
            value,
            remedy,
        })
    };
    SWITCHES.iter().filter_map(setting).collect()
}

/// The value of a switch, if this kernel has it.
pub(crate) fn sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let value = fs::read_to_string(path).ok()?;
    Some(value.trim().to_owned())
}

/// Whether whoever started this process gave it a filter of system calls, as engines do for the
/// containers that they start.
pub(crate) fn is_filtered() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| filter_of(&status) == Some("2"))
}

fn filter_of(status: &str) -> Option<&str> {
    let mut lines = status.lines();
    lines.find_map(|line| Some(line.strip_prefix("Seccomp:")?.trim()))
}

/// What to do where such a filter refuses something.
pub(crate) const FILTERED: &str = "this process has a filter of system calls from whoever started it, as in \
     a container: start that with --security-opt seccomp=unconfined, run repro on the machine itself, or \
     let an engine run the steps (--executor docker)";

/// What to do where a namespace was refused.
pub(crate) fn hint() -> String {
    let settings = settings();
    let found: Vec<&str> = settings
        .iter()
        .filter_map(|setting| setting.remedy)
        .collect();
    if !found.is_empty() {
        format!("as root: {}", found.join("; "))
    } else if is_filtered() {
        format!("no sysctl forbids it, but {FILTERED}")
    } else {
        "no sysctl forbids it and no filter of system calls is seen: see whether this is a chroot, or \
         whether a security module of the machine logs a denial (journalctl -k)"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_from_the_status() {
        let status = "Name:\trepro\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(filter_of(status), Some("2"));
        assert_eq!(filter_of("Name:\trepro\n"), None);
    }

    #[test]
    fn a_switch_that_every_kernel_has_is_read() {
        let settings = settings();
        let first = settings.first().unwrap();
        assert_eq!(first.name, "user.max_user_namespaces");
        assert!(first.value.parse::<u64>().is_ok(), "{first:?}");
    }
}
