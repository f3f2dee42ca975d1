//! What a step can reach: nothing but its own tree.

use std::{
    fmt::Write as _,
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixListener},
        },
    },
    time::Duration,
};

use repro_tests::{Pack, TestContext, mounts_below, processes_with, wait_until};

const EGRESS: &str = include_str!("probes/egress.c");

/// The ways out, as arguments of the probe, and what the report names if it names anything.
const WAYS: [(&str, Option<&str>); 15] = [
    ("tcp 192.0.2.1", Some("192.0.2.1:80")),
    ("tcp 2001:db8::1", Some("[2001:db8::1]:80")),
    ("udp 192.0.2.1", None),
    ("udp 2001:db8::1", None),
    // Servers of names, over both families.
    ("udp 8.8.8.8", None),
    ("udp 2001:4860:4860::8888", None),
    (
        "name4 exfiltrate.canary.example",
        Some("exfiltrate.canary.example"),
    ),
    ("name6 six.canary.example", Some("six.canary.example")),
    // Where clouds keep the credentials of a machine.
    ("tcp 169.254.169.254", Some("169.254.169.254:80")),
    ("raw4", None),
    ("raw6", None),
    ("packet", None),
    ("netlink", None),
    ("vsock", None),
    ("alg", None),
];

#[test]
fn every_way_out_is_refused_and_counted() {
    // Listens on the host for as long as the build runs.
    let name = format!("repro-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();

    let mut dockerfile = "FROM c\nCOPY egress.c /\nRUN gcc -Wall -o /egress /egress.c\n".to_owned();
    let abstract_way = format!("abstract {name}");
    let mut ways = WAYS.to_vec();
    ways.push((&abstract_way, None));
    for (way, _) in &ways {
        writeln!(dockerfile, "RUN /egress {way}").unwrap();
    }
    let first = 4;
    dockerfile += "RUN /egress loopback4 && /egress loopback6\n";

    let context = TestContext::new();
    let project = context.project(
        "egress",
        &[("Dockerfile", &dockerfile), ("egress.c", EGRESS)],
    );
    let (output, pack) = context.built(&project, 0);
    let mut total = 0;
    for run in ["a", "b"] {
        for (index, (way, named)) in ways.iter().enumerate() {
            let line = first + index as u64;
            let log = pack.log(run, line);
            assert!(log.starts_with("refused"), "{run}: {way}: {log}");
            let step = pack
                .steps(run)
                .iter()
                .find(|step| step["line"] == line)
                .unwrap();
            let network = &step["network"];
            assert_eq!(network["mode"], "none", "{run}: {way}");
            let attempts = network["attempts"].as_u64().unwrap();
            assert!(attempts >= 1, "{run}: {way} is not counted: {network}");
            total += attempts;
            if let Some(named) = named {
                assert!(
                    network.to_string().contains(named),
                    "{run}: {way}: {network}"
                );
            }
        }
        let line = first + ways.len() as u64;
        assert_eq!(pack.log(run, line), "talked to itself\ntalked to itself\n");
        let step = pack
            .steps(run)
            .iter()
            .find(|step| step["line"] == line)
            .unwrap();
        assert_eq!(step["network"]["attempts"], 0, "loopback is no way out");
    }
    assert_eq!(pack.report["hermetic"]["measured"], true);
    assert_eq!(pack.report["hermetic"]["attemptsBlocked"], total);
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(
        text.contains("exfiltrate.canary.example"),
        "people learn of it too\n{output}"
    );
}

#[test]
fn a_step_that_tries_nothing_is_counted_as_nothing() {
    let context = TestContext::new();
    let project = context.project("calm", &[("Dockerfile", "FROM busybox\nRUN id\n")]);
    let (_, pack) = context.built(&project, 0);
    assert_eq!(pack.report["hermetic"]["measured"], true);
    assert_eq!(pack.report["hermetic"]["attemptsBlocked"], 0);
}

#[test]
fn nothing_of_the_host_can_be_read_or_written() {
    let context = TestContext::new();
    let secret = context.path("secret");
    fs::write(&secret, "the host's").unwrap();
    context
        .repro(["keygen"])
        .arg(context.path("signing"))
        .run()
        .exits(0);
    let canary = context.path("canary");
    fs::create_dir(&canary).unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o777)).unwrap();
    let paths = [
        secret.display().to_string(),
        context.path("signing.key").display().to_string(),
        context.store().join("meta.json").display().to_string(),
        canary.display().to_string(),
        "/etc/shadow".to_owned(),
        "/etc/apt/sources.list".to_owned(),
        "/var/run/docker.sock".to_owned(),
    ];
    // The same through other processes: 1 is the sandbox's own, which is no program of the step.
    let mut dockerfile = "FROM busybox\nRUN true".to_owned();
    for path in &paths {
        write!(dockerfile, " && ! test -e {path}").unwrap();
        for root in ["/proc/1/root", "/proc/self/root", "/proc/2/root"] {
            write!(dockerfile, " && ! test -e {root}{path}").unwrap();
        }
    }
    dockerfile += "\n\
RUN ! cat /proc/1/environ /proc/1/maps 2>/dev/null\n\
RUN ! ls /proc/1/fd/ 2>/dev/null | grep .\n\
RUN ! cat /proc/1/mem 2>/dev/null && ! sh -c ': > /proc/1/exe' 2>/dev/null && ! sh -c ': > /proc/1/oom_score_adj' 2>/dev/null\n\
RUN for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/vm/drop_caches; do ! sh -c \"echo x > $f\" 2>/dev/null || exit 1; done\n\
RUN ! cat /proc/kcore 2>/dev/null | head -c 1 | grep . && test -z \"$(cat /proc/keys 2>/dev/null)\"\n\
RUN ! mknod /sda b 8 0 2>/dev/null && ! mknod /mem c 1 1 2>/dev/null\n\
RUN ! mount -t tmpfs none /mnt 2>/dev/null && ! mount -t proc none /proc 2>/dev/null && ! unshare -U true 2>/dev/null\n\
RUN ! dmesg 2>/dev/null && ! hostname other 2>/dev/null && ! reboot -f 2>/dev/null\n\
RUN ls /sys/class/net | grep -vx lo && exit 1 || true\n\
RUN cat /proc/mounts; ! grep -E ' /[^ ]*store| /home| /work' /proc/mounts\n";
    let project = context.project("nosy", &[("Dockerfile", &dockerfile)]);
    let (build, evidence) = context.build(&project);
    let key = context.path("signing.key");
    build.arg("--key").arg(&key).run().exits(0);
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
    // No path of the host is in what a step is told.
    for step in pack.steps("a") {
        let log = pack.log("a", step["line"].as_u64().unwrap());
        assert!(
            !log.contains(&context.path("").display().to_string()),
            "{log}"
        );
    }
}

#[test]
fn a_step_begins_with_three_descriptors_no_terminal_and_no_other_process() {
    let context = TestContext::new();
    let project = context.project(
        "descriptors",
        &[(
            "Dockerfile",
            "\
FROM busybox
RUN [\"/bin/ls\", \"/proc/self/fd\"]
RUN readlink /proc/self/fd/0 && ! test -t 0 && ! test -t 1 && ! sh -c ': > /dev/tty' 2>/dev/null
RUN ls /proc | grep -E '^[0-9]+$' | sort -n | wc -l
RUN cat /proc/self/status | grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|Groups|Seccomp):'
RUN ulimit -n && ulimit -c && umask && pwd && env | sort
",
        )],
    );
    let (_, pack) = context.built(&project, 0);
    // ls itself opens the directory, as 3.
    assert_eq!(pack.log("a", 2), "0\n1\n2\n3\n");
    assert_eq!(pack.log("a", 3), "/dev/null\n");
    // The sandbox's own, the shell, and the four of the pipeline at most.
    let processes: u32 = pack.log("a", 4).trim().parse().unwrap();
    assert!(processes <= 6, "{processes} processes");
    let status = pack.log("a", 5);
    for line in [
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT
    // SETFCAP: what Docker gives, less NET_RAW, MKNOD and AUDIT_WRITE.
    assert!(status.contains("CapBnd:\t00000000800405fb"), "{status}");
    let settings = pack.log("a", 6);
    for line in ["0022", "HOME=/root", "SOURCE_DATE_EPOCH="] {
        assert!(settings.contains(line), "{line} is not in {settings}");
    }
    assert!(!settings.contains("REPRO_"), "{settings}");
}

#[test]
fn no_process_outlives_its_step() {
    let context = TestContext::new();
    // Found by its argument, which no other process of the machine has.
    let marker = format!("98765{}", std::process::id());
    let dockerfile = format!(
        "\
FROM busybox
RUN sleep {marker} & sleep 1
RUN setsid sleep {marker} < /dev/null > /dev/null 2>&1 & true
RUN (trap '' HUP TERM INT; (sleep {marker} & (sleep {marker} &)) &) ; true
RUN nohup sh -c 'while :; do echo x >> /growing; done; : {marker}' > /dev/null 2>&1 & sleep 1
RUN ! ps | grep {marker} | grep -v grep
"
    );
    let project = context.project("stray", &[("Dockerfile", &dockerfile)]);
    let (build, _) = context.build(&project);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            // Without this the test would pass if the marker could not be found at all.
            let mut seen = false;
            for _ in 0..1_000 {
                seen = seen || !processes_with(&format!("sleep\0{marker}")).is_empty();
                std::thread::sleep(Duration::from_millis(5));
                if seen {
                    break;
                }
            }
            seen
        });
        // How much the growing file grew is chance; that the build ends is not.
        let ended = build.run().any();
        assert!(matches!(ended.code, Some(0 | 1)), "{ended}");
        watcher.join().unwrap()
    });
    assert!(seen, "the strays were never seen while they lived");
    let strays = || processes_with(&marker);
    wait_until("strays are gone", Duration::from_secs(5), || {
        strays().is_empty()
    });
}

#[test]
fn a_working_directory_cannot_lead_out() {
    let context = TestContext::new();
    for number in 0..12 {
        let dockerfile = format!(
            "FROM busybox\nWORKDIR /proc/self/fd/{number}\n\
             RUN pwd && for d in . .. ../.. ../../..; do ls -la $d | head -50; done\n"
        );
        let project = context.project(&format!("leaky-{number}"), &[("Dockerfile", &dockerfile)]);
        let (build, evidence) = context.build(&project);
        let ended = build.args(["--runs", "1"]).run().any();
        // Refused as no directory of the image, or taken for one inside it: either shows nothing
        // of the host.
        assert!(matches!(ended.code, Some(0 | 3)), "{number}: {ended}");
        let log = match ended.code {
            Some(0) => Pack::read(&evidence).log("a", 3),
            _ => String::new(),
        };
        for word in ["meta.json", "snapshots", "vmlinuz", "boot"] {
            assert!(!log.contains(word), "{number}: {log}");
        }
    }
}

/// Links where the sandbox mounts and writes: each followed would change the host.
#[test]
fn links_in_the_image_do_not_lead_the_sandbox_out() {
    let context = TestContext::new();
    let canary = context.path("canary");
    fs::create_dir(&canary).unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o777)).unwrap();
    let target = canary.display();
    for (name, links) in [
        (
            "absolute",
            format!(
                "rm -rf /dev /etc /tmp; ln -s {target} /dev; ln -s {target} /etc; ln -s {target} /tmp"
            ),
        ),
        (
            "upwards",
            format!(
                "rm -rf /dev /etc /tmp; ln -s ../../../..{target} /dev; ln -s ../../../..{target} /etc; ln -s ../../..{target} /tmp"
            ),
        ),
        (
            "null",
            "rm -f /dev/null; ln -s /proc/sys/kernel/core_pattern /dev/null".to_owned(),
        ),
        (
            "files",
            format!(
                "rm -f /etc/hosts /etc/resolv.conf /etc/hostname; ln -s {target}/hosts /etc/hosts; ln -s {target}/resolv /etc/resolv.conf; ln -s {target}/hostname /etc/hostname"
            ),
        ),
    ] {
        let dockerfile = format!(
            "FROM busybox\nRUN /bin/busybox sh -c '{links}' || true\nRUN [\"/bin/busybox\", \"ls\", \"-la\", \"/\", \"/dev/\", \"/etc/\"]\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo hello > /dev/null\"]\n"
        );
        let project = context.project(name, &[("Dockerfile", &dockerfile)]);
        let (build, _) = context.build(&project);
        let ended = build.run().any();
        assert!(matches!(ended.code, Some(0 | 3)), "{name}: {ended}");
        let written = repro_core::fs::sorted_names(&canary).unwrap();
        assert!(written.is_empty(), "{name}: {written:?} on the host");
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(!pattern.contains("hello"), "{pattern}");
}

#[test]
fn the_two_runs_do_not_see_each_other() {
    let context = TestContext::new();
    // Shared memory, abstract names, message queues and /tmp: A leaves a mark, B looks for it.
    let project = context.project(
        "twins",
        &[(
            "Dockerfile",
            "\
FROM busybox
RUN for d in /tmp /dev/shm /run /var/tmp /dev; do ls -A $d | grep mark; echo 1 > $d/mark-$(hostname) 2>/dev/null; done; sleep 3; ls -A /tmp /dev/shm /run /var/tmp | grep mark | sort -u | wc -l; rm -f /tmp/mark* /run/mark* /var/tmp/mark*
",
        )],
    );
    let (_, pack) = context.built(&project, 0);
    for run in ["a", "b"] {
        assert_eq!(pack.log(run, 2), "1\n", "run {run} sees another");
    }
}

#[test]
fn nothing_stays_mounted() {
    let context = TestContext::new();
    let project = context.project("calm", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    let (build, _) = context.build(&project);
    build.run().exits(0);
    let own = context.path("");
    let mounts = mounts_below(&own);
    assert!(mounts.is_empty(), "{mounts:?}");
}
