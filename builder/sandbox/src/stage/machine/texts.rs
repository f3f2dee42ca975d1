//! The texts themselves.

use std::fmt::Write as _;

/// `/proc/loadavg` of a machine that does nothing. `make -l` and `ninja -l` go by it.
pub(super) const LOADAVG: &str = "0.00 0.00 0.00 1/1 1\n";
/// One id for every boot of every machine, and another one for a boot that seems another: a program
/// that keeps it is found, and no image holds that of a machine.
pub(super) const fn boot_id(boot_offset_s: u32) -> &'static str {
    match boot_offset_s {
        0 => "7265706f-0000-4000-8000-7275612d626f\n",
        _ => "7265706f-0000-4000-8000-7275622d626f\n",
    }
}

/// `/proc/cpuinfo` with the CPUs of a step only, and without what changes by itself. Where some
/// are left out, those that share a package with them are so many too.
pub(super) fn cpuinfo(text: &str, cpus: &[usize]) -> String {
    let blocks: Vec<&str> = text
        .split("\n\n")
        .map(str::trim_end)
        .filter(|block| !block.is_empty())
        .collect();
    let number = |block: &str| {
        let line = block.lines().next()?;
        let (name, value) = line.split_once(':')?;
        let value = (name.trim() == "processor").then_some(value)?;
        value.trim().parse::<usize>().ok()
    };
    let kept = |block: &&&str| number(block).is_none_or(|number| cpus.contains(&number));
    let is_whole = blocks.iter().all(|block| kept(&block));
    let mut shown = String::with_capacity(text.len());
    for block in blocks.iter().filter(kept) {
        for line in block.lines() {
            let name = line.split(':').next().unwrap_or_default();
            match name.trim_end() {
                // The frequency of this moment.
                "cpu MHz" => line_of(&mut shown, name, "1000.000"),
                "siblings" | "cpu cores" if !is_whole => {
                    line_of(&mut shown, name, &cpus.len().to_string());
                }
                _ => {
                    shown.push_str(line);
                    shown.push('\n');
                }
            }
        }
        shown.push('\n');
    }
    shown
}

fn line_of(shown: &mut String, name: &str, value: &str) {
    writeln!(shown, "{name}: {value}").expect("a String takes every write");
}

/// `/proc/meminfo` with what the machine has, as `sysinfo` says it too, and of what it has left at
/// the moment a fixed part.
pub(super) fn meminfo(text: &str) -> String {
    let value = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| *name == wanted)
            .and_then(|(_, rest)| rest.split_ascii_whitespace().next())
            .and_then(|value| value.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let mut shown = String::with_capacity(text.len());
    for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
        let number = match name {
            "MemTotal" | "SwapTotal" | "VmallocTotal" | "HugePages_Total" | "Hugepagesize"
            | "CommitLimit" => value(name),
            "MemFree" => value("MemTotal") / 2,
            "MemAvailable" => value("MemTotal") / 4 * 3,
            "SwapFree" => value("SwapTotal"),
            "HugePages_Free" => value("HugePages_Total"),
            _ => 0,
        };
        let unit = if rest.trim_end().ends_with("kB") {
            " kB"
        } else {
            ""
        };
        writeln!(shown, "{:<16}{number:>8}{unit}", format!("{name}:"))
            .expect("a String takes every write");
    }
    shown
}

/// `/proc/stat` of a machine that has done nothing since it started, with the CPUs of a step. `text`
/// is the machine's, for the moment when it started.
pub(super) fn stat(text: &str, cpus: &[usize], boot_offset_s: u32) -> String {
    let started: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(0);
    let started = started.saturating_sub(boot_offset_s.into());
    let mut shown = String::new();
    let mut add = |text: &str| shown.push_str(text);
    // Not all zero: programs divide by the sum.
    let idle = 100;
    add(&format!("cpu  0 0 0 {} 0 0 0 0 0 0\n", idle * cpus.len()));
    for cpu in cpus {
        add(&format!("cpu{cpu} 0 0 0 {idle} 0 0 0 0 0 0\n"));
    }
    add(&format!(
        "intr 0\nctxt 0\nbtime {started}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n\
         softirq 0 0 0 0 0 0 0 0 0 0 0\n"
    ));
    shown
}

/// What is in the directory of CPUs of `/sys`: paths with a slash, and texts of files. Programs count
/// the directories, or read one of the lists.
pub(super) fn cpu_directory(cpus: &[usize]) -> Vec<(String, Option<String>)> {
    let list = format!("{}\n", ranges(cpus));
    let mut entries = vec![(String::new(), None)];
    for name in ["online", "possible", "present"] {
        entries.push((format!("/{name}"), Some(list.clone())));
    }
    entries.push(("/offline".into(), Some("\n".into())));
    let last = cpus.last().copied().unwrap_or(0);
    entries.push(("/kernel_max".into(), Some(format!("{last}\n"))));
    for cpu in cpus {
        entries.push((format!("/cpu{cpu}"), None));
        entries.push((format!("/cpu{cpu}/topology"), None));
        for (name, value) in [
            ("core_cpus_list", *cpu),
            ("core_id", *cpu),
            ("physical_package_id", 0),
            ("thread_siblings_list", *cpu),
        ] {
            let text = format!("{value}\n");
            entries.push((format!("/cpu{cpu}/topology/{name}"), Some(text)));
        }
    }
    entries
}

/// As the kernel writes a set: `0-3,8`.
fn ranges(cpus: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *cpu => *last = *cpu,
            _ => parts.push((*cpu, *cpu)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: One\ncpu MHz\t\t: 2893.201\nsiblings\t: 2\n\
                           cpu cores\t: 2\n\nprocessor\t: 1\nmodel name\t: One\ncpu MHz\t\t: 800.1\n\
                           siblings\t: 2\ncpu cores\t: 2\n\nHardware\t: board\n\n";

    #[test]
    fn one_cpu_of_two_is_alone_and_the_frequency_stands_still() {
        let one = cpuinfo(CPUINFO, &[1]);
        assert_eq!(
            one,
            "processor\t: 1\nmodel name\t: One\ncpu MHz\t\t: 1000.000\nsiblings\t: 1\n\
             cpu cores\t: 1\n\nHardware\t: board\n\n"
        );
        let both = cpuinfo(CPUINFO, &[0, 1]);
        assert_eq!(both.matches("siblings\t: 2").count(), 2, "{both}");
    }

    #[test]
    fn memory_is_that_of_the_machine_and_use_is_not() {
        let text = "MemTotal:       24684084 kB\nMemFree:        19005252 kB\nCached: 7 kB\n\
                    HugePages_Total:       3\nHugePages_Free:        1\n";
        assert_eq!(
            meminfo(text),
            "MemTotal:       24684084 kB\nMemFree:        12342042 kB\nCached:                0 kB\n\
             HugePages_Total:       3\nHugePages_Free:        3\n"
        );
    }

    #[test]
    fn a_machine_that_started_earlier_says_so() {
        let text = "cpu 1 2\nbtime 1795860986\n";
        assert!(stat(text, &[0], 0).contains("\nbtime 1795860986\n"));
        assert!(stat(text, &[0], 86).contains("\nbtime 1795860900\n"));
        assert_eq!(stat(text, &[0, 3], 0).matches("\ncpu").count(), 2);
        assert_ne!(boot_id(0), boot_id(86));
    }

    #[test]
    fn sets_are_written_as_the_kernel_does() {
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 4, 6, 7]), "0-2,4,6-7");
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let entries = cpu_directory(&[0, 2]);
        for (index, (path, _)) in entries.iter().enumerate().skip(1) {
            let (parent, _) = path.rsplit_once('/').unwrap();
            let before = entries[..index].iter();
            assert!(
                before
                    .into_iter()
                    .any(|(path, text)| path == parent && text.is_none())
            );
        }
    }
}
