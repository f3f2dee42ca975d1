//! Debian's Docker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::{Address, LIMITS, alone, attached, make_dir};
use crate::User;

/// What the client of Debian's Docker is called by path: a client of another
/// version may lie before it, and needs a plugin for BuildKit that Debian does not have.
pub(crate) const CLIENT: &str = "/usr/bin/docker";

/// Where the images and containers are.
pub(super) const DATA: &str = "data";
/// The files of TLS by Docker's names: whom to believe, and what a client shows.
pub(super) const CLIENT_CERTIFICATES: &str = "certificates";

pub(super) fn service(dir: &Path, address: &Address) -> Command {
    let path = |name: &str| dir.join(name).display().to_string();
    make_dir(&dir.join("home"), User::Caller);
    // containerd ends with a daemon that was killed; as long as nobody has asked for its exit code, the
    // next daemon takes it for a running one.
    drop(fs::remove_file(dir.join("exec/containerd/containerd.pid")));
    // Not the configuration of the machine.
    fs::write(path("none.json"), "{}").expect("the file can be written");
    let mut command = attached("dockerd", User::Caller);
    command
        .arg(format!("--host={address}"))
        .arg(format!("--data-root={}", path(DATA)))
        .arg(format!("--exec-root={}", path("exec")))
        .arg(format!("--pidfile={}", path("pid")))
        .arg(format!("--config-file={}", path("none.json")))
        // The network of the machine is not for tests to change.
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .args(["--ip-forward=false", "--ip-masq=false"])
        .args(LIMITS.map(|limit| format!("--default-ulimit={limit}")));
    if let Address::Port(_) = address {
        let files = Certificates::make(dir);
        command
            .arg("--tlsverify")
            .arg(format!("--tlscacert={}", files.authority.display()))
            .arg(format!("--tlscert={}", files.certificate.display()))
            .arg(format!("--tlskey={}", files.key.display()));
    }
    command
}

/// The files of TLS of the daemon.
struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// One authority, and what it signs for the daemon and for its client.
    fn make(dir: &Path) -> Self {
        let client = dir.join(CLIENT_CERTIFICATES);
        make_dir(&client, User::Caller);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate");
        fs::write(client.join("ca.pem"), authority.pem()).expect("the file can be written");
        let issuer = Issuer::new(params, key);
        let sign = |usage, certificate: &Path, key: &Path| {
            let own = KeyPair::generate().expect("a key");
            let mut params =
                CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
            params.use_authority_key_identifier_extension = true;
            params.extended_key_usages = vec![usage];
            let signed = params.signed_by(&own, &issuer).expect("a certificate");
            fs::write(certificate, signed.pem()).expect("the file can be written");
            fs::write(key, own.serialize_pem()).expect("the file can be written");
        };
        sign(
            ExtendedKeyUsagePurpose::ClientAuth,
            &client.join("cert.pem"),
            &client.join("key.pem"),
        );
        let files = Self {
            authority: client.join("ca.pem"),
            certificate: dir.join("server-cert.pem"),
            key: dir.join("server-key.pem"),
        };
        sign(
            ExtendedKeyUsagePurpose::ServerAuth,
            &files.certificate,
            &files.key,
        );
        files
    }
}

pub(super) fn client(dir: &Path, address: &Address) -> Command {
    let mut command = Command::new(CLIENT);
    alone(&mut command, dir);
    command
        .env("DOCKER_HOST", address.to_string())
        .env("DOCKER_CONFIG", dir.join("home"));
    if let Address::Port(_) = address {
        command
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", dir.join(CLIENT_CERTIFICATES));
    }
    command
}
