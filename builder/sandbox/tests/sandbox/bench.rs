//! A small image, and steps on it.

use std::{
    cell::Cell,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use repro_core::{
    build::{
        Executor, ExecutorError, Grants, InvocationId, LayerPolicy, RunId, RunSpec, SnapshotName,
        Snapshotter, StepAction, StepNetwork, StepObserver, StepResult, StepSpec, UserIds,
        Variation,
    },
    digest::{ChainId, DiffId, Digest},
    epoch::{Epoch, Tick},
    tree::{Entry, EntryKind, EntrySink, EntrySource, Meta, TreePath},
};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage, mapping::IdMapping};

thread_local! {
    /// How benches made by this thread put trees together: each trial has a thread of its own.
    pub(crate) static SNAPSHOTTER: Cell<Snapshotter> = Cell::new(snapshotters()[0]);
}

/// How many ids steps have here.
pub(crate) fn user_ids() -> UserIds {
    IdMapping::detect().expect("a mapping").user_ids()
}

/// The ways in which trees can be put together here, the usual one first.
pub(crate) fn snapshotters() -> &'static [Snapshotter] {
    match user_ids() {
        UserIds::Range => &[Snapshotter::Overlay, Snapshotter::PlainCopy],
        UserIds::One => &[Snapshotter::PlainCopy],
    }
}

/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/bin/busybox";
/// Programs of busybox that the tests use, as links.
const APPLETS: &[&str] = &[
    "cat", "chmod", "chown", "cmp", "cp", "date", "dd", "echo", "env", "false", "grep", "head",
    "hostname", "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "nc", "nproc",
    "nslookup", "ping", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "setsid", "sh", "sleep",
    "sort", "stat", "su", "test", "touch", "tr", "cut", "true", "umount", "uname", "unshare", "wc",
    "wget",
];

/// A layer held in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer(pub(crate) Vec<(Entry, Vec<u8>)>);

impl Layer {
    pub(crate) fn add(
        &mut self,
        path: &str,
        kind: EntryKind,
        mode: u16,
        content: &[u8],
    ) -> &mut Entry {
        let entry = Entry {
            path: TreePath::parse(path.as_bytes()).expect("a good path"),
            kind,
            meta: Meta {
                mode,
                mtime: 1_000_000_000,
                ..Meta::default()
            },
        };
        self.0.push((entry, content.to_vec()));
        &mut self.0.last_mut().expect("just pushed").0
    }

    pub(crate) fn dir(&mut self, path: &str) -> &mut Entry {
        self.add(path, EntryKind::Directory, 0o755, b"")
    }

    pub(crate) fn file(&mut self, path: &str, mode: u16, content: &[u8]) -> &mut Entry {
        let size = content.len() as u64;
        self.add(path, EntryKind::File { size }, mode, content)
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Entry {
        let target = target.as_bytes().to_vec();
        self.add(path, EntryKind::Symlink { target }, 0o777, b"")
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(entry, _)| match entry.kind {
                EntryKind::Whiteout => format!("-{}", entry.path),
                _ => entry.path.to_string(),
            })
            .collect()
    }
}

struct Reading<'a>(std::slice::Iter<'a, (Entry, Vec<u8>)>);

impl EntrySource for Reading<'_> {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        match self.0.next() {
            None => Ok(false),
            Some((entry, content)) => {
                take(entry, &mut &content[..])?;
                Ok(true)
            }
        }
    }
}

impl EntrySink for Layer {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.0.push((entry.clone(), bytes));
        Ok(())
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl StepObserver for Log {
    fn output(&self, bytes: &[u8]) {
        self.0.lock().expect("no test panics with it").extend(bytes);
    }
}

/// What a step left.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) result: StepResult,
    pub(crate) output: String,
    pub(crate) layer: Layer,
}

/// Where stores are made.
static BASE: OnceLock<PathBuf> = OnceLock::new();

/// Has all stores made in `directory`, which this process may write to.
pub(crate) fn set_base(directory: PathBuf) {
    BASE.set(directory).expect("nothing was made yet");
}

/// Where stores, and whatever else a test puts on the machine, are made.
pub(crate) fn base() -> &'static Path {
    BASE.get_or_init(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")))
}

/// A store with an image in it.
pub(crate) struct Bench {
    pub(crate) executor: NativeExecutor,
    pub(crate) store: tempfile::TempDir,
    pub(crate) image: ChainId,
    pub(crate) invocation: InvocationId,
    next: AtomicU32,
}

/// The tests' image.
pub(crate) fn image() -> Layer {
    let busybox = fs::read(BUSYBOX)
        .unwrap_or_else(|error| panic!("{BUSYBOX}: {error} (apt install busybox-static)"));
    let mut layer = Layer::default();
    layer.dir("bin");
    layer.file("bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        layer.link(&format!("bin/{applet}"), "busybox");
    }
    layer.dir("etc");
    layer.file(
        "etc/group",
        0o644,
        b"root:x:0:\nstaff:x:50:ann\nann:x:1000:\n",
    );
    layer.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    );
    layer.dir("home");
    let home = layer.dir("home/ann");
    (home.meta.uid, home.meta.gid) = (1000, 1000);
    layer.dir("root").meta.mode = 0o700;
    layer.dir("tmp").meta.mode = 0o1777;
    layer
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&image())
    }

    pub(crate) fn with(image: &Layer) -> Self {
        Self::with_at(image, base())
    }

    /// As [`Bench::new`], in `directory`.
    pub(crate) fn at(directory: &Path) -> Self {
        Self::with_at(&image(), directory)
    }

    fn with_at(image: &Layer, directory: &Path) -> Self {
        let store = tempfile::tempdir_in(directory).expect("a directory for the store");
        let stage = StageImage::capture().expect("the program in memory");
        let executor = NativeExecutor::new(stage, store.path(), Snapshots::By(SNAPSHOTTER.get()))
            .expect("an executor");
        let chain = ChainId::base(DiffId(Digest::of(b"image")));
        executor
            .unpack(&[], chain, &mut Reading(image.0.iter()))
            .expect("the image unpacks");
        Self {
            executor,
            store,
            image: chain,
            invocation: "test".to_owned().try_into().expect("a good name"),
            next: AtomicU32::new(0),
        }
    }

    /// The same, with something to lend to steps.
    pub(crate) fn lending(mut self, grants: Grants) -> Self {
        let stage = StageImage::capture().expect("the program in memory");
        let executor =
            NativeExecutor::new(stage, self.store.path(), Snapshots::By(SNAPSHOTTER.get()))
                .expect("an executor");
        self.executor = executor.with_grants(grants);
        self
    }

    pub(crate) fn unpack(&self, parents: &[ChainId], name: &str, layer: &Layer) -> ChainId {
        let chain = ChainId::base(DiffId(Digest::of(name.as_bytes())));
        self.executor
            .unpack(parents, chain, &mut Reading(layer.0.iter()))
            .expect("the layer unpacks");
        chain
    }

    pub(crate) fn output(&self, run: RunId) -> SnapshotName {
        SnapshotName::Step {
            invocation: self.invocation.clone(),
            run,
            index: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn spec(&self, action: StepAction) -> StepSpec {
        StepSpec {
            parents: vec![SnapshotName::Stored(self.image)],
            output: self.output(RunId::A),
            action,
            layer: policy(),
        }
    }

    pub(crate) fn run_spec(
        &self,
        spec: &StepSpec,
        variation: &Variation,
    ) -> Result<Seen, ExecutorError> {
        self.run_in(spec, variation, None)
    }

    fn run_in(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
    ) -> Result<Seen, ExecutorError> {
        let log = Log::default();
        let mut layer = Layer::default();
        let result = self
            .executor
            .run(spec, variation, network, &mut layer, &log)?;
        let output = log.0.into_inner().expect("no test panics with it");
        Ok(Seen {
            result,
            output: String::from_utf8_lossy(&output).into_owned(),
            layer,
        })
    }

    /// With somebody who answers what the step asks for.
    pub(crate) fn run_with(
        &self,
        run: RunSpec,
        network: &dyn StepNetwork,
    ) -> Result<Seen, ExecutorError> {
        self.run_in(
            &self.spec(StepAction::Run(run)),
            &Variation::run_a(),
            Some(network),
        )
    }

    /// As run `B`, whose output `observer` gets.
    pub(crate) fn run_observed(
        &self,
        run: RunSpec,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let mut spec = self.spec(StepAction::Run(run));
        spec.output = self.output(RunId::B);
        let variation = Variation::run_a();
        self.executor
            .run(&spec, &variation, None, &mut Layer::default(), observer)
    }

    pub(crate) fn run(&self, run: RunSpec) -> Result<Seen, ExecutorError> {
        self.run_spec(&self.spec(StepAction::Run(run)), &Variation::run_a())
    }

    /// Runs a shell script that must succeed.
    pub(crate) fn sh(&self, script: &str) -> Seen {
        let seen = self.run(sh(script)).expect("the step runs");
        assert_eq!(
            seen.result.exit,
            repro_core::build::StepExit::Success,
            "{}",
            seen.output
        );
        seen
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.executor
            .discard(&self.invocation)
            .expect("the invocation can be discarded");
    }
}

pub(crate) fn policy() -> LayerPolicy {
    LayerPolicy {
        epoch: Epoch::new(1_700_000_000).expect("a good epoch"),
        tick: Tick::FIRST,
    }
}

/// A script for the shell of the image, with an environment of its own.
pub(crate) fn sh(script: &str) -> RunSpec {
    RunSpec {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: vec![("PATH".into(), "/bin".into())],
        cwd: "/".into(),
        user: String::new(),
        mounts: Vec::new(),
        settings: Box::default(),
        secret_env: Vec::new(),
        script: None,
    }
}
