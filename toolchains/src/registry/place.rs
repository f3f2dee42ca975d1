//! Where a registry is: its own host, or a mirror of it.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use repro_core::hosts::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_ALIAS, DEFAULT_REGISTRY_API};
use ureq::http::Uri;

/// How a host is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

/// Scheme, host and port of a server: what credentials are for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    /// Host and port, in lower case; without the port where it is the scheme's own.
    pub(super) host: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.prefix(), self.host)
    }
}

impl Origin {
    pub(super) fn new(scheme: Scheme, host: &str) -> Self {
        let own = match scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        let host = host.to_ascii_lowercase();
        let host = host
            .strip_suffix(own)
            .map(ToOwned::to_owned)
            .unwrap_or(host);
        Self { scheme, host }
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host, with or without port, is this machine by its name alone: a name that is looked
/// up could be anybody's.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name == "localhost"
        || address
            .unwrap_or(name)
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An absolute URL, which is shown without its query: addresses that others sign carry their
/// secrets there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) origin: Origin,
    /// Path and query, from the slash on.
    pub(super) rest: String,
}

impl Url {
    /// `None` if it is no such URL, or has a user in it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let authority = uri.authority()?.as_str();
        if authority.contains('@') || uri.host().is_none_or(str::is_empty) {
            return None;
        }
        let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Some(Self {
            origin: Origin::new(scheme, authority),
            rest: format!("{slash}{rest}"),
        })
    }

    /// What a `Location` in the answer to this URL means.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme_name()));
        }
        if location.contains("://") {
            return Self::parse(location);
        }
        let path = self.rest.split('?').next().unwrap_or("/");
        let rest = match location {
            rooted if rooted.starts_with('/') => rooted.to_owned(),
            query if query.starts_with('?') => format!("{path}{query}"),
            relative => {
                let dir = path.rfind('/').map_or("/", |slash| &path[..=slash]);
                format!("{dir}{relative}")
            }
        };
        Self::parse(&format!("{}{rest}", self.origin))
    }

    const fn scheme_name(&self) -> &'static str {
        match self.origin.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The same with one more parameter, which needs no escaping.
    pub(super) fn with_query(mut self, name: &str, value: &str) -> Self {
        let mark = if self.rest.contains('?') { '&' } else { '?' };
        self.rest = format!("{}{mark}{name}={value}", self.rest);
        self
    }

    pub(super) fn full(&self) -> String {
        format!("{}{}", self.origin, self.rest)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.rest.split('?').next().unwrap_or_default();
        write!(f, "{}{path}", self.origin)
    }
}

/// Why a text is no mirror of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryMirrorError {
    /// No `=`, or nothing on one side of it.
    #[error("write HOST=URL, the registry and where its mirror is")]
    Form,
    /// Another scheme, a user, a query, or characters that a URL does not have.
    #[error(
        "the mirror of a registry is an http:// or https:// URL without user, query and fragment"
    )]
    Url,
}

/// Another place that has the images of a registry, as users write it: `HOST=URL`.
///
/// What the URL has behind its host comes before the repository, as mirrors of several registries
/// have it: `registry.example=https://mirror.example/cache` asks for
/// `https://mirror.example/v2/cache/REPOSITORY/...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryMirror {
    registry: String,
    origin: Origin,
    prefix: String,
}

impl FromStr for RegistryMirror {
    type Err = RegistryMirrorError;

    fn from_str(text: &str) -> Result<Self, RegistryMirrorError> {
        let (registry, url) = text.split_once('=').ok_or(RegistryMirrorError::Form)?;
        if registry.is_empty() || registry.contains('/') || url.is_empty() {
            return Err(RegistryMirrorError::Form);
        }
        let url = Url::parse(url).filter(|_| !url.contains(['?', '#']));
        let url = url.ok_or(RegistryMirrorError::Url)?;
        let prefix = url.rest.trim_matches('/');
        let prefix = prefix.strip_prefix("v2").map_or(prefix, |rest| {
            rest.strip_prefix('/')
                .unwrap_or(if rest.is_empty() { "" } else { prefix })
        });
        let registry = match registry {
            DEFAULT_REGISTRY_ALIAS | DEFAULT_REGISTRY_API => DEFAULT_REGISTRY,
            other => other,
        };
        Ok(Self {
            registry: registry.to_owned(),
            prefix: prefix.to_owned(),
            origin: url.origin,
        })
    }
}

impl fmt::Display for RegistryMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.registry, self.origin)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

/// One place to ask for one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Where requests go. The scheme of a host on this machine is found out by the first request.
    pub(super) origin: Origin,
    /// Whether the scheme is certain.
    pub(super) certain: bool,
    /// What credentials are looked up by.
    pub(super) login: String,
    /// The repository, as this place calls it.
    pub(super) repository: String,
}

impl Place {
    /// The registry itself. `safe` says that certificates were given for it, so that it is talked to
    /// by TLS.
    pub(super) fn of_registry(
        registry: &str,
        repository: &str,
        plain: &BTreeSet<String>,
        safe: bool,
    ) -> Self {
        let host = if registry == DEFAULT_REGISTRY {
            DEFAULT_REGISTRY_API
        } else {
            registry
        };
        let asked = plain.contains(registry);
        let guess = is_loopback(host) && !safe;
        let scheme = if asked || guess {
            Scheme::Http
        } else {
            Scheme::Https
        };
        Self {
            origin: Origin::new(scheme, host),
            certain: asked || !guess,
            login: registry.to_owned(),
            repository: repository.to_owned(),
        }
    }

    /// A mirror; `None` if it is one of another registry.
    pub(super) fn of_mirror(
        mirror: &RegistryMirror,
        registry: &str,
        repository: &str,
    ) -> Option<Self> {
        (mirror.registry == registry).then(|| Self {
            origin: mirror.origin.clone(),
            certain: true,
            login: mirror.origin.host.clone(),
            repository: if mirror.prefix.is_empty() {
                repository.to_owned()
            } else {
                format!("{}/{repository}", mirror.prefix)
            },
        })
    }

    /// An address of the interface of the repository.
    pub(super) fn url(&self, rest: &str) -> Url {
        Url {
            origin: self.origin.clone(),
            rest: format!("/v2/{}/{rest}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_name_alone() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:5000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1:5000",
            "[::2]",
            "a:5000",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_location_is_joined_as_rfc_3986_says() {
        let url = Url::parse("https://R.example:443/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("/v2/b?c=d", "https://r.example/v2/b?c=d"),
            ("xyz", "https://r.example/v2/a/blobs/uploads/xyz"),
            ("?q", "https://r.example/v2/a/blobs/uploads/?q"),
            ("//other.example/z", "https://other.example/z"),
            ("http://o.example:80/z", "http://o.example/z"),
        ] {
            assert_eq!(url.join(location).unwrap().full(), expected, "{location}");
        }
        for location in ["ftp://a/b", "http://user:pw@a/b", "http:///x"] {
            assert_eq!(url.join(location), None, "{location}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_query() {
        let url = Url::parse("https://a.example/b?sig=secret").unwrap();
        assert_eq!(format!("{url:?}"), "https://a.example/b");
    }

    #[test]
    fn a_mirror_has_a_registry_and_perhaps_a_path() {
        for (text, shown, repository) in [
            (
                "docker.io=https://m.example",
                "docker.io=https://m.example",
                "library/a",
            ),
            (
                "r.example=http://m.example:80/c/",
                "r.example=http://m.example/c",
                "c/library/a",
            ),
            (
                "r.example:5000=https://m.example/v2/c",
                "r.example:5000=https://m.example/c",
                "c/library/a",
            ),
            (
                "r.example=https://m.example/v2",
                "r.example=https://m.example",
                "library/a",
            ),
            (
                "r.example=https://m.example/v2x",
                "r.example=https://m.example/v2x",
                "v2x/library/a",
            ),
        ] {
            let mirror: RegistryMirror = text.parse().unwrap();
            assert_eq!(mirror.to_string(), shown);
            let registry = text.split_once('=').unwrap().0;
            let place = Place::of_mirror(&mirror, registry, "library/a").unwrap();
            assert_eq!(place.repository, repository);
            assert_eq!(
                Place::of_mirror(&mirror, "other.example", "library/a"),
                None
            );
        }
        for (text, error) in [
            ("https://m.example", RegistryMirrorError::Form),
            ("r.example=", RegistryMirrorError::Form),
            ("r.example/x=https://m.example", RegistryMirrorError::Form),
            ("r.example=m.example", RegistryMirrorError::Url),
            ("r.example=ftp://m.example", RegistryMirrorError::Url),
            ("r.example=https://u:p@m.example", RegistryMirrorError::Url),
            ("r.example=https://m.example/?x", RegistryMirrorError::Url),
        ] {
            assert_eq!(text.parse::<RegistryMirror>(), Err(error), "{text}");
        }
    }
}
