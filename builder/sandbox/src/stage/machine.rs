//! What a step can read of its machine in `/proc` and `/sys`, made for it: what the axes vary, so
//! that a file says the same as the system call, and what changes from one moment to the next by
//! itself, so that it does not.
//!
//! Files that name the machine and are of no use to a build are hidden instead (see
//! [`crate::policy::MASKED`]).

mod texts;

use std::{ffi::CString, fs::File, io::Write as _};

use repro_core::build::{Cpus, KernelName, Variation};
use rustix::{
    fs::{CWD, Mode, OFlags, fchmod, mkdirat, openat},
    thread::{CpuSet, sched_getaffinity, sched_getcpu},
};

use super::memory;
use crate::{
    init::{Attachment, PointKind},
    protocol::{During, Failure},
};

/// Where the files are in the scratch space.
const PLACE: &str = "machine";
/// Room for them: the longest takes some 2 KiB a CPU.
const SIZE: &str = "16m";
/// The directory of CPUs, in the scratch space.
const CPUS: &str = "machine/cpu";
/// The same in a step.
const CPUS_TARGET: &str = "sys/devices/system/cpu";

/// The files, each to be put over the kernel's own. `affinity` is what [`affinity`] gave the step.
pub(super) fn attachments(
    variation: &Variation,
    affinity: Option<&CpuSet>,
) -> Result<Vec<Attachment>, Failure> {
    let allowed = match affinity {
        Some(set) => *set,
        None => sched_getaffinity(None).during("sched_getaffinity()")?,
    };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect();
    memory::mount(PLACE, SIZE)?;
    let mut made = Vec::new();
    for (target, text) in files(variation, &cpus)? {
        let path = format!("{PLACE}/{}", made.len());
        write(&path, &text)?;
        made.push((path, PointKind::File, target));
    }
    for (path, text) in texts::cpu_directory(&cpus) {
        match text {
            None => directory(&format!("{CPUS}{path}"))?,
            Some(text) => write(&format!("{CPUS}{path}"), &text)?,
        }
    }
    made.push((CPUS.to_owned(), PointKind::Directory, CPUS_TARGET));
    memory::seal(PLACE)?;
    made.into_iter()
        .map(|(path, kind, target)| {
            Ok(Attachment {
                tree: memory::tree(&path)?,
                kind,
                start: CString::new(target).during("a place in /proc or /sys")?,
                names: Vec::new(),
                target: format!("/{target}"),
            })
        })
        .collect()
}

/// Places, relative to the root, and texts. The kernel has each of them, whatever its configuration.
fn files(variation: &Variation, cpus: &[usize]) -> Result<Vec<(&'static str, String)>, Failure> {
    // In every run, so that the list of mounts is the same.
    let (release, version, banner) = match variation.kernel {
        KernelName::Real => (
            read("/proc/sys/kernel/osrelease")?,
            read("/proc/sys/kernel/version")?,
            read("/proc/version")?,
        ),
        KernelName::Canary => {
            let (release, version) = (Variation::KERNEL_CANARY, Variation::KERNEL_VERSION_CANARY);
            (
                format!("{release}\n"),
                format!("{version}\n"),
                format!("Linux version {release} (repro@repro-b-kernel) {version}\n"),
            )
        }
    };
    Ok(vec![
        (
            "proc/cpuinfo",
            texts::cpuinfo(&read("/proc/cpuinfo")?, cpus),
        ),
        ("proc/loadavg", texts::LOADAVG.to_owned()),
        ("proc/meminfo", texts::meminfo(&read("/proc/meminfo")?)),
        (
            "proc/stat",
            // This process is in the machine's own time.
            texts::stat(&read("/proc/stat")?, cpus, variation.boot_offset_s),
        ),
        ("proc/sys/kernel/osrelease", release),
        (
            "proc/sys/kernel/random/boot_id",
            texts::boot_id(variation.boot_offset_s).to_owned(),
        ),
        ("proc/sys/kernel/version", version),
        ("proc/version", banner),
    ])
}

/// The CPUs that the step may use, unless that is all of this process.
///
/// The one of run B is where the kernel put this process, the least busy one as a rule. Always the first would
/// be simpler, and let the builds of a machine wait for one another on it while the others stand idle.
pub(super) fn affinity(variation: &Variation) -> Option<CpuSet> {
    match variation.cpus {
        Cpus::All => None,
        Cpus::One => {
            let mut set = CpuSet::new();
            set.set(sched_getcpu());
            Some(set)
        }
    }
}

fn read(path: &str) -> Result<String, Failure> {
    let bytes =
        std::fs::read(path).map_err(|error| Failure::io(format!("read({path:?})"), &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn directory(path: &str) -> Result<(), Failure> {
    mkdirat(CWD, path, Mode::from_raw_mode(0o755)).during(&format!("mkdir({path:?})"))
}

fn write(path: &str, text: &str) -> Result<(), Failure> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o444);
    let file = openat(CWD, path, flags, mode).during(&format!("open({path:?}, O_CREAT|O_EXCL)"))?;
    fchmod(&file, mode).during(&format!("chmod({path:?})"))?;
    File::from(file)
        .write_all(text.as_bytes())
        .map_err(|error| Failure::io(format!("write({path:?})"), &error))
}
