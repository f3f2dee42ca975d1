//! Downloads from a real server on the loopback interface, which misbehaves on request.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    thread,
};

use repro_core::{event::NoEvents, store::MemoryBlobs};

use super::*;

/// How the server treats one request.
#[derive(Clone, Copy)]
enum Manner {
    /// Gives what is asked for, ranges included.
    Good,
    /// Gives the whole file whatever range is asked for.
    IgnoresRanges,
    /// Announces the whole, breaks off after half.
    BreaksOff,
    Status(u16),
    /// One byte of the file is another.
    WrongByte,
    /// Never stops sending.
    Endless,
}

struct Server {
    mirror: Mirror,
    /// The `Range` header of each request so far.
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

/// Serves `content` at every path; request n is treated as `manners[n]`, later ones as the last.
fn serve(content: Vec<u8>, manners: Vec<Manner>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!(
        "http://127.0.0.1:{}/debian",
        listener.local_addr().unwrap().port()
    );
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    thread::spawn(move || {
        let manners = manners
            .iter()
            .chain(std::iter::repeat(manners.last().unwrap()));
        for (stream, manner) in listener.incoming().zip(manners) {
            // A client that has had enough closes the connection: nothing to report.
            let _ended: io::Result<()> = answer(stream.unwrap(), &content, *manner, &seen);
        }
    });
    Server {
        mirror: mirror.parse().unwrap(),
        ranges,
    }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    manner: Manner,
    ranges: &Mutex<Vec<Option<String>>>,
) -> io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
    }
    ranges.lock().unwrap().push(range.clone());
    let start = range
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        })
        .filter(|_| !matches!(manner, Manner::IgnoresRanges))
        .unwrap_or(0_usize);
    let mut body = content[start..].to_vec();
    let (status, range) = match (manner, start) {
        (Manner::Status(status), _) => (status, String::new()),
        (_, 0) => (200, String::new()),
        _ => {
            let (last, all) = (content.len() - 1, content.len());
            (
                206,
                format!("Content-Range: bytes {start}-{last}/{all}\r\n"),
            )
        }
    };
    let length = match manner {
        Manner::Endless => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{length}{range}\r\n"
    )?;
    match manner {
        Manner::BreaksOff => body.truncate(body.len() / 2),
        Manner::WrongByte => body[0] ^= 1,
        _ => {}
    }
    stream.write_all(&body)?;
    if matches!(manner, Manner::Endless) {
        // Until the client closes the connection, which makes the write fail.
        loop {
            stream.write_all(&[0; 4096])?;
        }
    }
    Ok(())
}

fn content() -> Vec<u8> {
    (0_u32..100_000).flat_map(u32::to_le_bytes).collect()
}

fn pool_file(content: &[u8]) -> PoolFile {
    PoolFile {
        path: "pool/main/x/x_1_all.deb".parse().unwrap(),
        size: content.len() as u64,
        sha256: Digest::of(content),
    }
}

fn archive_file(content: &[u8]) -> ArchiveFile {
    (&pool_file(content)).into()
}

struct Client {
    dir: tempfile::TempDir,
    store: MemoryBlobs,
}

impl Client {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: MemoryBlobs::new(),
        }
    }

    /// Fetches without the snapshot archive, which is not on this machine.
    fn fetch(&self, servers: &[&Server], file: &ArchiveFile) -> Result<(), FetchError> {
        let mirrors: Vec<_> = servers.iter().map(|server| server.mirror.clone()).collect();
        let progress = Progress::start(&NoEvents, "test", "test", file.size);
        Transfer {
            agent: &agent(),
            file,
            partial: self.dir.path(),
            retry: RetryPolicy {
                attempts: 3,
                first_wait: Duration::from_millis(1),
            },
            store: &self.store,
            progress: &progress,
            stop: &|| false,
        }
        .run(&mirrors)
    }

    fn has(&self, file: &ArchiveFile) -> bool {
        self.store.size(file.sha256).unwrap().is_some()
    }

    fn leftovers(&self) -> Vec<u64> {
        repro_core::fs::sorted_names(self.dir.path())
            .unwrap()
            .iter()
            .map(|name| self.dir.path().join(name).metadata().unwrap().len())
            .collect()
    }
}

#[test]
fn a_broken_transfer_is_resumed_where_it_broke() {
    let content = content();
    let file = archive_file(&content);
    let half = content.len() / 2;
    let server = serve(
        content,
        vec![Manner::BreaksOff, Manner::Status(503), Manner::Good],
    );
    let client = Client::new();
    client.fetch(&[&server], &file).unwrap();
    assert!(client.has(&file));
    assert!(client.leftovers().is_empty());
    let rest = Some(format!("bytes={half}-"));
    assert_eq!(*server.ranges.lock().unwrap(), [None, rest.clone(), rest]);
}

#[test]
fn a_later_process_goes_on_from_the_unfinished_file() {
    let content = content();
    let file = archive_file(&content);
    let half = content.len() / 2;
    let client = Client::new();
    let path = client
        .dir
        .path()
        .join(format!("fetch-{}.part", file.sha256.hex()));
    std::fs::write(path, &content[..half]).unwrap();
    let server = serve(content, vec![Manner::Good]);
    client.fetch(&[&server], &file).unwrap();
    assert!(client.has(&file));
    assert_eq!(
        *server.ranges.lock().unwrap(),
        [Some(format!("bytes={half}-"))]
    );
}

#[test]
fn wrong_bytes_of_an_earlier_process_are_fetched_again() {
    let content = content();
    let file = archive_file(&content);
    let client = Client::new();
    let path = client
        .dir
        .path()
        .join(format!("fetch-{}.part", file.sha256.hex()));
    std::fs::write(path, [7; 1000]).unwrap();
    let server = serve(content, vec![Manner::Good]);
    client.fetch(&[&server], &file).unwrap();
    assert!(client.has(&file));
    assert_eq!(server.ranges.lock().unwrap().len(), 2);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let content = content();
    let file = archive_file(&content);
    let server = serve(content, vec![Manner::BreaksOff, Manner::IgnoresRanges]);
    let client = Client::new();
    client.fetch(&[&server], &file).unwrap();
    assert!(client.has(&file));
}

#[test]
fn wrong_bytes_are_named_and_not_kept() {
    let content = content();
    let file = archive_file(&content);
    let mut wrong = content.clone();
    wrong[0] ^= 1;
    let server = serve(content, vec![Manner::WrongByte]);
    let client = Client::new();
    let error = client.fetch(&[&server], &file).unwrap_err();
    let text = error.to_string();
    let FetchError::Digest {
        expected,
        found,
        mirror,
        ..
    } = error
    else {
        panic!("{text}");
    };
    assert_eq!((expected, found), (file.sha256, Digest::of(&wrong)));
    assert_eq!(mirror, server.mirror.to_string());
    assert!(text.contains("pool/main/x/x_1_all.deb"), "{text}");
    assert!(!client.has(&file));
    assert_eq!(client.store.digests(), []);
    assert_eq!(client.leftovers(), [0]);
}

#[test]
fn another_mirror_makes_up_for_a_bad_one() {
    let content = content();
    let file = archive_file(&content);
    for manner in [
        Manner::WrongByte,
        Manner::Endless,
        Manner::Status(404),
        Manner::Status(500),
    ] {
        let bad = serve(content.clone(), vec![manner]);
        let good = serve(content.clone(), vec![Manner::Good]);
        let client = Client::new();
        client.fetch(&[&bad, &good], &file).unwrap();
        assert!(client.has(&file));
    }
}

#[test]
fn a_missing_file_is_asked_for_once_and_a_failing_server_three_times() {
    let content = content();
    let file = archive_file(&content);
    let gone = serve(content.clone(), vec![Manner::Status(404)]);
    let ill = serve(content, vec![Manner::Status(500)]);
    let error = Client::new().fetch(&[&gone, &ill], &file).unwrap_err();
    let FetchError::Unavailable { tried, .. } = error else {
        panic!("{error}");
    };
    let answers: Vec<_> = tried.into_iter().map(|tried| tried.answer).collect();
    assert_eq!(answers, [Answer::Status(404), Answer::Status(500)]);
    assert_eq!(gone.ranges.lock().unwrap().len(), 1);
    assert_eq!(ill.ranges.lock().unwrap().len(), 3);
}

#[test]
fn an_endless_answer_ends_at_the_locked_size() {
    let content = content();
    let file = archive_file(&content);
    let server = serve(content, vec![Manner::Endless]);
    let error = Client::new().fetch(&[&server], &file).unwrap_err();
    let FetchError::Unavailable { tried, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(tried[0].answer, Answer::Long);
}

#[test]
fn files_come_in_parallel_and_none_twice() {
    let content = content();
    let file = pool_file(&content);
    let server = serve(content, vec![Manner::Good]);
    let dir = tempfile::tempdir().unwrap();
    let store = MemoryBlobs::new();
    let fetcher = Fetcher::new(FetchSettings {
        mirrors: vec![server.mirror.clone()],
        partial: dir.path().to_owned(),
        retry: RetryPolicy::default(),
        cancelled: Arc::default(),
    });
    let epoch = Epoch::MIN;
    let first = fetcher
        .fetch("test", &[&file, &file], epoch, &store, &NoEvents)
        .unwrap();
    assert_eq!((first.files, first.bytes), (1, file.size));
    let again = fetcher
        .fetch("test", &[&file], epoch, &store, &NoEvents)
        .unwrap();
    assert_eq!(again, Fetched::default());
    assert_eq!(server.ranges.lock().unwrap().len(), 1);
}

#[test]
fn a_caller_can_stop() {
    let content = content();
    let file = pool_file(&content);
    let server = serve(content, vec![Manner::Good]);
    let dir = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(FetchSettings {
        mirrors: vec![server.mirror.clone()],
        partial: dir.path().to_owned(),
        retry: RetryPolicy::default(),
        cancelled: Arc::new(AtomicBool::new(true)),
    });
    let store = MemoryBlobs::new();
    let error = fetcher
        .fetch("test", &[&file], Epoch::MIN, &store, &NoEvents)
        .unwrap_err();
    assert!(matches!(error, FetchError::Cancelled));
}
