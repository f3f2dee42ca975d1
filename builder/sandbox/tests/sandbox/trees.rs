//! Trees across steps: stacks, copies, directories, what is kept and what goes.

use std::io;

use repro_core::{
    build::{
        Archives, CopyLayout, CopySource, CopySpec, Executor as _, ExecutorError, MakeDirSpec,
        Owner, Placement, RunId, SnapshotName, StepAction, StepObserver, Variation,
    },
    digest::{ChainId, DiffId, Digest},
    fs::sorted_names,
    tree::{Entry, EntrySink},
};

use repro_sandbox::doctor::{self, Finding};

use crate::bench::{Bench, Layer, sh};

crate::trials![
    the_next_step_sees_what_the_layer_says,
    files_are_copied_from_another_tree,
    a_directory_is_made,
    a_stored_tree_is_known_by_its_chain,
    an_interrupted_unpack_leaves_nothing,
    more_trees_than_overlayfs_takes,
    a_sink_that_fails_ends_the_step,
    everything_of_an_invocation_goes,
    a_missing_parent_is_named,
    the_doctor_finds_nothing_lacking,
];

fn the_next_step_sees_what_the_layer_says() {
    let bench = Bench::new();
    let first = bench.spec(StepAction::Run(sh(
        "echo 1 > /tmp/f; rm -r /home; mkdir /etc/d",
    )));
    bench.run_spec(&first, &Variation::run_a()).unwrap();
    let mut second = bench.spec(StepAction::Run(sh(
        "cat /tmp/f; ls -d /home /etc/d; stat -c %Y /tmp/f; echo 2 > /tmp/f",
    )));
    second.parents.push(first.output);
    let seen = bench.run_spec(&second, &Variation::run_a());
    let seen = seen.unwrap();
    assert!(seen.output.starts_with("1\n"), "{}", seen.output);
    assert!(
        seen.output.contains("/home: No such file"),
        "{}",
        seen.output
    );
    assert!(
        seen.output.ends_with("/etc/d\n1699995904\n"),
        "{}",
        seen.output
    );
    assert_eq!(seen.layer.paths(), ["tmp/f"]);
}

fn files_are_copied_from_another_tree() {
    let bench = Bench::new();
    let mut context = Layer::default();
    context.dir("src");
    context.file("src/a.txt", 0o600, b"a");
    context.file("src/b.md", 0o644, b"b");
    let context = bench.unpack(&[], "context", &context);
    let copy = |patterns: &[&str], destination: &str| {
        StepAction::Copy(CopySpec {
            source: CopySource::Context {
                trees: vec![SnapshotName::Stored(context)],
            },
            patterns: patterns
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect(),
            destination: destination.to_owned(),
            owner: Owner::Named("ann".to_owned()),
            mode: None,
            files: Vec::new(),
            layout: CopyLayout::Contents,
            exclude: Vec::new(),
            archives: Archives::Copy,
            placement: Placement::Merged,
        })
    };
    let spec = bench.spec(copy(&["src/*.txt", "src/*.none"], "/opt/"));
    let seen = bench.run_spec(&spec, &Variation::run_a()).unwrap();
    assert_eq!(seen.layer.paths(), ["opt", "opt/a.txt"]);
    assert_eq!(seen.layer.0[1].0.meta.uid, 1000);
    assert!(seen.output.contains("src/*.none"), "{}", seen.output);
    let spec = bench.spec(copy(&["missing"], "/opt/"));
    let error = bench.run_spec(&spec, &Variation::run_a()).unwrap_err();
    assert!(matches!(error, ExecutorError::Refused(_)), "{error:?}");
}

fn a_directory_is_made() {
    let bench = Bench::new();
    let make = || {
        StepAction::MakeDir(MakeDirSpec {
            path: "/srv/deep/er".to_owned(),
            owner: "ann:staff".to_owned(),
        })
    };
    let first = bench.spec(make());
    let seen = bench.run_spec(&first, &Variation::run_a()).unwrap();
    assert_eq!(seen.layer.paths(), ["srv", "srv/deep", "srv/deep/er"]);
    assert_eq!(
        (seen.layer.0[2].0.meta.uid, seen.layer.0[2].0.meta.gid),
        (1000, 50)
    );
    let mut second = bench.spec(make());
    second.parents.push(first.output);
    let seen = bench.run_spec(&second, &Variation::run_a()).unwrap();
    assert!(seen.layer.0.is_empty(), "{:?}", seen.layer.paths());
}

fn a_stored_tree_is_known_by_its_chain() {
    let bench = Bench::new();
    let info = bench.executor.stored(bench.image).unwrap().unwrap();
    assert_eq!(info.newest_mtime, 1_000_000_000);
    assert!(info.bytes > 1_000_000, "{info:?}");
    let other = ChainId::base(DiffId(Digest::of(b"other")));
    assert_eq!(bench.executor.stored(other).unwrap(), None);
    // Again, by the same name: what is there stays.
    bench.unpack(&[], "image", &Layer::default());
    assert_eq!(bench.executor.stored(bench.image).unwrap(), Some(info));
}

fn an_interrupted_unpack_leaves_nothing() {
    struct Broken(u32);
    impl repro_core::tree::EntrySource for Broken {
        fn next_entry(
            &mut self,
            take: &mut dyn FnMut(&Entry, &mut dyn io::Read) -> io::Result<()>,
        ) -> io::Result<bool> {
            self.0 += 1;
            if self.0 > 2 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut layer = Layer::default();
            layer.file(&format!("f{}", self.0), 0o644, b"x");
            let (entry, content) = &layer.0[0];
            take(entry, &mut &content[..])?;
            Ok(true)
        }
    }
    let bench = Bench::new();
    let chain = ChainId::base(DiffId(Digest::of(b"broken")));
    let error = bench
        .executor
        .unpack(&[], chain, &mut Broken(0))
        .unwrap_err();
    assert!(matches!(error, ExecutorError::Input { .. }), "{error:?}");
    assert_eq!(bench.executor.stored(chain).unwrap(), None);
    let snapshots = bench
        .store
        .path()
        .join("snapshots")
        .join(bench.executor.mapping().key());
    let hex = bench.image.0.hex();
    assert!(snapshots.join(&hex).exists());
    assert_eq!(sorted_names(&snapshots).unwrap(), [hex.as_str()]);
}

fn more_trees_than_overlayfs_takes() {
    let bench = Bench::new();
    let mut parents = vec![bench.image];
    for number in 0..510 {
        let mut layer = Layer::default();
        layer.file(
            &format!("tmp/{number}"),
            0o644,
            number.to_string().as_bytes(),
        );
        layer.file("tmp/last", 0o644, number.to_string().as_bytes());
        parents.push(bench.unpack(&[], &format!("tree {number}"), &layer));
    }
    let mut spec = bench.spec(StepAction::Run(sh(
        "cat /tmp/last; ls /tmp | wc -l; rm /tmp/0",
    )));
    spec.parents = parents.into_iter().map(SnapshotName::Stored).collect();
    let seen = bench.run_spec(&spec, &Variation::run_a()).unwrap();
    assert_eq!(seen.output, "509511\n");
    assert_eq!(seen.layer.paths(), ["-tmp/0"]);
}

fn a_sink_that_fails_ends_the_step() {
    struct Full;
    impl EntrySink for Full {
        fn entry(&mut self, _: &Entry, _: &mut dyn io::Read) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    struct Silent;
    impl StepObserver for Silent {
        fn output(&self, _: &[u8]) {}
    }
    let bench = Bench::new();
    let spec = bench.spec(StepAction::Run(sh(
        "dd if=/dev/zero of=/tmp/big bs=1M count=20",
    )));
    let error = bench
        .executor
        .run(&spec, &Variation::run_a(), None, &mut Full, &Silent)
        .unwrap_err();
    assert!(
        matches!(error, ExecutorError::Exhausted { .. }),
        "{error:?}"
    );
}

fn everything_of_an_invocation_goes() {
    let bench = Bench::new();
    for run in [RunId::A, RunId::B] {
        let mut spec = bench.spec(StepAction::Run(sh(
            "mkdir -p /x/y; touch /x/y/z; chown 1000:1000 /x/y; chmod 0 /x",
        )));
        spec.output = bench.output(run);
        bench.run_spec(&spec, &Variation::run_a()).unwrap();
    }
    let path = bench.store.path().join("runs/test");
    assert!(path.join("trees/b").exists());
    bench.executor.discard(&bench.invocation).unwrap();
    assert!(!path.exists());
    // Nothing is left to discard, which is no error.
    bench.executor.discard(&bench.invocation).unwrap();
}

fn a_missing_parent_is_named() {
    let bench = Bench::new();
    let mut spec = bench.spec(StepAction::Run(sh("true")));
    let missing = ChainId::base(DiffId(Digest::of(b"missing")));
    spec.parents.push(SnapshotName::Stored(missing));
    let error = bench.run_spec(&spec, &Variation::run_a()).unwrap_err();
    assert!(matches!(error, ExecutorError::Input { .. }), "{error:?}");
    assert!(error.to_string().contains(&missing.0.hex()), "{error}");
}

fn the_doctor_finds_nothing_lacking() {
    let bench = Bench::new();
    let invocation = "doctor".to_owned().try_into().unwrap();
    let mut checks = doctor::machine();
    checks.extend(doctor::step(bench.store.path(), &invocation));
    for check in checks {
        // A machine can be less than it could be, and steps run.
        assert!(
            !matches!(check.finding, Finding::Lacking { .. }),
            "{check:?}"
        );
    }
    assert!(!bench.store.path().join("runs/doctor").exists());
}
