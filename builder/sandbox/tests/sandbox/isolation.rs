//! What a step cannot reach or change.

use std::fs;

use repro_core::build::{ExecutorError, StepExit};

use crate::bench::{Bench, sh};

crate::trials![
    the_machine_is_not_there,
    the_supervisor_cannot_be_touched,
    the_kernel_cannot_be_changed,
    devices_are_the_policys,
    no_way_through_descriptors,
    what_the_sandbox_provides_is_in_no_layer,
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
    let seen = bench.sh("ls -d /proc/[0-9]* | wc -l; cat /proc/self/mountinfo");
    let processes: u32 = seen.output.lines().next().unwrap().parse().unwrap();
    assert!(processes <= 5, "{}", seen.output);
    let store = bench.store.path().display().to_string();
    assert!(!seen.output.contains(&store), "{}", seen.output);
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
