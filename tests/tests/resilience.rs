//! Killed, out of disk, and two at once: the store stays good and nothing is left behind.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use repro_core::fs::sorted_names;
use repro_tests::{
    Pack, TestContext, User, descendants, mounts_below, random, require_root, seed, tool,
    wait_until,
};

/// Reads, copies, runs and compares for some seconds.
const BUSY: &[(&str, &str)] = &[
    (
        "Dockerfile",
        "\
FROM busybox AS one
COPY . /src/
RUN for i in $(seq 2000); do echo $i > /src/$i; done
RUN head -c 20000000 /dev/zero | tr '\\0' x > /big
FROM busybox
COPY --from=one /src /src
COPY --from=one /big /big
RUN gzip -k /big && sleep 1
RUN cat /src/* | sha256sum
",
    ),
    ("a", "1"),
];

/// Names of what scratch a store holds.
fn scratch(context: &TestContext) -> Vec<String> {
    let names = sorted_names(&context.store().join("runs")).unwrap();
    names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn killed_at_any_moment_leaves_a_sound_store_and_no_process_or_mount() {
    let context = TestContext::with_packages(User::Caller);
    let project = context.project("busy", BUSY);
    let (build, evidence) = context.build(&project);
    let start = std::time::Instant::now();
    build.run().exits(0);
    let whole = start.elapsed();
    let digest = Pack::read(&evidence).digest().to_owned();
    let mut state = seed();
    // Shown if the test fails.
    println!("REPRO_TEST_SEED={state}, a whole build takes {whole:?}");
    for round in 0..5 {
        let moment = whole * u32::try_from(random(&mut state) % 1_000).unwrap() / 1_000;
        println!("round {round}: killed after {moment:?}");
        let mut child = build.spawn();
        thread::sleep(moment);
        let family = descendants(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let alive = || {
            family.iter().any(|pid| {
                PathBuf::from(format!("/proc/{pid}/exe"))
                    .read_link()
                    .is_ok()
            })
        };
        wait_until("its processes are gone", Duration::from_secs(10), || {
            !alive()
        });
        // Also those of a process that was made after the family was counted.
        wait_until("its mounts are gone", Duration::from_secs(10), || {
            mounts_below(context.store()).is_empty()
        });
        context.assert_sound();
    }
    // The evidence is the old one or a new one, whole.
    assert_eq!(Pack::read(&evidence).digest(), digest);
    build.run().exits(0);
    assert_eq!(Pack::read(&evidence).digest(), digest);
    assert_eq!(
        scratch(&context),
        [""; 0],
        "the next build clears what the killed ones left"
    );
    context.assert_sound();
}

#[test]
fn a_signal_ends_it_in_an_orderly_way() {
    let context = TestContext::with_packages(User::Caller);
    let project = context.project("slow", &[("Dockerfile", "FROM busybox\nRUN sleep 300\n")]);
    let (build, evidence) = context.build(&project);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = build.spawn();
        wait_until("the step runs", Duration::from_mins(1), || {
            descendants(child.id()).iter().any(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.starts_with(b"sleep\x00300"))
            })
        });
        let family = descendants(child.id());
        let sent = Command::new(tool("kill"))
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        let alive = |pid: &u32| {
            PathBuf::from(format!("/proc/{pid}/exe"))
                .read_link()
                .is_ok()
        };
        wait_until("its processes are gone", Duration::from_secs(10), || {
            !family.iter().any(alive)
        });
        assert_eq!(
            scratch(&context),
            [""; 0],
            "{signal}: what it made is removed"
        );
        assert!(!evidence.exists());
        context.assert_sound();
    }
}

#[test]
fn a_signal_ends_what_only_reads_at_once() {
    let context = TestContext::new();
    let sides = ["a", "b"].map(|side| {
        let dir = context.path(side);
        fs::create_dir(&dir).unwrap();
        // Holes: reading them takes minutes, and no room.
        let file = fs::File::create(dir.join("large")).unwrap();
        file.set_len(64 << 30).unwrap();
        dir
    });
    let mut child = context
        .repro(["diff"])
        .arg(&sides[0])
        .arg(&sides[1])
        .spawn();
    let fds = PathBuf::from(format!("/proc/{}/fd", child.id()));
    wait_until("it reads", Duration::from_secs(30), || {
        let names = sorted_names(&fds).unwrap_or_default();
        names.iter().any(|name| {
            let file = fds.join(name).read_link();
            file.is_ok_and(|file| file.ends_with("large"))
        })
    });
    let sent = Command::new(tool("kill"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.unwrap().success());
    let mut code = None;
    wait_until("it ends", Duration::from_secs(10), || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.and_then(|code| code.code()), Some(143));
}

/// A file system of its own, unmounted when the value is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(context: &TestContext, mebibytes: u64) -> Self {
        let (image, dir) = (context.path("disk.img"), context.path("disk"));
        fs::File::create(&image)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        fs::create_dir(&dir).unwrap();
        let mut make = Command::new(tool("mkfs.ext4"));
        assert!(
            make.args(["-q", "-m", "0"])
                .arg(&image)
                .status()
                .unwrap()
                .success()
        );
        let mut mount = Command::new(tool("mount"));
        mount.args(["-o", "loop"]).arg(&image).arg(&dir);
        assert!(mount.status().unwrap().success());
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = Command::new(tool("umount"))
            .arg("--lazy")
            .arg(&self.0)
            .status();
        assert!(thread::panicking() || done.is_ok_and(|status| status.success()));
    }
}

#[test]
fn privileged_a_full_disk_is_inconclusive_and_keeps_nothing_bad() {
    require_root();
    let outside = TestContext::new();
    let disk = SmallDisk::new(&outside, 96);
    let context = TestContext::with_store(disk.0.join("store"));
    let small = context.project(
        "small",
        &[("Dockerfile", "FROM busybox\nRUN echo 1 > /one\n")],
    );
    let (_, pack) = context.built(&small, 0);
    let digest = pack.digest().to_owned();
    // In a step, where the program itself learns of it; when the layer is written; and when the
    // context is taken.
    for (name, dockerfile, bytes) in [
        (
            "step",
            "FROM busybox\nRUN head -c 300000000 /dev/urandom > /big\n",
            0,
        ),
        (
            "layer",
            "FROM busybox\nRUN head -c 30000000 /dev/urandom > /big\n",
            0,
        ),
        ("context", "FROM busybox\nCOPY . /\n", 200 << 20),
    ] {
        let project = context.project(name, &[("Dockerfile", dockerfile)]);
        fs::write(project.join("data"), noise(bytes)).unwrap();
        let (build, evidence) = context.build(&project);
        let ended = build.run().any();
        assert_eq!(ended.code, Some(75), "{name}: {ended}");
        assert!(
            ended.stderr.to_lowercase().contains("space"),
            "{name}: {ended}"
        );
        assert!(!evidence.join("index.json").exists(), "{name}");
        assert_eq!(
            scratch(&context),
            [""; 0],
            "{name}: what it made is removed"
        );
        context.assert_sound();
    }
    context.repro(["store", "gc"]).run().exits(0);
    let (_, pack) = context.built(&small, 0);
    assert_eq!(pack.digest(), digest);
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7;
    (0..len.div_ceil(8))
        .flat_map(|_| random(&mut state).to_le_bytes())
        .collect()
}

#[test]
fn two_builds_at_once_share_a_store() {
    // Both have the toolchain to make, at the same time.
    let context = TestContext::with_packages(User::Caller);
    let projects = ["one", "two", "three"].map(|name| context.project(name, BUSY));
    let digests: Vec<String> = thread::scope(|scope| {
        let builds: Vec<_> = projects
            .iter()
            .map(|project| scope.spawn(|| context.built(project, 0).1.digest().to_owned()))
            .collect();
        builds
            .into_iter()
            .map(|build| build.join().unwrap())
            .collect()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_eq!(scratch(&context), [""; 0]);
    context.assert_sound();
}
