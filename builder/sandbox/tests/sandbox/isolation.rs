//! What a step cannot reach or change.

use std::{
    fs,
    os::fd::AsRawFd as _,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use repro_core::build::{
    Executor as _, ExecutorError, RunId, Snapshotter, StepAction, StepExit, StepObserver, Variation,
};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::{
    bench::{Bench, SNAPSHOTTER, base, image, sh},
    probe,
};

crate::trials![
    the_machine_is_not_there,
    the_supervisor_cannot_be_touched,
    the_kernel_cannot_be_changed,
    devices_are_the_policys,
    no_way_through_descriptors,
    what_the_sandbox_provides_is_in_no_layer,
    no_file_of_the_machine_or_of_the_other_run_is_in_reach,
    a_step_sees_its_own_mounts_and_no_others,
    steps_at_one_time_share_nothing,
];

/// Lines `NAME:` of commands that succeeded though they must not.
fn refused(bench: &Bench, commands: &[&str]) {
    for command in commands {
        let seen = bench.run(sh(command)).unwrap();
        assert!(
            matches!(seen.result.exit, StepExit::Code(_)),
            "{command}: {:?}\n{}",
            seen.result.exit,
            seen.output
        );
    }
}

fn the_machine_is_not_there() {
    let bench = Bench::new();
    let canary = bench.store.path().join("canary");
    fs::write(&canary, "secret").unwrap();
    let canary = canary.display();
    refused(
        &bench,
        &[
            &format!("cat {canary}"),
            &format!("cat /proc/1/root{canary}"),
            &format!("cat /proc/1/cwd{canary}"),
            "ls /proc/1/fd/",
            "cat /proc/1/environ",
            "grep -q repro /proc/1/environ",
        ],
    );
    // Its files are nobody's, whoever runs `repro`.
    let seen = bench.sh("stat -c %u:%g /proc/1/fd /proc/1/exe /proc/self/fd");
    assert_eq!(seen.output, "65534:65534\n65534:65534\n0:0\n");
    let seen = bench.sh("ls -d /proc/[0-9]* | wc -l; cat /proc/self/mountinfo");
    let processes: u32 = seen.output.lines().next().unwrap().parse().unwrap();
    assert!(processes <= 5, "{}", seen.output);
}

fn the_supervisor_cannot_be_touched() {
    let bench = Bench::new();
    refused(
        &bench,
        &[
            "echo x > /proc/1/exe",
            "cat /proc/1/exe > /tmp/copy",
            "echo x > /proc/1/mem",
            "kill -0 9999",
        ],
    );
    let seen = bench.sh("kill -KILL 1; kill -TERM 1; sleep 0.1; echo alive");
    assert_eq!(seen.output, "alive\n");
}

fn the_kernel_cannot_be_changed() {
    let bench = Bench::new();
    refused(
        &bench,
        &[
            "mount -t tmpfs none /tmp",
            "umount /proc",
            "unshare -U true",
            "unshare -n true",
            "mknod /tmp/node c 1 3",
            "hostname other",
            "echo 1 > /proc/sys/kernel/ns_last_pid",
            "echo b > /proc/sysrq-trigger",
            "echo x > /sys/kernel/mm/ksm/run",
            "mkdir /sys/firmware/x",
            "rm /etc/hosts",
            "mv /etc/resolv.conf /etc/old",
        ],
    );
    let seen = bench.sh("wc -c < /proc/interrupts; wc -c < /proc/keys; ls /sys/firmware | wc -l");
    assert_eq!(seen.output, "0\n0\n0\n");
}

fn devices_are_the_policys() {
    let bench = Bench::new();
    let seen = bench.sh(
        "cd /dev; ls; for i in null zero full random urandom tty; do stat -c '%F %t:%T' $i; done; \
         head -c 4 zero | wc -c; echo x > null; echo x > full || echo full; head -c 1 urandom | wc -c",
    );
    let names: Vec<_> = seen.output.lines().take(15).collect();
    assert_eq!(
        names,
        [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero"
        ]
    );
    for line in ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0"] {
        assert!(
            seen.output
                .contains(&format!("character special file {line}")),
            "{line}"
        );
    }
    assert!(seen.output.ends_with("\nfull\n1\n"), "{}", seen.output);
}

fn no_way_through_descriptors() {
    let bench = Bench::new();
    for number in 0..=25 {
        for of in ["self", "1"] {
            let mut run = sh("pwd; ls");
            run.cwd = format!("/proc/{of}/fd/{number}");
            let error = bench.run(run).unwrap_err();
            assert!(
                matches!(error, ExecutorError::Refused(_)),
                "{number}: {error:?}"
            );
        }
    }
    let mut run = sh("pwd");
    run.cwd = "/proc/self/root".into();
    assert!(matches!(bench.run(run), Err(ExecutorError::Refused(_))));
}

fn what_the_sandbox_provides_is_in_no_layer() {
    let bench = Bench::new();
    let seen = bench.sh(
        "echo x >> /etc/hosts; echo y > /etc/resolv.conf; echo z > /dev/shm/f; touch /dev/new; \
         chmod 600 /etc/hostname",
    );
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    let seen = bench.sh("echo x > /etc/own; cat /etc/resolv.conf");
    assert_eq!(seen.layer.paths(), ["etc/own"]);
    assert!(seen.output.contains("nameserver 127.0.0.1"));
}

fn bench_with_probe() -> Bench {
    let mut image = image();
    probe::add_to(&mut image);
    Bench::with(&image)
}

/// Everything that can be opened is searched for a text that is all around the step, in files that
/// everybody may read.
fn no_file_of_the_machine_or_of_the_other_run_is_in_reach() {
    let text = format!("canary-{}", std::process::id());
    let bench = bench_with_probe();
    fs::write(bench.store.path().join("canary"), &text).unwrap();
    let outside = tempfile::tempdir_in(base()).unwrap();
    let key = outside.path().join("repro.key");
    fs::write(&key, &text).unwrap();
    // Open, and left open to every program that this process starts.
    let inherited = fs::File::open(&key).unwrap();
    fcntl_setfd(&inherited, FdFlags::empty()).unwrap();

    let mut other = bench.spec(StepAction::Run(sh(&format!("echo {text} > /tmp/of-run-b"))));
    other.output = bench.output(RunId::B);
    bench.run_spec(&other, &Variation::run_a()).unwrap();

    // A file of its own shows that the search finds what can be found.
    let seen = bench.run(sh(&format!(
        "mkdir /tmp/own; echo {text} > /tmp/own/f; /bin/probe seek {text}"
    )));
    let output = seen.unwrap().output;
    let found: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("found "))
        .collect();
    assert_eq!(found, ["found /tmp/own/f"], "{output}");
    assert!(!output.contains("searched 0"), "{output}");
    // Init is the one process that comes from outside.
    for link in ["cwd", "root"] {
        assert!(
            output.contains(&format!("1 {link}: permission denied")),
            "{output}"
        );
        assert!(output.contains(&format!("2 {link}: this root")), "{output}");
    }

    let number = inherited.as_raw_fd();
    let seen = bench.sh(&format!(
        "ls -l /proc/self/fd; test ! -e /proc/self/fd/{number}"
    ));
    assert!(!seen.output.contains("repro.key"), "{}", seen.output);
}

fn a_step_sees_its_own_mounts_and_no_others() {
    let bench = Bench::new();
    let seen = bench.sh("cat /proc/self/mountinfo");
    let store = bench.store.path().display().to_string();
    match SNAPSHOTTER.get() {
        Snapshotter::Overlay => assert!(!seen.output.contains(&store), "{}", seen.output),
        // A mount of a directory tells where on its file system that is.
        Snapshotter::PlainCopy | Snapshotter::Engine => {}
    }
    let mounts: Vec<_> = seen
        .output
        .lines()
        .map(|line| {
            let (place, source) = line.split_once(" - ").unwrap();
            let place = place.split(' ').nth(4).unwrap();
            (place, source.split(' ').next().unwrap())
        })
        .filter(|(place, _)| !place.starts_with("/proc/") && !place.starts_with("/sys/"))
        // The machine's `/dev` can be of any kind. Which devices these are is another test.
        .map(|(place, kind)| {
            let is_device = place.starts_with("/dev/") && !kind.starts_with("mqueue");
            let own = ["/dev/pts", "/dev/shm"].contains(&place);
            let is_tree = place == "/" || place.starts_with("/etc/");
            if is_tree && SNAPSHOTTER.get() == Snapshotter::PlainCopy {
                (place, "overlay")
            } else if is_device && !own {
                (place, "device")
            } else {
                (place, kind)
            }
        })
        .collect();
    assert_eq!(
        mounts,
        [
            ("/", "overlay"),
            ("/proc", "proc"),
            ("/sys", "sysfs"),
            ("/dev", "tmpfs"),
            ("/dev/full", "device"),
            ("/dev/null", "device"),
            ("/dev/random", "device"),
            ("/dev/tty", "device"),
            ("/dev/urandom", "device"),
            ("/dev/zero", "device"),
            ("/dev/pts", "devpts"),
            ("/dev/shm", "tmpfs"),
            ("/dev/mqueue", "mqueue"),
            ("/etc/hostname", "overlay"),
            ("/etc/hosts", "overlay"),
            ("/etc/resolv.conf", "overlay"),
        ]
    );
}

/// Output of a step, and a word when a line of it has come.
struct Awaited {
    line: &'static str,
    output: Mutex<String>,
    come: mpsc::Sender<()>,
}

impl StepObserver for Awaited {
    fn output(&self, bytes: &[u8]) {
        let mut output = self.output.lock().unwrap();
        output.push_str(&String::from_utf8_lossy(bytes));
        if output.lines().any(|line| line == self.line) {
            // Nobody waits for it a second time.
            let _ = self.come.send(());
        }
    }
}

/// While one step is there in every place where steps could meet, another looks for it
/// (CVE-2024-27297).
fn steps_at_one_time_share_nothing() {
    const NAME: &str = "repro-meeting";
    let bench = bench_with_probe();
    let (come, wait) = mpsc::channel();
    let observer = Awaited {
        line: "offered",
        output: Mutex::default(),
        come,
    };
    let (visitor, namespaces) = thread::scope(|scope| {
        let offering = scope.spawn(|| bench.run_observed(probe::step(&["offer", NAME]), &observer));
        wait.recv_timeout(Duration::from_secs(30))
            .expect("the first step offers");
        let visitor = bench.run(probe::step(&["visit", NAME]));
        let namespaces = bench.run(probe::step(&["namespaces"]));
        // The first one would never end.
        bench.executor.cancel();
        assert!(matches!(
            offering.join().unwrap(),
            Err(ExecutorError::Cancelled)
        ));
        (visitor.unwrap(), namespaces.unwrap().output)
    });
    let everywhere = |what| format!("abstract: {what}\n/dev/shm: {what}\n/tmp: {what}\n");
    let offered = observer.output.into_inner().unwrap();
    let first = offered
        .strip_prefix(&everywhere("met"))
        .expect("a step meets itself");
    let first = first.strip_suffix("offered\n").unwrap();
    assert_eq!(visitor.output, everywhere("nobody"));
    assert_eq!(visitor.result.network.abstract_sockets, 1);
    let outside = probe::namespace_links();
    for ((first, second), outside) in first.lines().zip(namespaces.lines()).zip(&outside) {
        assert!(
            first != second && first != outside && second != outside,
            "{first} {second} {outside}"
        );
    }
    assert_eq!((first.lines().count(), namespaces.lines().count()), (7, 7));
}
