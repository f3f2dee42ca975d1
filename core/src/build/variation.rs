//! What differs between two runs that must not matter.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One thing that can differ between run A and run B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// The time of day that programs read.
    Clock,
    /// Host name and domain name.
    Hostname,
    /// How many CPUs a program may use.
    Cpus,
    /// The first process id.
    Pids,
    /// Addresses of stack, heap and libraries.
    AddressSpace,
    /// Seconds since the machine started.
    BootTime,
    /// Order in which a directory lists its names.
    DirectoryOrder,
    /// What `uname -r` says.
    KernelName,
    /// Inode and device numbers.
    InodeNumbers,
    /// Time zone, locale, umask, `HOME` and environment of the caller.
    Caller,
    /// Order in which independent stages run.
    Scheduling,
}

impl Axis {
    /// Every axis that this version varies.
    pub const VARIED: [Self; 6] = [
        Self::Clock,
        Self::Hostname,
        Self::Cpus,
        Self::Pids,
        Self::AddressSpace,
        Self::DirectoryOrder,
    ];

    /// Axes that are known and not varied yet: the report names them, so that nobody takes
    /// silence for a test.
    pub const NOT_YET: [Self; 5] = [
        Self::BootTime,
        Self::KernelName,
        Self::InodeNumbers,
        Self::Caller,
        Self::Scheduling,
    ];

    /// The name on the command line and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Hostname => "hostname",
            Self::Cpus => "cpus",
            Self::Pids => "pids",
            Self::AddressSpace => "address-space",
            Self::BootTime => "boot-time",
            Self::DirectoryOrder => "directory-order",
            Self::KernelName => "kernel-name",
            Self::InodeNumbers => "inode-numbers",
            Self::Caller => "caller",
            Self::Scheduling => "scheduling",
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no axis, or one that cannot be varied yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AxisError {
    /// No axis has this name.
    #[error(
        "{0:?} is not an axis; the axes are clock, hostname, cpus, pids, address-space, directory-order"
    )]
    Unknown(String),
    /// The axis is known, this version does not vary it.
    #[error("the axis {0} is not varied by this version of repro")]
    NotYet(Axis),
}

impl FromStr for Axis {
    type Err = AxisError;

    fn from_str(name: &str) -> Result<Self, AxisError> {
        if let Some(axis) = Self::VARIED.into_iter().find(|axis| axis.name() == name) {
            return Ok(axis);
        }
        match Self::NOT_YET.into_iter().find(|axis| axis.name() == name) {
            Some(axis) => Err(AxisError::NotYet(axis)),
            None => Err(AxisError::Unknown(name.to_owned())),
        }
    }
}

/// How many CPUs a step may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpus {
    /// All that the caller may use.
    All,
    /// One.
    One,
}

/// Whether the kernel randomises addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSpace {
    /// `personality(ADDR_NO_RANDOMIZE)`.
    Fixed,
    /// The kernel's default.
    Random,
}

/// The order in which programs are given the names of a directory. "." and ".." come first in both:
/// there are programs that count on it, and no file system that would prove them wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryOrder {
    /// By the bytes of the names.
    Sorted,
    /// The other way round.
    Reversed,
}

/// The environment of one run, axis by axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variation {
    /// Host name inside a step.
    pub hostname: String,
    /// NIS domain name inside a step.
    pub domainname: String,
    /// CPUs a step may use.
    pub cpus: Cpus,
    /// Id of the step's first process.
    pub first_pid: u32,
    /// Address space layout.
    pub address_space: AddressSpace,
    /// Least time, in milliseconds, between the start of a step in run A and in this run.
    pub start_delay_ms: u64,
    /// Seconds by which the clock that programs read is ahead of the machine's.
    pub clock_shift_s: u64,
    /// Order of names in directories.
    pub directory_order: DirectoryOrder,
}

impl Variation {
    /// Host name of run B: found in a file, it proves that the file holds the host name.
    pub const HOSTNAME_CANARY: &str = "repro-b-canary";

    /// Seconds by which run B's clock is ahead: 398 days, 5 hours and 17 minutes, so that year, month,
    /// day, weekday, hour and minute differ. Ahead and not behind: files keep the kernel's times, and
    /// `make` takes one of the future for a fault.
    pub const CLOCK_SHIFT_S: u64 = (398 * 24 * 60 + 5 * 60 + 17) * 60;

    /// The environment of run A.
    #[must_use]
    pub fn run_a() -> Self {
        Self {
            hostname: "repro-a".into(),
            domainname: "(none)".into(),
            cpus: Cpus::All,
            first_pid: 2,
            address_space: AddressSpace::Fixed,
            start_delay_ms: 0,
            clock_shift_s: 0,
            directory_order: DirectoryOrder::Sorted,
        }
    }

    /// The environment of run B, which differs from run A's on each of `axes`.
    #[must_use]
    pub fn run_b(axes: &std::collections::BTreeSet<Axis>) -> Self {
        let mut variation = Self::run_a();
        for axis in axes {
            match axis {
                Axis::Clock => {
                    variation.clock_shift_s = Self::CLOCK_SHIFT_S;
                    // The kernel's own clock, which files get their times from, stays what it is: an
                    // archive of fresh files shows it only if the runs are seconds apart, and two of
                    // them are the unit of zip.
                    variation.start_delay_ms = 2_000;
                }
                Axis::DirectoryOrder => variation.directory_order = DirectoryOrder::Reversed,
                Axis::Hostname => {
                    variation.hostname = Self::HOSTNAME_CANARY.into();
                    variation.domainname = "repro-b-domain-canary".into();
                }
                Axis::Cpus => variation.cpus = Cpus::One,
                Axis::Pids => variation.first_pid = 20_011,
                Axis::AddressSpace => variation.address_space = AddressSpace::Random,
                Axis::BootTime
                | Axis::KernelName
                | Axis::InodeNumbers
                | Axis::Caller
                | Axis::Scheduling => {}
            }
        }
        variation
    }

    /// The value on each varied axis, as the report shows it.
    #[must_use]
    pub fn values(&self) -> BTreeMap<Axis, String> {
        let clock = match (self.clock_shift_s, self.start_delay_ms) {
            (0, 0) => "real".to_owned(),
            (0, ms) => format!("real, each step at least {ms} ms after run a"),
            (shift, ms) => format!(
                "{} ahead, moving; each step at least {ms} ms after run a",
                span(shift)
            ),
        };
        BTreeMap::from([
            (Axis::Clock, clock),
            (
                Axis::Hostname,
                format!("{} {}", self.hostname, self.domainname),
            ),
            (
                Axis::Cpus,
                match self.cpus {
                    Cpus::All => "all".into(),
                    Cpus::One => "1".into(),
                },
            ),
            (Axis::Pids, format!("from {}", self.first_pid)),
            (
                Axis::AddressSpace,
                match self.address_space {
                    AddressSpace::Fixed => "fixed".into(),
                    AddressSpace::Random => "random".into(),
                },
            ),
            (
                Axis::DirectoryOrder,
                match self.directory_order {
                    DirectoryOrder::Sorted => "sorted".into(),
                    DirectoryOrder::Reversed => "reverse sorted".into(),
                },
            ),
        ])
    }
}

/// A span of time for people, to the minute.
fn span(seconds: u64) -> String {
    let minutes = seconds / 60;
    let (days, hours) = (minutes / (24 * 60), minutes / 60 % 24);
    format!("{days} days, {hours} h {} min", minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_axis_changes_its_own_value_and_no_other() {
        let base = Variation::run_a().values();
        for axis in Axis::VARIED {
            let varied = Variation::run_b(&[axis].into()).values();
            let differing: Vec<Axis> = base
                .iter()
                .filter(|(key, value)| varied[key] != **value)
                .map(|(key, _)| *key)
                .collect();
            assert_eq!(differing, [axis]);
        }
    }

    #[test]
    fn the_shift_is_told_in_days() {
        let varied = Variation::run_b(&[Axis::Clock].into());
        assert_eq!(varied.clock_shift_s, 34_406_220);
        assert!(varied.values()[&Axis::Clock].starts_with("398 days, 5 h 17 min ahead"));
    }

    #[test]
    fn an_axis_of_later_is_named_as_such() {
        assert_eq!(
            "boot-time".parse::<Axis>(),
            Err(AxisError::NotYet(Axis::BootTime))
        );
        assert!(matches!("moon".parse::<Axis>(), Err(AxisError::Unknown(_))));
    }
}
