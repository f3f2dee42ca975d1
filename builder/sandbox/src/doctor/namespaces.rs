//! Namespaces, and what keeps this user from them.

use std::fs;

use super::Check;
use crate::blockers;

pub(super) fn user() -> Check {
    const NAME: &str = "user namespaces";
    if !fs::exists("/proc/self/ns/user").unwrap_or(false) {
        return Check::lacking(
            NAME,
            "the kernel has none, or /proc is not mounted",
            ["use a kernel with CONFIG_USER_NS, and mount /proc"],
        );
    }
    let settings = blockers::settings();
    let says = |setting: &blockers::Setting| format!("{} is {}", setting.name, setting.value);
    let blocking: Vec<_> = settings
        .iter()
        .filter(|setting| setting.remedy.is_some())
        .collect();
    if !blocking.is_empty() {
        let what: Vec<String> = blocking.iter().map(|setting| says(setting)).collect();
        let remedies = blocking.iter().filter_map(|setting| setting.remedy);
        return Check::lacking(
            NAME,
            format!("refused to this user: {}", what.join(", ")),
            remedies.map(|remedy| format!("as root: {remedy}")),
        );
    }
    let mut what: Vec<String> = settings.iter().map(says).collect();
    if blockers::is_filtered() {
        what.push("this process has a filter of system calls, as in a container".to_owned());
    }
    if what.is_empty() {
        return Check::good(NAME, "no setting forbids them");
    }
    Check::good(
        NAME,
        format!("no setting forbids them ({})", what.join(", ")),
    )
}

pub(super) fn time() -> Check {
    const NAME: &str = "time namespaces";
    if fs::exists("/proc/self/ns/time").unwrap_or(false) {
        Check::good(NAME, "the time since the machine started can be varied")
    } else {
        Check::lacking(
            NAME,
            "the kernel has none, or /proc is not mounted",
            [
                "build with --vary all,-boot-time",
                "use a kernel with CONFIG_TIME_NS, and mount /proc",
            ],
        )
    }
}
