//! The established builders, as Debian packages them.

use std::{
    fmt, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;

use super::{Case, Image, ImageError};
use crate::{
    Engine,
    engines::{CLIENT, LIMITS, Place, driver},
    tool, wait_until,
};

/// Seconds that one command may take.
const LIMIT: &str = "120";
/// The versions that the list of differences is about, those of Debian 12.
const VERSIONS: [(&str, &str); 2] = [("docker", "20.10."), ("buildah", "1.28.")];
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
    // Ends before the directory goes.
    docker: Engine,
    place: Place,
}

impl Peers {
    /// Starts the daemon and gives `busybox`, a docker archive, to every builder. To be called
    /// from a thread that lives as long as the value: the daemon ends with it.
    ///
    /// # Panics
    /// If the daemon does not start, or a builder refuses the archive.
    #[must_use]
    pub fn start(busybox: &Path) -> Self {
        let place = Place::new();
        let path = |name: &str| place.path().join(name);
        for name in ["docker", "home"] {
            fs::create_dir(path(name)).expect("a directory can be made");
        }
        let docker = Engine::docker_in(&path("docker"));
        let peers = Self { docker, place };
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
        let archive = self.place.path().join(format!("{file}.tar"));
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
        let image = Image::read(&archive, self.place.path())?;
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
        let buildkit = if builder == Builder::Buildkit {
            "1"
        } else {
            "0"
        };
        let mut command = self.command(Path::new(CLIENT));
        command
            .env("DOCKER_HOST", self.docker.host())
            .env("DOCKER_CONFIG", self.place.path().join("home"))
            .env("DOCKER_BUILDKIT", buildkit)
            .env("BUILDKIT_PROGRESS", "plain")
            .args(args);
        command
    }

    fn buildah(&self, args: &[&str]) -> Command {
        let mut command = self.command(&tool("buildah"));
        let driver = driver(self.place.path());
        let storage = |name: &str| self.place.path().join(name);
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
            .env("HOME", self.place.path().join("home"))
            .env("TMPDIR", self.place.path())
            .current_dir(self.place.path())
            .stdin(Stdio::null());
        command
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
