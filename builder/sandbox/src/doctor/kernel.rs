//! What the kernel can do.

use std::fs;

use super::Check;
use crate::blockers::sysctl;

/// Oldest kernel: notifications of system calls that a signal does not repeat (5.19) and overlayfs in
/// user namespaces (5.11).
const OLDEST: (u32, u32) = (5, 19);

pub(super) fn version() -> Check {
    const NAME: &str = "kernel";
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    if parse(&release).is_some_and(|version| version >= OLDEST) {
        return Check::good(NAME, format!("Linux {release}"));
    }
    let (major, minor) = OLDEST;
    Check::lacking(
        NAME,
        format!("Linux {release} is too old"),
        [format!(
            "start the machine with Linux {major}.{minor} or later"
        )],
    )
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether a filter of system calls may ask a supervisor.
pub(super) fn notifications() -> Check {
    const NAME: &str = "seccomp";
    let path = "/proc/sys/kernel/seccomp/actions_avail";
    let actions = fs::read_to_string(path).unwrap_or_default();
    if actions
        .split_whitespace()
        .any(|action| action == "user_notif")
    {
        Check::good(NAME, "a filter of system calls can ask a supervisor")
    } else {
        Check::lacking(
            NAME,
            format!("{path} has no user_notif"),
            ["use a kernel with CONFIG_SECCOMP_FILTER, and mount /proc"],
        )
    }
}

/// Whether a step's programs can be traced, which shifts the clock of run B.
pub(super) fn tracing() -> Check {
    const NAME: &str = "ptrace";
    const SCOPE: &str = "kernel.yama.ptrace_scope";
    match sysctl(SCOPE).as_deref() {
        Some("3") => Check::lacking(
            NAME,
            format!("{SCOPE} is 3: nobody may trace a program, and the clock of run B needs that"),
            [
                "build with --vary all,-clock".to_owned(),
                format!("take {SCOPE}=3 out of /etc/sysctl.d, and start the machine again"),
            ],
        ),
        Some(scope) => Check::good(NAME, format!("programs can be traced ({SCOPE} is {scope})")),
        None => Check::good(NAME, "programs can be traced (no Yama)"),
    }
}

/// Whether a program can be started from memory, as the sandbox is.
pub(super) fn memory_files() -> Check {
    const NAME: &str = "memfd";
    const SWITCH: &str = "vm.memfd_noexec";
    match sysctl(SWITCH).as_deref() {
        Some("2") => Check::lacking(
            NAME,
            format!("{SWITCH} is 2: no program may be started from memory, as the sandbox is"),
            [format!("as root: sysctl -w {SWITCH}=0")],
        ),
        _ => Check::good(NAME, "programs can be started from memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!(parse("6.1.0-25-amd64"), Some((6, 1)));
        assert_eq!(parse("5.19"), Some((5, 19)));
        assert_eq!(parse("next"), None);
        assert!(parse("5.4.0-42-generic") < Some(OLDEST));
    }
}
