//! Requests: connections, answers, repetition, redirects.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ureq::{
    Agent, Body, SendBody,
    http::{HeaderName, Method, Request, Response, StatusCode, header},
};

use super::{
    RegistryError, RegistrySettings,
    credentials::Secret,
    place::{Origin, Scheme, Url},
};
use crate::{
    fetch::RetryPolicy,
    http::{self, SILENCE, pause},
};

/// Redirects followed: registries send to their storage, which may have a network of its own.
const REDIRECTS: usize = 5;
/// Time for an answer to what was sent: a registry reads a whole layer again before it says that it
/// has it.
const DIGESTION: Duration = Duration::from_mins(5);
/// The longest time that a registry may ask us to wait.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// Longest document of an error that is read, and most of it that is shown.
const MAX_ERROR: u64 = 64 << 10;
const SHOWN: usize = 200;

/// What is sent.
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// A blob, opened anew for each try.
    Stream {
        size: u64,
        open: &'a dyn Fn() -> Result<Box<dyn Read + 'a>, RegistryError>,
    },
}

/// One request, as often as it has to be repeated.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) payload: Payload<'a>,
    /// What people read where it fails: `manifest 1.36 of library/busybox`.
    pub(super) what: String,
    /// Most bytes of the answer; decides how long it may take.
    pub(super) expected: u64,
}

impl<'a> Call<'a> {
    pub(super) const fn new(method: Method, url: Url, what: String) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            payload: Payload::Nothing,
            what,
            expected: 1 << 20,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// For an answer of about that many bytes.
    pub(super) const fn expecting(mut self, bytes: u64) -> Self {
        self.expected = bytes;
        self
    }

    fn size(&self) -> u64 {
        match self.payload {
            Payload::Nothing => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Stream { size, .. } => size,
        }
    }
}

/// Connections to every host, with whom each of them believes.
pub(super) struct Client {
    pub(super) settings: RegistrySettings,
    agents: Mutex<BTreeMap<String, Agent>>,
}

impl Client {
    pub(super) const fn new(settings: RegistrySettings) -> Self {
        Self {
            settings,
            agents: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn cancelled(&self) -> &AtomicBool {
        &self.settings.cancelled
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.settings.cancelled.load(Ordering::Relaxed)
    }

    const fn retry(&self) -> RetryPolicy {
        self.settings.retry
    }

    fn agent(&self, host: &str) -> Result<Agent, RegistryError> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(host) {
            return Ok(agent.clone());
        }
        // Redirects are followed by hand: whom credentials are sent to is decided here.
        let agent = http::config(self.settings.trust.roots(host)?)
            .max_redirects(0)
            .timeout_per_write(Some(SILENCE))
            .build()
            .new_agent();
        agents.insert(host.to_owned(), agent.clone());
        Ok(agent)
    }

    /// Whether a host may be talked to without TLS.
    pub(super) fn may_be_plain(&self, origin: &Origin) -> bool {
        origin.is_loopback() || self.settings.plain_http.contains(&origin.host)
    }

    /// Sends it, again after a while where that may help, and follows redirects. `authorization` goes
    /// to the host of the call and to no other.
    pub(super) fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&Secret>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut wait = self.retry().first_wait;
        let mut attempt = 1;
        loop {
            if self.is_cancelled() {
                return Err(RegistryError::Cancelled);
            }
            let result = self.follow(call, authorization);
            let asked = match &result {
                Ok(response) if is_for_a_moment(response.status()) => retry_after(response),
                Err(RegistryError::Unreachable { .. }) => None,
                _ => return result,
            };
            let next = asked.unwrap_or(wait);
            if attempt >= self.retry().attempts || next > MAX_WAIT {
                return result;
            }
            pause(next, &|| self.is_cancelled());
            wait *= 2;
            attempt += 1;
        }
    }

    /// One try, which says nothing of who we are.
    pub(super) fn send_once(&self, call: &Call<'_>) -> Result<Response<Body>, RegistryError> {
        self.once(call, &call.url, None)
    }

    fn follow(
        &self,
        call: &Call<'_>,
        authorization: Option<&Secret>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut url = call.url.clone();
        let is_read = matches!(call.method, Method::GET | Method::HEAD);
        for _ in 0..=REDIRECTS {
            // Not only the host: another port is another server.
            let at_home = url.origin == call.url.origin;
            let response = self.once(call, &url, authorization.filter(|_| at_home))?;
            if !at_home && response.status() == StatusCode::UNAUTHORIZED {
                // Whoever answered it would tell a host of the registry's choice who we are
                // (CVE-2020-15157).
                return Err(RegistryError::Status {
                    host: url.origin.host,
                    what: call.what.clone(),
                    status: response.status().as_u16(),
                    message: String::new(),
                });
            }
            if !is_read || !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION);
            let Some(location) = location.and_then(|value| value.to_str().ok()) else {
                return Ok(response);
            };
            let next = url.join(location);
            let next = next.ok_or_else(|| lost(call, &url, "that is no http or https URL"))?;
            self.check_way(call, &next)?;
            url = next;
        }
        Err(lost(call, &url, "there is no end of it"))
    }

    /// Whether an answer to `call` may send us to `next`.
    pub(super) fn check_way(&self, call: &Call<'_>, next: &Url) -> Result<(), RegistryError> {
        if next.origin.scheme == Scheme::Https {
            return Ok(());
        }
        if call.url.origin.scheme == Scheme::Https {
            return Err(lost(
                call,
                next,
                "that is a way without TLS from one with it",
            ));
        }
        if self.may_be_plain(&next.origin) {
            return Ok(());
        }
        Err(lost(
            call,
            next,
            "that is a way without TLS to another machine",
        ))
    }

    /// One request and its answer.
    fn once(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<&Secret>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url.full());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value.expose());
        }
        if let Payload::Stream { size, .. } = &call.payload {
            request = request.header(header::CONTENT_LENGTH, *size);
        }
        let host = &url.origin.host;
        let broken = |why: String| RegistryError::Unreachable {
            host: host.clone(),
            why,
        };
        let agent = self.agent(host)?;
        let time = http::longest(call.expected.saturating_add(call.size()));
        let result = match &call.payload {
            Payload::Nothing if call.method == Method::POST || call.method == Method::PUT => {
                let request = request
                    .body(&[] as &[u8])
                    .map_err(|e| broken(e.to_string()))?;
                run(&agent, request, time)
            }
            Payload::Nothing => {
                let request = request.body(()).map_err(|e| broken(e.to_string()))?;
                run(&agent, request, time)
            }
            Payload::Bytes(bytes) => {
                let request = request.body(*bytes).map_err(|e| broken(e.to_string()))?;
                run(&agent, request, time)
            }
            Payload::Stream { open, .. } => {
                let mut reader = Watched {
                    inner: open()?,
                    cancelled: self.cancelled(),
                    failed: None,
                };
                let body = SendBody::from_reader(&mut reader);
                let request = request.body(body).map_err(|e| broken(e.to_string()))?;
                let result = run(&agent, request, time);
                if let Some(error) = reader.failed {
                    // Not the registry's fault, and not better the next time.
                    return Err(error);
                }
                result
            }
        };
        result.map_err(|error| match error {
            _ if self.is_cancelled() => RegistryError::Cancelled,
            ureq::Error::Rustls(error) => untrusted(host, &error),
            ureq::Error::Io(error) => match tls_error(&error) {
                Some(tls) => untrusted(host, tls),
                None => broken(error.to_string()),
            },
            // The others show the URL, or nothing that helps.
            ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
                broken("its address is malformed".into())
            }
            other => broken(other.to_string()),
        })
    }
}

/// An answer that sends us where we do not go.
fn lost(call: &Call<'_>, to: &Url, why: &'static str) -> RegistryError {
    RegistryError::Redirect {
        host: call.url.origin.host.clone(),
        what: call.what.clone(),
        to: to.origin.to_string(),
        why,
    }
}

fn run(
    agent: &Agent,
    request: Request<impl ureq::AsSendBody>,
    time: Duration,
) -> Result<Response<Body>, ureq::Error> {
    let has_body = matches!(
        *request.method(),
        Method::PUT | Method::POST | Method::PATCH
    );
    let mut config = agent.configure_request(request).timeout_global(Some(time));
    if has_body {
        config = config.timeout_recv_response(Some(DIGESTION));
    }
    agent.run(config.build())
}

/// The error of TLS inside one of a connection, if it says that the peer is not to be trusted.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn untrusted(host: &str, error: &rustls::Error) -> RegistryError {
    let (host, why) = (host.to_owned(), error.to_string());
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            RegistryError::Untrusted { host, why }
        }
        _ => RegistryError::Unreachable { host, why },
    }
}

/// What is sent, until the caller wants to stop.
struct Watched<'a> {
    inner: Box<dyn Read + 'a>,
    cancelled: &'a AtomicBool,
    failed: Option<RegistryError>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            self.failed = Some(RegistryError::Cancelled);
            return Err(io::Error::other("stopped"));
        }
        self.inner.read(buf).map_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            let error = match error.downcast::<repro_core::store::BlobError>() {
                Ok(blob) => blob,
                Err(source) => repro_core::store::BlobError::Io {
                    what: "read a blob of the store".into(),
                    source,
                },
            };
            self.failed = Some(error.into());
            shown
        })
    }
}

/// Whether the same again may get another answer.
fn is_for_a_moment(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// How long the answer asks us to wait. A date is measured by the answer's own clock.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let text = |name| response.headers().get(name)?.to_str().ok();
    let value = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| {
        jiff::fmt::rfc2822::parse(text)
            .ok()
            .map(|date| date.timestamp())
    };
    let (then, now) = (date(value)?, date(text(header::DATE)?)?);
    let seconds = then.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Reads a body of at most `limit` bytes.
pub(super) fn read_body(
    response: &mut Response<Body>,
    host: &str,
    what: &str,
    limit: u64,
) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    let body = response.body_mut().as_reader();
    body.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| RegistryError::Unreachable {
            host: host.to_owned(),
            why: error.to_string(),
        })?;
    if bytes.len() as u64 > limit {
        return Err(RegistryError::TooLong {
            host: host.to_owned(),
            what: what.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// What an answer that is no success says, for people: the registry's own words, made harmless.
pub(super) fn words(response: &mut Response<Body>) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<OneError>,
    }
    #[derive(serde::Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let mut bytes = Vec::new();
    let body = response.body_mut().as_reader();
    if body.take(MAX_ERROR).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    let Ok(Errors { errors }) = serde_json::from_slice(&bytes) else {
        return String::new();
    };
    let said: Vec<String> = errors
        .into_iter()
        .map(|error| {
            if error.message.is_empty() {
                error.code
            } else {
                error.message
            }
        })
        .filter(|text| !text.is_empty())
        .collect();
    harmless(&said.join("; "))
}

/// A text from outside, short and without characters that a terminal acts on.
pub(super) fn harmless(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(SHOWN).collect()
}
