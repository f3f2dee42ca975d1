//! Debian's `docker-registry`, started by a test and gone with it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{succeeds, tool};

/// What a registry is to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistryKind {
    tls: bool,
    password: bool,
}

impl RegistryKind {
    /// With TLS, by an authority that only this test knows.
    #[must_use]
    pub const fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// For the user `tester` alone, whose password is [`PASSWORD`].
    #[must_use]
    pub const fn with_password(mut self) -> Self {
        self.password = true;
        self
    }
}

/// Of the user `tester`.
pub const PASSWORD: &str = "pass-word-of-a-test";

/// A registry on the loopback interface.
#[derive(Debug)]
pub struct Registry {
    dir: TempDir,
    child: Child,
    /// Host and port.
    pub host: String,
}

impl Registry {
    /// Starts one and waits until it listens.
    #[must_use]
    pub fn start(kind: RegistryKind) -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut http = "  addr: 127.0.0.1:0\n".to_owned();
        if kind.tls {
            make_certificates(&dir);
            let (certificate, key) = (path("server.crt"), path("server.key"));
            http = format!("{http}  tls:\n    certificate: {certificate}\n    key: {key}\n");
        }
        let mut config = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\nhttp:\n{http}",
            path("data")
        );
        if kind.password {
            let mut htpasswd = Command::new(tool("htpasswd"));
            let line = succeeds(htpasswd.args(["-nbB", "tester", PASSWORD]));
            fs::write(path("htpasswd"), line).expect("the file can be written");
            config = format!(
                "{config}auth:\n  htpasswd:\n    realm: tests\n    path: {}\n",
                path("htpasswd")
            );
        }
        fs::write(path("config.yml"), config).expect("the file can be written");
        let mut child = Command::new(tool("docker-registry"))
            .args(["serve", &path("config.yml")])
            .env_remove("REGISTRY_HTTP_ADDR")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        let host = loop {
            let line = lines.next().expect("the registry listens").expect("text");
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find([',', '"']).unwrap_or(rest.len());
                break rest[..end].to_owned();
            }
        };
        // What it says further is of no use, but must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { dir, child, host }
    }

    /// The full name of an image there.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// The file in which the registry keeps a blob.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let all = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        all.join(&hex[..2]).join(hex).join("data")
    }

    /// Sends a blob, as other programs do; its descriptor.
    #[must_use]
    pub fn put_blob(&self, repository: &str, bytes: &str, media_type: &str) -> Value {
        let digest = repro_core::digest::Digest::of(bytes.as_bytes());
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let head = curl(&["--dump-header", "-", "--request", "POST", &url]);
        let to = head
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .expect("an upload has a place");
        let to = format!("{}&digest={digest}", to.trim());
        let kind = "Content-Type: application/octet-stream";
        let put = ["--request", "PUT", "--header", kind, "--data-binary"];
        curl(&[&put[..], &[bytes, &to]].concat());
        json!({"digest": digest, "size": bytes.len(), "mediaType": media_type})
    }

    /// Sends a document under a tag, or under its digest where there is none; its descriptor.
    pub fn put_document(&self, repository: &str, tag: Option<&str>, body: &Value) -> Value {
        let text = body.to_string();
        let digest = repro_core::digest::Digest::of(text.as_bytes()).to_string();
        let media_type = body["mediaType"].as_str().expect("a document has a type");
        let name = tag.unwrap_or(&digest);
        let url = format!("http://{}/v2/{repository}/manifests/{name}", self.host);
        let header = format!("Content-Type: {media_type}");
        let file = self.dir.path().join("document");
        fs::write(&file, &text).expect("the file can be written");
        let data = format!("@{}", file.display());
        let put = ["--request", "PUT", "--header", &header, "--data-binary"];
        curl(&[&put[..], &[&data, &url]].concat());
        json!({"digest": digest, "size": text.len(), "mediaType": media_type})
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn curl(args: &[&str]) -> String {
    let mut curl = Command::new(tool("curl"));
    succeeds(curl.args(["--silent", "--show-error", "--fail"]).args(args))
}

/// An authority, and a certificate of it for this machine.
fn make_certificates(dir: &TempDir) {
    let openssl = |args: &[&str]| {
        let mut openssl = Command::new(tool("openssl"));
        succeeds(
            openssl
                .args(args)
                .current_dir(dir.path())
                .stderr(Stdio::null()),
        );
    };
    let new_key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    openssl(
        &[
            &[
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                "/CN=authority of a test",
            ],
            &new_key[..],
            &["-keyout", "ca.key", "-out", "ca.crt"],
        ]
        .concat(),
    );
    openssl(
        &[
            &["req", "-subj", "/CN=127.0.0.1"],
            &new_key[..],
            &["-keyout", "server.key", "-out", "server.csr"],
        ]
        .concat(),
    );
    fs::write(dir.path().join("names"), "subjectAltName=IP:127.0.0.1\n")
        .expect("it can be written");
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]);
}
