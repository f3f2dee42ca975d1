//! Root and an ordinary user make the same layers, behind the same walls.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::{Command, Output},
};

use libtest_mimic::{Arguments, Trial};
use repro_core::{
    build::{Executor as _, ExecutorError},
    digest::Digest,
    fs::sorted_names,
    json,
};

use crate::bench::{Bench, set_base};

/// The ordinary user that root's tests become; made if it is not there, and left.
const USER: &str = "repro-test";
/// A user that no file of the machine lists, so that nobody has given it subordinate ids.
const ONE_ID: u32 = 64_123;
/// Its subordinate ids, if it has none: far above those that `useradd` gives out.
const SUBIDS: &str = "1500000000-1500065535";
const LAYER: &str = "--layer-of-user";
const TESTS: &str = "--tests-of-user";

crate::trials![
    root_and_an_ordinary_user_make_the_same_layers,
    everything_holds_for_an_ordinary_user,
    everything_holds_for_a_user_with_one_id,
    nobody_else_can_enter_the_trees,
    a_tree_that_lost_its_owner_is_refused,
];

/// What both run: owners, modes, links, removals.
const SCRIPT: &str = "
    mkdir -p /srv/a; echo one > /srv/a/one; ln /srv/a/one /srv/a/two; ln -s one /srv/a/three;
    touch /srv/nobody; chown 65534:65534 /srv/nobody; touch /srv/ann; chown ann:staff /srv/ann;
    mkfifo /srv/fifo; chmod 4755 /srv/ann; chmod 1777 /srv/a; rm -r /home; mv /etc/group /etc/g;
    id -u; touch -d @100 /srv/old";

/// Is an ordinary user's process if it was started as such: prints the digest of a layer, or runs the
/// tests of `suite`.
pub(crate) fn run_if_user(suite: impl FnOnce() -> Vec<Trial>) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, directory] = &arguments[..] else {
        return;
    };
    match role.as_str() {
        LAYER => {
            set_base(directory.into());
            println!("{}", layer_digest(&Bench::new()));
            std::process::exit(0);
        }
        TESTS => {
            set_base(directory.into());
            libtest_mimic::run(&Arguments::default(), suite()).exit();
        }
        _ => {}
    }
}

fn layer_digest(bench: &Bench) -> Digest {
    let seen = bench.sh(SCRIPT);
    assert_eq!(seen.output, "0\n");
    assert!(seen.layer.0.len() > 10, "{:?}", seen.layer.paths());
    Digest::of(&json::canonical(&seen.layer.0).expect("no fractions"))
}

fn root_and_an_ordinary_user_make_the_same_layers() {
    let said = as_user(LAYER);
    assert_eq!(said.trim(), layer_digest(&Bench::new()).to_string());
}

fn everything_holds_for_an_ordinary_user() {
    let said = as_user(TESTS);
    assert!(said.contains("test result: ok"), "{said}");
}

fn everything_holds_for_a_user_with_one_id() {
    let said = as_id(ONE_ID, TESTS);
    assert!(said.contains("test result: ok"), "{said}");
    let layer = as_id(ONE_ID, LAYER);
    assert_eq!(layer.trim(), layer_digest(&Bench::new()).to_string());
}

/// Runs this program as the ordinary user.
fn as_user(role: &str) -> String {
    as_id(id_of_user(), role)
}

fn as_id(id: u32, role: &str) -> String {
    require_root();
    // Where another user may go, which the target directory need not be.
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    let stores = directory.path().join("stores");
    fs::create_dir(&stores).unwrap();
    chown(&stores, Some(id), Some(id)).unwrap();
    succeeded(
        &become_user(id)
            .arg(&program)
            .arg(role)
            .arg(&stores)
            .output()
            .unwrap(),
    )
}

/// What follows runs as the user `id`.
fn become_user(id: u32) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &id.to_string(), "--regid", &id.to_string()])
        .arg("--clear-groups")
        .current_dir("/");
    command
}

/// A set-id program that a step makes is one of the machine's too, for whoever can reach it
/// (CVE-2024-38531).
fn nobody_else_can_enter_the_trees() {
    require_root();
    let id = id_of_user();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let bench = Bench::at(directory.path());
    let open = fs::Permissions::from_mode(0o755);
    for path in [directory.path(), bench.store.path()] {
        fs::set_permissions(path, open.clone()).unwrap();
    }
    bench.sh("cp /bin/busybox /tmp/set-id; chmod 6755 /tmp/set-id");
    let program = bench.store.path().join("runs/test/trees/a/0/fs/tmp/set-id");
    let mode = fs::metadata(&program).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o6755);
    let stored = bench
        .store
        .path()
        .join("snapshots")
        .join(bench.executor.mapping().key());
    for path in [&program, &stored] {
        let output = become_user(id)
            .args(["stat", "--"])
            .arg(path)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            complaint.contains("Permission denied"),
            "{}: {complaint}",
            path.display()
        );
    }
    // The store itself, which was opened for this, can be looked at.
    succeeded(
        &become_user(id)
            .args(["stat", "--"])
            .arg(bench.store.path())
            .output()
            .unwrap(),
    );
}

fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run this test as root: it becomes an ordinary user"
    );
}

fn id_of_user() -> u32 {
    // Two tests at once would both find the user missing.
    let lock = fs::File::create("/tmp/repro-test-user.lock").unwrap();
    lock.lock().unwrap();
    let id = || Command::new("id").args(["-u", USER]).output().unwrap();
    if !id().status.success() {
        run("useradd", &["--user-group", "--no-create-home", USER]);
    }
    let has_range = |file| fs::read_to_string(file).is_ok_and(|text| text.contains(USER));
    if !(has_range("/etc/subuid") && has_range("/etc/subgid")) {
        run(
            "usermod",
            &["--add-subuids", SUBIDS, "--add-subgids", SUBIDS, USER],
        );
    }
    succeeded(&id()).trim().parse().unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    succeeded(&Command::new(program).args(arguments).output().unwrap());
}

fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {said}{complained}",
        output.status
    );
    said.into_owned()
}

/// What `cp -r` as root makes of a store: its files would belong to nobody inside.
fn a_tree_that_lost_its_owner_is_refused() {
    require_root();
    let bench = Bench::new();
    let mut path = bench.store.path().join("snapshots");
    for level in ["mapping", "chain"] {
        let names = sorted_names(&path).unwrap();
        assert_eq!(names.len(), 1, "{level}: {names:?}");
        path.push(&names[0]);
    }
    assert!(bench.executor.stored(bench.image).unwrap().is_some());
    chown(path.join("info.json"), Some(0), Some(0)).unwrap();
    let error = bench.executor.stored(bench.image).unwrap_err();
    assert!(matches!(error, ExecutorError::Input { .. }), "{error:?}");
    assert!(error.to_string().contains("without its owners"), "{error}");
}
