//! What an engine says of itself.

use std::{fmt, os::unix::net::UnixStream, str::FromStr};

use bollard::models::{SystemInfo, SystemVersion};

use crate::endpoint::Endpoint;

/// Whose engine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// Docker.
    Docker,
    /// Podman, by the part of its API that is Docker's.
    Podman,
}

impl EngineKind {
    /// The name on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// A version of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Before the dot.
    pub major: usize,
    /// After it.
    pub minor: usize,
}

impl ApiVersion {
    /// That of Docker 20.10, and of Podman 4 and 5.
    pub const LEAST: Self = Self {
        major: 1,
        minor: 41,
    };
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self {
            major: major.parse().map_err(drop)?,
            minor: minor.parse().map_err(drop)?,
        })
    }
}

/// As whom an engine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// As root.
    Rootful,
    /// As root that gives containers other ids than the machine's (`userns-remap`).
    Remapped,
    /// As an ordinary user.
    Rootless,
}

impl Privileges {
    /// The name in texts and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rootful => "rootful",
            Self::Remapped => "userns-remap",
            Self::Rootless => "rootless",
        }
    }
}

/// Whether an engine can filter the system calls of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCallFilter {
    /// It can.
    Seccomp,
    /// It cannot.
    Absent,
}

/// What an engine says of itself. A text that it does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Whose it is.
    pub kind: EngineKind,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its version.
    pub version: String,
    /// The version of the API that it is spoken to in.
    pub api: ApiVersion,
    /// As whom it works.
    pub privileges: Privileges,
    /// How it keeps images: `overlay2`, `vfs`, `overlayfs` (a snapshotter of containerd), ...
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// What its containers run on, as in images: `amd64`, `arm64`, ...
    pub architecture: String,
    /// Whether it can filter system calls.
    pub filter: SystemCallFilter,
    /// What starts its containers unless another is named: `runc`, `crun`, ...
    pub runtime: String,
}

/// As `Podman 4.3.1 (unix:///run/podman/podman.sock)`.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.version, self.endpoint)
    }
}

impl About {
    pub(crate) fn new(
        endpoint: Endpoint,
        api: ApiVersion,
        version: SystemVersion,
        info: &SystemInfo,
    ) -> Self {
        let options = info.security_options.as_deref().unwrap_or_default();
        // As `name=seccomp,profile=default`.
        let has = |name: &str| {
            let named = |option: &String| {
                option
                    .split(',')
                    .any(|pair| pair.strip_prefix("name=") == Some(name))
            };
            options.iter().any(named)
        };
        let kind = kind(&version);
        let privileges = if has("rootless") || kind == EngineKind::Podman && is_of_user(&endpoint) {
            Privileges::Rootless
        } else if has("userns") {
            Privileges::Remapped
        } else {
            Privileges::Rootful
        };
        let filter = if has("seccomp") {
            SystemCallFilter::Seccomp
        } else {
            SystemCallFilter::Absent
        };
        let text =
            |found: Option<&dyn fmt::Display>| found.map(ToString::to_string).unwrap_or_default();
        Self {
            kind,
            endpoint,
            version: version.version.unwrap_or_default(),
            api,
            privileges,
            storage_driver: info.driver.clone().unwrap_or_default(),
            cgroup_version: text(info.cgroup_version.as_ref().map(|found| found as _)),
            cgroup_driver: text(info.cgroup_driver.as_ref().map(|found| found as _)),
            architecture: version.arch.unwrap_or_default(),
            filter,
            runtime: info.default_runtime.clone().unwrap_or_default(),
        }
    }
}

/// Podman says who it is in its list of components alone.
pub(crate) fn kind(version: &SystemVersion) -> EngineKind {
    let components = version.components.as_deref().unwrap_or_default();
    if components.iter().any(|part| part.name.contains("Podman")) {
        EngineKind::Podman
    } else {
        EngineKind::Docker
    }
}

/// Whether an ordinary user listens. Podman before 4.4 says nowhere in Docker's API that it is rootless.
fn is_of_user(endpoint: &Endpoint) -> bool {
    let Endpoint::Unix(path) = endpoint else {
        return false;
    };
    UnixStream::connect(path)
        .ok()
        .and_then(|stream| rustix::net::sockopt::socket_peercred(&stream).ok())
        .is_some_and(|peer| !peer.uid.is_root())
}
