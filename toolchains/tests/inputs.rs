//! A source package from a server on the loopback interface to a layer in the store.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use repro_core::{
    build::{
        Executor, ExecutorError, InvocationId, LockMode, RunId, SnapshotInfo, Snapshotter,
        StepNetwork, StepObserver, StepResult, StepSpec, UserIds, Variation,
    },
    digest::{ChainId, Digest},
    event::NoEvents,
    layer::{LayerWriter, Limits, open_layer},
    platform::Platform,
    ruleset::Ruleset,
    store::Store,
    tree::{Entry, EntryKind, EntrySink, EntrySource, Meta, TreePath},
};
use repro_toolchains::{
    ResolvedTree, SourceError, Sources,
    fetch::{FetchSettings, Fetcher, RetryPolicy},
    lock::ProjectLock,
    materialise::Workshop,
    project::Project,
    registry::{Registry, RegistrySettings},
};

/// An input needs nothing to be run: whoever asks for it is at fault.
struct NoExecutor;

const REFUSED: ExecutorError = ExecutorError::Cancelled;

impl Executor for NoExecutor {
    fn name(&self) -> &'static str {
        "none"
    }

    fn policy(&self) -> Digest {
        Digest::of(b"")
    }

    fn user_ids(&self) -> UserIds {
        UserIds::Range
    }

    fn snapshotter(&self) -> Snapshotter {
        Snapshotter::Overlay
    }

    fn stored(&self, _: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        Err(REFUSED)
    }

    fn unpack(
        &self,
        _: &[ChainId],
        _: ChainId,
        _: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError> {
        Err(REFUSED)
    }

    fn run(
        &self,
        _: &StepSpec,
        _: &Variation,
        _: Option<&dyn StepNetwork>,
        _: &mut dyn EntrySink,
        _: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        Err(REFUSED)
    }

    fn discard(&self, _: &InvocationId) -> Result<(), ExecutorError> {
        Err(REFUSED)
    }

    fn stop(&self, _: &InvocationId, _: RunId) {}

    fn cancel(&self) {}
}

fn tar(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Ruleset::V1);
    for (path, content) in entries {
        let content = content.map(str::as_bytes);
        let entry = Entry {
            path: TreePath::parse(path.as_bytes()).unwrap(),
            kind: content.map_or(EntryKind::Directory, |content| EntryKind::File {
                size: content.len() as u64,
            }),
            meta: Meta {
                mode: 0o755,
                uid: 1000,
                gid: 1000,
                mtime: 1_000_000_000,
                ..Meta::default()
            },
        };
        writer
            .entry(&entry, &mut content.unwrap_or_default())
            .unwrap();
    }
    writer.finish().unwrap()
}

/// The files of a source package by name.
fn package() -> BTreeMap<String, Vec<u8>> {
    let upstream = tar(&[
        ("xy-2", None),
        ("xy-2/debian", None),
        ("xy-2/debian/upstream's", Some("goes")),
        ("xy-2/src", None),
        ("xy-2/src/main.c", Some("int main(void)")),
    ]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&upstream).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar(&[("debian", None), ("debian/rules", Some("rules"))]))
        .unwrap();
    let mut files = BTreeMap::from([
        ("xy_2.orig.tar.gz".to_owned(), gz.finish().unwrap()),
        ("xy_2-1.debian.tar.xz".to_owned(), xz.finish().unwrap()),
    ]);
    let mut dsc = "Format: 3.0 (quilt)\nSource: xy\nVersion: 2-1\nChecksums-Sha256:\n".to_owned();
    for (name, bytes) in &files {
        writeln!(dsc, " {} {} {name}", Digest::of(bytes).hex(), bytes.len()).unwrap();
    }
    files.insert("xy_2-1.dsc".to_owned(), dsc.into_bytes());
    files
}

fn lock_text(files: &BTreeMap<String, Vec<u8>>) -> String {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let mut text = format!(
        "version = 1\nruleset = 1\nchecksum = '{zeros}'\n\
         [[input]]\nname = 'xy'\npurl = 'pkg:deb/debian/xy@2-1?arch=source'\nplatform = 'any'\n\
         [input.archive]\nsuite = 's'\ncomponent = 'main'\n\
         date = 'Sat, 11 Jul 2026 10:16:37 UTC'\nin-release-sha256 = '{zeros}'\n\
         signed-by = ['{}']\nindex = 'main/source/Sources'\nindex-sha256 = '{zeros}'\n",
        "A".repeat(40)
    );
    for (name, bytes) in files {
        write!(
            text,
            "[[input.file]]\nname = '{name}'\npath = 'pool/main/x/xy/{name}'\nsize = {}\n\
             sha256 = '{}'\n",
            bytes.len(),
            Digest::of(bytes)
        )
        .unwrap();
    }
    text
}

struct Server {
    url: String,
    requests: Arc<AtomicU32>,
}

fn serve(files: BTreeMap<String, Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/debian", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            let path = first.split(' ').nth(1).unwrap();
            let body = &files[path.strip_prefix("/debian/pool/main/x/xy/").unwrap()];
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            )
            .unwrap();
            stream.write_all(body).unwrap();
        }
    });
    Server { url, requests }
}

const PROJECT: &str = "[inputs]\nxy = { purl = 'pkg:deb/debian/xy@2-1?arch=source' }\n\
                       other = { purl = 'pkg:deb/debian/other@1-1?arch=source' }\n";

fn input(
    store: &Store,
    server: &Server,
    lock: Option<&ProjectLock>,
    name: &str,
) -> Result<Option<ResolvedTree>, SourceError> {
    let fetcher = Fetcher::new(FetchSettings {
        mirrors: vec![server.url.parse().unwrap()],
        partial: store.blobs().tmp().to_owned(),
        retry: RetryPolicy::default(),
        cancelled: Arc::default(),
    });
    let registry = Registry::new(RegistrySettings::at(store.blobs().tmp().to_owned()));
    let project = Project::parse("repro.toml", PROJECT).unwrap();
    let invocation = InvocationId::try_from("test".to_owned()).unwrap();
    Sources {
        project: &project,
        lock,
        pins: &repro_toolchains::Pins::new(),
        lock_mode: LockMode::Locked,
        platform: &Platform::host(),
        registry: &registry,
        workshop: Workshop {
            store,
            executor: &NoExecutor,
            fetcher: &fetcher,
            events: &NoEvents,
            invocation: &invocation,
            ruleset: Ruleset::V1,
        },
    }
    .input(name)
}

fn listing(store: &Store, tree: &ResolvedTree) -> Vec<String> {
    let mut layer = open_layer(store.blobs(), &tree.layer, Limits::default()).unwrap();
    let mut found = Vec::new();
    let mut take = |entry: &Entry, content: &mut dyn std::io::Read| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        assert_eq!((entry.meta.uid, entry.meta.mtime), (0, 1_000_000_000));
        found.push(format!("{} {text}", entry.path));
        Ok(())
    };
    while layer.next_entry(&mut take).unwrap() {}
    found
}

fn temporary_store(dir: &Path) -> Store {
    Store::open(&dir.join("store")).unwrap()
}

#[test]
fn a_source_package_becomes_a_tree_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = temporary_store(dir.path());
    let files = package();
    let lock = ProjectLock::parse("repro.lock", &lock_text(&files)).unwrap();
    let server = serve(files);
    let tree = input(&store, &server, Some(&lock), "xy").unwrap().unwrap();
    let expected = [
        " ",
        "debian ",
        "debian/rules rules",
        "src ",
        "src/main.c int main(void)",
    ];
    assert_eq!(listing(&store, &tree), expected);
    assert_eq!(tree.records[0].digest, tree.layer.diff_id.0);
    assert_eq!(tree.records.len(), 4);
    assert_eq!(server.requests.load(Ordering::Relaxed), 3);
    let again = input(&store, &server, Some(&lock), "xy").unwrap().unwrap();
    assert_eq!(again, tree);
    assert_eq!(server.requests.load(Ordering::Relaxed), 3);
}

#[test]
fn what_is_not_locked_is_not_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let store = temporary_store(dir.path());
    let files = package();
    let lock = ProjectLock::parse("repro.lock", &lock_text(&files)).unwrap();
    let server = serve(files);
    for (lock, name) in [(None, "xy"), (Some(&lock), "other")] {
        let error = input(&store, &server, lock, name).unwrap_err();
        assert!(matches!(error, SourceError::NotLocked(_)), "{error}");
    }
    assert_eq!(
        input(&store, &server, Some(&lock), "undeclared").unwrap(),
        None
    );
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn a_package_that_is_not_what_its_dsc_says_leaves_no_tree() {
    let dir = tempfile::tempdir().unwrap();
    let store = temporary_store(dir.path());
    let mut files = package();
    // The lock agrees with the file, the .dsc does not.
    files.get_mut("xy_2.orig.tar.gz").unwrap().push(0);
    let lock = ProjectLock::parse("repro.lock", &lock_text(&files)).unwrap();
    let server = serve(files);
    let error = input(&store, &server, Some(&lock), "xy").unwrap_err();
    assert!(matches!(error, SourceError::Input(_)), "{error}");
    assert!(!store.cache_dir().join("input").exists());
}
