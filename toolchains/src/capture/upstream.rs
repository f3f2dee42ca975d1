//! The servers that a capture asks.

use std::net::IpAddr;

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
            .allow_non_standard_methods(true)
            .timeout_recv_response(Some(SILENCE * 4))
            .timeout_per_read(Some(SILENCE * 2))
            .build();
        let resolver = Checked {
            allowed: allowed.clone(),
            inner: DefaultResolver::default(),
        };
        Self {
            allowed,
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
        }
    }

    pub(super) const fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Sends a request, and waits for the head of the answer. Blocks.
    pub(super) fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Body>, UpstreamError> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers {
            request = request.header(name.clone(), value.clone());
        }
        // What comes is kept as it comes: the same bytes for whoever asks.
        request = request.header("accept-encoding", "identity");
        let wrong = |error: ureq::http::Error| UpstreamError::Connection(error.to_string());
        let with_body =
            !body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(method);
        let result = if with_body {
            self.agent.run(request.body(body).map_err(wrong)?)
        } else {
            self.agent.run(request.body(()).map_err(wrong)?)
        };
        result.map_err(|error| match error {
            ureq::Error::Other(other) => match other.downcast::<AddressRefused>() {
                Ok(refused) => UpstreamError::Address(refused.0),
                Err(other) => UpstreamError::Connection(other.to_string()),
            },
            error => UpstreamError::Connection(error.to_string()),
        })
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
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
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
            _ => Ok(good),
        }
    }
}
