//! Images made to break out.

use std::fs;

use repro_core::{
    build::{ExecutorError, SnapshotName, StepAction, Variation},
    fs::sorted_names,
    tree::{EntryKind, Meta},
};

use crate::bench::{Bench, Layer, image, sh};

crate::trials![
    links_where_the_sandbox_mounts,
    links_where_devices_and_terminals_should_be,
    a_link_where_etc_should_be,
    files_where_directories_should_be,
    mount_points_are_not_made_through_links,
    overlay_attributes_of_an_image_hide_nothing,
];

/// The image with everything of `names` replaced by links.
fn with_links(names: &[(&str, &str)]) -> Layer {
    let mut layer = Layer(
        image()
            .0
            .into_iter()
            .filter(|(entry, _)| {
                let path = entry.path.to_string();
                !names
                    .iter()
                    .any(|(name, _)| path == *name || path.starts_with(&format!("{name}/")))
            })
            .collect(),
    );
    for (name, target) in names {
        layer.link(name, target);
    }
    layer
}

fn links_where_the_sandbox_mounts() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("canary"), "untouched").unwrap();
    let absolute = outside.path().to_str().unwrap();
    for target in ["../../../../../..", absolute, "/proc/self/root", "/tmp"] {
        let bench = Bench::with(&with_links(&[
            ("dev", target),
            ("proc", target),
            ("sys", target),
        ]));
        let seen = bench.sh(
            "stat -c %t:%T /dev/null; readlink /proc/self; ls /sys/kernel >/dev/null; echo x > /dev/x",
        );
        assert!(seen.output.starts_with("1:3\n"), "{}", seen.output);
        // Our own directories cover the links; the links stay in the image.
        assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    }
    let names: Vec<_> = sorted_names(outside.path()).unwrap();
    assert_eq!(names, ["canary"]);
}

/// What hides files of the kernel is the machine's null device, not what an image has by that name
/// (CVE-2025-31133, CVE-2025-52565).
fn links_where_devices_and_terminals_should_be() {
    let mut layer = image();
    layer.dir("dev");
    for (name, target) in [
        ("null", "/proc/sys/kernel/core_pattern"),
        ("console", "/proc/sysrq-trigger"),
        ("pts", "/proc/sys/kernel"),
        ("shm", "/proc/1/root"),
    ] {
        layer.link(&format!("dev/{name}"), target);
    }
    let bench = Bench::with(&layer);
    let seen = bench.sh(
        "for i in /dev/null /proc/keys /proc/interrupts; do stat -c '%F %t:%T' $i; done; \
         stat -c %F /dev/pts /dev/shm; test ! -e /dev/console; echo x > /dev/null; \
         for i in core_pattern hostname; do (echo x > /proc/sys/kernel/$i) 2>/dev/null || echo denied; done",
    );
    let null = "character special file 1:3\n".repeat(3);
    assert_eq!(
        seen.output,
        format!("{null}directory\ndirectory\ndenied\ndenied\n")
    );
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
}

fn a_link_where_etc_should_be() {
    let mut layer = with_links(&[("etc", "/usr/etc")]);
    layer.dir("usr");
    layer.dir("usr/etc");
    layer.file("usr/etc/passwd", 0o644, b"ann:x:7:8::/h:/bin/sh\n");
    let bench = Bench::with(&layer);
    let mut run = sh("cat /etc/hostname /usr/etc/hostname; id -u");
    run.user = "ann".into();
    let seen = bench.run(run).unwrap();
    assert_eq!(seen.output, "repro-a\nrepro-a\n7\n");
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    let bench = Bench::with(&with_links(&[("etc", "/proc/1/root/etc")]));
    assert!(matches!(
        bench.run(sh("true")),
        Err(ExecutorError::Refused(_))
    ));
}

fn files_where_directories_should_be() {
    let mut layer = with_links(&[]);
    layer.file("dev", 0o644, b"x");
    layer.link("etc/hosts", "/etc/passwd");
    layer.link("etc/resolv.conf", "../run/nothing/resolv.conf");
    let bench = Bench::with(&layer);
    let seen = bench.sh("echo evil > /etc/hosts; cat /etc/resolv.conf; stat -c %t:%T /dev/null");
    assert!(seen.output.contains("nameserver"), "{}", seen.output);
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
    let mut layer = Layer(
        image()
            .0
            .into_iter()
            .filter(|(entry, _)| !entry.path.to_string().starts_with("etc"))
            .collect(),
    );
    layer.file("etc", 0o644, b"a file");
    let bench = Bench::with(&layer);
    assert!(matches!(
        bench.run(sh("true")),
        Err(ExecutorError::Refused(_))
    ));
}

/// A step replaces parents of what the sandbox put there; nothing of ours is removed through them.
fn mount_points_are_not_made_through_links() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("resolv.conf")).unwrap();
    let bench = Bench::new();
    let target = outside.path().display();
    let seen = bench.run(sh(&format!(
        "mv /etc /old; rm -rf /etc; ln -s {target} /etc; true"
    )));
    let seen = seen.unwrap();
    assert!(
        !seen
            .layer
            .paths()
            .iter()
            .any(|path| path.starts_with("etc/resolv")),
        "{:?}",
        seen.layer.paths()
    );
    assert_eq!(sorted_names(outside.path()).unwrap(), ["resolv.conf"]);
}

fn overlay_attributes_of_an_image_hide_nothing() {
    let bench = Bench::new();
    let mut layer = Layer::default();
    let directory = layer.dir("etc");
    directory
        .meta
        .xattrs
        .insert(b"user.overlay.opaque".to_vec(), b"y".to_vec());
    let upper = bench.unpack(&[bench.image], "opaque", &layer);
    let mut spec = bench.spec(StepAction::Run(sh("cat /etc/passwd")));
    spec.parents.push(SnapshotName::Stored(upper));
    let seen = bench.run_spec(&spec, &Variation::run_a()).unwrap();
    assert!(seen.output.starts_with("root:"), "{}", seen.output);
    let mut whiteout = Layer::default();
    whiteout.add("etc/passwd", EntryKind::Whiteout, 0, b"").meta = Meta::default();
    let upper = bench.unpack(&[bench.image], "whiteout", &whiteout);
    let mut spec = bench.spec(StepAction::Run(sh("test ! -e /etc/passwd")));
    spec.parents.push(SnapshotName::Stored(upper));
    bench.run_spec(&spec, &Variation::run_a()).unwrap();
}
