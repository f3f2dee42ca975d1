//! Where an engine listens.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Port of an engine that is reached in clear.
const PLAIN_PORT: u16 = 2375;
/// Port of an engine that is reached by TLS.
const TLS_PORT: u16 = 2376;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A port, in clear.
    Tcp {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A port, by TLS, where both sides show a certificate.
    Tls {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whom to believe, and what to show.
        files: TlsFiles,
    },
}

/// The PEM files of a connection by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that the engine's certificate may be from.
    pub ca: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files in `dir` by the names that Docker gives them.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        }
    }

    /// Each of them.
    pub(crate) fn all(&self) -> [&Path; 3] {
        [&self.ca, &self.cert, &self.key]
    }
}

/// Why a text is not where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// A program would have to be started, with keys that it looks for itself.
    #[error(
        "{0} goes through ssh, which repro does not start: forward the socket, for instance \
         `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`, and name unix:///tmp/engine.sock"
    )]
    Ssh(String),
    /// A path without a scheme.
    #[error("{0} is a path; a socket is written unix://{0}")]
    BarePath(String),
    /// A path that depends on the working directory.
    #[error("the path of the socket in {0} is not absolute")]
    RelativePath(String),
    /// Something else before `://`.
    #[error("{0} is none of unix:///PATH and tcp://HOST:PORT")]
    Scheme(String),
    /// Something after the port.
    #[error("{0} has a path after the port, where repro expects none")]
    TcpPath(String),
    /// A host that is none.
    #[error("{0} names no host")]
    Host(String),
    /// A port that is none.
    #[error("the port in {0} is not a number from 1 to 65535")]
    Port(String),
}

impl Endpoint {
    /// Reads what `DOCKER_HOST` and contexts hold. `tls` is used with TCP, and then always.
    pub fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self, EndpointError> {
        let whole = || text.to_owned();
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if text.is_empty() => return Err(EndpointError::Empty),
            None if text.starts_with('/') => return Err(EndpointError::BarePath(whole())),
            None => ("tcp", text),
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(EndpointError::RelativePath(whole())),
            "tcp" => Self::tcp(text, rest, tls),
            "ssh" => Err(EndpointError::Ssh(whole())),
            _ => Err(EndpointError::Scheme(whole())),
        }
    }

    fn tcp(text: &str, rest: &str, tls: Option<TlsFiles>) -> Result<Self, EndpointError> {
        let whole = || text.to_owned();
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains('/') {
            return Err(EndpointError::TcpPath(whole()));
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(address) => {
                let (address, port) = address
                    .split_once(']')
                    .ok_or_else(|| EndpointError::Host(whole()))?;
                let port = match port {
                    "" => None,
                    port => Some(
                        port.strip_prefix(':')
                            .ok_or_else(|| EndpointError::Port(whole()))?,
                    ),
                };
                (address, port)
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| EndpointError::Port(whole()))?,
            None if tls.is_some() => TLS_PORT,
            None => PLAIN_PORT,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "@?#".contains(c)) {
            return Err(EndpointError::Host(whole()));
        }
        let host = host.to_owned();
        Ok(match tls {
            Some(files) => Self::Tls { host, port, files },
            None => Self::Tcp { host, port },
        })
    }
}

/// As in `DOCKER_HOST`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => {
                write!(f, "tcp://{host}:{port}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_spelt_as_docker_spells_them() {
        for (text, means) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://build.example", "tcp://build.example:2375"),
            ("tcp://build.example:99/", "tcp://build.example:99"),
            ("127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:7", "tcp://[::1]:7"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
        ] {
            let found = Endpoint::parse(text, None).unwrap();
            assert_eq!(found.to_string(), means, "{text}");
        }
        let files = TlsFiles::in_dir(Path::new("/certs"));
        let found = Endpoint::parse("tcp://build.example", Some(files.clone())).unwrap();
        let (host, port) = ("build.example".to_owned(), TLS_PORT);
        assert_eq!(found, Endpoint::Tls { host, port, files });
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        type Reason = fn(String) -> EndpointError;
        let cases: [(&str, Reason); 11] = [
            ("ssh://me@build.example", EndpointError::Ssh),
            ("/var/run/docker.sock", EndpointError::BarePath),
            ("unix://docker.sock", EndpointError::RelativePath),
            ("npipe:////./pipe/docker_engine", EndpointError::Scheme),
            ("fd://", EndpointError::Scheme),
            ("tcp://build.example:1/prefix", EndpointError::TcpPath),
            ("tcp://:2375", EndpointError::Host),
            ("tcp://me@build.example", EndpointError::Host),
            ("tcp://[::1", EndpointError::Host),
            ("tcp://build.example:0", EndpointError::Port),
            ("tcp://build.example:65536", EndpointError::Port),
        ];
        for (text, reason) in cases {
            let error = Endpoint::parse(text, None).unwrap_err();
            assert_eq!(error, reason(text.to_owned()));
        }
        assert_eq!(Endpoint::parse("", None), Err(EndpointError::Empty));
    }
}
