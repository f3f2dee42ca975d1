//! The servers that a capture asks.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hyper::{HeaderMap, Method};
use ureq::{
    Agent, Body,
    config::Config,
    http::{Request, Response, Uri},
    tls::RootCerts,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::hosts::Allowed;
use crate::http::{self, SILENCE};

/// Connections to one host that are kept for the next request. Package managers ask for hundreds of
/// files, a dozen and more at a time, and each new connection costs a look-up and a handshake.
const IDLE_PER_HOST: usize = 24;
/// Pauses before a request is sent once more. One file of hundreds that fails by chance would cost
/// the whole capture.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// Asks servers that are allowed.
pub(super) struct Upstream {
    allowed: Allowed,
    agent: Agent,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum UpstreamError {
    /// The host has an address that is not allowed.
    Address(IpAddr),
    /// Nobody answered, or not as a server does.
    Connection(String),
}

impl Upstream {
    pub(super) fn new(allowed: Allowed) -> Self {
        // Redirects are the client's to follow, so that each is looked at and written down.
        let config = http::config(RootCerts::PlatformVerifier)
            .max_redirects(0)
            .max_idle_connections(4 * IDLE_PER_HOST)
            .max_idle_connections_per_host(IDLE_PER_HOST)
            .allow_non_standard_methods(true)
            .timeout_recv_response(Some(SILENCE * 4))
            .timeout_per_read(Some(SILENCE * 2))
            .build();
        let resolver = Checked {
            allowed: allowed.clone(),
            inner: DefaultResolver::default(),
            known: Mutex::default(),
        };
        Self {
            allowed,
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
        }
    }

    pub(super) const fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Sends a request, and waits for the head of the answer. Blocks. What changes nothing at the
    /// server is sent again where no answer came.
    pub(super) fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response<Body>, UpstreamError> {
        let harmless = body.is_empty() && [Method::GET, Method::HEAD].contains(method);
        let mut pauses = PAUSES.iter().filter(|_| harmless);
        loop {
            let error = match self.send_once(method, url, headers, body) {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if by_chance(&error) => http::pause(*pause, &|| false),
                _ => return Err(error.into()),
            }
        }
    }

    fn send_once(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers {
            request = request.header(name.clone(), value.clone());
        }
        // What comes is kept as it comes: the same bytes for whoever asks.
        request = request.header("accept-encoding", "identity");
        let with_body =
            !body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(method);
        if with_body {
            self.agent.run(request.body(body)?)
        } else {
            self.agent.run(request.body(())?)
        }
    }
}

/// Whether another try can end otherwise: nobody was found, reached or heard.
const fn by_chance(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(_)
    )
}

impl From<ureq::Error> for UpstreamError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Other(other) => match other.downcast::<AddressRefused>() {
                Ok(refused) => Self::Address(refused.0),
                Err(other) => Self::Connection(other.to_string()),
            },
            error => Self::Connection(error.to_string()),
        }
    }
}

/// An address that a host has and that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is not allowed")]
struct AddressRefused(IpAddr);

/// Looks at addresses before there is a connection, so that no second look-up can give others. Where
/// the machine has a proxy, that one looks names up, and decides.
#[derive(Debug)]
struct Checked {
    allowed: Allowed,
    inner: DefaultResolver,
    /// What was found, by host and port. A capture is short, and one look-up for each file is what
    /// makes resolvers refuse.
    known: Mutex<BTreeMap<String, ResolvedSocketAddrs>>,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri
            .authority()
            .map(|host| format!("{:?} {host}", uri.scheme_str()));
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = host.as_ref().and_then(|host| known().get(host).cloned());
        if let Some(good) = before {
            return Ok(good);
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        let proxy = config.proxy().map(ureq::Proxy::uri);
        if proxy.is_some_and(|proxy| proxy.authority() == uri.authority()) {
            return Ok(found);
        }
        let mut good = self.empty();
        let mut refused = None;
        for address in &found {
            if self.allowed.address(address.ip()) {
                good.push(*address);
            } else {
                refused = Some(address.ip());
            }
        }
        match refused {
            Some(address) if good.is_empty() => {
                Err(ureq::Error::Other(Box::new(AddressRefused(address))))
            }
            _ => {
                if let Some(host) = host {
                    known().insert(host, good.clone());
                }
                Ok(good)
            }
        }
    }
}
