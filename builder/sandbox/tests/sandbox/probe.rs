//! What shells cannot try: this program, run by a step.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixStream},
    },
    path::PathBuf,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, Protocol, RawProtocol, SocketType, socket},
};

use crate::bench::Layer;

/// Where it is in the image.
pub(crate) const PATH: &str = "/bin/probe";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Is the probe if it was started as such.
pub(crate) fn run_if_probe() {
    let mut arguments = std::env::args();
    if arguments.next().as_deref() != Some(PATH) {
        return;
    }
    match arguments.next().as_deref() {
        Some("egress") => egress(&arguments.next().unwrap()),
        Some("loopback") => loopback(),
        other => panic!("probe {other:?}"),
    }
    std::process::exit(0);
}

/// Adds this program and the libraries it runs with.
pub(crate) fn add_to(layer: &mut Layer) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| {
            line.split_once('/')
                .map(|(_, path)| PathBuf::from(format!("/{path}")))
        })
        .filter(|path| path.to_string_lossy().contains(".so"))
        .collect();
    files.sort();
    files.dedup();
    for file in &files {
        layer.file(file.to_str().unwrap(), 0o755, &fs::read(file).unwrap());
    }
    // The loader under the name that programs have it by.
    let loader = files
        .iter()
        .find(|path| path.to_string_lossy().contains("/ld-linux"));
    let directory = loader.and_then(|path| path.parent()).expect("a loader");
    layer.link("lib64", directory.to_str().unwrap());
    layer.file(PATH, 0o755, &fs::read("/proc/self/exe").unwrap());
}

/// Tries every way out, and prints one line each: the name and what came of it.
fn egress(abstract_name: &str) {
    let say = |name: &str, failed: Option<String>| {
        println!("{name} {}", failed.unwrap_or_else(|| "OPEN".to_owned()));
    };
    for address in ["192.0.2.1:80", "169.254.169.254:80", "[2001:db8::1]:80"] {
        let address: SocketAddr = address.parse().unwrap();
        let failed = TcpStream::connect_timeout(&address, TIMEOUT).err();
        say(
            &format!("tcp-{address}"),
            failed.map(|error| error.kind().to_string()),
        );
        let local = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let failed = UdpSocket::bind(local).unwrap().send_to(b"x", address).err();
        say(
            &format!("udp-{address}"),
            failed.map(|error| error.kind().to_string()),
        );
    }
    let failed = "canary.example:80".to_socket_addrs().err();
    say("name", failed.map(|_| "refused".to_owned()));
    let families = [
        ("raw", libc::AF_INET, 3, 1),
        ("raw6", libc::AF_INET6, 3, 58),
        ("packet", libc::AF_PACKET, 2, 0),
        ("netlink", libc::AF_NETLINK, 3, 16),
        ("vsock", libc::AF_VSOCK, 1, 0),
        ("alg", libc::AF_ALG, 5, 0),
    ];
    for (name, family, kind, protocol) in families {
        let family = AddressFamily::from_raw(u16::try_from(family).unwrap());
        let protocol = RawProtocol::new(protocol).map(Protocol::from_raw);
        let failed = socket(family, SocketType::from_raw(kind), protocol).err();
        say(name, failed.map(show));
    }
    let address = UnixAddr::from_abstract_name(abstract_name).unwrap();
    let failed = UnixStream::connect_addr(&address).err();
    say("abstract", failed.map(|error| error.kind().to_string()));
}

fn show(errno: Errno) -> String {
    match errno {
        Errno::PERM => "EPERM".to_owned(),
        Errno::AFNOSUPPORT => "EAFNOSUPPORT".to_owned(),
        Errno::PROTONOSUPPORT => "EPROTONOSUPPORT".to_owned(),
        other => other.to_string(),
    }
}

/// Servers that tests of a build start.
fn loopback() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
    println!("both families");
}
