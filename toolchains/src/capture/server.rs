//! The proxy's side towards a step: connections, tunnels, requests.

use std::{convert::Infallible, io, sync::Arc};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use repro_core::{build::StepListener, digest::Digest};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    runtime::Handle,
    sync::oneshot,
};
use tokio_rustls::LazyConfigAcceptor;

use super::{
    Mode,
    body::AnswerBody,
    headers,
    session::{Refusal, RefusalReason, Shared, Token},
    stream::Peeked,
};
use crate::lock::FetchKey;

mod live;
mod locked;

/// Longest body of a request.
const MAX_REQUEST: usize = 64 << 20;
/// First byte of a connection that speaks TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// How a request came.
#[derive(Debug, Clone)]
enum Via {
    /// As to a proxy: with the whole URL.
    Proxy,
    /// In a tunnel that a client believes to lead there.
    Tunnel { origin: String },
}

/// What the tasks of a step need.
#[derive(Clone)]
struct Serving {
    shared: Arc<Shared>,
    handle: Handle,
    /// Held as long as something may be written down.
    _token: Token,
}

/// A request that was read.
struct Asked {
    /// As the client has it, with whatever secrets.
    url: String,
    method: Method,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Without secrets.
    key: FetchKey,
}

impl Asked {
    fn refusal(&self, reason: RefusalReason) -> Refusal {
        Refusal {
            url: self.key.url.clone(),
            method: self.key.method.clone(),
            reason,
        }
    }
}

/// Where connections come in.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// To be made where the runtime has been entered.
    pub(super) fn new(listener: StepListener) -> io::Result<Self> {
        match listener {
            StepListener::Step(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            StepListener::Relay(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Takes connections until the step ends.
pub(super) async fn accept(shared: Arc<Shared>, handle: Handle, listener: Listener, token: Token) {
    let serving = Serving {
        shared,
        handle,
        _token: token,
    };
    loop {
        match listener.accept().await {
            Ok(Stream::Tcp(stream)) => {
                // A small answer shall not wait for the next one.
                drop(stream.set_nodelay(true));
                let connection = connection(serving.clone(), stream, Via::Proxy);
                serving.shared.spawn(&serving.handle, connection);
            }
            Ok(Stream::Unix(stream)) => {
                let connection = connection(serving.clone(), stream, Via::Proxy);
                serving.shared.spawn(&serving.handle, connection);
            }
            // Out of descriptors: those that are in use will end.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// Answers the requests of one connection.
async fn connection<S>(serving: Serving, stream: S, via: Via)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let (serving, via) = (serving.clone(), via.clone());
        async move { Ok::<_, Infallible>(answer(serving, request, via).await) }
    });
    let served = http1::Builder::new()
        // The clock must not show.
        .auto_date_header(false)
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A client that breaks off, or speaks something else, has ended its connection.
    drop(served.await);
}

async fn answer(serving: Serving, request: Request<Incoming>, via: Via) -> Response<AnswerBody> {
    if request.method() == Method::CONNECT {
        return match via {
            Via::Proxy => connect(serving, request),
            Via::Tunnel { .. } => plain(StatusCode::METHOD_NOT_ALLOWED, "a tunnel in a tunnel"),
        };
    }
    match read(&serving, request, &via).await {
        Ok(asked) => match serving.shared.mode.as_ref() {
            Mode::Replay(book) => locked::answer(&serving, book, &asked),
            Mode::Capture {
                upstream, known, ..
            } => {
                let turn = next_turn(&serving, &asked.key);
                let known = known.as_ref();
                if let Some(fetch) = known.and_then(|known| locked::known(&serving, known, &asked))
                {
                    return locked::again(&serving, &asked, turn, &fetch);
                }
                let host = host_of(&asked.url);
                if upstream.allowed().host(&host) {
                    captured(serving, asked, turn).await
                } else {
                    refuse(&serving, asked.refusal(RefusalReason::Host(host)))
                }
            }
        },
        Err(response) => response,
    }
}

/// The request with its body and key.
async fn read(
    serving: &Serving,
    request: Request<Incoming>,
    via: &Via,
) -> Result<Asked, Response<AnswerBody>> {
    let (parts, body) = request.into_parts();
    let bad = |why: &str| plain(StatusCode::BAD_REQUEST, why);
    let url = url(&parts.uri, via).ok_or_else(|| {
        bad("this is a proxy for the programs of a build step: it is asked for whole URLs of http, or for tunnels")
    })?;
    let redacted = serving.shared.redactor.url(&url);
    let method = parts.method.as_str().to_ascii_uppercase();
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        let refusal = Refusal {
            url: redacted,
            method,
            reason: RefusalReason::TooLarge,
        };
        return Err(refuse(serving, refusal));
    };
    let body = body.to_bytes().to_vec();
    Ok(Asked {
        key: FetchKey {
            url: redacted,
            method,
            body: (!body.is_empty()).then(|| Digest::of(&body)),
            accept: headers::accept(&parts.headers),
        },
        url,
        method: parts.method,
        headers: parts.headers,
        body,
    })
}

/// The URL in one spelling: host in lower case, no default port, no user, no fragment.
fn url(uri: &Uri, via: &Via) -> Option<String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    match via {
        Via::Tunnel { origin } => Some(format!("{origin}{path}")),
        Via::Proxy => {
            let scheme = uri.scheme_str().filter(|scheme| *scheme == "http")?;
            Some(format!("{}{path}", origin(scheme, uri)?))
        }
    }
}

/// Scheme and host of a URI that has a host.
fn origin(scheme: &str, uri: &Uri) -> Option<String> {
    let authority = uri.authority()?;
    let host = authority.host().to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    if host.is_empty() {
        return None;
    }
    let usual = if scheme == "https" { 443 } else { 80 };
    Some(match authority.port_u16() {
        Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

/// The host of a URL of ours.
fn host_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// A tunnel that ends here. Whoever is not allowed learns it at once.
fn connect(serving: Serving, mut request: Request<Incoming>) -> Response<AnswerBody> {
    let uri = request.uri().clone();
    let Some(https) = origin("https", &uri) else {
        return plain(StatusCode::BAD_REQUEST, "a tunnel needs a host and a port");
    };
    if let Mode::Capture {
        upstream,
        known: None,
        ..
    } = serving.shared.mode.as_ref()
    {
        let host = host_of(&https);
        if !upstream.allowed().host(&host) {
            let refusal = Refusal {
                url: https,
                method: "CONNECT".to_owned(),
                reason: RefusalReason::Host(host),
            };
            return refuse(&serving, refusal);
        }
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (shared, handle) = (Arc::clone(&serving.shared), serving.handle.clone());
    shared.spawn(&handle, tunnel(serving, upgrade, uri));
    Response::new(AnswerBody::empty())
}

/// Speaks with a client that believes to speak with the host.
async fn tunnel(serving: Serving, upgrade: OnUpgrade, uri: Uri) {
    // A client that breaks off has ended its connection.
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let Ok((first, stream)) = Peeked::new(TokioIo::new(upgraded)).await else {
        return;
    };
    let scheme = if first == Some(TLS_HANDSHAKE) {
        "https"
    } else {
        "http"
    };
    let Some(origin) = origin(scheme, &uri) else {
        return;
    };
    let host = host_of(&origin);
    let via = Via::Tunnel { origin };
    match first {
        None => {}
        Some(TLS_HANDSHAKE) => {
            if let Ok(stream) = handshake(&serving, stream, &host).await {
                connection(serving, stream, via).await;
            }
        }
        Some(_) => connection(serving, stream, via).await,
    }
}

async fn handshake<S>(
    serving: &Serving,
    stream: S,
    host: &str,
) -> io::Result<tokio_rustls::server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    // The name that the client checks; those who ask for an address name none.
    let name = started
        .client_hello()
        .server_name()
        .unwrap_or(host)
        .to_owned();
    let config = serving
        .shared
        .authority
        .server(&name)
        .map_err(io::Error::other)?;
    started.into_stream(config).await
}

/// Which request of its key this is. What the answer depends on is known when it is there.
fn next_turn(serving: &Serving, key: &FetchKey) -> u32 {
    let key = FetchKey {
        accept: None,
        ..key.clone()
    };
    let mut turns = serving.shared.turns();
    let turn = turns.entry(key).or_default();
    *turn = turn.saturating_add(1);
    *turn
}

/// Asks the server, and passes on what it says.
async fn captured(serving: Serving, asked: Asked, turn: u32) -> Response<AnswerBody> {
    let (reply, answer) = oneshot::channel();
    let handle = serving.handle.clone();
    // It goes on when the client is gone: what a step began to fetch is in the lock.
    drop(handle.spawn_blocking(move || live::capture(&serving, &asked, turn, reply)));
    answer
        .await
        .unwrap_or_else(|_| plain(StatusCode::BAD_GATEWAY, "the proxy failed"))
}

/// Says why there is no answer, to the client and to the user.
fn refuse(serving: &Serving, refusal: Refusal) -> Response<AnswerBody> {
    let text = format!("{refusal}\n{}", advice(&refusal.reason));
    serving.shared.refused(refusal);
    // Not a status that clients take for a passing trouble and ask again.
    plain(StatusCode::FORBIDDEN, &text)
}

fn advice(reason: &RefusalReason) -> String {
    match reason {
        RefusalReason::Host(host) => format!("allow it: repro lock --allow {host}"),
        RefusalReason::Address(address) => format!("allow it: repro lock --allow {address}"),
        RefusalReason::TooLarge => "such a file has to be an input of the project".to_owned(),
        _ => "write the lock again: repro lock".to_owned(),
    }
}

/// An answer of the proxy itself.
fn plain(status: StatusCode, text: &str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::text(format!("repro: {text}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An answer with these headers.
fn response(
    status: StatusCode,
    headers: &std::collections::BTreeMap<String, String>,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    for (name, value) in headers {
        let name = header::HeaderName::from_bytes(name.as_bytes());
        // Those that are none were refused when the lock was read.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_url() {
        let proxy = |text: &str| url(&text.parse().unwrap(), &Via::Proxy);
        for (asked, expected) in [
            ("http://HOST.example", Some("http://host.example/")),
            (
                "http://host.example.:80/a?b",
                Some("http://host.example/a?b"),
            ),
            ("http://u:p@h:8080/", Some("http://h:8080/")),
            ("http://[::1]:80/", Some("http://[::1]/")),
            ("https://h/", None),
            ("/local", None),
        ] {
            assert_eq!(proxy(asked).as_deref(), expected, "{asked}");
        }
        assert_eq!(
            origin("https", &"h:443".parse().unwrap()).unwrap(),
            "https://h"
        );
        assert_eq!(
            origin("http", &"h:443".parse().unwrap()).unwrap(),
            "http://h:443"
        );
        assert_eq!(host_of("http://[::1]:8/x"), "::1");
    }
}
