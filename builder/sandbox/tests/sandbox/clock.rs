//! The shifted clock and the order of names, as programs see them that were compiled for it: shared and
//! static ones, one without a C library as those of Go are, and those of other kinds of machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use repro_core::build::{
    Axis, DirectoryOrder, Hindrances, StepAction, StepExit, UserIds, Variation,
};

use crate::{
    bench::{Bench, Seen, image, sh, user_ids},
    probe,
};

crate::trials![
    every_way_to_the_time_is_shifted,
    the_clock_is_real_where_the_axis_is_off,
    calls_of_other_conventions_are_shifted,
    deadlines_come_in_time,
    crowds_and_jobs_are_as_without_a_tracer,
    set_id_programs_work_under_the_tracer,
    whoever_wants_to_trace_is_told_why_not,
    names_are_sorted_or_reversed_everywhere,
    large_directories_are_listed_whole,
    a_large_directory_can_be_removed_while_it_is_listed,
    files_are_not_of_the_future,
    the_tracer_ends_with_the_step,
];

/// How much later a step may ask than this test did, in seconds.
const SLACK: u64 = 300;

/// A program of this directory, how it is compiled, and its name in the image.
const PROGRAMS: [(&str, &[&str], &str); 7] = [
    ("moments", &["-pthread"], "moments"),
    ("moments", &["-static"], "moments-static"),
    ("bare", BARE, "bare"),
    ("foreign", &["-fno-pie", "-no-pie"], "foreign"),
    ("deadlines", &["-static", "-pthread"], "deadlines"),
    ("crowd", &["-static", "-pthread"], "crowd"),
    ("lists", &["-static"], "lists"),
];
const BARE: &[&str] = &[
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pie",
    "-no-pie",
];

/// Compiles them once.
fn programs() -> &'static BTreeMap<String, Vec<u8>> {
    static PROGRAMS_MADE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    PROGRAMS_MADE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut made = BTreeMap::new();
        let mut compile = |source: &str, options: &[&str], name: &str| {
            let output = directory.path().join(name);
            let code = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/sandbox/programs")
                .join(source)
                .with_extension("c");
            let compiled = Command::new("gcc")
                .args(["-O1", "-o"])
                .arg(&output)
                .args(options)
                .arg(code)
                .output()
                .expect("gcc (apt install gcc libc6-dev)");
            assert!(compiled.status.success(), "{source}: {compiled:?}");
            made.insert(name.to_owned(), fs::read(&output).unwrap());
        };
        for (source, options, name) in PROGRAMS {
            compile(source, options, name);
        }
        if cfg!(target_arch = "x86_64") {
            // For i386 the compiler needs nothing more where there is no C library.
            compile("bare", &[&["-m32"], BARE].concat(), "bare32");
        }
        made
    })
}

fn bench() -> Bench {
    let mut layer = image();
    probe::add_to(&mut layer);
    for (name, content) in programs() {
        layer.file(&format!("bin/{name}"), 0o755, content);
    }
    layer.dir("names");
    for name in ["b", "a", "d", "c"] {
        layer.file(&format!("names/{name}"), 0o644, b"");
    }
    Bench::with(&layer)
}

fn only(axis: Axis) -> Variation {
    Variation::run_b(&[axis].into())
}

fn run(bench: &Bench, script: &str, variation: &Variation) -> Seen {
    let spec = bench.spec(StepAction::Run(sh(script)));
    let seen = bench.run_spec(&spec, variation).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success, "{}", seen.output);
    seen
}

/// The machine's time, as it gives it to a file.
fn now() -> u64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let time = file.as_file().metadata().unwrap().mtime();
    u64::try_from(time).unwrap()
}

/// What a program says that prints a word and a number on each line.
fn numbers(output: &str) -> BTreeMap<&str, i64> {
    output
        .lines()
        .map(|line| line.split_once(' ').expect("a word and a number"))
        .map(|(word, number)| (word, number.parse().expect("a number")))
        .collect()
}

fn assert_time(what: &str, seconds: i64, from: u64) {
    let seconds = u64::try_from(seconds).unwrap();
    assert!(
        (from..from + SLACK).contains(&seconds),
        "{what}: {seconds}, not from {from} on"
    );
}

fn every_way_to_the_time_is_shifted() {
    let bench = bench();
    for program in ["moments", "moments-static"] {
        let from = now() + Variation::CLOCK_SHIFT_S;
        let seen = run(&bench, program, &only(Axis::Clock));
        let mut said = numbers(&seen.output);
        assert_eq!(said.remove("page"), Some(0), "{program}");
        assert_eq!(said.remove("bad-pointer"), Some(-1), "{program}");
        // Seconds since the machine started.
        assert!(said.remove("monotonic").unwrap() < 1_000_000_000);
        assert!(said.len() >= 8, "{said:?}");
        for (way, seconds) in said {
            // A second less by the clock of the last tick, and by leap seconds that TAI may know.
            assert_time(&format!("{program} {way}"), seconds, from - 1);
        }
    }
    let bare: &[&str] = if cfg!(target_arch = "x86_64") {
        &["bare", "bare32"]
    } else {
        &["bare"]
    };
    for program in bare {
        let from = now() + Variation::CLOCK_SHIFT_S;
        let seen = run(&bench, program, &only(Axis::Clock));
        let mut said = seen.output.lines().map(|line| line.parse().unwrap());
        assert_eq!(said.next(), Some(0), "{program} found the page of clocks");
        let times: Vec<i64> = said.collect();
        assert!(times.len() >= 3, "{}", seen.output);
        for seconds in times {
            assert_time(program, seconds, from - 1);
        }
    }
    let from = now() + Variation::CLOCK_SHIFT_S;
    let seen = run(&bench, "date +%s; sleep 2; date +%s", &only(Axis::Clock));
    let dates: Vec<i64> = seen
        .output
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_time("date", dates[0], from - 1);
    assert!(
        (2..10).contains(&(dates[1] - dates[0])),
        "it moves: {dates:?}"
    );
}

fn the_clock_is_real_where_the_axis_is_off() {
    let bench = bench();
    let mut axes: BTreeSet<Axis> = Axis::VARIED.into();
    axes.remove(&Axis::Clock);
    for variation in [Variation::run_a(), Variation::run_b(&axes)] {
        let from = now();
        let seen = run(&bench, "moments-static", &variation);
        let said = numbers(&seen.output);
        assert_time("realtime", said["realtime"], from - 1);
        assert_eq!(said["page"], 1, "programs have their fast clock");
        assert!(seen.result.hindrances.is_empty());
    }
}

fn calls_of_other_conventions_are_shifted() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let bench = bench();
    let from = now() + Variation::CLOCK_SHIFT_S;
    let seen = run(&bench, "foreign", &only(Axis::Clock));
    let mut lines = seen.output.lines();
    let i386: Vec<&str> = lines.next().unwrap().split(' ').collect();
    // A kernel can be built without these calls; then they are not there.
    if i386[1] == "0" {
        assert_time("int 0x80", i386[2].parse().unwrap(), from - 1);
    } else {
        assert_eq!(i386, ["i386", "-38", "0"]);
    }
    assert_eq!(lines.next(), Some("x32 -1"));
}

fn deadlines_come_in_time() {
    let bench = bench();
    let begun = Instant::now();
    let seen = run(&bench, "deadlines", &only(Axis::Clock));
    let late: Vec<&str> = seen
        .output
        .lines()
        .filter(|line| !line.ends_with(" ok"))
        .collect();
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(seen.output.lines().count(), 15, "{}", seen.output);
    assert!(begun.elapsed() < Duration::from_mins(2));
}

fn crowds_and_jobs_are_as_without_a_tracer() {
    let bench = bench();
    for variation in [only(Axis::Clock), Variation::run_a()] {
        let seen = run(&bench, "crowd", &variation);
        let expected = "threads 0\nforks 0\nbecomes 0\nstops 0\nescapes 0\n";
        assert_eq!(seen.output, expected);
    }
    // Signals are delivered as they are.
    let script = "trap 'echo caught' USR1; kill -USR1 $$; sh -c 'kill -SEGV $$'; echo $?; \
                  (sleep 100 & kill $!; wait $!; echo $?)";
    let seen = run(&bench, script, &only(Axis::Clock));
    let said: Vec<&str> = seen
        .output
        .lines()
        .filter(|line| !line.starts_with(char::is_uppercase))
        .collect();
    assert_eq!(said, ["caught", "139", "143"]);
}

fn set_id_programs_work_under_the_tracer() {
    let bench = bench();
    let script = "chmod 4711 /bin/crowd; chmod 711 /bin/moments-static; \
                  su ann -c 'id -u; crowd id; moments-static' | head -n 3";
    let from = now() + Variation::CLOCK_SHIFT_S;
    let seen = run(&bench, script, &only(Axis::Clock));
    let lines: Vec<&str> = seen.output.lines().collect();
    // Where the kernel has one id for all users, no program can change it.
    let owner = match user_ids() {
        UserIds::Range => "0",
        UserIds::One => "1000",
    };
    assert_eq!(lines[..2], ["1000", owner], "{}", seen.output);
    let time = lines[2].strip_prefix("realtime ").unwrap().parse().unwrap();
    assert_time("a program that its user cannot read", time, from - 1);
}

fn whoever_wants_to_trace_is_told_why_not() {
    let bench = bench();
    let seen = run(&bench, "crowd ptrace", &Variation::run_a());
    assert_eq!(seen.output, "");
    let script = "crowd ptrace; test $? = 5 && crowd ptrace || true";
    let seen = run(&bench, script, &only(Axis::Clock));
    assert!(
        seen.output.contains("Operation not permitted"),
        "{}",
        seen.output
    );
    let told = seen
        .output
        .matches("repro: crowd asks for ptrace()")
        .count();
    assert_eq!(told, 1, "once for each program: {}", seen.output);
    assert!(seen.output.contains("--vary all,-clock"), "{}", seen.output);
    let expected = Hindrances {
        tracing_denied: BTreeMap::from([("crowd".to_owned(), 2)]),
        unsorted_directories: 0,
    };
    assert_eq!(seen.result.hindrances, expected);
}

fn names_are_sorted_or_reversed_everywhere() {
    let bench = bench();
    // In the image, in the step's own tree, in both, and in file systems that the sandbox mounts.
    let make = "mkdir /own; for i in c a b; do touch /own/$i /names/x$i; done; \
                touch /dev/shm/b /dev/shm/a /dev/shm/c";
    // find does not sort; names come with their path.
    let lists = "for i in own names dev/shm; do echo /$i; busybox find /$i -type f; done; echo .; \
                 lists library /names; lists call /own; ls /proc/self/fd >/dev/null";
    let old = if cfg!(target_arch = "x86_64") {
        "; lists old-call /own"
    } else {
        ""
    };
    let listed = |order| {
        let variation = Variation {
            directory_order: order,
            ..Variation::run_a()
        };
        run(&bench, &format!("{make}; {lists}{old}"), &variation).output
    };
    let sorted = listed(DirectoryOrder::Sorted);
    let reversed = listed(DirectoryOrder::Reversed);
    let groups = |output: &str| -> Vec<Vec<String>> {
        let mut groups = vec![Vec::new()];
        for line in output.lines() {
            // Each list begins with its title, or with the dots, which come first.
            match line {
                "." | "/own" | "/names" | "/dev/shm" => groups.push(Vec::new()),
                ".." => {}
                name => groups.last_mut().unwrap().push(name.to_owned()),
            }
        }
        groups.retain(|group| !group.is_empty());
        groups
    };
    let (up, down) = (groups(&sorted), groups(&reversed));
    assert!(up.len() >= 5, "{sorted}");
    assert_eq!(up.len(), down.len(), "{reversed}");
    for (up, down) in up.iter().zip(down) {
        assert!(up.is_sorted(), "{up:?}");
        assert!(up.len() >= 3, "{up:?}");
        assert_eq!(up.iter().rev().cloned().collect::<Vec<_>>(), down);
    }
}

/// More names than any buffer has, in pieces of every size.
fn large_directories_are_listed_whole() {
    let bench = bench();
    let make = "mkdir /many; i=0; while [ $i -lt 3000 ]; do : > /many/$i-$i; i=$((i+1)); done";
    let lists = [
        "lists library /many",
        "lists call /many 1000",
        "lists back /many",
        "busybox find /many -mindepth 1 | cut -d/ -f3",
    ];
    for order in [DirectoryOrder::Sorted, DirectoryOrder::Reversed] {
        let variation = Variation {
            directory_order: order,
            ..Variation::run_a()
        };
        let script = lists.map(|list| format!("{list}; echo ==; ")).concat();
        let seen = run(&bench, &format!("{make}; {script}"), &variation);
        let all: Vec<&str> = seen.output.split("==\n").collect();
        let mut expected: Vec<String> = (0..3000).map(|i| format!("{i}-{i}")).collect();
        expected.sort();
        if order == DirectoryOrder::Reversed {
            expected.reverse();
        }
        for (list, output) in lists.iter().zip(all) {
            let names: Vec<&str> = output
                .lines()
                .filter(|line| !matches!(*line, "." | ".."))
                .collect();
            assert!(names == expected, "{list} {order:?}: {} names", names.len());
        }
        assert!(seen.result.hindrances.is_empty());
    }
}

fn a_large_directory_can_be_removed_while_it_is_listed() {
    let bench = bench();
    for order in [DirectoryOrder::Sorted, DirectoryOrder::Reversed] {
        let variation = Variation {
            directory_order: order,
            ..Variation::run_a()
        };
        let script = "mkdir /many /more; i=0; while [ $i -lt 5000 ]; do : > /many/$i; : > /more/$i; \
                      i=$((i+1)); done; lists remove /many; ls -A /many | wc -l; rm -r /more; \
                      test -e /more || echo gone";
        let seen = run(&bench, script, &variation);
        assert_eq!(seen.output, "removed 5000\n0\ngone\n");
    }
}

/// What `make` would complain about, and what it would build again for ever.
fn files_are_not_of_the_future() {
    let bench = bench();
    let script = "touch /tmp/now; touch -d @100 /tmp/old; stat -c %Y /tmp/now; date +%s; \
                  test /tmp/now -nt /tmp/old && echo newer; touch -r /tmp/now /tmp/as-now; \
                  test /tmp/as-now -nt /tmp/now || echo equal";
    let seen = run(&bench, script, &only(Axis::Clock));
    let lines: Vec<&str> = seen.output.lines().collect();
    let (file, clock): (u64, u64) = (lines[0].parse().unwrap(), lines[1].parse().unwrap());
    assert!(clock - file > Variation::CLOCK_SHIFT_S - SLACK, "{lines:?}");
    assert_eq!(lines[2..], ["newer", "equal"]);
    let plain = run(&bench, script, &Variation::run_a());
    assert_eq!(
        seen.layer.0, plain.layer.0,
        "the layer knows nothing of the clock"
    );
}

/// Also where nobody waits for its processes, and where it is stopped.
fn the_tracer_ends_with_the_step() {
    let bench = bench();
    let children = || {
        fs::read_to_string("/proc/thread-self/children")
            .or_else(|_| fs::read_to_string("/proc/self/task/self/children"))
            .unwrap_or_default()
    };
    let before = children();
    let script = "(sleep 1000 & sleep 1000) & sh -c 'kill -STOP $$' & sleep 1";
    let begun = Instant::now();
    run(&bench, script, &only(Axis::Clock));
    assert!(begun.elapsed() < Duration::from_mins(1));
    assert_eq!(children(), before);
}
