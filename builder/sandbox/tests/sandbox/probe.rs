//! What shells cannot try: this program, run by a step.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use repro_core::fs::sorted_names;
use rustix::net::{AddressFamily, Protocol, RawProtocol, SendFlags, SocketType, sendto, socket};

use crate::bench::{Layer, sh};

/// Where it is in the image.
const PATH: &str = "/bin/probe";
const TIMEOUT: Duration = Duration::from_secs(5);
/// Files beyond are not searched; no secret of the tests is in one.
const MAX_SEARCHED: u64 = 1 << 20;
/// Where a step and the machine, or another step, could meet without a network.
const SHARED_MEMORY: &str = "/dev/shm";

/// A step that runs the probe.
pub(crate) fn step(arguments: &[&str]) -> repro_core::build::RunSpec {
    let mut run = sh("");
    run.argv = std::iter::once(PATH)
        .chain(arguments.iter().copied())
        .map(str::to_owned)
        .collect();
    run
}

/// Is the probe if it was started as such.
pub(crate) fn run_if_probe() {
    let mut arguments = std::env::args();
    if arguments.next().as_deref() != Some(PATH) {
        return;
    }
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["egress", way, to] => egress(way, to),
        ["loopback"] => loopback(),
        ["seek", text] => seek(text),
        ["namespaces"] => namespaces(),
        ["clocks"] => clocks(),
        ["cpus"] => cpus(),
        ["kernel"] => kernel(),
        ["offer", name] => offer(name),
        ["visit", name] => visit(name),
        ["agent", path] => agent(path),
        _ => panic!("probe {arguments:?}"),
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

/// Asks an agent, prints its answer, and ends with another connection open.
fn agent(path: &str) {
    let mut first = UnixStream::connect(path).unwrap();
    first.write_all(b"ping").unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    println!("{answer}");
    let mut second = UnixStream::connect(path).unwrap();
    second.write_all(b"left").unwrap();
    std::mem::forget(second);
}

/// Tries one way out and prints the error's number, or `OPEN`.
fn egress(way: &str, to: &str) {
    let result = match way {
        "tcp" => TcpStream::connect_timeout(&address(to), TIMEOUT).map(drop),
        "tcp-fast-open" => tcp_fast_open(address(to)),
        "udp" => udp(address(to)).and_then(|socket| socket.send_to(b"x", address(to)).map(drop)),
        "udp-connected" => udp(address(to)).and_then(|socket| socket.connect(address(to))),
        "name" => format!("{to}:80").to_socket_addrs().map(drop),
        "socket" => {
            let numbers: Vec<u32> = to
                .split(',')
                .map(|number| number.parse().unwrap())
                .collect();
            let [family, kind, protocol] = numbers[..] else {
                panic!("family, type and protocol: {to}");
            };
            let family = AddressFamily::from_raw(u16::try_from(family).unwrap());
            let protocol = RawProtocol::new(protocol).map(Protocol::from_raw);
            let made = socket(family, SocketType::from_raw(kind), protocol);
            made.map(drop).map_err(io::Error::from)
        }
        "abstract" => UnixStream::connect_addr(&abstract_name(to)).map(drop),
        "abstract-datagram" => {
            UnixDatagram::unbound().and_then(|socket| socket.connect_addr(&abstract_name(to)))
        }
        _ => panic!("way {way}"),
    };
    match result {
        Ok(()) => println!("OPEN"),
        Err(error) => match error.raw_os_error() {
            Some(number) => println!("errno {number}"),
            // What the resolver says has no number.
            None => println!("no name"),
        },
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn abstract_name(name: &str) -> UnixAddr {
    UnixAddr::from_abstract_name(name).unwrap()
}

fn udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// A connection without `connect()`, which the filter shows to the supervisor.
fn tcp_fast_open(to: SocketAddr) -> io::Result<()> {
    let flags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    sendto(&socket, b"x", flags, &to)?;
    Ok(())
}

/// Servers that tests of a build start.
fn loopback() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        io::Write::write_all(&mut &client, b"hello").unwrap();
        drop(client);
        assert_eq!(io::read_to_string(server).unwrap(), "hello");
        let receiver = UdpSocket::bind(address).unwrap();
        let sender = UdpSocket::bind(address).unwrap();
        sender
            .send_to(b"hello", receiver.local_addr().unwrap())
            .unwrap();
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 5);
    }
    println!("both families");
}

/// Prints the path of every file that has `text` in it, then what is behind the links of `/proc` that
/// lead out of a tree, of every process that can be seen.
fn seek(text: &str) {
    let mut searched = 0;
    search(Path::new("/"), text.as_bytes(), &mut searched);
    println!("searched {searched}");
    let root = fs::canonicalize("/").unwrap();
    for name in sorted_names(Path::new("/proc")).unwrap() {
        let Some(process) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        for link in ["cwd", "root"] {
            let outcome = match fs::read_link(format!("/proc/{process}/{link}")) {
                Ok(target) if target == root => "this root".to_owned(),
                Ok(target) => target.display().to_string(),
                Err(error) => error.kind().to_string(),
            };
            println!("{process} {link}: {outcome}");
        }
    }
}

fn search(directory: &Path, text: &[u8], searched: &mut u64) {
    for name in sorted_names(directory).unwrap_or_default() {
        let path = directory.join(name);
        // The kernel's own: what is there was not written by anybody.
        if path == Path::new("/proc") || path == Path::new("/sys") {
            continue;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            search(&path, text, searched);
        } else if metadata.is_file() && metadata.len() <= MAX_SEARCHED {
            *searched += 1;
            let content = fs::read(&path).unwrap_or_default();
            if content.windows(text.len()).any(|window| window == text) {
                println!("found {}", path.display());
            }
        }
    }
}

/// Prints seconds since the machine started, by each way to ask.
fn clocks() {
    use nix::time::{ClockId, clock_gettime};
    for clock in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME] {
        println!("{}", clock_gettime(clock).unwrap().tv_sec());
    }
    println!("{}", rustix::system::sysinfo().uptime);
}

/// Prints the number of CPUs, by each way to ask.
fn cpus() {
    use nix::unistd::{SysconfVar, sysconf};
    println!("{}", thread::available_parallelism().unwrap());
    for what in [SysconfVar::_NPROCESSORS_ONLN, SysconfVar::_NPROCESSORS_CONF] {
        println!("{}", sysconf(what).unwrap().unwrap());
    }
}

/// Prints the kernel's release.
fn kernel() {
    println!("{}", rustix::system::uname().release().to_str().unwrap());
}

/// Prints the namespaces of this process.
fn namespaces() {
    for link in namespace_links() {
        println!("{link}");
    }
}

/// What names the namespaces of this process.
pub(crate) fn namespace_links() -> Vec<String> {
    ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .iter()
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap())
        .map(|link| link.display().to_string())
        .collect()
}

/// Is there for others, as `name` in every place where steps could meet, until it is killed.
fn offer(name: &str) {
    let _stream = UnixListener::bind_addr(&abstract_name(name)).unwrap();
    fs::write(Path::new(SHARED_MEMORY).join(name), name).unwrap();
    fs::write(Path::new("/tmp").join(name), name).unwrap();
    // Within the step it can be met, or that nobody else does would say nothing.
    visit(name);
    namespaces();
    println!("offered");
    loop {
        thread::sleep(TIMEOUT);
    }
}

/// Says where `name` can be met.
fn visit(name: &str) {
    let met = UnixStream::connect_addr(&abstract_name(name)).is_ok();
    println!("abstract: {}", if met { "met" } else { "nobody" });
    for directory in [SHARED_MEMORY, "/tmp"] {
        let met = Path::new(directory).join(name).exists();
        println!("{directory}: {}", if met { "met" } else { "nobody" });
    }
}
