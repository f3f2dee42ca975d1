//! The established builders, as Debian packages them.

use std::{
    fmt, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tempfile::TempDir;

use super::{Case, Image, ImageError};
use crate::{tool, wait_until};

/// Seconds that one command may take.
const LIMIT: &str = "120";
/// What the client of Debian's Docker is called by path: a client of another
/// version may lie before it, and needs a plugin for BuildKit that Debian does not have.
const CLIENT: &str = "/usr/bin/docker";
/// Where files lie in memory.
const MEMORY_DIR: &str = "/dev/shm";
/// Several times the bytes that all images of a run take.
const MEMORY: u64 = 2 << 30;
/// The versions that the list of differences is about, those of Debian 12.
const VERSIONS: [(&str, &str); 2] = [("docker", "20.10."), ("buildah", "1.28.")];
/// Below what any machine allows: root in a container may raise no limit.
const LIMITS: [&str; 2] = ["nofile=1024:1024", "nproc=1024:1024"];

/// A builder that `repro` is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builder {
    /// BuildKit inside the Docker daemon.
    Buildkit,
    /// The Docker daemon's own builder.
    Classic,
    /// buildah, which Podman builds with.
    Buildah,
}

impl Builder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Buildkit, Self::Classic, Self::Buildah];
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buildkit => "buildkit",
            Self::Classic => "classic",
            Self::Buildah => "buildah",
        })
    }
}

/// What a builder made of a case.
#[derive(Debug)]
pub enum Built {
    /// An image.
    Image(Image),
    /// An error.
    Refused {
        /// What it said, all of it.
        said: String,
    },
}

/// A Docker daemon and a storage of buildah's, both new and of this run alone.
#[derive(Debug)]
pub struct Peers {
    dir: TempDir,
    daemon: Child,
}

impl Peers {
    /// Starts the daemon and gives `busybox`, a docker archive, to every builder. To be called
    /// from a thread that lives as long as the value: the daemon ends with it.
    ///
    /// # Panics
    /// If the daemon does not start, or a builder refuses the archive.
    #[must_use]
    pub fn start(busybox: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("repro-conformance-")
            .tempdir_in(roomy())
            .expect("a directory can be made");
        let path = |name: &str| dir.path().join(name).display().to_string();
        for name in ["docker", "home"] {
            fs::create_dir(dir.path().join(name)).expect("a directory can be made");
        }
        let log = fs::File::create(path("docker/log")).expect("the log can be made");
        let mut command = Command::new(tool("setpriv"));
        // Whatever becomes of the tests, no daemon stays.
        command.args(["--pdeathsig", "TERM"]).arg(tool("dockerd"));
        command
            .arg(format!("--host=unix://{}", path("docker/socket")))
            .arg(format!("--data-root={}", path("docker/data")))
            .arg(format!("--exec-root={}", path("docker/exec")))
            .arg(format!("--pidfile={}", path("docker/pid")))
            .arg(format!("--config-file={}", path("docker/none.json")))
            // The network of the machine is not for tests to change.
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            .args(LIMITS.map(|limit| format!("--default-ulimit={limit}")));
        fs::write(path("docker/none.json"), "{}").expect("the file can be written");
        let daemon = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        let peers = Self { dir, daemon };
        wait_until("dockerd answers", Duration::from_mins(1), || {
            run(&mut peers.docker(Builder::Classic, &["version"])).is_ok()
        });
        peers.check_versions();
        let archive = busybox.display().to_string();
        run(&mut peers.docker(Builder::Classic, &["load", "--input", &archive]))
            .expect("docker loads the base");
        run(&mut peers.buildah(&["pull", &format!("docker-archive:{archive}")]))
            .expect("buildah loads the base");
        peers
    }

    /// Other versions differ elsewhere, and every such difference would look like one of `repro`.
    fn check_versions(&self) {
        let format = ["version", "--format", "{{.Server.Version}}"];
        let docker = self.docker(Builder::Classic, &format);
        let buildah = self.buildah(&["--version"]);
        for ((name, expected), mut command) in VERSIONS.into_iter().zip([docker, buildah]) {
            let output = command.output().expect("the program starts");
            let found = String::from_utf8_lossy(&output.stdout);
            assert!(
                found.contains(expected),
                "{name} is {}, and the suite compares with {expected}x of Debian 12",
                found.trim()
            );
        }
    }

    /// The base image, as `builder` has it.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn base(&self, builder: Builder) -> Image {
        let saved = self.save(builder, "busybox", "base");
        saved.expect("the base can be read")
    }

    /// Builds a case, whose context is `context`.
    pub fn build(&self, builder: Builder, case: &Case, context: &Path) -> Result<Built, String> {
        let name = case.name.replace('/', "-").to_lowercase();
        let tag = format!("conformance/{name}:{builder}");
        let directory = context.display().to_string();
        let mut args = vec!["build", "--no-cache", "--network=none", "--tag", &tag];
        let limits = LIMITS.map(|limit| format!("--ulimit={limit}"));
        if builder == Builder::Buildah {
            args.extend(["--runtime=runc", "--isolation=oci", "--format=docker"]);
            args.extend(["--pull-never"]);
            args.extend(limits.iter().map(String::as_str));
        }
        args.extend(case.args.iter().map(String::as_str));
        args.push(&directory);
        let built = match builder {
            Builder::Buildah => run(self.buildah(&args).current_dir(context)),
            Builder::Buildkit | Builder::Classic => {
                run(self.docker(builder, &args).current_dir(context))
            }
        };
        match built {
            Err(said) => Ok(Built::Refused { said }),
            Ok(()) => match self.save(builder, &tag, &format!("{name}-{builder}")) {
                Ok(image) => Ok(Built::Image(image)),
                Err(error) => Err(format!("{tag} cannot be read: {error}")),
            },
        }
    }

    fn save(&self, builder: Builder, image: &str, file: &str) -> Result<Image, ImageError> {
        let archive = self.dir.path().join(format!("{file}.tar"));
        let path = archive.display().to_string();
        let mut saved = match builder {
            Builder::Buildah => self.buildah(&["push", image, &format!("docker-archive:{path}")]),
            Builder::Buildkit | Builder::Classic => {
                self.docker(builder, &["save", "--output", &path, image])
            }
        };
        if let Err(said) = run(&mut saved) {
            // What nothing but a configuration is can be built by Docker, and not be saved.
            if said.contains("empty export") {
                return self.inspect(builder, image);
            }
            return Err(std::io::Error::other(said).into());
        }
        let image = Image::read(&archive, self.dir.path())?;
        fs::remove_file(&archive)?;
        Ok(image)
    }

    /// An image without layers, as Docker describes it.
    fn inspect(&self, builder: Builder, image: &str) -> Result<Image, ImageError> {
        let mut inspect = self.docker(builder, &["image", "inspect", image]);
        let output = inspect.output()?;
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        Ok(Image::without_layers(&found[0]))
    }

    fn docker(&self, builder: Builder, args: &[&str]) -> Command {
        let socket = self.dir.path().join("docker/socket");
        let buildkit = if builder == Builder::Buildkit {
            "1"
        } else {
            "0"
        };
        let mut command = self.command(Path::new(CLIENT));
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_CONFIG", self.dir.path().join("home"))
            .env("DOCKER_BUILDKIT", buildkit)
            .env("BUILDKIT_PROGRESS", "plain")
            .args(args);
        command
    }

    fn buildah(&self, args: &[&str]) -> Command {
        let mut command = self.command(&tool("buildah"));
        // Twice as fast, and possible wherever the images are in memory; elsewhere the directory may
        // lie on an overlay itself.
        let driver = if self.dir.path().starts_with(MEMORY_DIR) {
            "overlay"
        } else {
            "vfs"
        };
        let storage = |name: &str| self.dir.path().join(name);
        command
            .args(["--storage-driver", driver, "--root"])
            .arg(storage("buildah"))
            .arg("--runroot")
            .arg(storage("buildah-run"))
            .args(args);
        command
    }

    /// A program in an environment that has nothing of the caller's.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(tool("timeout"));
        command
            .args(["--signal=KILL", LIMIT])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let pid = self.daemon.id().to_string();
        let told = Command::new(tool("kill")).arg(&pid).status();
        let ended = self.daemon.wait();
        assert!(
            std::thread::panicking() || (told.is_ok() && ended.is_ok()),
            "dockerd does not end"
        );
        unmount_below(self.dir.path());
    }
}

/// Unmounts what builders left: buildah leaves the trees of builds that failed. The directory could not
/// be removed else.
fn unmount_below(dir: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> = points
        .filter(|point| Path::new(point).starts_with(dir))
        .collect();
    // What lies on another one goes first.
    below.reverse();
    for point in below {
        let unmounted = Command::new(tool("umount")).arg(point).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "{point} is still mounted"
        );
    }
}

/// Where the builders keep their images: in memory if there is plenty, since the daemon waits for the
/// disk at every step.
fn roomy() -> &'static Path {
    let memory = Path::new(MEMORY_DIR);
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail * found.f_frsize);
    if free > MEMORY {
        memory
    } else {
        Path::new("/var/tmp")
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().expect("the program starts");
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned())
}
