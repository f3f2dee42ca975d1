//! Root and an ordinary user make the same layers.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::{Command, Output},
};

use repro_core::{digest::Digest, json};

use crate::bench::Bench;

/// An account of the tests, made and removed by them.
const USER: &str = "repro-sandbox-test";
const FIRST_ID: u32 = 1_200_000_000;
const AS_USER: &str = "--as-user";

crate::trials![root_and_an_ordinary_user_make_the_same_layers];

/// What both run: owners, modes, links, removals, capabilities of files.
const SCRIPT: &str = "
    mkdir -p /srv/a; echo one > /srv/a/one; ln /srv/a/one /srv/a/two; ln -s one /srv/a/three;
    touch /srv/nobody; chown 65534:65534 /srv/nobody; touch /srv/ann; chown ann:staff /srv/ann;
    mkfifo /srv/fifo; chmod 4755 /srv/ann; chmod 1777 /srv/a; rm -r /home; mv /etc/group /etc/g;
    id -u; cat /proc/self/uid_map | wc -l > /dev/null; touch -d @100 /srv/old";

/// Is an ordinary user's process if it was started as such: prints the digest of a layer.
pub(crate) fn run_if_user() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(AS_USER) {
        return;
    }
    let store = arguments.next().expect("a directory");
    println!("{}", layer_digest(&Bench::in_directory(store.as_ref())));
    std::process::exit(0);
}

fn layer_digest(bench: &Bench) -> Digest {
    let seen = bench.sh(SCRIPT);
    assert_eq!(seen.output, "0\n");
    assert!(seen.layer.0.len() > 10, "{:?}", seen.layer.paths());
    Digest::of(&json::canonical(&seen.layer.0).expect("no fractions"))
}

fn root_and_an_ordinary_user_make_the_same_layers() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run this test as root: it compares root with an ordinary user"
    );
    let account = Account::create();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    let store = directory.path().join("store");
    fs::create_dir(&store).unwrap();
    chown(&store, Some(account.uid), Some(account.uid)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
        .arg(&program)
        .arg(AS_USER)
        .arg(&store)
        .current_dir("/")
        .output()
        .unwrap();
    let said = succeeded(&output);
    assert_eq!(said.trim(), layer_digest(&Bench::new()).to_string());
}

struct Account {
    uid: u32,
}

impl Account {
    fn create() -> Self {
        succeeded(
            &Command::new("useradd")
                .args([
                    "--no-create-home",
                    "--home-dir",
                    "/",
                    "--shell",
                    "/bin/false",
                ])
                .args(["--system", "--user-group", USER])
                .output()
                .unwrap(),
        );
        let made = Self {
            uid: succeeded(&Command::new("id").args(["-u", USER]).output().unwrap())
                .trim()
                .parse()
                .unwrap(),
        };
        let range = format!("{FIRST_ID}-{}", FIRST_ID + 65_535);
        succeeded(
            &Command::new("usermod")
                .args(["--add-subuids", &range, "--add-subgids", &range, USER])
                .output()
                .unwrap(),
        );
        made
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        succeeded(&Command::new("userdel").arg(USER).output().unwrap());
    }
}

fn succeeded(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
