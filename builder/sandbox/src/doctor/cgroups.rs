//! Control groups. The sandbox needs none; engines do, most of all those of ordinary users.

use std::fs;

use rustix::fs::{Access, access};

use super::Check;

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    /// Nothing.
    None,
    /// The first version alone.
    V1,
    /// Both: controllers are in the first, the second is beside it.
    Hybrid,
    /// The second version alone, mounted there.
    V2(String),
}

pub(super) fn hierarchies() -> Check {
    const NAME: &str = "control groups";
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match layout(&table) {
        Layout::None => Check::good(NAME, "none, and the sandbox needs none"),
        Layout::V1 => Check::good(NAME, "version 1; the sandbox needs none"),
        Layout::Hybrid => Check::limited(
            NAME,
            "versions 1 and 2 at once (hybrid): fine for the sandbox, refused by crun",
            [
                "for engines that use crun: name runc, or start the machine with \
                 systemd.unified_cgroup_hierarchy=1",
            ],
        ),
        Layout::V2(point) if rustix::process::geteuid().is_root() => Check::good(
            NAME,
            format!("version 2 at {point}; the sandbox needs none"),
        ),
        Layout::V2(point) => {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let own = own.lines().find_map(|line| line.strip_prefix("0::"));
            let path = format!("{point}{}/cgroup.procs", own.unwrap_or_default());
            if access(path, Access::WRITE_OK).is_ok() {
                Check::good(NAME, "version 2, and this user's are delegated")
            } else {
                Check::good(
                    NAME,
                    "version 2, not delegated to this user: a rootless engine cannot limit memory and \
                     processors",
                )
            }
        }
    }
}

fn layout(mountinfo: &str) -> Layout {
    let (mut first, mut second) = (false, None);
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        match right.split(' ').next() {
            Some("cgroup") => first = true,
            Some("cgroup2") => second = left.split(' ').nth(4).map(str::to_owned),
            _ => {}
        }
    }
    match (first, second) {
        (true, Some(_)) => Layout::Hybrid,
        (true, None) => Layout::V1,
        (false, Some(point)) => Layout::V2(point),
        (false, None) => Layout::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_tells_the_versions() {
        let v1 = "33 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(layout(""), Layout::None);
        assert_eq!(layout(v1), Layout::V1);
        assert_eq!(layout(v2), Layout::V2("/sys/fs/cgroup".to_owned()));
        assert_eq!(layout(&format!("{v1}{v2}")), Layout::Hybrid);
    }
}
