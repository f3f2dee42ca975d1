//! Whom programs of Java trust: a key store in a form of their own, since none reads PEM.

use sha1::{Digest as _, Sha1};

/// Protects nothing: what is in the store is public. Java checks a store's digest only with one.
const PASSWORD: &str = "repro-repro";
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
const ALIAS: &str = "repro";
const KIND: &str = "X.509";
/// What the digest of a store begins with, behind the password.
const SALT: &[u8] = b"Mighty Aphrodite";

/// A store (JKS, version 2) of one trusted certificate, in DER.
pub(super) fn key_store(certificate: &[u8]) -> Vec<u8> {
    let mut store = Vec::new();
    for number in [MAGIC, VERSION, 1, TRUSTED_CERTIFICATE] {
        store.extend(number.to_be_bytes());
    }
    text(&mut store, ALIAS);
    // The time at which it was put there, in milliseconds.
    store.extend(0_u64.to_be_bytes());
    text(&mut store, KIND);
    let length = u32::try_from(certificate.len()).unwrap_or(u32::MAX);
    store.extend(length.to_be_bytes());
    store.extend(certificate);
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(SALT);
    digest.update(&store);
    store.extend(digest.finalize());
    store
}

fn text(store: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    store.extend(length.to_be_bytes());
    store.extend(text.as_bytes());
}

/// Options of a virtual machine whose programs ask the proxy, and trust the store at `path`.
pub(super) fn options(port: u16, path: &str) -> String {
    let proxy = |scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={port}");
    format!(
        "{} {} -Dhttp.nonProxyHosts=localhost|127.* -Djavax.net.ssl.trustStore={path} \
         -Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword={PASSWORD}",
        proxy("http"),
        proxy("https"),
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::{super::authority::Authority, *};

    #[test]
    fn java_reads_the_store() {
        let authority = Authority::generate().unwrap();
        let certificate = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), key_store(&certificate)).unwrap();
        let listed = Command::new("keytool")
            .args(["-J-Duser.language=en", "-list", "-v", "-storetype", "JKS"])
            .args(["-storepass", PASSWORD, "-keystore"])
            .arg(file.path())
            .output()
            .expect("tests/run installs a JDK");
        let text = String::from_utf8_lossy(&listed.stdout);
        assert!(listed.status.success(), "{text}");
        assert!(text.contains("trustedCertEntry"), "{text}");
        assert!(
            text.contains("CN=repro: certificates for one build"),
            "{text}"
        );

        // With another password the digest is another.
        let other = Command::new("keytool")
            .args(["-list", "-storetype", "JKS", "-storepass", "other-password"])
            .arg("-keystore")
            .arg(file.path())
            .output()
            .unwrap();
        assert!(!other.status.success());
    }
}
