//! Every way out is shut, and counted.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixListener},
};

use repro_core::build::NetworkObservation;

use crate::{
    bench::{Bench, image, sh},
    probe,
};

crate::trials![
    every_way_out_is_shut_and_counted,
    a_quiet_step_has_no_attempts,
    loopback_works_and_is_no_attempt,
    names_are_refused_at_once,
];

fn bench_with_probe() -> Bench {
    let mut image = image();
    probe::add_to(&mut image);
    Bench::with(&image)
}

fn probed(bench: &Bench, arguments: &[&str]) -> (String, NetworkObservation) {
    let mut run = sh("");
    run.argv = std::iter::once(probe::PATH)
        .chain(arguments.iter().copied())
        .map(str::to_owned)
        .collect();
    let seen = bench.run(run).unwrap();
    assert_eq!(
        seen.result.exit,
        repro_core::build::StepExit::Success,
        "{}",
        seen.output
    );
    (seen.output, seen.result.network)
}

fn every_way_out_is_shut_and_counted() {
    let name = format!("repro-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listening = UnixListener::bind_addr(&address).unwrap();
    let bench = bench_with_probe();
    let (output, network) = probed(&bench, &["egress", &name]);
    let expected = "\
tcp-192.0.2.1:80 network unreachable
udp-192.0.2.1:80 network unreachable
tcp-169.254.169.254:80 network unreachable
udp-169.254.169.254:80 network unreachable
tcp-[2001:db8::1]:80 network unreachable
udp-[2001:db8::1]:80 network unreachable
name refused
raw EPERM
raw6 EPERM
packet EPERM
netlink EPROTONOSUPPORT
vsock EAFNOSUPPORT
alg EAFNOSUPPORT
abstract connection refused
";
    assert_eq!(output, expected);
    assert!(network.no_route >= 6, "{network:?}");
    let refused: Vec<_> = network
        .refused_sockets
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(
        refused,
        [
            ("alg", 1),
            ("netlink", 1),
            ("packet", 1),
            ("raw", 2),
            ("vsock", 1)
        ]
    );
    assert_eq!(network.abstract_sockets, 1);
    let names: Vec<_> = network.names.keys().map(String::as_str).collect();
    assert_eq!(names, ["canary.example"]);
    let addresses: Vec<_> = network.addresses.keys().map(String::as_str).collect();
    assert_eq!(
        addresses,
        ["169.254.169.254:80", "192.0.2.1:80", "[2001:db8::1]:80"]
    );
}

fn a_quiet_step_has_no_attempts() {
    let seen = Bench::new().sh("echo quiet; sleep 0.5");
    assert_eq!(seen.result.network, NetworkObservation::default());
}

fn loopback_works_and_is_no_attempt() {
    let (output, network) = probed(&bench_with_probe(), &["loopback"]);
    assert_eq!(output, "both families\n");
    assert_eq!(network.attempts(), 0, "{network:?}");
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
