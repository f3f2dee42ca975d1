//! Which engine is meant, and where it listens: as the docker client has it, then at the usual
//! sockets of Docker and Podman.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use crate::{
    about::EngineKind,
    context::{self, ContextError},
    endpoint::{Endpoint, EndpointError, TlsFiles},
    error::EngineError,
};

/// The socket of a Docker that root started.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// The socket of a Podman that root started.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// What the caller's surroundings say of engines. Each variable as it is, or `None` if it is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ambient {
    /// `DOCKER_HOST`.
    pub docker_host: Option<OsString>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<OsString>,
    /// `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`.
    pub docker_tls_verify: Option<OsString>,
    /// `DOCKER_CERT_PATH`.
    pub docker_cert_path: Option<PathBuf>,
    /// `CONTAINER_HOST`.
    pub container_host: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// Who runs the program.
    pub uid: u32,
}

/// Who says that an engine may be somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `DOCKER_HOST`.
    DockerHost,
    /// `DOCKER_CONTEXT`, with the context's name.
    DockerContext(String),
    /// `currentContext` in `config.json` of the docker client, with the context's name.
    CurrentContext(String),
    /// `config.json` itself, which may name a context.
    Configuration,
    /// `CONTAINER_HOST`.
    ContainerHost,
    /// Nobody: it is where engines usually listen.
    Usual,
}

impl Origin {
    /// Whether somebody named this engine, so that no other one is meant.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        !matches!(self, Self::Usual)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DockerHost => f.write_str("DOCKER_HOST"),
            Self::DockerContext(name) => write!(f, "DOCKER_CONTEXT {name}"),
            Self::CurrentContext(name) => write!(f, "docker context {name}"),
            Self::Configuration => f.write_str("config.json of the docker client"),
            Self::ContainerHost => f.write_str("CONTAINER_HOST"),
            Self::Usual => f.write_str("usual socket"),
        }
    }
}

/// Why no engine can be used at a place.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// What names it is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// What names it is no text.
    #[error("it is not UTF-8")]
    NotText,
    /// The files of contexts.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A file of TLS that is not there.
    #[error("TLS needs {}, which cannot be read", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// Nothing is there.
    #[error("there is no such socket")]
    Absent,
    /// Something else is there.
    #[error("that is not a socket")]
    NotSocket,
    /// The caller may not.
    #[error("this user may not use it")]
    Forbidden,
    /// The socket is of a process that has ended.
    #[error("nobody listens on it")]
    Silent,
    /// Something else of the operating system.
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
}

impl Problem {
    /// Whether what names the engine is wrong, rather than the engine.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Endpoint(_) | Self::NotText | Self::Context(_) | Self::Tls { .. }
        )
    }

    /// What to do about it, where that follows from the problem alone.
    #[must_use]
    pub fn hint(&self, kind: EngineKind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Forbidden, EngineKind::Docker) => Some(
                "let root add this user to the group `docker`, which is as good as root, or run \
                 rootless Docker",
            ),
            (Self::Forbidden, EngineKind::Podman) => {
                Some("start the user's own: `systemctl --user start podman.socket`")
            }
            (Self::Absent | Self::Silent, EngineKind::Docker) => {
                Some("start it: `systemctl start docker`")
            }
            (Self::Absent | Self::Silent, EngineKind::Podman) => Some(
                "start it: `systemctl --user start podman.socket`, or `podman system service --time=0`",
            ),
            _ => None,
        }
    }
}

/// A place that was looked at.
#[derive(Debug)]
pub struct Candidate {
    /// Whose place it is; what listens there may be the other one.
    pub kind: EngineKind,
    /// Who says so.
    pub origin: Origin,
    /// Where, if that can be told.
    pub endpoint: Option<Endpoint>,
    /// What is the matter with it, if something is. Where nothing is, it need not be an engine yet.
    pub problem: Option<Problem>,
}

/// As `DOCKER_HOST (tcp://build.example:2375)`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) if self.origin == Origin::Usual => endpoint.fmt(f),
            Some(endpoint) => write!(f, "{} ({endpoint})", self.origin),
            None => self.origin.fmt(f),
        }
    }
}

/// An engine that may be spoken to.
#[derive(Debug)]
pub struct Found {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Who says so.
    pub origin: Origin,
    /// The places that were looked at before, in order.
    pub passed: Vec<Candidate>,
}

/// Finds the engine that is meant. Of no kind in particular, it is Docker's if there is one.
///
/// Who names an engine means that one: where it cannot be used, no other one is looked for.
pub fn find(kind: Option<EngineKind>, ambient: &Ambient) -> Result<Found, EngineError> {
    choose(kind, places(kind, ambient))
}

/// The first of `places` that is usable.
fn choose(kind: Option<EngineKind>, places: Vec<Place>) -> Result<Found, EngineError> {
    let mut passed = Vec::new();
    for place in places {
        let mut candidate = look(place);
        match candidate.problem.take() {
            Some(problem) if candidate.origin.is_named() => {
                return Err(EngineError::Named {
                    kind: candidate.kind,
                    place: candidate.to_string(),
                    problem: Box::new(problem),
                });
            }
            None if let Some(endpoint) = candidate.endpoint => {
                return Ok(Found {
                    endpoint,
                    origin: candidate.origin,
                    passed,
                });
            }
            problem => passed.push(Candidate {
                problem,
                ..candidate
            }),
        }
    }
    Err(EngineError::NotFound { kind, passed })
}

/// Every place where an engine may be, in the order of [`find`], looked at.
#[must_use]
pub fn survey(ambient: &Ambient) -> Vec<Candidate> {
    places(None, ambient).into_iter().map(look).collect()
}

/// A place, before anybody looked.
struct Place {
    kind: EngineKind,
    origin: Origin,
    endpoint: Result<Endpoint, Problem>,
}

fn places(kind: Option<EngineKind>, ambient: &Ambient) -> Vec<Place> {
    let mut places = Vec::new();
    if kind != Some(EngineKind::Podman) {
        places.extend(named_docker(ambient));
        let sockets = [
            Some(PathBuf::from(DOCKER_SOCKET)),
            runtime_dir(ambient).map(|dir| dir.join("docker.sock")),
        ];
        places.extend(usual(EngineKind::Docker, sockets));
    }
    if kind != Some(EngineKind::Docker) {
        if let Some(host) = set(ambient.container_host.as_ref()) {
            places.push(Place {
                kind: EngineKind::Podman,
                origin: Origin::ContainerHost,
                endpoint: parse(host, None),
            });
        }
        let own = runtime_dir(ambient).map(|dir| dir.join("podman/podman.sock"));
        let system = Some(PathBuf::from(PODMAN_SOCKET));
        // Podman's client, run by root, means the one of the machine.
        let sockets = if ambient.uid == 0 {
            [system, own]
        } else {
            [own, system]
        };
        places.extend(usual(EngineKind::Podman, sockets));
    }
    let mut seen = Vec::new();
    places.retain(|place| match &place.endpoint {
        Ok(endpoint) if seen.contains(endpoint) => false,
        Ok(endpoint) => {
            seen.push(endpoint.clone());
            true
        }
        Err(_) => true,
    });
    places
}

/// The engine that the variables and files of the docker client name; the first that does decides.
fn named_docker(ambient: &Ambient) -> Option<Place> {
    let own = ambient.home.as_ref().map(|home| home.join(".docker"));
    let dir = ambient.docker_config.clone().or(own);
    let place = |origin, endpoint| {
        Some(Place {
            kind: EngineKind::Docker,
            origin,
            endpoint,
        })
    };
    if let Some(host) = set(ambient.docker_host.as_ref()) {
        let tls = set(ambient.docker_tls_verify.as_ref())
            .and(ambient.docker_cert_path.as_ref().or(dir.as_ref()))
            .map(|dir| TlsFiles::in_dir(dir));
        return place(Origin::DockerHost, parse(host, tls));
    }
    let in_dir = |name: &str| match &dir {
        Some(dir) => context::endpoint(dir, name).map_err(Problem::from),
        None => Err(ContextError::Missing(name.to_owned()).into()),
    };
    if let Some(name) = set(ambient.docker_context.as_ref()) {
        return match name.to_str() {
            Some(name) if context::is_context(name) => {
                place(Origin::DockerContext(name.to_owned()), in_dir(name))
            }
            Some(_) => None,
            None => {
                let name = name.to_string_lossy().into_owned();
                place(Origin::DockerContext(name), Err(Problem::NotText))
            }
        };
    }
    match context::current(dir.as_ref()?) {
        Ok(Some(name)) => {
            let endpoint = in_dir(&name);
            place(Origin::CurrentContext(name), endpoint)
        }
        Ok(None) => None,
        Err(error) => place(Origin::Configuration, Err(error.into())),
    }
}

fn usual(
    kind: EngineKind,
    sockets: impl IntoIterator<Item = Option<PathBuf>>,
) -> impl Iterator<Item = Place> {
    sockets.into_iter().flatten().map(move |path| Place {
        kind,
        origin: Origin::Usual,
        endpoint: Ok(Endpoint::Unix(path)),
    })
}

/// Where the sockets of the caller's own services are.
fn runtime_dir(ambient: &Ambient) -> Option<PathBuf> {
    let own = || (ambient.uid != 0).then(|| PathBuf::from(format!("/run/user/{}", ambient.uid)));
    ambient.runtime_dir.clone().or_else(own)
}

/// A variable that says something: an empty one says nothing.
fn set(variable: Option<&OsString>) -> Option<&OsString> {
    variable.filter(|value| !value.is_empty())
}

fn parse(text: &OsString, tls: Option<TlsFiles>) -> Result<Endpoint, Problem> {
    Ok(Endpoint::parse(
        text.to_str().ok_or(Problem::NotText)?,
        tls,
    )?)
}

fn look(place: Place) -> Candidate {
    let (endpoint, problem) = match place.endpoint {
        Ok(endpoint) => {
            let problem = reachable(&endpoint).err();
            (Some(endpoint), problem)
        }
        Err(problem) => (None, Some(problem)),
    };
    Candidate {
        kind: place.kind,
        origin: place.origin,
        endpoint,
        problem,
    }
}

/// What can be told without a word to the engine. A port is not tried: that may take long.
fn reachable(endpoint: &Endpoint) -> Result<(), Problem> {
    match endpoint {
        Endpoint::Unix(path) => socket(path),
        Endpoint::Tcp { .. } => Ok(()),
        Endpoint::Tls { files, .. } => {
            for path in files.all() {
                std::fs::File::open(path).map_err(|source| Problem::Tls {
                    path: path.to_owned(),
                    source,
                })?;
            }
            Ok(())
        }
    }
}

fn socket(path: &Path) -> Result<(), Problem> {
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::Absent,
        io::ErrorKind::PermissionDenied => Problem::Forbidden,
        io::ErrorKind::ConnectionRefused => Problem::Silent,
        _ => Problem::Connect(error),
    };
    if !path.metadata().map_err(problem)?.file_type().is_socket() {
        return Err(Problem::NotSocket);
    }
    UnixStream::connect(path).map_err(problem)?;
    Ok(())
}

#[cfg(test)]
mod tests;
