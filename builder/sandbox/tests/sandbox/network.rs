//! Every way out is shut, and counted.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::JoinHandle,
};

use repro_core::build::{
    NetworkFile, NetworkKit, NetworkObservation, StepExit, StepListener, StepNetwork,
};

use crate::{
    bench::{Bench, image, sh},
    probe,
};

crate::trials![
    every_way_out_is_shut_and_counted,
    all_attempts_of_a_step_are_added_up,
    a_quiet_step_has_no_attempts,
    loopback_works_and_is_no_attempt,
    names_are_refused_at_once,
    one_port_is_answered_from_outside_and_leaves_nothing,
    a_step_without_a_network_finds_nothing_of_one,
];

/// How an attempt shows.
#[derive(Debug, Clone, Copy)]
enum Counted {
    /// The kernel had no route.
    NoRoute,
    /// The same, and where it was to go is known.
    Address,
    /// The name that was asked for, once for each family.
    Name,
    /// A socket of this kind was refused.
    Socket(&'static str),
    /// Not at all: the kernel's audit log is no way out, and every `useradd` asks for it.
    Never,
    /// An abstract name of which there is no socket in the step.
    Abstract,
}

/// Ways out: how, where to, the error, how it is counted.
const WAYS: [(&str, &str, i32, Counted); 32] = [
    ("tcp", "192.0.2.1:80", libc::ENETUNREACH, Counted::Address),
    (
        "tcp",
        "[2001:db8::1]:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    (
        "tcp",
        "[::ffff:192.0.2.1]:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    (
        "tcp-fast-open",
        "192.0.2.1:80",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "tcp-fast-open",
        "[2001:db8::1]:80",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    ("udp", "192.0.2.1:80", libc::ENETUNREACH, Counted::NoRoute),
    (
        "udp",
        "[2001:db8::1]:80",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "udp",
        "[::ffff:192.0.2.1]:80",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "udp-connected",
        "192.0.2.1:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    (
        "udp-connected",
        "[2001:db8::1]:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    // Servers of names, over both families and both protocols.
    ("udp", "192.0.2.53:53", libc::ENETUNREACH, Counted::NoRoute),
    (
        "udp",
        "[2001:db8::53]:53",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    ("tcp", "192.0.2.53:53", libc::ENETUNREACH, Counted::Address),
    (
        "tcp",
        "[2001:db8::53]:53",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    // Where clouds keep the credentials of a machine.
    (
        "tcp",
        "169.254.169.254:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    (
        "udp",
        "169.254.169.254:80",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "tcp",
        "[fd00:ec2::254]:80",
        libc::ENETUNREACH,
        Counted::Address,
    ),
    // Whoever listens on the same wire.
    (
        "udp",
        "224.0.0.251:5353",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "udp",
        "[ff02::fb]:5353",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    (
        "udp",
        "255.255.255.255:67",
        libc::ENETUNREACH,
        Counted::NoRoute,
    ),
    ("name", "canary.example", 0, Counted::Name),
    // Family, type, protocol.
    ("socket", "2,3,1", libc::EPERM, Counted::Socket("raw")),
    ("socket", "10,3,58", libc::EPERM, Counted::Socket("raw")),
    ("socket", "17,2,768", libc::EPERM, Counted::Socket("packet")),
    (
        "socket",
        "16,3,16",
        libc::EPROTONOSUPPORT,
        Counted::Socket("netlink"),
    ),
    ("socket", "16,3,9", libc::EPROTONOSUPPORT, Counted::Never),
    (
        "socket",
        "40,1,0",
        libc::EAFNOSUPPORT,
        Counted::Socket("vsock"),
    ),
    (
        "socket",
        "38,5,0",
        libc::EAFNOSUPPORT,
        Counted::Socket("alg"),
    ),
    (
        "socket",
        "31,3,1",
        libc::EAFNOSUPPORT,
        Counted::Socket("bluetooth"),
    ),
    (
        "socket",
        "44,3,0",
        libc::EAFNOSUPPORT,
        Counted::Socket("xdp"),
    ),
    ("abstract", "", libc::ECONNREFUSED, Counted::Abstract),
    (
        "abstract-datagram",
        "",
        libc::ECONNREFUSED,
        Counted::Abstract,
    ),
];

/// Sockets of the machine with abstract names, for as long as it lives.
struct Listening {
    name: String,
    _stream: UnixListener,
    datagram_name: String,
    _datagram: UnixDatagram,
}

impl Listening {
    fn start(test: &str) -> Self {
        let name = format!("repro-{test}-{}", std::process::id());
        let datagram_name = format!("{name}-datagram");
        let address = |name: &str| SocketAddr::from_abstract_name(name).unwrap();
        Self {
            _stream: UnixListener::bind_addr(&address(&name)).unwrap(),
            _datagram: UnixDatagram::bind_addr(&address(&datagram_name)).unwrap(),
            name,
            datagram_name,
        }
    }

    /// Where a way leads.
    fn target<'a>(&'a self, way: &str, to: &'a str) -> &'a str {
        match way {
            "abstract" => &self.name,
            "abstract-datagram" => &self.datagram_name,
            _ => to,
        }
    }
}

fn bench_with_probe() -> Bench {
    let mut image = image();
    probe::add_to(&mut image);
    Bench::with(&image)
}

fn probed(bench: &Bench, arguments: &[&str]) -> (String, NetworkObservation) {
    let seen = bench.run(probe::step(arguments)).unwrap();
    assert_eq!(seen.result.exit, StepExit::Success, "{}", seen.output);
    (seen.output, seen.result.network)
}

/// Each in a step of its own, so that no count stands in for another.
fn every_way_out_is_shut_and_counted() {
    let listening = Listening::start("ways");
    let bench = bench_with_probe();
    for (way, to, errno, counted) in WAYS {
        let to = listening.target(way, to);
        let (output, network) = probed(&bench, &["egress", way, to]);
        let expected = match counted {
            Counted::Name => "no name\n".to_owned(),
            _ => format!("errno {errno}\n"),
        };
        assert_eq!(output, expected, "{way} {to}");
        let mut only = NetworkObservation::default();
        match counted {
            Counted::NoRoute => only.no_route = 1,
            Counted::Address => {
                only.no_route = 1;
                only.addresses.insert(to.to_owned(), 1);
            }
            Counted::Name => drop(only.names.insert(to.to_owned(), 2)),
            Counted::Socket(kind) => drop(only.refused_sockets.insert(kind.to_owned(), 1)),
            Counted::Abstract => only.abstract_sockets = 1,
            Counted::Never => {}
        }
        assert_eq!(network, only, "{way} {to}");
    }
}

fn all_attempts_of_a_step_are_added_up() {
    let listening = Listening::start("sum");
    let bench = bench_with_probe();
    let mut script = String::new();
    for (way, to, ..) in WAYS {
        let to = listening.target(way, to);
        writeln!(script, "/bin/probe egress {way} '{to}'").unwrap();
    }
    let seen = bench.sh(&script);
    assert!(!seen.output.contains("OPEN"), "{}", seen.output);
    assert_eq!(seen.output.lines().count(), WAYS.len());
    // One never counts, and of the name there were two questions.
    let attempts = seen.result.network.attempts();
    assert_eq!(
        attempts,
        WAYS.len() as u64 - 1 + 1,
        "{:?}",
        seen.result.network
    );
}

fn a_quiet_step_has_no_attempts() {
    let seen = Bench::new().sh("echo quiet; sleep 0.5");
    assert_eq!(seen.result.network, NetworkObservation::default());
}

fn loopback_works_and_is_no_attempt() {
    let (output, network) = probed(&bench_with_probe(), &["loopback"]);
    assert_eq!(output, "both families\n");
    assert_eq!(network, NetworkObservation::default());
}

fn names_are_refused_at_once() {
    let bench = Bench::new();
    let seen = bench.sh("nslookup one.example; nslookup two.example; true");
    assert!(seen.output.contains("REFUSED"), "{}", seen.output);
    let names: Vec<_> = seen
        .result
        .network
        .names
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["one.example", "two.example"]);
    assert!(seen.result.usage.wall_ms < 4000, "{:?}", seen.result.usage);
}

/// Answers each connection with one line.
struct Answering {
    kit: NetworkKit,
    thread: Mutex<Option<JoinHandle<()>>>,
    closed: AtomicU32,
}

impl Answering {
    fn new() -> Self {
        Self {
            kit: NetworkKit {
                port: 3190,
                variables: vec![
                    ("asked_at".to_owned(), "127.0.0.1:3190".to_owned()),
                    ("own".to_owned(), "of the network".to_owned()),
                ],
                files: vec![NetworkFile {
                    name: "told".to_owned(),
                    content: b"a file\n".to_vec(),
                }],
            },
            thread: Mutex::new(None),
            closed: AtomicU32::new(0),
        }
    }
}

impl StepNetwork for Answering {
    fn kit(&self) -> &NetworkKit {
        &self.kit
    }

    fn serve(&self, listener: StepListener) -> io::Result<()> {
        let StepListener::Step(listener) = listener else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(b"from outside\n").unwrap();
        });
        *self.thread.lock().unwrap() = Some(serving);
        Ok(())
    }

    fn close(&self) {
        self.closed.fetch_add(1, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap().take();
        thread.unwrap().join().unwrap();
    }
}

fn one_port_is_answered_from_outside_and_leaves_nothing() {
    let network = Answering::new();
    let mut run = sh(
        "echo hello | nc 127.0.0.1 3190; echo $asked_at $own; cat /dev/repro/told; \
                      echo x 2>/dev/null > /dev/repro/told || echo sealed; \
                      ls -l /dev/repro/told | cut -c 1-10; grep -c : /proc/net/dev; echo made > /made",
    );
    run.env.push(("own".to_owned(), "of the step".to_owned()));
    let seen = Bench::new().run_with(run, &network).unwrap();
    assert_eq!(
        seen.output,
        "from outside\n127.0.0.1:3190 of the step\na file\nsealed\n-rw-r--r--\n1\n"
    );
    assert_eq!(seen.result.network, NetworkObservation::default());
    let paths: Vec<String> = seen
        .layer
        .0
        .iter()
        .map(|(entry, _)| entry.path.to_string())
        .collect();
    assert_eq!(paths, ["made"]);
    assert_eq!(network.closed.load(Ordering::SeqCst), 1);
}

fn a_step_without_a_network_finds_nothing_of_one() {
    let seen = Bench::new().sh("ls /dev/repro 2>/dev/null; nc 127.0.0.1 3190 </dev/null; env");
    assert!(!seen.output.contains("repro"), "{}", seen.output);
    assert!(!seen.output.contains("proxy"), "{}", seen.output);
}
