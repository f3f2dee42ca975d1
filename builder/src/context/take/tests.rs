//! Contexts as users have them, on a real file system.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener},
    sync::atomic::{AtomicBool, Ordering},
};

use repro_core::{digest::Digest, event::NoEvents, store::MemoryBlobs};
use rustix::fs::{CWD, FileType, mknodat};

use super::*;

struct Project {
    dir: tempfile::TempDir,
    ignore: IgnoreFile,
    modes: ContextModes,
    exclude: Vec<PathBuf>,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            ignore: IgnoreFile::default(),
            modes: ContextModes::Keep,
            exclude: Vec::new(),
        }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn ignoring(mut self, text: &str) -> Self {
        self.ignore = IgnoreFile::parse(text.as_bytes()).unwrap();
        self
    }

    fn take_with(&self, events: &dyn EventSink) -> Result<Context, ContextError> {
        let spec = ContextSpec {
            root: self.dir.path(),
            ignore: &self.ignore,
            exclude: &self.exclude,
            modes: self.modes,
            ruleset: Ruleset::V1,
        };
        take(&spec, &MemoryBlobs::default(), events)
    }

    fn take(&self) -> Context {
        self.take_with(&NoEvents).unwrap()
    }

    fn digest(&self) -> repro_core::digest::DiffId {
        self.take().layer.unwrap().diff_id
    }
}

fn shown(context: &Context) -> Vec<String> {
    context.paths.keys().map(ToString::to_string).collect()
}

#[test]
fn times_place_and_order_of_creation_do_not_count() {
    let one = Project::new()
        .file("a/x", "1")
        .file("b", "2")
        .file("a.c", "3");
    let two = Project::new()
        .file("a.c", "3")
        .file("b", "2")
        .file("a/x", "1");
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::open(two.path("b"))
        .unwrap()
        .set_times(old)
        .unwrap();
    assert_eq!(one.digest(), two.digest());
    assert_eq!(shown(&one.take()), ["a", "a/x", "a.c", "b"]);
}

#[test]
fn content_and_modes_count() {
    let mut one = Project::new().file("a", "1");
    let mut two = Project::new().file("a", "2");
    assert_ne!(one.digest(), two.digest());
    two = two.file("a", "1");
    assert_eq!(one.digest(), two.digest());
    fs::set_permissions(two.path("a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(one.digest(), two.digest());
    (one.modes, two.modes) = (ContextModes::Git, ContextModes::Git);
    assert_eq!(one.digest(), two.digest());
    fs::set_permissions(two.path("a"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_ne!(one.digest(), two.digest());
}

#[test]
fn names_of_one_file_stay_names_of_one_file_unless_git_keeps_it() {
    let apart = Project::new()
        .file("a", "1")
        .file("b/c", "1")
        .ignoring("ignored");
    let mut linked = Project::new().file("a", "1").ignoring("ignored");
    fs::create_dir(linked.path("b")).unwrap();
    fs::hard_link(linked.path("a"), linked.path("b/c")).unwrap();
    assert_ne!(apart.digest(), linked.digest());
    linked.modes = ContextModes::Git;
    assert_eq!(apart.digest(), linked.digest());
    // A name that is not taken counts as little as one beside the context.
    let apart = Project::new().file("a", "1").ignoring("0");
    let linked = Project::new().file("a", "1").ignoring("0");
    fs::hard_link(linked.path("a"), linked.path("0")).unwrap();
    assert_eq!(apart.digest(), linked.digest());
}

#[test]
fn odd_files_are_taken_or_named() {
    let project = Project::new();
    fs::write(project.path(OsStr::from_bytes(b"\xff\n")), "x").unwrap();
    mknodat(CWD, project.path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("link")).unwrap();
    let _listener = UnixListener::bind(project.path("socket")).unwrap();
    let context = project.take();
    assert_eq!(shown(&context), ["link", "pipe", "\\xff\\x0a"]);
    let codes: Vec<&str> = context.findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["context-socket"]);
    assert!(
        context.findings[0]
            .message
            .starts_with("socket of the context is a socket")
    );
}

#[test]
fn ignored_files_stay_out_and_come_back_with_their_parents() {
    let project = Project::new()
        .file("target/x", "1")
        .file("docs/a.md", "1")
        .file("docs/keep/b.md", "1")
        .file("src/main.c", "1")
        .ignoring("target\ndocs\n!docs/keep/b.md\n");
    let context = project.take();
    let expected = ["docs", "docs/keep", "docs/keep/b.md", "src", "src/main.c"];
    assert_eq!(shown(&context), expected);
}

#[test]
fn excluded_directories_are_never_part_of_it() {
    let mut project = Project::new().file("out/x", "1").file("a", "1");
    project.exclude = vec![project.path("out")];
    assert_eq!(shown(&project.take()), ["a"]);
}

/// Changes a file between its reading and the end of the walk.
struct Meddler<F: Fn() + Send + Sync>(F, AtomicBool);

impl<F: Fn() + Send + Sync> EventSink for Meddler<F> {
    fn event(&self, event: Event) {
        if matches!(event, Event::TaskAdvanced { .. }) && !self.1.swap(true, Ordering::Relaxed) {
            (self.0)();
        }
    }
}

#[test]
fn a_context_that_changes_while_it_is_read_is_an_error() {
    type Change = (&'static str, &'static str, fn(&Path));
    let changes: [Change; 3] = [
        ("content", "a", |dir| {
            fs::write(dir.join("a"), "other").unwrap();
        }),
        ("a new file", "", |dir| {
            fs::write(dir.join("zzz"), "new").unwrap();
        }),
        ("a file gone", "", |dir| {
            fs::remove_file(dir.join("a")).unwrap();
        }),
    ];
    for (what, named, change) in changes {
        let mut project = Project::new().file("a", "1");
        for index in 0..REPORT_EVERY {
            project = project.file(&format!("f{index}"), "x");
        }
        let meddler = Meddler(|| change(project.dir.path()), AtomicBool::new(false));
        match project.take_with(&meddler) {
            Err(ContextError::Changed { path }) => assert_eq!(path, named, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_directory_is_refused() {
    let project = Project::new().file("a", "1");
    let spec = ContextSpec {
        root: &project.path("a"),
        ignore: &project.ignore,
        exclude: &[],
        modes: ContextModes::Keep,
        ruleset: Ruleset::V1,
    };
    let result = take(&spec, &MemoryBlobs::default(), &NoEvents);
    assert!(matches!(result, Err(ContextError::NotDirectory(_))));
}

#[test]
fn a_context_without_entries_has_a_digest_too() {
    let empty = Project::new().take();
    assert!(empty.layer.is_none());
    assert_eq!(empty.digest, DiffId(Digest::of(&[0; 1024])));
    let full = Project::new().file("a", "").take();
    assert_eq!(full.layer.map(|layer| layer.diff_id), Some(full.digest));
}
