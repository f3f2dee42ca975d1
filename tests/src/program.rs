//! Starting the program.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, OnceLock},
};

use crate::{Output, User};

/// Longest time of one command, in seconds. Making the compiler's tree takes about a minute on two cores, and what
/// an example compiles five; a command that takes twenty hangs.
const LIMIT: &str = "1200";

/// Variables that tests pass on: where packages come from, and whom the machine trusts on the
/// way. They decide no byte, or the digests of packages would not match.
const PASSED_ON: [&str; 7] = [
    "REPRO_MIRROR",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "RUST_BACKTRACE",
];

/// The root of the project.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie below the root")
}

/// Cargo's target directory: test programs lie in `target/PROFILE/deps/`.
#[must_use]
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its own path");
        test.ancestors()
            .nth(3)
            .expect("test programs lie in target/PROFILE/deps/")
            .to_owned()
    })
}

/// A variable of whoever runs the tests.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests look at their surroundings"
)]
pub(crate) fn ambient(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// The program under test: `REPRO_BIN`, as `tests/run` sets it, or what `cargo build --release`
/// makes now. Cargo tells only the tests of the program's own crate where it is, and what lies in
/// `target/release` may be of yesterday.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(path) = ambient("REPRO_BIN") {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "REPRO_BIN names no file: {}",
                path.display()
            );
            return path;
        }
        let built = Command::new(ambient("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "--quiet", "--package", "repro"])
            .arg("--target-dir")
            .arg(target())
            .current_dir(root())
            .status()
            .expect("cargo starts");
        assert!(built.success(), "repro does not build");
        target().join("release/repro")
    });
    &PROGRAM
}

/// Another program that a test needs.
///
/// # Panics
/// If it is not installed: a test that cannot run has not passed.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = ambient("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is missing; `tests/run` installs it"))
}

/// Runs another program, which must succeed, and gives what it printed.
///
/// # Panics
/// If it cannot be started or fails.
#[track_caller]
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One command line of the program, with nothing of the tests' environment.
#[must_use = "a command does nothing until it is run"]
#[derive(Debug, Clone)]
pub struct Repro {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
    user: User,
    umask: u32,
    stdin: Option<PathBuf>,
    /// Programs that start the program.
    wrapper: Vec<OsString>,
}

impl Repro {
    pub(crate) fn new(dir: &Path, user: User) -> Self {
        let passed_on = PASSED_ON
            .iter()
            .filter_map(|name| Some((name.into(), ambient(name)?)));
        Self {
            program: program().to_owned(),
            args: Vec::new(),
            env: passed_on.collect(),
            dir: dir.to_owned(),
            user,
            umask: 0o022,
            stdin: None,
            wrapper: Vec::new(),
        }
    }

    pub(crate) fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.env.retain(|(set, _)| set != name);
        self
    }

    /// The working directory; the context's own unless given.
    pub fn dir(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    /// The caller's mask of permissions.
    pub const fn umask(mut self, umask: u32) -> Self {
        self.umask = umask;
        self
    }

    /// A file as standard input; nothing unless given.
    pub fn stdin(mut self, file: &Path) -> Self {
        self.stdin = Some(file.to_owned());
        self
    }

    /// Starts the program through another: `["unshare", "--net"]`.
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// The command, for tests that need the process.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        words.extend(self.wrapper.iter().cloned());
        words.extend(self.user.prefix());
        // Only a shell can set the mask without unsafe code.
        let shell = format!("umask {:04o} && exec \"$0\" \"$@\"", self.umask);
        words.extend([tool("sh").into_os_string(), "-c".into(), shell.into()]);
        words.push(self.program.clone().into());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(tool(&words[0].to_string_lossy()));
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// Starts it and does not wait. What it prints goes nowhere.
    #[must_use]
    pub fn spawn(&self) -> Child {
        self.command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    }

    /// Runs it to its end.
    pub fn run(&self) -> Output {
        let command = self.command();
        let mut limited = Command::new(tool("timeout"));
        limited
            .args(["--signal=KILL", LIMIT])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .current_dir(&self.dir)
            .stdin(match &self.stdin {
                Some(file) => fs::File::open(file).expect("the file can be read").into(),
                None => Stdio::null(),
            });
        let output = limited.output().expect("the program starts");
        let shown: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        Output::new(&format!("repro {}", shown.join(" ")), &output)
    }
}
