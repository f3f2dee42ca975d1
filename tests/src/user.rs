//! Who runs the program.

use std::{ffi::OsString, fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use crate::tool;

/// The ordinary user that root's tests become.
const NAME: &str = "repro-test";
/// Its range of subordinate ids, far above those that `useradd` gives out.
const SUBIDS: &str = "1500000000-1500065535";

/// A user that no file of the machine lists, below the ids that containers are given.
const ONE_ID: u32 = 64_123;

/// Who runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Caller,
    /// An ordinary user with a range of subordinate ids.
    Ordinary {
        /// Its user and group id.
        id: u32,
    },
}

impl User {
    /// An ordinary user: the caller if it is one, else `repro-test`, which is made if it is not
    /// there.
    #[must_use]
    pub fn ordinary() -> Self {
        // Two tests at once would both find the user missing.
        static ID: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        if !is_root() {
            return Self::Caller;
        }
        let id = *ID.get_or_init(|| {
            let lock = fs::File::create("/tmp/repro-test-user.lock").expect("/tmp can be written");
            lock.lock().expect("files in /tmp can be locked");
            id_of(NAME).unwrap_or_else(|| {
                run("useradd", &["--user-group", "--no-create-home", NAME]);
                id_of(NAME).expect("useradd made the user")
            })
        });
        // Needs a range of its own also where useradd is told to give none.
        if !fs::read_to_string("/etc/subuid").is_ok_and(|text| text.contains(NAME)) {
            run(
                "usermod",
                &["--add-subuids", SUBIDS, "--add-subgids", SUBIDS, NAME],
            );
        }
        Self::Ordinary { id }
    }

    /// An ordinary user without subordinate ids. Nothing on the machine knows it by name, or needs to.
    #[must_use]
    pub fn with_one_id() -> Self {
        require_root();
        Self::Ordinary { id: ONE_ID }
    }

    /// Whether root runs the tests.
    #[must_use]
    pub fn is_root() -> bool {
        is_root()
    }

    /// The words before a command that make it run as this user.
    pub(crate) fn prefix(self) -> Vec<OsString> {
        match self {
            Self::Caller => Vec::new(),
            Self::Ordinary { id } => vec![
                "setpriv".into(),
                format!("--reuid={id}").into(),
                format!("--regid={id}").into(),
                "--clear-groups".into(),
                "--".into(),
            ],
        }
    }

    /// Makes `path`, and everything below it, belong to this user.
    pub fn own(self, path: &Path) {
        if let Self::Ordinary { id } = self {
            let owner = format!("{id}:{id}");
            run("chown", &["-R", "-h", &owner, &path.display().to_string()]);
        }
    }
}

/// Whether root runs the tests.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc is there").uid() == 0
}

/// Fails the test unless root runs it.
///
/// # Panics
/// If somebody else does.
pub fn require_root() {
    assert!(
        is_root(),
        "this test needs root; leave it out by name: cargo test -- --skip privileged_"
    );
}

fn id_of(name: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd is there");
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(tool(program)).args(args).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}
