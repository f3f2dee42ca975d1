//! Root and an ordinary user make the same layers, behind the same walls.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::{Command, Output},
};

use libtest_mimic::{Arguments, Trial};
use repro_core::{digest::Digest, json};

use crate::bench::{Bench, set_base};

/// The ordinary user that root's tests become; made if it is not there, and left.
const USER: &str = "repro-test";
/// Its subordinate ids, if it has none: far above those that `useradd` gives out.
const SUBIDS: &str = "1500000000-1500065535";
const LAYER: &str = "--layer-of-user";
const TESTS: &str = "--tests-of-user";

crate::trials![
    root_and_an_ordinary_user_make_the_same_layers,
    everything_holds_for_an_ordinary_user,
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

/// Runs this program as the ordinary user.
fn as_user(role: &str) -> String {
    assert!(
        rustix::process::geteuid().is_root(),
        "run this test as root: it compares root with an ordinary user"
    );
    let id = id_of_user();
    // Where another user may go, which the target directory need not be.
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    let stores = directory.path().join("stores");
    fs::create_dir(&stores).unwrap();
    chown(&stores, Some(id), Some(id)).unwrap();
    succeeded(
        &Command::new("setpriv")
            .args(["--reuid", &id.to_string(), "--regid", &id.to_string()])
            .arg("--clear-groups")
            .arg(&program)
            .arg(role)
            .arg(&stores)
            .current_dir("/")
            .output()
            .unwrap(),
    )
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
