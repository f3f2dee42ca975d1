//! What differs between two runs that must not matter.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Snapshotter;

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

/// Every axis by its name: the one table that the command line, errors and reports read.
const NAMES: [(Axis, &str); 11] = [
    (Axis::Clock, "clock"),
    (Axis::BootTime, "boot-time"),
    (Axis::Hostname, "hostname"),
    (Axis::Cpus, "cpus"),
    (Axis::DirectoryOrder, "directory-order"),
    (Axis::Pids, "pids"),
    (Axis::AddressSpace, "address-space"),
    (Axis::KernelName, "kernel-name"),
    (Axis::InodeNumbers, "inode-numbers"),
    (Axis::Caller, "caller"),
    (Axis::Scheduling, "scheduling"),
];

impl Axis {
    /// Every axis that this version varies.
    pub const VARIED: [Self; 11] = [
        Self::Clock,
        Self::BootTime,
        Self::Hostname,
        Self::Cpus,
        Self::Pids,
        Self::AddressSpace,
        Self::DirectoryOrder,
        Self::KernelName,
        Self::InodeNumbers,
        Self::Caller,
        Self::Scheduling,
    ];

    /// The name on the command line and in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(axis, _)| *axis == self)
            .map_or("", |(_, name)| *name)
    }
}

/// The names of all axes that can be varied, for messages.
fn varied_names() -> String {
    Axis::VARIED.map(Axis::name).join(", ")
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
    #[error("{0:?} is not an axis; the axes are {axes}", axes = varied_names())]
    Unknown(String),
}

impl FromStr for Axis {
    type Err = AxisError;

    fn from_str(name: &str) -> Result<Self, AxisError> {
        match NAMES.iter().find(|(_, known)| *known == name) {
            Some((axis, _)) => Ok(*axis),
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
    /// As the file system has them: nobody is there to sort.
    OfFileSystem,
}

/// What programs are told of the kernel's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelName {
    /// The truth.
    Real,
    /// [`Variation::KERNEL_CANARY`].
    Canary,
}

/// Which device numbers the root of a step can have.
///
/// The kernel gives each overlay the lowest number that is free, so one step's may come again in
/// the other run; of even and odd ones none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceNumber {
    /// Whatever the file system of the store has: plain copies lie on it.
    OfStore,
    /// An even one.
    Even,
    /// An odd one.
    Odd,
}

/// Who seems to have started the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caller {
    /// Nobody with anything of their own: an empty environment, and the umask of the user.
    Plain,
    /// Somebody with a time zone, locale, umask, home and environment of [`Variation::CALLER`].
    Canaries,
}

/// In which order steps are begun that do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduling {
    /// That of the Dockerfile.
    InOrder,
    /// The reverse.
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
    /// Seconds by which the machine seems to have started earlier than it did.
    pub boot_offset_s: u32,
    /// The kernel's release.
    pub kernel: KernelName,
    /// The device number of a step's root.
    pub device: DeviceNumber,
    /// Who started the sandbox.
    pub caller: Caller,
    /// The order of steps.
    pub scheduling: Scheduling,
}

impl Variation {
    /// Host name of run B: found in a file, it proves that the file holds the host name.
    pub const HOSTNAME_CANARY: &str = "repro-b-canary";

    /// Seconds by which run B's clock is ahead: 398 days, 5 hours and 17 minutes, so that year, month,
    /// day, weekday, hour and minute differ. Ahead and not behind: files keep the kernel's times, and
    /// `make` takes one of the future for a fault.
    pub const CLOCK_SHIFT_S: u64 = (398 * 24 * 60 + 5 * 60 + 17) * 60;

    /// The kernel's release in run B. Its number is below that of every kernel that runs steps, so
    /// that a program which goes by it finds all it counts on, and above the oldest that any C
    /// library starts on (3.2; `UNAME26` says 2.6, and libraries before glibc 2.36 then refuse to
    /// start programs).
    pub const KERNEL_CANARY: &str = "5.4.0-repro-b-kernel";

    /// What goes with it, as `uname -v` says.
    pub const KERNEL_VERSION_CANARY: &str = "#1 SMP repro-b-kernel";

    /// By how much run B's machine seems to have started earlier: 47 days, 11 hours and 17 seconds.
    pub const BOOT_OFFSET_S: u32 = 47 * 86_400 + 11 * 3_600 + 17;

    /// Environment of the caller in run B. None of it may show in a step.
    pub const CALLER: [(&str, &str); 9] = [
        ("HOME", "/nonexistent/repro-b-caller"),
        ("LANG", "et_EE.UTF-8"),
        ("LANGUAGE", "et_EE:fr"),
        ("LC_ALL", "et_EE.UTF-8"),
        ("LOGNAME", "repro-b-caller"),
        ("PATH", "/usr/bin:/bin:/repro-b-caller"),
        ("REPRO_B_CALLER", "repro-b-caller"),
        ("TZ", "GMT-14"),
        ("USER", "repro-b-caller"),
    ];

    /// Umask of the caller in run B.
    pub const CALLER_UMASK: u32 = 0o027;

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
            boot_offset_s: 0,
            kernel: KernelName::Real,
            device: DeviceNumber::Even,
            caller: Caller::Plain,
            scheduling: Scheduling::InOrder,
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
                Axis::BootTime => variation.boot_offset_s = Self::BOOT_OFFSET_S,
                Axis::Hostname => {
                    variation.hostname = Self::HOSTNAME_CANARY.into();
                    variation.domainname = "repro-b-domain-canary".into();
                }
                Axis::Cpus => variation.cpus = Cpus::One,
                Axis::Pids => variation.first_pid = 20_011,
                Axis::AddressSpace => variation.address_space = AddressSpace::Random,
                Axis::KernelName => variation.kernel = KernelName::Canary,
                Axis::InodeNumbers => variation.device = DeviceNumber::Odd,
                Axis::Caller => variation.caller = Caller::Canaries,
                Axis::Scheduling => variation.scheduling = Scheduling::Reversed,
            }
        }
        variation
    }

    /// As far as trees that are put together like this allow: plain copies lie on the file system of
    /// the store, whose number is one.
    #[must_use]
    pub fn with_snapshotter(mut self, snapshotter: Snapshotter) -> Self {
        match snapshotter {
            Snapshotter::Overlay => {}
            Snapshotter::PlainCopy => self.device = DeviceNumber::OfStore,
            // Whoever answers system calls, and whoever makes namespaces, is the engine's own.
            Snapshotter::Engine => {
                self.device = DeviceNumber::OfStore;
                self.clock_shift_s = 0;
                self.boot_offset_s = 0;
                self.directory_order = DirectoryOrder::OfFileSystem;
                self.kernel = KernelName::Real;
                self.first_pid = Self::run_a().first_pid;
            }
        }
        self
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
                    DirectoryOrder::OfFileSystem => "that of the file system".into(),
                },
            ),
            (
                Axis::BootTime,
                match self.boot_offset_s {
                    0 => "real".into(),
                    seconds => format!("{seconds} s earlier"),
                },
            ),
            (
                Axis::KernelName,
                match self.kernel {
                    KernelName::Real => "real".into(),
                    KernelName::Canary => Self::KERNEL_CANARY.into(),
                },
            ),
            (
                Axis::InodeNumbers,
                match self.device {
                    DeviceNumber::OfStore => "those of the store".into(),
                    DeviceNumber::Even => "new files as they come, device even".into(),
                    DeviceNumber::Odd => "new files as they come, device odd".into(),
                },
            ),
            (
                Axis::Caller,
                match self.caller {
                    Caller::Plain => "as is".into(),
                    Caller::Canaries => "canaries, none of which shows inside".into(),
                },
            ),
            (
                Axis::Scheduling,
                match self.scheduling {
                    Scheduling::InOrder => "stages in order".into(),
                    Scheduling::Reversed => "stages in reverse order".into(),
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
    fn the_document_has_a_row_for_each_axis() {
        let document = include_str!("../../../docs/variation.md");
        let rows = document.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("| `")?.split_once("` |")?;
            Some(name)
        });
        let axes = Axis::VARIED.map(Axis::name);
        assert_eq!(rows.collect::<Vec<_>>(), axes);
    }

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
    fn every_axis_has_a_name_that_means_it() {
        for axis in Axis::VARIED {
            assert_eq!(axis.name().parse(), Ok(axis));
        }
        assert_eq!(NAMES.len(), Axis::VARIED.len());
    }

    #[test]
    fn a_name_that_is_none_is_told_all_that_are() {
        let error = "moon".parse::<Axis>().unwrap_err();
        assert!(matches!(error, AxisError::Unknown(_)));
        for axis in Axis::VARIED {
            assert!(error.to_string().contains(axis.name()), "{error}");
        }
    }

    #[test]
    fn plain_copies_have_one_device() {
        let a = Variation::run_a().with_snapshotter(Snapshotter::PlainCopy);
        let b = Variation::run_b(&Axis::VARIED.into()).with_snapshotter(Snapshotter::PlainCopy);
        assert_eq!(
            a.values()[&Axis::InodeNumbers],
            b.values()[&Axis::InodeNumbers]
        );
    }
}
