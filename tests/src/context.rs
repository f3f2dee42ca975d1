//! Surroundings of one test.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use tempfile::TempDir;

use crate::{
    Ended, Pack, Repro, User, example, program, redact::redact, target, tool, user::is_root,
    write_project,
};

/// A directory with a home, a store and projects of its own.
#[derive(Debug)]
pub struct TestContext {
    dir: TempDir,
    store: PathBuf,
    user: User,
    program: PathBuf,
}

impl TestContext {
    /// With the store that all tests share, in which the shipped toolchains are made already.
    #[must_use]
    pub fn new() -> Self {
        let store = SHARED_STORE.clone();
        let dir = tempfile::Builder::new()
            .prefix("test-")
            .tempdir_in(target())
            .expect("a directory can be made");
        Self::in_dir(dir, store, User::Caller)
    }

    /// With a store that is empty.
    #[must_use]
    pub fn with_empty_store(user: User) -> Self {
        // Below the project nobody else might get through; /tmp may be of memory, which trees of
        // toolchains would fill.
        Self::below("/var/tmp", user)
    }

    fn below(place: &str, user: User) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("repro-test-")
            .tempdir_in(place)
            .expect("a directory can be made");
        let store = dir.path().join("store");
        Self::in_dir(dir, store, user)
    }

    /// With a store that has the packages that others downloaded, and nothing made of them.
    #[must_use]
    pub fn with_packages(user: User) -> Self {
        Self::with_empty_store(user).and_packages()
    }

    /// The same in memory, where making and removing many files costs little.
    #[must_use]
    pub fn with_packages_in_memory(user: User) -> Self {
        Self::below("/dev/shm", user).and_packages()
    }

    fn and_packages(self) -> Self {
        let context = self;
        let blobs = context.store.join("blobs");
        fs::create_dir_all(&context.store).expect("the store can be made");
        let copied = Command::new(tool("cp"))
            .args(["--recursive", "--reflink=auto"])
            .arg(SHARED_STORE.join("blobs"))
            .arg(&blobs)
            .status();
        assert!(copied.expect("cp starts").success(), "blobs can be copied");
        context.user.own(&context.store);
        context
    }

    /// With a store in a place of the test's choice.
    #[must_use]
    pub fn with_store(store: PathBuf) -> Self {
        let mut context = Self::with_empty_store(User::Caller);
        context.store = store;
        context
    }

    fn in_dir(dir: TempDir, store: PathBuf, user: User) -> Self {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), mode).expect("the mode can be set");
        for name in ["home", "tmp"] {
            fs::create_dir(dir.path().join(name)).expect("a directory can be made");
        }
        let mut found = program().to_owned();
        if user != User::Caller {
            // The project may lie where this user cannot read.
            let copy = dir.path().join("repro");
            fs::copy(&found, &copy).expect("the program can be copied");
            found = copy;
        }
        user.own(dir.path());
        Self {
            dir,
            store,
            user,
            program: found,
        }
    }

    /// A path in the test's directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Writes a file in the test's directory.
    #[must_use]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the file can be written");
        path
    }

    /// What a command printed, with placeholders for what another run would print otherwise: the
    /// test's directory, digests, times.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        redact(text, &[(self.dir.path(), "[ROOT]")])
    }

    /// Writes a project, which declares the shipped toolchains as `busybox` and `c`.
    #[must_use]
    pub fn project(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.path(name);
        write_project(&dir, files);
        self.user.own(&dir);
        dir
    }

    /// Copies an example.
    #[must_use]
    pub fn example(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        example(name, &dir);
        self.user.own(&dir);
        dir
    }

    /// The program, run by the context's user with the context's home and store.
    pub fn repro<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Repro {
        let dir = self.dir.path();
        Repro::new(dir, self.user)
            .program(self.program.clone())
            .env("HOME", dir.join("home"))
            .env("TMPDIR", dir.join("tmp"))
            .env("REPRO_STORE", &self.store)
            .args(args)
    }

    /// `repro build --evidence DIR PROJECT`, with the place of the evidence.
    pub fn build(&self, project: &Path) -> (Repro, PathBuf) {
        let name = project.file_name().expect("a project has a name");
        let evidence = self.path(&format!("{}-evidence", name.to_string_lossy()));
        let build = self
            .repro(["build", "--evidence"])
            .arg(&evidence)
            .arg(project);
        (build, evidence)
    }

    /// Builds a project, which must end with this exit code, and reads the pack.
    #[track_caller]
    pub fn built(&self, project: &Path, code: i32) -> (Ended, Pack) {
        let (build, evidence) = self.build(project);
        let output = build.run().exits(code);
        let pack = Pack::read(&evidence);
        (output, pack)
    }

    /// The store must be sound.
    #[track_caller]
    pub fn assert_sound(&self) {
        self.repro(["store", "verify"])
            .run()
            .exits(0)
            .prints(["sound"]);
    }
}

impl Default for TestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestContext {
    fn drop(&mut self) {
        // Trees of a store belong to mapped ids, whose owner alone can remove them. Root can
        // remove everything, as `TempDir` then does.
        if self.store.starts_with(self.dir.path()) && !is_root() {
            let removed = Command::new(tool("unshare"))
                .args([
                    "--map-root-user",
                    "--map-auto",
                    "rm",
                    "--recursive",
                    "--force",
                ])
                .arg(&self.store)
                .status();
            assert!(
                std::thread::panicking() || removed.is_ok_and(|status| status.success()),
                "{} cannot be removed",
                self.store.display()
            );
        }
    }
}

/// The store that tests share. Whoever comes first makes the toolchains in it, which takes a
/// minute; it is kept between runs of the tests.
static SHARED_STORE: LazyLock<PathBuf> = LazyLock::new(|| {
    let store = target().join("test-store");
    fs::create_dir_all(&store).expect("the store can be made");
    let lock = fs::File::create(target().join("test-store.lock")).expect("the lock can be made");
    lock.lock().expect("the lock can be taken");
    let dir = tempfile::tempdir_in(target()).expect("a directory can be made");
    let stages = "FROM c AS one\nFROM busybox\nCOPY --from=one /etc/debian_version /\n";
    write_project(&dir.path().join("project"), &[("Dockerfile", stages)]);
    Repro::new(dir.path(), User::Caller)
        .env("HOME", dir.path())
        .env("REPRO_STORE", &store)
        .args(["build", "--runs", "1", "project"])
        .run()
        .exits(0);
    store
});
