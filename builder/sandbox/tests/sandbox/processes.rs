//! Nothing of a step lives on: no process, no mount.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use repro_core::{
    build::{Executor as _, ExecutorError, RunSpec, StepExit},
    fs::sorted_names,
};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage};

use crate::bench::{Bench, SNAPSHOTTER, base, set_base, sh};

crate::trials![
    no_process_survives_a_step,
    the_layer_is_read_when_nobody_writes_any_more,
    cancelling_leaves_nothing,
    the_end_of_the_caller_is_the_end_of_its_steps,
];

/// A variable that every process of a step inherits, and nobody else has.
const MARK: &str = "REPRO_SANDBOX_TEST_MARK";
/// How this program is started to be killed.
const AS_VICTIM: &str = "--as-victim";
const PATIENCE: Duration = Duration::from_secs(30);

/// Processes that do what they can to stay.
const STUBBORN: &str = "
    sleep 1000 &
    sleep 1000 >/dev/null 2>&1 &
    (trap '' HUP INT TERM QUIT; while :; do sleep 1000; done) &
    ( (sleep 1000 &) & )
    setsid sleep 1000 &
    setsid sh -c '(sleep 1000 &) & sleep 1000' </dev/null >/dev/null 2>&1 &
    sh -c 'kill -STOP $$; sleep 1000' &
    chmod 4755 /bin/busybox; su ann -c 'sleep 1000' &
    printf '#!/bin/sh\\n/tmp/chain &\\n' > /tmp/chain; chmod 755 /tmp/chain; setsid /tmp/chain &
";
/// How many of them are there at every moment.
const STUBBORN_COUNT: usize = 9;

fn marked(script: &str, mark: &str) -> RunSpec {
    let mut run = sh(script);
    run.env.push((MARK.to_owned(), mark.to_owned()));
    run
}

/// All processes of the machine that this one may look into.
fn processes() -> Vec<PathBuf> {
    let names = sorted_names(Path::new("/proc")).unwrap();
    names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| name.parse::<u32>().is_ok())
        .map(|name| Path::new("/proc").join(name))
        .collect()
}

/// Those of the step marked with `mark`.
fn alive(mark: &str) -> usize {
    let variable = format!("{MARK}={mark}\0");
    let has_mark = |process: &PathBuf| {
        fs::read(process.join("environ")).is_ok_and(|environment| {
            environment
                .windows(variable.len())
                .any(|window| window == variable.as_bytes())
        })
    };
    processes()
        .iter()
        .filter(|process| has_mark(process))
        .count()
}

/// Mounts below `directory` in the mount namespace of any process: of a stage, while it works.
fn mounts(directory: &Path) -> usize {
    let directory = directory.to_str().unwrap();
    processes()
        .iter()
        .filter_map(|process| fs::read_to_string(process.join("mountinfo")).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter(|line| line.contains(directory))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .count()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn no_process_survives_a_step() {
    let bench = Bench::new();
    for (end, exit) in [
        ("exit 0", StepExit::Success),
        ("exit 7", StepExit::Code(7)),
        ("kill -TERM $$", StepExit::Signal(15)),
    ] {
        let mark = format!("{}-{end}", std::process::id());
        // Long enough to be seen from outside: that nothing is found afterwards means something.
        let script = format!("{STUBBORN}\nsleep 3; {end}");
        let seen = thread::scope(|scope| {
            let step = scope.spawn(|| bench.run(marked(&script, &mark)));
            wait_until("they run", || alive(&mark) >= STUBBORN_COUNT);
            assert!(mounts(bench.store.path()) > 0, "a stage has its mounts");
            step.join().unwrap().unwrap()
        });
        assert_eq!(seen.result.exit, exit, "{}", seen.output);
        assert_eq!(alive(&mark), 0, "{end}");
        assert_eq!(mounts(bench.store.path()), 0, "{end}");
    }
}

/// What still grows while it is read would differ between the layer and the tree, and in the tree
/// from one moment to the next.
fn the_layer_is_read_when_nobody_writes_any_more() {
    let bench = Bench::new();
    let writer = "while :; do for i in 0 1 2 3 4 5 6 7; do echo x >> /tmp/grows$i; done; done";
    let seen = bench.sh(&format!(
        "for j in 0 1 2; do setsid sh -c '{writer}' & done; until test -s /tmp/grows7; do sleep 0.05; done"
    ));
    let tree = bench.store.path().join("runs/test/trees/a/0/fs");
    let lengths = || -> Vec<u64> {
        (0..8)
            .map(|i| {
                fs::metadata(tree.join(format!("tmp/grows{i}")))
                    .unwrap()
                    .len()
            })
            .collect()
    };
    let afterwards = lengths();
    let in_layer: Vec<u64> = seen
        .layer
        .0
        .iter()
        .filter(|(entry, _)| entry.path.to_string().starts_with("tmp/grows"))
        .map(|(_, content)| content.len() as u64)
        .collect();
    assert!(in_layer.iter().all(|length| *length > 0), "{in_layer:?}");
    assert_eq!(in_layer, afterwards);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(lengths(), afterwards);
}

fn cancelling_leaves_nothing() {
    let bench = Bench::new();
    let mark = format!("{}-cancelled", std::process::id());
    let result = thread::scope(|scope| {
        let step = scope.spawn(|| bench.run(marked(&format!("{STUBBORN}\nsleep 1000"), &mark)));
        wait_until("they run", || alive(&mark) > STUBBORN_COUNT);
        bench.executor.cancel();
        step.join().unwrap()
    });
    assert!(
        matches!(result, Err(ExecutorError::Cancelled)),
        "{result:?}"
    );
    assert_eq!(alive(&mark), 0);
    assert_eq!(mounts(bench.store.path()), 0);
}

/// Is the process to be killed if it was started as such.
pub(crate) fn run_if_victim() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(AS_VICTIM) {
        return;
    }
    set_base(arguments.next().unwrap().into());
    let mark = arguments.next().unwrap();
    drop(Bench::new().run(marked(&format!("{STUBBORN}\nsleep 1000"), &mark)));
    std::process::exit(1);
}

/// `kill -9` of the program that runs steps: the kernel ends them, and the next program can remove
/// what they left.
fn the_end_of_the_caller_is_the_end_of_its_steps() {
    let directory = tempfile::tempdir_in(base()).unwrap();
    let mark = format!("{}-killed", std::process::id());
    let mut victim = Killed(
        Command::new("/proc/self/exe")
            .arg(AS_VICTIM)
            .arg(directory.path())
            .arg(&mark)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    wait_until("the victim's step runs", || alive(&mark) > STUBBORN_COUNT);
    assert!(mounts(directory.path()) > 0, "a stage has its mounts");
    victim.0.kill().unwrap();
    victim.0.wait().unwrap();
    wait_until("its processes are gone", || alive(&mark) == 0);
    wait_until("its mounts are gone", || mounts(directory.path()) == 0);

    let store = sorted_names(directory.path()).unwrap().remove(0);
    let store = directory.path().join(store);
    let executor = NativeExecutor::new(
        StageImage::capture().unwrap(),
        &store,
        Snapshots::By(SNAPSHOTTER.get()),
    )
    .unwrap();
    executor
        .discard(&"test".to_owned().try_into().unwrap())
        .unwrap();
    assert!(!store.join("runs/test").exists());
    // Its snapshots belong to ids that only a stage can remove.
    executor.retain(&std::collections::BTreeSet::new()).unwrap();
    assert!(
        sorted_names(&store.join("snapshots").join(executor.mapping().key()))
            .unwrap()
            .is_empty()
    );
}

/// Does not outlive a failed test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Where the test did it, there is nobody left.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
