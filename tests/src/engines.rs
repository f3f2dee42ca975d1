//! Docker and Podman, each on a socket and data of its own, for as long as a test needs it.

mod docker;
mod place;
mod podman;

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(crate) use docker::CLIENT;
pub(crate) use place::{Place, driver};

use crate::{User, tool, user::require_root, wait_until};

/// Below what any machine allows: root in a container may raise no limit.
pub(crate) const LIMITS: [&str; 2] = ["nofile=1024:1024", "nproc=1024:1024"];

/// How long an engine may take to begin or to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running engine, which nobody else uses.
///
/// To be started from a thread that lives as long as the value: the engine ends with the thread,
/// also where the tests are killed.
#[derive(Debug)]
pub struct Engine {
    service: Service,
    // Removed last, when nothing is mounted in it any more.
    place: Place,
}

/// The program that listens.
#[derive(Debug)]
struct Service {
    kind: Kind,
    address: Address,
    log: PathBuf,
    child: Child,
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman(User),
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Socket(PathBuf),
    /// Of loopback, by TLS.
    Port(u16),
}

impl Address {
    fn socket(place: &Place) -> Self {
        Self::Socket(place.path().join("socket"))
    }

    /// Whether an engine answers: one that starts listens long before.
    fn answers(&self, dir: &Path) -> bool {
        match self {
            Self::Socket(path) => ping(path).is_ok_and(|answer| answer.contains("200 OK")),
            Self::Port(_) => {
                let version = docker::client(dir, self).arg("version").output();
                version.is_ok_and(|output| output.status.success())
            }
        }
    }
}

/// As in `DOCKER_HOST`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Port(port) => write!(f, "tcp://{}:{port}", Ipv4Addr::LOCALHOST),
        }
    }
}

impl Engine {
    /// Debian's Docker.
    #[must_use]
    pub fn docker() -> Self {
        Self::start(Kind::Docker, Address::socket, Place::new())
    }

    /// Debian's Docker, with so many bytes for its images and containers.
    #[must_use]
    pub fn docker_with_room(bytes: u64) -> Self {
        let place = Place::new().with_room(docker::DATA, bytes);
        Self::start(Kind::Docker, Address::socket, place)
    }

    /// Debian's Docker on a port, which speaks to those who show a certificate.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn docker_with_tls() -> Self {
        let free = |_: &Place| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
            Address::Port(listener.local_addr().expect("it has an address").port())
        };
        Self::start(Kind::Docker, free, Place::new())
    }

    /// What a client shows to [`Self::docker_with_tls`], as `DOCKER_CERT_PATH` says it.
    #[must_use]
    pub fn certificates(&self) -> PathBuf {
        self.dir().join(docker::CLIENT_CERTIFICATES)
    }

    /// Debian's Docker in a directory that lives longer.
    pub(crate) fn docker_in(dir: &Path) -> Self {
        Self::start(Kind::Docker, Address::socket, Place::within(dir))
    }

    /// Debian's Podman as root.
    #[must_use]
    pub fn podman() -> Self {
        Self::start(Kind::Podman(User::Caller), Address::socket, Place::new())
    }

    /// Debian's Podman as an ordinary user with subordinate ids.
    #[must_use]
    pub fn podman_rootless() -> Self {
        let place = Place::new();
        let user = User::ordinary();
        user.own(place.path());
        Self::start(Kind::Podman(user), Address::socket, place)
    }

    fn start(kind: Kind, address: impl Fn(&Place) -> Address, place: Place) -> Self {
        require_root();
        let service = Service::start(kind, address(&place), place.path());
        let mut engine = Self { service, place };
        engine.service.wait(engine.place.path());
        engine
    }

    /// Where it listens, as `DOCKER_HOST` says it.
    #[must_use]
    pub fn host(&self) -> String {
        self.service.address.to_string()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If that is a port.
    #[must_use]
    pub fn socket(&self) -> &Path {
        match &self.service.address {
            Address::Socket(path) => path,
            Address::Port(_) => panic!("this engine listens on a port"),
        }
    }

    /// The directory of its images, containers and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.place.path()
    }

    /// Its own client, connected to it.
    #[must_use]
    pub fn client(&self) -> Command {
        match self.service.kind {
            Kind::Docker => docker::client(self.dir(), &self.service.address),
            Kind::Podman(user) => podman::client(self.dir(), user),
        }
    }

    /// What it wrote about itself.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.service.log).unwrap_or_default()
    }

    /// Ends it as an administrator would, with everything that it runs.
    pub fn stop(&mut self) {
        self.service.stop(self.place.path());
    }

    /// Starts it again after [`Self::stop`], with what it had.
    pub fn start_again(&mut self) {
        let (kind, address) = (self.service.kind, self.service.address.clone());
        self.service = Service::start(kind, address, self.place.path());
        self.service.wait(self.place.path());
    }

    /// Ends the program that listens, without a word to it. What it runs may go on.
    ///
    /// # Panics
    /// If there is none.
    pub fn kill(&mut self) {
        self.service.child.kill().expect("the engine can be killed");
        self.service.child.wait().expect("the engine has ended");
    }
}

impl Service {
    fn start(kind: Kind, address: Address, dir: &Path) -> Self {
        let mut command = match kind {
            Kind::Docker => docker::service(dir, &address),
            Kind::Podman(user) => podman::service(dir, user, &address),
        };
        if let Address::Socket(path) = &address {
            // One that nobody listens on would look as if it were there.
            drop(fs::remove_file(path));
        }
        let log = dir.join("log");
        let file = fs::File::create(&log).expect("the log can be made");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the engine starts");
        Self {
            kind,
            address,
            log,
            child,
        }
    }

    fn wait(&mut self, dir: &Path) {
        let Self {
            address,
            child,
            log,
            ..
        } = self;
        wait_until("the engine answers", PATIENCE, || {
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(
                ended.is_none(),
                "the engine has ended: {}",
                fs::read_to_string(&*log).unwrap_or_default()
            );
            address.answers(dir)
        });
    }

    fn stop(&mut self, dir: &Path) {
        if let Kind::Podman(user) = self.kind {
            // Its containers are nobody's children.
            podman::end_containers(dir, user);
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let pid = self.child.id().to_string();
            let told = Command::new(tool("kill")).arg(&pid).status();
            let ended = self.child.wait();
            assert!(
                std::thread::panicking() || (told.is_ok() && ended.is_ok()),
                "the engine does not end: {}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
        if let Kind::Podman(user) = self.kind {
            podman::end_pause(dir, user);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ping(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A command that ends with the thread that starts it.
fn attached(program: &str, user: User) -> Command {
    let mut command = Command::new(tool("setpriv"));
    command.args(["--pdeathsig", "TERM"]);
    if let User::Ordinary { id } = user {
        command
            .arg(format!("--reuid={id}"))
            .arg(format!("--regid={id}"))
            .arg("--clear-groups");
    }
    command.arg(tool(program));
    command
}

/// The environment of an engine and its client, which has nothing of the caller's.
fn alone(command: &mut Command, dir: &Path) {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", dir.join("home"))
        .env("TMPDIR", dir)
        .current_dir(dir);
}

/// Makes a directory, unless it is there.
fn make_dir(path: &Path, user: User) {
    fs::create_dir_all(path).expect("a directory can be made");
    user.own(path);
}
