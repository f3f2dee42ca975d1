//! What each axis of variation is: for those who read of one in a report.

use repro_core::build::Axis;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisInfo {
    /// One line.
    pub title: &'static str,
    /// How it is varied, and what programs see of it.
    pub how: &'static str,
    /// What is not varied, or what it costs.
    pub limits: &'static str,
}

/// What `axis` is.
#[must_use]
pub const fn info(axis: Axis) -> AxisInfo {
    let (title, how, limits) = match axis {
        Axis::Clock => (
            "the time of day",
            "The clock that programs of run B read is 398 days, 5 hours and 17 minutes ahead of the \
             machine's, and moves; also for static programs.",
            "Times that the kernel gives to files stay real. Time passes between any two runs: what \
             holds it differs between equal runs too.",
        ),
        Axis::BootTime => (
            "when the machine started",
            "A time namespace shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME, and with them /proc/uptime, \
             sysinfo and btime of /proc/stat. The boot id is one for run A, whatever the machine, and \
             another for run B.",
            "Needs a kernel with time namespaces (CONFIG_TIME_NS, Linux 5.6).",
        ),
        Axis::Hostname => (
            "host name and domain name",
            "Each run has names of its own, which exist nowhere else, in uname, /etc/hostname and \
             /etc/hosts.",
            "A file that holds the name of run B proves that it captured it.",
        ),
        Axis::Cpus => (
            "how many processors there are",
            "Run B has one. The affinity, /proc/cpuinfo, /proc/stat and /sys/devices/system/cpu say \
             the same.",
            "A build that uses all processors takes longer in run B.",
        ),
        Axis::DirectoryOrder => (
            "the order of names in a directory",
            "Names come sorted in run A and reverse sorted in run B.",
            "A directory with more names than fit one answer comes in parts.",
        ),
        Axis::Pids => (
            "process ids",
            "They start at 2 in run A and at 20011 in run B.",
            "The first process of a step is 1 in both.",
        ),
        Axis::AddressSpace => (
            "addresses of stack, heap and libraries",
            "They are fixed in run A and random in run B.",
            "Programs built for a fixed address have it in both.",
        ),
        Axis::KernelName => (
            "the name of the kernel",
            "The supervisor of system calls answers uname in run B, for static programs too, and \
             /proc/version, /proc/sys/kernel/osrelease and .../version say the same.",
            "The number is below that of every kernel that repro runs on, and above what C libraries \
             refuse. personality(UNAME26) would say 2.6, with which those before glibc 2.36 do not \
             start programs.",
        ),
        Axis::InodeNumbers => (
            "inode and device numbers",
            "The root of a step has an even device number in run A and an odd one in run B. The files \
             that a step makes get the numbers that the file system has free, which differ.",
            "Files of base images have one inode number in both runs: their trees are stored once. \
             Steps that start from plain copies have the device of the store.",
        ),
        Axis::Caller => (
            "time zone, locale, umask, home and environment of the caller",
            "The process that sets a step of run B up has canaries in its environment and another \
             umask. None of it reaches a step: its environment is the image's.",
            "Niceness and resource limits that a step is not given are the caller's in both runs.",
        ),
        Axis::Scheduling => (
            "the order of stages",
            "Of steps that wait for nothing, run A takes the first of the Dockerfile first, and run B \
             the last.",
            "Steps that share a cache mount keep the order of the Dockerfile.",
        ),
    };
    AxisInfo { title, how, limits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_says_what_it_is() {
        for axis in Axis::VARIED {
            let info = info(axis);
            for part in [info.title, info.how, info.limits] {
                assert!(!part.is_empty() && !part.contains('\n'), "{axis}");
            }
        }
    }
}
