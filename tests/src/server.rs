//! A server for captures, on an address of loopback that clients do not take for their own machine.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// The address: one that is in nobody's `no_proxy`.
pub const HOST: &str = "127.0.0.2";

/// What a server gives to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Answer {
    /// `200 OK` with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new("200 OK", body)
    }

    /// Another status.
    pub fn new(status: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            chunked: false,
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// In chunks, without a length.
    #[must_use]
    pub const fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    /// The certificate of its authority, where it speaks TLS.
    pub authority: Option<String>,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

type Give = dyn Fn(&Asked) -> Answer + Send + Sync;

impl Server {
    /// Over HTTP.
    pub fn http(give: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, give)
    }

    /// Over HTTPS, with an authority of its own.
    pub fn https(give: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate").pem();
        let issuer = rcgen::Issuer::new(params, key);
        let own = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).expect("parameters");
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&own, &issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.into()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.serialize_der())),
            )
            .expect("a configuration");
        Self::start(Some((Arc::new(config), authority)), give)
    }

    fn start(
        tls: Option<(Arc<ServerConfig>, String)>,
        give: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address: Ipv4Addr = HOST.parse().expect("an address");
        let listener = TcpListener::bind((address, 0)).expect("an address of loopback");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (config, authority) = tls.unzip();
        let scheme = if config.is_some() { "https" } else { "http" };
        let give: Arc<Give> = Arc::new(give);
        let (log, stop) = (Arc::clone(&asked), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (config, give, log) = (config.clone(), Arc::clone(&give), Arc::clone(&log));
                thread::spawn(move || {
                    // A client that breaks off is one that has ended.
                    drop(match config {
                        None => serve(stream, give.as_ref(), &log),
                        Some(config) => ServerConnection::new(config)
                            .map_err(io::Error::other)
                            .and_then(|tls| {
                                serve(StreamOwned::new(tls, stream), give.as_ref(), &log)
                            }),
                    });
                });
            }
        });
        Self {
            address,
            scheme,
            authority,
            asked,
            stopped,
            thread: Some(thread),
        }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// How often anybody asked for the path.
    pub fn count(&self, path: &str) -> usize {
        let asked = self.asked.lock().expect("no test panics with it");
        asked.iter().filter(|asked| asked.path == path).count()
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers requests of one connection until the client has no more.
fn serve(stream: impl Read + Write, give: &Give, log: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream)? {
        log.lock()
            .expect("no test panics with it")
            .push(asked.clone());
        let answer = give(&asked);
        write(stream.get_mut(), &asked, &answer)?;
    }
    Ok(())
}

fn read(stream: &mut BufReader<impl Read + Write>) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, path) = (words.next(), words.next());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Some(Asked {
        method: method.unwrap_or_default(),
        path: path.unwrap_or_default(),
        headers,
        body,
    }))
}

fn write(stream: &mut impl Write, asked: &Asked, answer: &Answer) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {}\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    let head = asked.method == "HEAD";
    if answer.chunked && !head {
        write!(stream, "Transfer-Encoding: chunked\r\n\r\n")?;
        for chunk in answer.body.chunks(1000) {
            write!(stream, "{:x}\r\n", chunk.len())?;
            stream.write_all(chunk)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")?;
    } else {
        write!(stream, "Content-Length: {}\r\n\r\n", answer.body.len())?;
        if !head {
            stream.write_all(&answer.body)?;
        }
    }
    stream.flush()
}

/// What `git http-backend` says of the repositories below `root`.
pub fn git_backend(root: &PathBuf, asked: &Asked) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let header = |name: &str| asked.headers.get(name).map_or("", String::as_str);
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&asked.body).expect("git reads");
    drop(stdin);
    let output = child.wait_with_output().expect("git ends").stdout;
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut answer = Answer::ok(&output[end + 4..]);
    for line in head.lines() {
        match line.split_once(": ") {
            Some(("Status", status)) if status.starts_with("404") => {
                answer.status = "404 Not Found";
            }
            Some(("Content-Type", kind)) => {
                answer.headers.push(("Content-Type", kind.to_owned()));
            }
            _ => {}
        }
    }
    answer
}
