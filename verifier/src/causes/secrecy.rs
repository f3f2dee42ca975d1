//! Which files no excerpt is taken from: a report travels further than an image.

use memchr::memmem;
use repro_core::tree::TreePath;

use super::content::Excerpts;

/// Names of files that hold secrets whatever their content looks like.
const SECRET_NAMES: [&[u8]; 14] = [
    b"shadow",
    b"shadow-",
    b"gshadow",
    b"gshadow-",
    b"opasswd",
    b".netrc",
    b".npmrc",
    b".pypirc",
    b".pgpass",
    b".git-credentials",
    b".htpasswd",
    b"id_rsa",
    b"id_ecdsa",
    b"id_ed25519",
];

/// Endings of names of key containers.
const SECRET_ENDINGS: [&[u8]; 10] = [
    b".pem",
    b".key",
    b"_key",
    b".p8",
    b".p12",
    b".pfx",
    b".jks",
    b".jceks",
    b".keystore",
    b".kdbx",
];

/// A file's content says that it holds key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretMarker {
    /// `-----BEGIN`, anywhere: PEM, OpenSSH and OpenPGP armour.
    Armour,
    /// A Java key store.
    JavaKeyStore,
    /// A PKCS#8, PKCS#1, SEC 1 or PKCS#12 structure in DER.
    Pkcs,
}

/// Whether excerpts of a file may be shown, by its names and modes in both images.
///
/// Stricter than "unreadable to group and others": files that only a group may read, such as
/// `0640 root:ssl-cert`, hold secrets as a rule.
#[must_use]
pub fn excerpts_by_name(path: &TreePath, modes: [u16; 2]) -> Excerpts {
    let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
    let secret = SECRET_NAMES.contains(&name.as_slice())
        || SECRET_ENDINGS.iter().any(|end| name.ends_with(end))
        || modes.iter().any(|mode| mode & 0o004 == 0);
    if secret {
        Excerpts::Refused
    } else {
        Excerpts::Allowed
    }
}

const ARMOUR: &[u8] = b"-----BEGIN";

/// Looks for key material in a chunk of a file that starts at `offset`.
#[must_use]
pub fn secret_marker(offset: u64, chunk: &[u8]) -> Option<SecretMarker> {
    if offset == 0 {
        if chunk.starts_with(&[0xfe, 0xed, 0xfe, 0xed])
            || chunk.starts_with(&[0xce, 0xce, 0xce, 0xce])
        {
            return Some(SecretMarker::JavaKeyStore);
        }
        if chunk.starts_with(b"openssh-key-v1\0") {
            return Some(SecretMarker::Armour);
        }
        if is_pkcs(chunk) {
            return Some(SecretMarker::Pkcs);
        }
    }
    memmem::find(chunk, ARMOUR)
        .is_some()
        .then_some(SecretMarker::Armour)
}

/// A DER SEQUENCE that begins with a small INTEGER, the version: the private key structures
/// and PKCS#12. Certificates begin with another SEQUENCE and are public.
fn is_pkcs(chunk: &[u8]) -> bool {
    let body = match chunk {
        [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x81, _, rest @ ..] => rest,
        [0x30, length, rest @ ..] if *length < 0x80 => rest,
        _ => return false,
    };
    matches!(body, [0x02, 0x01, 0..=3, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_and_modes_refuse() {
        for (name, mode) in [
            ("etc/shadow", 0o644),
            ("etc/shadow-", 0o644),
            ("etc/ssh/ssh_host_rsa_key", 0o644),
            ("opt/Store.JKS", 0o644),
            ("opt/plain", 0o600),
            ("opt/plain", 0o640),
        ] {
            let allowed = excerpts_by_name(&path(name), [mode, mode]);
            assert_eq!(allowed, Excerpts::Refused, "{name} {mode:o}");
        }
        assert_eq!(
            excerpts_by_name(&path("etc/passwd"), [0o644, 0o644]),
            Excerpts::Allowed
        );
        assert_eq!(
            excerpts_by_name(&path("etc/passwd"), [0o644, 0o600]),
            Excerpts::Refused
        );
    }

    #[test]
    fn contents_refuse() {
        let pem = b"x\n-----BEGIN PRIVATE KEY-----\n";
        assert_eq!(secret_marker(0, pem), Some(SecretMarker::Armour));
        assert_eq!(secret_marker(4096, pem), Some(SecretMarker::Armour));
        let pkcs8 = [0x30, 0x82, 0x04, 0xbd, 0x02, 0x01, 0x00, 0x30];
        assert_eq!(secret_marker(0, &pkcs8), Some(SecretMarker::Pkcs));
        assert_eq!(secret_marker(1, &pkcs8), None);
        assert_eq!(secret_marker(0, b"-----begin"), None);
        assert_eq!(secret_marker(0, &[0x30, 0x82]), None);
    }
}
