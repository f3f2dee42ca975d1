//! One input, one digest: a build that shows nearly everything, in every way that a build can be
//! made.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

use repro_tests::{Pack, Repro, TestContext, User, write_project};

/// Owners, modes, links, names of any bytes, times, and what is removed and replaced again.
const DOCKERFILE: &str = "\
FROM busybox AS made
COPY --chown=7:8 . /src/
RUN chmod 4755 /src/tool && chown 3:4 /src/sub && ln /src/a /src/hard && ln -s ../gone /src/sub/dangling
RUN rm -r /src/sub && mkdir /src/sub && echo new > /src/sub/file && mv /src/b /src/c
RUN rm /src/hard && touch -d '2001-02-03 04:05:06' /src/c && mkfifo /src/pipe
FROM busybox AS beside
RUN mkdir -p /deep/er && chown -R 1000:1000 /deep && chmod 1777 /deep && id > /deep/er/id
FROM busybox
COPY --from=made /src /src
COPY --from=beside --chown=55:66 /deep /deep
RUN umask > /umask; env > /env; hostname > /dev/null; find / -xdev -name '*' > /dev/null
WORKDIR /src/work
USER 1000:1000
RUN id > /tmp/id
";

/// The files of the context, in the order in which they are made.
fn files() -> Vec<(PathBuf, &'static str)> {
    let odd = OsStr::from_bytes(b"odd \xff\n\"name").into();
    vec![
        ("a".into(), "one\n"),
        ("b".into(), ""),
        ("tool".into(), "#!/bin/sh\n"),
        ("sub/deep/file".into(), "two\n"),
        ("sub/z".into(), "three\n"),
        (odd, "four\n"),
    ]
}

/// Order of names on the disk is mostly that in which they were made.
fn project(dir: &Path, files: impl Iterator<Item = (PathBuf, &'static str)>) {
    write_project(dir, &[("Dockerfile", DOCKERFILE)]);
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    symlink("a", dir.join("link")).expect("a link");
}

/// Builds a project as `vary` has it; gives the image's digest.
#[track_caller]
fn digest(context: &TestContext, project: &Path, vary: impl FnOnce(Repro) -> Repro) -> String {
    let (build, evidence) = context.build(project);
    vary(build).run().exits(0);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
    pack.digest().to_owned()
}

#[test]
fn privileged_every_way_of_building_gives_one_digest() {
    repro_tests::require_root();
    let root = TestContext::new();
    let plain = root.path("project");
    project(&plain, files().into_iter());
    let shuffled = root.path("shuffled");
    project(&shuffled, files().into_iter().rev());
    let user = TestContext::with_empty_store(User::ordinary());
    let of_user = user.path("project");
    project(&of_user, files().into_iter());
    User::ordinary().own(&of_user);
    let memory = tempfile::tempdir_in("/dev/shm").expect("/dev/shm is of memory");
    let in_memory = TestContext::with_store(memory.path().join("store"));
    let of_root = |vary: &dyn Fn(Repro) -> Repro| digest(&root, &plain, vary);
    let table = [
        ("root", of_root(&|build| build)),
        (
            "ordinary user with a range of ids",
            digest(&user, &of_user, |build| build),
        ),
        ("ordinary user with one id", digest_with_one_id()),
        ("store in memory", digest(&in_memory, &plain, |build| build)),
        (
            "one step at a time",
            of_root(&|build| build.args(["--jobs", "1"])),
        ),
        (
            "eight steps at a time",
            of_root(&|build| build.args(["--jobs", "8"])),
        ),
        (
            "one processor",
            of_root(&|build| build.through(&["taskset", "--cpu-list", "0"])),
        ),
        (
            "names in another order",
            digest(&root, &shuffled, |build| build),
        ),
        ("umask 077", of_root(&|build| build.umask(0o077))),
        (
            "Turkish",
            of_root(&|build| build.env("LC_ALL", "tr_TR.UTF-8")),
        ),
        (
            "time zone",
            of_root(&|build| build.env("TZ", "Asia/Kathmandu")),
        ),
        (
            "host name",
            of_root(&|build| {
                let script = "hostname elsewhere && exec \"$0\" \"$@\"";
                build.through(&["unshare", "--uts", "sh", "-c", script])
            }),
        ),
        (
            "plain copies",
            of_root(&|build| build.args(["--snapshotter", "plain-copy"])),
        ),
        ("store in an overlay", digest_in_an_overlay(&plain)),
        ("variations turned off", digest_of_one_run(&root, &plain)),
    ];
    let mut shown = String::new();
    for (way, digest) in &table {
        writeln!(shown, "{digest}  {way}").expect("a String takes every write");
    }
    print(&shown);
    assert!(
        table.iter().all(|(_, digest)| *digest == table[0].1),
        "\n{shown}"
    );
}

/// What comes of a user to whom the kernel grants no id but its own.
fn digest_with_one_id() -> String {
    let user = User::with_one_id();
    let context = TestContext::with_empty_store(user);
    let dir = context.path("project");
    project(&dir, files().into_iter());
    user.own(&dir);
    let (build, evidence) = context.build(&dir);
    build.run().exits(0);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.run("a")["userIds"], "one");
    pack.digest().to_owned()
}

/// What comes of a store where overlayfs is refused, as in a container without a volume.
fn digest_in_an_overlay(project: &Path) -> String {
    let dir = tempfile::tempdir_in("/dev/shm").expect("/dev/shm is of memory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(path(name)).expect("a directory");
    }
    let script = format!(
        "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {} && exec \"$0\" \"$@\"",
        path("lower"),
        path("upper"),
        path("work"),
        path("merged")
    );
    let context = TestContext::with_store(dir.path().join("merged/store"));
    let (build, evidence) = context.build(project);
    let ended = build
        .through(&["unshare", "--mount", "sh", "-c", &script])
        .run()
        .exits(0);
    ended.says(["warning: overlayfs is refused"]);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.run("a")["snapshotter"], "plain-copy");
    pack.digest().to_owned()
}

/// What a build that compares nothing delivers.
fn digest_of_one_run(context: &TestContext, project: &Path) -> String {
    let (build, evidence) = context.build(project);
    build.args(["--runs", "1"]).run().exits(0);
    Pack::read(&evidence).digest().to_owned()
}

#[expect(clippy::print_stdout, reason = "the table is what the test is for")]
fn print(table: &str) {
    println!("{table}");
}
