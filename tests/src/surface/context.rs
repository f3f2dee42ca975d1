//! A place to run `repro` in that shares nothing with the developer's own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use tempfile::TempDir;

use super::redact;

/// Directories of one test: `HOME`, data, temporary files and store are its own, and the
/// environment is empty but for what is set here.
#[derive(Debug)]
pub struct TestContext {
    root: TempDir,
}

impl TestContext {
    /// New, empty directories.
    ///
    /// # Panics
    /// If they cannot be made: without them there is no test.
    #[must_use]
    pub fn new() -> Self {
        let root = TempDir::with_prefix("repro-test-").expect("a temporary directory");
        for name in ["home", "data", "tmp", "work"] {
            fs::create_dir(root.path().join(name)).expect("a directory of the test");
        }
        Self { root }
    }

    /// The directory that everything of this test is in.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The working directory.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root().join("store")
    }

    /// Writes a file below the working directory, with its parents; gives its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(path);
        let parent = path.parent().expect("a path below the working directory");
        fs::create_dir_all(parent).expect("the parents of a file of the test");
        fs::write(&path, content).expect("a file of the test");
        path
    }

    /// `repro` with these arguments, not started yet.
    pub fn repro<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Repro<'_> {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            // The sandbox looks for `newuidmap` there; nothing else of the program looks at it.
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.root().join("home"))
            .env("XDG_DATA_HOME", self.root().join("data"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("REPRO_STORE", self.store())
            .env("COLUMNS", "100")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        Repro {
            context: self,
            command,
        }
    }
}

impl Default for TestContext {
    fn default() -> Self {
        Self::new()
    }
}

/// A command of `repro` that is about to be run.
#[derive(Debug)]
#[must_use = "nothing happens before it is run"]
pub struct Repro<'a> {
    context: &'a TestContext,
    command: Command,
}

impl Repro<'_> {
    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The command itself, for tests that start and kill it.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started, ends by a signal, or prints something that is not UTF-8.
    pub fn run(mut self) -> Finished {
        let output = self.command.output().expect("repro starts");
        let text = |bytes| String::from_utf8(bytes).expect("repro prints UTF-8");
        let paths = [(self.context.root(), "[ROOT]")];
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Finished {
            code: output.status.code().expect("repro ends by itself"),
            shown: (redact(&stdout, &paths), redact(&stderr, &paths)),
            stdout,
            stderr,
        }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "compare the output, or assert how it ended"]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// Standard output as it was.
    pub stdout: String,
    /// Standard error as it was.
    pub stderr: String,
    shown: (String, String),
}

impl Finished {
    /// Standard output with placeholders for what varies.
    #[must_use]
    pub fn redacted_stdout(&self) -> &str {
        &self.shown.0
    }

    /// Standard error with placeholders for what varies.
    #[must_use]
    pub fn redacted_stderr(&self) -> &str {
        &self.shown.1
    }

    /// Asserts the exit code, and gives the result back for more.
    ///
    /// # Panics
    /// If it is another code.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code\n--- stdout\n{}--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Standard output as the one JSON document that it has to be.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{}", self.stdout))
    }
}

/// The program under test: `REPRO_BIN` if set, as `tests/run` does, else a debug build that
/// cargo brings up to date first. Cargo tells only the tests of the program's own crate where it
/// is.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a switch of the tests, not of the program"
        )]
        let (given, cargo) = (std::env::var_os("REPRO_BIN"), std::env::var_os("CARGO"));
        if let Some(path) = given {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "REPRO_BIN names no file: {}",
                path.display()
            );
            return path;
        }
        let output = Command::new(cargo.unwrap_or_else(|| "cargo".into()))
            .args(["build", "--package", "repro", "--bin", "repro"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "repro does not build");
        executable(&output.stdout).expect("cargo names the program it built")
    });
    &BINARY
}

fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages.split(|byte| *byte == b'\n').find_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let path = message.get("executable")?.as_str()?;
        path.ends_with("/repro").then(|| path.into())
    })
}
