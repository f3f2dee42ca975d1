//! Switches of the machine that keep an ordinary user from making namespaces.

use std::fs;

/// One switch: its file, whether a value blocks, and how it is changed.
struct Switch {
    /// Whom it keeps from it.
    whom: Whom,
    path: &'static str,
    blocks: fn(&str) -> bool,
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
        path: "/proc/sys/user/max_user_namespaces",
        blocks: |value| value == "0",
        remedy: "sysctl user.max_user_namespaces=28633",
    },
    Switch {
        whom: Whom::AllButRoot,
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        blocks: |value| value == "0",
        remedy: "sysctl kernel.unprivileged_userns_clone=1",
    },
    Switch {
        whom: Whom::AllButRoot,
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        blocks: |value| value != "0",
        remedy: "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for \
                 repro with the rule \"userns,\"",
    },
];

/// The remedies for the switches that are set against namespaces.
pub(crate) fn remedies() -> Vec<&'static str> {
    let is_root = rustix::process::geteuid().is_root();
    SWITCHES
        .iter()
        .filter(|switch| switch.whom == Whom::Everybody || !is_root)
        .filter(|switch| {
            fs::read_to_string(switch.path).is_ok_and(|value| (switch.blocks)(value.trim()))
        })
        .map(|switch| switch.remedy)
        .collect()
}

/// What to do where a namespace was refused.
pub(crate) fn hint() -> String {
    let found = remedies();
    if found.is_empty() {
        "no sysctl forbids it: in a container, its seccomp profile does (Docker: --security-opt \
         seccomp=unconfined, or run repro on the machine itself)"
            .to_owned()
    } else {
        format!("as root: {}", found.join("; "))
    }
}
