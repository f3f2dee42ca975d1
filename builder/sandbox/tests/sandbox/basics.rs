//! Programs, their ends, and what they see.

use std::{thread, time::Duration};

use repro_core::build::{
    AddressSpace, Executor as _, ExecutorError, StepAction, StepExit, Variation,
};

use crate::bench::{Bench, sh};

crate::trials![
    a_program_runs_and_its_changes_are_the_layer,
    ends_are_told_apart,
    the_environment_is_exact,
    the_process_is_set_up_the_same_everywhere,
    axes_show_inside,
    users_have_their_groups_and_home,
    what_cannot_be_started_is_refused,
    a_missing_working_directory_is_made,
    cancelling_ends_a_step_and_forbids_the_next,
    usage_is_measured,
];

fn a_program_runs_and_its_changes_are_the_layer() {
    let bench = Bench::new();
    let seen = bench.sh("echo hello; echo made > /tmp/made; rm -r /home; echo end >&2; echo");
    assert_eq!(seen.output, "hello\nend\n\n");
    assert_eq!(seen.layer.paths(), ["-home", "tmp/made"]);
    assert_eq!(seen.layer.0[1].1, b"made\n");
    assert_eq!(seen.layer.0[1].0.meta.mtime, 1_700_000_000 - 4096);
}

fn ends_are_told_apart() {
    let bench = Bench::new();
    for (script, exit) in [
        ("exit 0", StepExit::Success),
        ("exit 3", StepExit::Code(3)),
        ("kill -TERM $$", StepExit::Signal(15)),
        ("kill -SEGV $$", StepExit::Signal(11)),
        ("touch /tmp/x; false", StepExit::Code(1)),
    ] {
        let seen = bench.run(sh(script)).unwrap();
        assert_eq!(seen.result.exit, exit, "{script}");
        assert!(seen.layer.0.is_empty(), "{script}");
    }
    let error = bench.run(sh("kill -KILL $$")).unwrap_err();
    assert!(
        matches!(error, ExecutorError::Exhausted { .. }),
        "{error:?}"
    );
}

fn the_environment_is_exact() {
    let bench = Bench::new();
    let mut run = sh("");
    run.argv = vec!["env".into()];
    run.env = vec![
        ("A".into(), "1".into()),
        ("PATH".into(), "/nothing:/bin".into()),
    ];
    let seen = bench.run(run.clone()).unwrap();
    assert_eq!(seen.output, "A=1\nPATH=/nothing:/bin\nHOME=/root\n");
    run.argv = vec!["/bin/env".into()];
    run.env.clear();
    let seen = bench.run(run).unwrap();
    assert_eq!(
        seen.output,
        "HOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
}

fn the_process_is_set_up_the_same_everywhere() {
    let bench = Bench::new();
    let seen = bench.sh(
        "ls /proc/self/fd | grep -v '^3$' | tr '\\n' ' ' ; echo; readlink /proc/self/fd/0; umask; \
         ulimit -n; ulimit -Hn; ulimit -c; ulimit -s; pwd",
    );
    assert_eq!(
        seen.output,
        "0 1 2 \n/dev/null\n0022\n16384\n16384\n0\n8192\n/\n"
    );
    let mut run = sh("");
    let pattern = "^(Cap|NoNewPrivs|Seccomp:|Sig(Ign|Blk))";
    run.argv = ["grep", "-E", pattern, "/proc/self/status"]
        .map(str::to_owned)
        .to_vec();
    let seen = bench.run(run).unwrap();
    let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n\
                    CapInh:\t0000000000000000\nCapPrm:\t00000000800405fb\n\
                    CapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\n\
                    CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n";
    assert_eq!(seen.output, expected);
}

fn axes_show_inside() {
    let bench = Bench::new();
    let script = "cat /proc/self/stat | cut -d' ' -f1 >/dev/null; echo $$; hostname; \
                  cat /proc/sys/kernel/domainname; nproc; cat /etc/hostname; \
                  grep -c $(hostname) /etc/hosts; cat /proc/self/personality";
    let run = |variation: &Variation| {
        let spec = bench.spec(StepAction::Run(sh(script)));
        bench.run_spec(&spec, variation).unwrap().output
    };
    let a = run(&Variation::run_a());
    let mut lines = a.lines();
    assert_eq!(lines.next(), Some("2"), "{a}");
    assert_eq!(lines.next(), Some("repro-a"), "{a}");
    let b = run(&Variation {
        address_space: AddressSpace::Fixed,
        ..Variation::run_b(&repro_core::build::Axis::VARIED.into())
    });
    let seen: Vec<_> = b.lines().collect();
    assert_eq!(
        seen,
        [
            "20011",
            "repro-b-canary",
            "repro-b-domain-canary",
            "1",
            "repro-b-canary",
            "1",
            "00040000"
        ]
    );
    let random = run(&Variation {
        address_space: AddressSpace::Random,
        ..Variation::run_a()
    });
    assert!(random.ends_with("00000000\n"), "{random}");
}

fn users_have_their_groups_and_home() {
    let bench = Bench::new();
    let mut run = sh("id; echo $HOME; touch /home/ann/own; grep CapEff /proc/self/status");
    run.user = "ann".into();
    run.cwd = "/home/ann".into();
    let seen = bench.run(run.clone()).unwrap();
    let user = "uid=1000(ann) gid=1000(ann) groups=50(staff),1000(ann)\n/home/ann\n";
    assert!(seen.output.starts_with(user), "{}", seen.output);
    assert!(
        seen.output.ends_with("CapEff:\t0000000000000000\n"),
        "{}",
        seen.output
    );
    let entry = &seen.layer.0[0].0;
    assert_eq!((entry.meta.uid, entry.meta.gid), (1000, 1000));
    run.user = "nobody-of-this-name".into();
    assert!(matches!(bench.run(run), Err(ExecutorError::Refused(_))));
}

fn what_cannot_be_started_is_refused() {
    let bench = Bench::new();
    for program in ["nothing", "/bin/nothing", "/etc/passwd", "/tmp"] {
        let mut run = sh("");
        run.argv = vec![program.into()];
        let error = bench.run(run).unwrap_err();
        assert!(
            matches!(error, ExecutorError::Refused(_)),
            "{program}: {error:?}"
        );
    }
    for cwd in ["/etc/passwd", "/etc/passwd/below"] {
        let mut run = sh("true");
        run.cwd = cwd.into();
        let error = bench.run(run).unwrap_err();
        assert!(
            matches!(error, ExecutorError::Refused(_)),
            "{cwd}: {error:?}"
        );
    }
    let mut run = sh("true");
    run.cwd = "/made/again".into();
    let made = bench.run(run).unwrap();
    assert_eq!(made.layer.paths(), ["made", "made/again"]);
    let mut run = sh("true");
    run.env.push(("A".into(), "nul\0".into()));
    assert!(matches!(bench.run(run), Err(ExecutorError::Refused(_))));
}

fn a_missing_working_directory_is_made() {
    let bench = Bench::new();
    let mut run = sh("pwd");
    run.cwd = "/made/here".into();
    run.user = "1000:7".into();
    let seen = bench.run(run).unwrap();
    assert_eq!(seen.output, "/made/here\n");
    let made = seen.layer.0.iter().map(|(entry, _)| {
        let meta = &entry.meta;
        (entry.path.to_string(), meta.mode, meta.uid, meta.gid)
    });
    let expected = ["made", "made/here"].map(|path| (path.to_owned(), 0o755, 1000, 7));
    assert_eq!(made.collect::<Vec<_>>(), expected);
}

fn cancelling_ends_a_step_and_forbids_the_next() {
    let bench = Bench::new();
    let result = thread::scope(|scope| {
        let step = scope.spawn(|| bench.run(sh("sleep 60")));
        thread::sleep(Duration::from_millis(500));
        bench.executor.cancel();
        step.join().unwrap()
    });
    assert!(
        matches!(result, Err(ExecutorError::Cancelled)),
        "{result:?}"
    );
    let spec = bench.spec(StepAction::Run(sh("true")));
    let next = bench.run_spec(&spec, &Variation::run_a());
    assert!(matches!(next, Err(ExecutorError::Cancelled)), "{next:?}");
}

fn usage_is_measured() {
    let bench = Bench::new();
    let usage = bench
        .sh("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 0.1")
        .result
        .usage;
    assert!(usage.wall_ms >= 100, "{usage:?}");
    assert!(usage.cpu_ms > 0, "{usage:?}");
    assert!(usage.peak_rss_bytes > 100_000, "{usage:?}");
}
