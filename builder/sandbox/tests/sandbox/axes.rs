//! What the axes of variation change, as programs see it, and that each changes nothing else of it.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use repro_core::{
    build::{Axis, Snapshotter, StepAction, Variation},
    fs::sorted_names,
};

use crate::{
    bench::{Bench, SNAPSHOTTER, image, sh},
    probe,
};

crate::trials![
    the_machine_seems_to_have_started_earlier,
    every_way_to_count_cpus_gives_the_same,
    the_kernel_has_another_name_for_static_programs_too,
    the_device_of_the_root_is_another,
    the_caller_does_not_show,
    what_changes_by_itself_stands_still,
    what_the_axes_cost,
];

fn varied(axis: Axis) -> Variation {
    Variation::run_b(&BTreeSet::from([axis]))
}

fn seen(bench: &Bench, script: &str, variation: &Variation) -> String {
    let spec = bench.spec(StepAction::Run(sh(script)));
    bench.run_spec(&spec, variation).unwrap().output
}

fn seen_by_probe(bench: &Bench, arguments: &[&str], variation: &Variation) -> String {
    let spec = bench.spec(StepAction::Run(probe::step(arguments)));
    bench.run_spec(&spec, variation).unwrap().output
}

/// With the probe in the image.
fn bench() -> Bench {
    let mut layer = image();
    probe::add_to(&mut layer);
    Bench::with(&layer)
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace()
        .map(|word| word.parse().unwrap_or_else(|_| panic!("{word} in {text}")))
        .collect()
}

fn the_machine_seems_to_have_started_earlier() {
    let bench = bench();
    let script = "cut -d. -f1 /proc/uptime; grep ^btime /proc/stat | cut -d' ' -f2";
    let begin = Instant::now();
    let [a, b] = [Variation::run_a(), varied(Axis::BootTime)].map(|variation| {
        let text = seen(&bench, script, &variation);
        let clocks = seen_by_probe(&bench, &["clocks"], &variation);
        (numbers(&text), numbers(&clocks))
    });
    let took = begin.elapsed().as_secs() + 1;
    let offset = u64::from(Variation::BOOT_OFFSET_S);
    let later = |a: u64, b: u64| (offset..=offset + took).contains(&(b - a));
    assert!(later(a.0[0], b.0[0]), "{a:?} {b:?}");
    assert_eq!(a.0[1] - b.0[1], offset, "{a:?} {b:?}");
    // CLOCK_MONOTONIC, CLOCK_BOOTTIME, sysinfo.
    assert_eq!(a.1.len(), 3);
    for (a, b) in a.1.iter().zip(&b.1) {
        assert!(later(*a, *b), "{a} {b}");
    }
    let boot_id =
        |variation: &Variation| seen(&bench, "cat /proc/sys/kernel/random/boot_id", variation);
    let ours = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (a, b) = (
        boot_id(&Variation::run_a()),
        boot_id(&varied(Axis::BootTime)),
    );
    assert!(a != b && a != ours && b != ours, "{a} {b} {ours}");
    assert_eq!(boot_id(&varied(Axis::Cpus)), a);
}

fn every_way_to_count_cpus_gives_the_same() {
    let bench = bench();
    let script = "nproc; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; \
                  ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l";
    let lists = "cat /sys/devices/system/cpu/online /sys/devices/system/cpu/possible \
                 /sys/devices/system/cpu/present | sort | tr '\\n' ' '";
    let all = thread::available_parallelism().unwrap().get() as u64;
    for (variation, count) in [(Variation::run_a(), all), (varied(Axis::Cpus), 1)] {
        let mut counts = numbers(&seen(&bench, script, &variation));
        counts.extend(numbers(&seen_by_probe(&bench, &["cpus"], &variation)));
        assert_eq!(counts, vec![count; counts.len()], "{variation:?}");
        let lists = seen(&bench, lists, &variation);
        let lists: BTreeSet<&str> = lists.split_ascii_whitespace().collect();
        assert_eq!(lists.len(), 1, "{lists:?}");
        assert_eq!(
            lists.iter().all(|list| list.contains(['-', ','])),
            count > 1
        );
    }
}

fn the_kernel_has_another_name_for_static_programs_too() {
    let bench = bench();
    // The busybox of the bench is static.
    let script = "uname -r; cat /proc/sys/kernel/osrelease; uname -v; cat /proc/sys/kernel/version; \
                  uname -n; uname -s; uname -m";
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_str().unwrap().to_owned();
    let (release, version) = (text(names.release()), text(names.version()));
    for (variation, release, version) in [
        (Variation::run_a(), release.as_str(), version.as_str()),
        (
            varied(Axis::KernelName),
            Variation::KERNEL_CANARY,
            Variation::KERNEL_VERSION_CANARY,
        ),
    ] {
        let expected = [
            release,
            release,
            version,
            version,
            "repro-a",
            "Linux",
            &text(names.machine()),
        ];
        let output = seen(&bench, script, &variation);
        assert_eq!(output.lines().collect::<Vec<_>>(), expected);
        assert_eq!(
            seen_by_probe(&bench, &["kernel"], &variation),
            format!("{release}\n")
        );
        let proc = seen(&bench, "cat /proc/version", &variation);
        assert!(proc.contains(release) && proc.contains(version), "{proc}");
    }
}

fn the_device_of_the_root_is_another() {
    let bench = Bench::new();
    let script = "echo x > /tmp/new; stat -c '%d' / /etc/passwd /tmp/new; stat -c '%i' /tmp/new";
    let output = |variation: &Variation| numbers(&seen(&bench, script, variation));
    let (plain, varied) = (Variation::run_a(), varied(Axis::InodeNumbers));
    let mut inodes = BTreeSet::new();
    // Often: the numbers that are free are others each time.
    for _ in 0..4 {
        for (variation, odd) in [(&plain, 0), (&varied, 1)] {
            let seen = output(variation);
            let [root, old, new, inode] = seen[..] else {
                panic!("{seen:?}");
            };
            // One file system throughout, or `find -xdev` would not see the image.
            assert_eq!((root, root), (old, new));
            if SNAPSHOTTER.get() == Snapshotter::Overlay {
                assert_eq!(root % 2, odd, "{seen:?}");
            }
            assert!(inodes.insert(inode), "{inode} came twice");
        }
    }
}

fn the_caller_does_not_show() {
    let bench = Bench::new();
    let script = "env | sort; umask; tr '\\0' '\\n' < /proc/1/environ; \
                  stat -c '%a %n' /etc/hosts /etc/hostname /dev/shm /proc/cpuinfo; pwd; \
                  stat -c '%a %u' .; date +%Z; echo made > made; stat -c '%a' made; echo $HOME";
    let output = |variation: &Variation| {
        let mut run = sh(script);
        run.cwd = "/made/for/the/step".into();
        let spec = bench.spec(StepAction::Run(run));
        let seen = bench.run_spec(&spec, variation).unwrap();
        (seen.output, format!("{:?}", seen.layer))
    };
    let (a, b) = (output(&Variation::run_a()), output(&varied(Axis::Caller)));
    assert_eq!(a, b);
    for (_, value) in Variation::CALLER {
        assert!(!b.0.contains(value), "{value} in {}", b.0);
    }
    // And they were there to be seen: with the process that set the step up, which shows itself to
    // root only.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let caller = thread::scope(|scope| {
        let step = scope.spawn(|| seen(&bench, "sleep 3", &varied(Axis::Caller)));
        let caller = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            stages_with_canaries()
        });
        step.join().unwrap();
        caller
    });
    assert!(caller, "no stage has the environment of the caller");
}

/// Whether a child of this process has all canaries of the caller in its environment.
fn stages_with_canaries() -> bool {
    let own = format!("PPid:\t{}\n", std::process::id());
    sorted_names(std::path::Path::new("/proc"))
        .unwrap()
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| name.parse::<u32>().is_ok())
        .any(|id| {
            let read = |file| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            let status = String::from_utf8_lossy(&read("status")).into_owned();
            let environ = String::from_utf8_lossy(&read("environ")).into_owned();
            status.contains(&own)
                && Variation::CALLER
                    .iter()
                    .all(|(name, value)| environ.contains(&format!("{name}={value}\0")))
        })
}

fn what_changes_by_itself_stands_still() {
    let bench = Bench::new();
    // Twice with some work in between.
    let look = "cat /proc/meminfo /proc/loadavg /proc/cpuinfo; grep -v ^btime /proc/stat; \
                cat /proc/vmstat /proc/diskstats /proc/softirqs /proc/cmdline /proc/swaps 2>&1";
    let script =
        format!("{look}; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo; echo cut; {look}");
    let output = seen(&bench, &script, &Variation::run_a());
    let (first, second) = output.split_once("\ncut\n").unwrap();
    assert_eq!(first.trim_end(), second.trim_end());
    let total = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"));
        line.unwrap().to_owned()
    };
    let machine = fs::read_to_string("/proc/meminfo").unwrap();
    assert_eq!(total(first), total(&machine));
    // Another run sees the same, where only the name of the host differs.
    let other = seen(&bench, &script, &varied(Axis::Hostname));
    assert_eq!(output, other);
}

/// Prints what each axis adds to a step, and to the calls that it answers. The limit is far above what
/// it takes: it fails where an axis waits for something.
fn what_the_axes_cost() {
    const ASKED: u32 = 200;
    let bench = Bench::new();
    let asking =
        format!("i=0; while [ $i -lt {ASKED} ]; do uname -r > /dev/null; i=$((i+1)); done");
    let time = |script: &str, variation: &Variation| {
        let once = || {
            let begin = Instant::now();
            seen(&bench, script, variation);
            begin.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let measured = |variation: &Variation| (time("true", variation), time(&asking, variation));
    let plain = measured(&Variation::run_a());
    println!(
        "nothing varied: {:?} a step, {:?} with {ASKED} programs that ask for the kernel",
        plain.0, plain.1
    );
    for axis in [
        Axis::BootTime,
        Axis::KernelName,
        Axis::InodeNumbers,
        Axis::Caller,
    ] {
        let (step, asked) = measured(&varied(axis));
        let (more, more_asked) = (step.saturating_sub(plain.0), asked.saturating_sub(plain.1));
        println!("{axis}: {more:?} more a step, {more_asked:?} more with the programs");
        assert!(more < Duration::from_secs(2), "{axis}: {more:?}");
        assert!(
            more_asked < Duration::from_secs(5),
            "{axis}: {more_asked:?}"
        );
    }
}
