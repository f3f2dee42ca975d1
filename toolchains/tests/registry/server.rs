//! A registry on the loopback interface that does what a test wants, and remembers what it was asked.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// How the body is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Whole,
    /// Announced whole, broken off after so many bytes.
    Half(usize),
    /// Without length and end.
    Endless,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    manner: Manner,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            manner: Manner::Whole,
        }
    }

    pub(crate) const fn is_found(&self) -> bool {
        self.status != 404
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) const fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }
}

/// The server; it ends with the tests.
pub(crate) struct Server {
    /// Host and port.
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers as `answer` says, which is also given the host.
    pub(crate) fn start(answer: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, name, answer) = (Arc::clone(&asked), host.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, name, answer) = (Arc::clone(&seen), name.clone(), Arc::clone(&answer));
                // A client that has had enough closes the connection: nothing to report.
                thread::spawn(move || -> io::Result<()> {
                    let mut stream = stream?;
                    let request = read(&stream)?;
                    seen.lock().unwrap().push(request.clone());
                    write(&mut stream, &request, &answer(&request, &name))
                });
            }
        });
        Self { host, asked }
    }

    /// What was asked so far, without the question whether there is TLS.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let real = asked.iter().filter(|asked| asked.path != "/v2/");
        real.cloned().collect()
    }

    /// Those requests whose path contains a text.
    pub(crate) fn asked_for(&self, text: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.path.contains(text));
        asked
    }
}

fn read(stream: &TcpStream) -> io::Result<Asked> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Asked {
        method,
        path,
        headers,
        body,
    })
}

fn write(stream: &mut TcpStream, asked: &Asked, answer: &Answer) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {} X\r\nConnection: close\r\n",
        answer.status
    )?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    if !matches!(answer.manner, Manner::Endless) {
        write!(stream, "Content-Length: {}\r\n", answer.body.len())?;
    }
    stream.write_all(b"\r\n")?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    match answer.manner {
        Manner::Whole => stream.write_all(&answer.body),
        Manner::Half(bytes) => stream.write_all(&answer.body[..bytes]),
        Manner::Endless => loop {
            // Until the client closes the connection, which makes the write fail.
            stream.write_all(&[b' '; 4096])?;
        },
    }
}
