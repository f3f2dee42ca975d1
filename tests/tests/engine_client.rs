//! The client of engines, against real ones: Debian's Docker, and its Podman as root and as an
//! ordinary user.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use repro_core::{build::ExecutorError, event::NoEvents};
use repro_engine::{
    About, Ambient, Client, EngineError, EngineKind, Privileges, SystemCallFilter, find,
};
use repro_tests::{Engine, TestContext, succeeds, tool};
use serde_json::Value;

/// A small image as `docker save` writes it, and the digest of its configuration.
struct Image {
    // Holds the archive.
    _context: TestContext,
    archive: PathBuf,
    config: String,
}

impl Image {
    fn new() -> Self {
        let context = TestContext::new();
        let project = context.project(
            "small",
            &[(
                "Dockerfile",
                "FROM busybox\nCMD [\"echo\", \"from inside\"]\n",
            )],
        );
        let archive = context.path("small.tar");
        let built = context
            .repro(["build", "--runs", "1", "-t", "acme/small:1", "-o"])
            .arg(format!("docker-archive:{}", archive.display()))
            .arg(project)
            .run();
        drop(built.exits(0));
        let output = succeeds(
            Command::new(tool("tar"))
                .args(["--extract", "--to-stdout", "--file"])
                .arg(&archive)
                .arg("manifest.json"),
        );
        let manifest: Value = serde_json::from_str(&output).expect("the test made it so");
        let config = manifest[0]["Config"].as_str().expect("the test made it so");
        let config = format!("sha256:{}", config.trim_end_matches(".json"));
        Self {
            _context: context,
            archive,
            config,
        }
    }
}

fn connect(engine: &Engine) -> Client {
    connect_to(&engine.host()).expect("the test made it so")
}

fn connect_to(host: &str) -> Result<Client, EngineError> {
    let ambient = Ambient {
        docker_host: Some(host.into()),
        ..Ambient::default()
    };
    Client::connect(&find(Some(EngineKind::Docker), &ambient).expect("the test made it so"))
}

/// What is the same of every engine.
fn is_as_debian_has_it(about: &About, kind: EngineKind, version: &str, privileges: Privileges) {
    assert_eq!(about.kind, kind);
    assert!(about.version.starts_with(version), "{about}");
    assert_eq!(about.api.to_string(), "1.41");
    assert_eq!(about.privileges, privileges);
    assert_eq!(about.filter, SystemCallFilter::Seccomp);
    assert_eq!(about.runtime, "runc");
    assert_eq!(about.cgroup_driver, "cgroupfs");
    assert!(!about.storage_driver.is_empty());
    assert!(["amd64", "arm64"].contains(&about.architecture.as_str()));
}

/// Loads the image, and runs it.
fn takes_it_in(engine: &Engine) {
    let image = Image::new();
    let client = connect(engine);
    let archive = File::open(&image.archive).expect("the test made it so");
    let loaded = client
        .load(archive, &NoEvents)
        .expect("the test made it so");
    assert_eq!(loaded.id, image.config);
    assert_eq!(loaded.names.len(), 1);
    assert!(loaded.names[0].ends_with("acme/small:1"), "{loaded:?}");
    client
        .tag(
            &loaded.id,
            &"registry.example:5000/other:2"
                .parse()
                .expect("the test made it so"),
        )
        .expect("the test made it so");
    for name in ["acme/small:1", "registry.example:5000/other:2"] {
        let mut run = engine.client();
        run.args(["run", "--rm", "--network=none", "--pull=never"]);
        assert_eq!(succeeds(run.arg(name)), "from inside\n");
    }
}

/// Half of the image, and then a broken disk.
fn a_broken_archive_changes_nothing(engine: &Engine) {
    let image = Image::new();
    let client = connect(engine);
    let half = fs::metadata(&image.archive)
        .expect("the test made it so")
        .len()
        / 2;
    let archive = File::open(&image.archive)
        .expect("the test made it so")
        .take(half);
    let error = client
        .load(archive.chain(Broken), &NoEvents)
        .expect_err("the test made it so");
    assert!(matches!(error, EngineError::Archive(_)), "{error:?}");
    let error = client.load(&b"no archive at all"[..], &NoEvents);
    let error = error.expect_err("the test made it so");
    assert!(matches!(error, EngineError::Refused { .. }), "{error:?}");
    let images = succeeds(engine.client().args(["images", "--quiet"]));
    assert_eq!(images, "");
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(5))
    }
}

#[test]
fn privileged_docker_is_described_and_takes_an_image_in() {
    let engine = Engine::docker();
    let client = connect(&engine);
    let rootful = Privileges::Rootful;
    is_as_debian_has_it(client.about(), EngineKind::Docker, "20.10.", rootful);
    a_broken_archive_changes_nothing(&engine);
    takes_it_in(&engine);
}

#[test]
fn privileged_podman_is_described_and_takes_an_image_in() {
    let engine = Engine::podman();
    let client = connect(&engine);
    let rootful = Privileges::Rootful;
    is_as_debian_has_it(client.about(), EngineKind::Podman, "4.3.", rootful);
    a_broken_archive_changes_nothing(&engine);
    takes_it_in(&engine);
}

#[test]
fn privileged_rootless_podman_is_described_and_takes_an_image_in() {
    let engine = Engine::podman_rootless();
    let client = connect(&engine);
    let rootless = Privileges::Rootless;
    is_as_debian_has_it(client.about(), EngineKind::Podman, "4.3.", rootless);
    a_broken_archive_changes_nothing(&engine);
    takes_it_in(&engine);
}

#[test]
fn privileged_an_engine_by_tls_believes_its_own_authority_alone() {
    let engine = Engine::docker_with_tls();
    let ambient = |certificates: PathBuf| Ambient {
        docker_host: Some(engine.host().into()),
        docker_tls_verify: Some("1".into()),
        docker_cert_path: Some(certificates),
        ..Ambient::default()
    };
    let connect = |ambient: &Ambient| Client::connect(&find(None, ambient).unwrap());
    let client = connect(&ambient(engine.certificates())).unwrap();
    assert_eq!(client.about().kind, EngineKind::Docker);

    // Certificates of another authority, as good as they look.
    let other = Engine::docker_with_tls();
    let error = connect(&ambient(other.certificates())).unwrap_err();
    assert!(
        matches!(error, EngineError::Unreachable { .. }),
        "{error:?}"
    );
    // In clear, TLS answers nothing that can be understood.
    let error = connect_to(&engine.host()).unwrap_err();
    let ExecutorError::Machine { hint, .. } = error.into() else {
        panic!("another kind")
    };
    assert!(hint.contains("repro doctor"));
}

#[test]
fn privileged_a_store_that_is_full_is_worth_a_retry() {
    let engine = Engine::docker_with_room(64 << 20);
    let client = connect(&engine);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(96 << 20);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "layer.tar", io::repeat(7).take(96 << 20))
        .unwrap();
    let archive = archive.into_inner().unwrap();
    let error = client.load(&archive[..], &NoEvents).unwrap_err();
    assert!(matches!(error, EngineError::Full { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("make room"));
    assert!(matches!(error.into(), ExecutorError::Machine { .. }));
    // Nothing of it is left.
    let images = succeeds(engine.client().args(["images", "--all", "--quiet"]));
    assert_eq!(images, "");
}

/// Ends the engine after the first bytes.
struct Ending<'a> {
    engine: &'a mut Engine,
    rest: u32,
}

impl Read for Ending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.rest -= 1;
        match self.rest {
            1 => self.engine.kill(),
            0 => return Ok(0),
            _ => {}
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

#[test]
fn privileged_an_engine_that_ends_meanwhile_is_said_and_the_next_one_works() {
    let mut engine = Engine::docker();
    let client = connect(&engine);
    let engine_ref = &mut engine;
    let archive = Ending {
        engine: engine_ref,
        rest: 64,
    };
    let error = client.load(archive, &NoEvents).unwrap_err();
    assert!(matches!(error, EngineError::Lost { .. }), "{error:?}");
    // The socket is there, and nobody listens.
    let named = Ambient {
        docker_host: Some(engine.host().into()),
        ..Ambient::default()
    };
    let error = find(None, &named).unwrap_err();
    assert!(matches!(error, EngineError::Named { .. }), "{error:?}");
    engine.start_again();
    assert_eq!(connect(&engine).about().kind, EngineKind::Docker);
}

/// Answers everything with one document, as an engine that is not there any more would.
fn answering(socket: &Path, document: &'static str) {
    let listener = UnixListener::bind(socket).expect("the test made it so");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("the test made it so");
            let mut request = [0; 4096];
            if stream.read(&mut request).expect("the test made it so") == 0 {
                continue;
            }
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}",
                document.len()
            )
            .expect("the test made it so");
        }
    });
}

#[test]
fn engines_that_cannot_be_used_say_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for (name, document, said) in [
        (
            "old",
            r#"{"Version":"19.03.15","ApiVersion":"1.40","Os":"linux"}"#,
            "Docker 19.03.15 at unix://DIR/old speaks version 1.40 of the API, and repro needs 1.41",
        ),
        (
            "windows",
            r#"{"Version":"28.0","ApiVersion":"1.48","Os":"windows"}"#,
            "Docker 28.0 at unix://DIR/windows runs containers of windows, and repro needs linux",
        ),
        (
            "silent",
            r#"{"Components":[{"Name":"Podman Engine","Version":"1.0"}]}"#,
            "Podman of no version at unix://DIR/silent speaks version none of the API, and repro needs 1.41",
        ),
        ("other", "hello", "no engine answers at unix://DIR/other"),
    ] {
        let socket = dir.path().join(name);
        answering(&socket, document);
        let error = connect_to(&format!("unix://{}", socket.display())).unwrap_err();
        let dir = dir.path().display().to_string();
        assert_eq!(error.to_string().replace(&dir, "DIR"), said, "{error:?}");
        assert!(matches!(error.into(), ExecutorError::Machine { .. }));
    }
}
