//! The little of package URLs that is written here.

use std::fmt::Write as _;

/// `pkg:generic/linux@RELEASE`: the kernel, by what it says of itself.
pub(crate) fn kernel(release: &str) -> String {
    format!("pkg:generic/linux@{}", encode(release))
}

/// `pkg:oci/NAME@sha256%3A...`: an image, by its manifest.
pub(crate) fn image(name: &str, digest: repro_core::digest::Digest) -> String {
    // The name of a package is the last part of the repository's, in lower case.
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.split([':', '@']).next().unwrap_or(name);
    format!(
        "pkg:oci/{}@sha256%3A{}",
        encode(&name.to_ascii_lowercase()),
        digest.hex()
    )
}

/// `pkg:KIND/NAMESPACE/NAME@VERSION?QUALIFIERS`, every part encoded; empty parts are left out.
/// Qualifiers are given in the order of their names.
pub(crate) fn package(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut purl = format!("pkg:{kind}");
    for part in namespace.split('/').filter(|part| !part.is_empty()) {
        purl.push('/');
        purl.push_str(&encode(part));
    }
    purl.push('/');
    purl.push_str(&encode(name));
    if !version.is_empty() {
        purl.push('@');
        purl.push_str(&encode(version));
    }
    let given = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    for (number, (key, value)) in given.enumerate() {
        purl.push(if number == 0 { '?' } else { '&' });
        purl.push_str(key);
        purl.push('=');
        purl.push_str(&encode(value));
    }
    purl
}

/// Percent-encodes a component of a package URL.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes every write");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_cannot_leave_its_component() {
        assert_eq!(
            kernel("6.1.0-28+a?b#c/d"),
            "pkg:generic/linux@6.1.0-28%2Ba%3Fb%23c%2Fd"
        );
    }

    #[test]
    fn packages_of_every_kind() {
        let arch = [("arch", "amd64"), ("distro", "")];
        for (purl, expected) in [
            (
                package("deb", "debian", "libc6", "1:2.36-9+deb12u4", &arch),
                "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u4?arch=amd64",
            ),
            (
                package("npm", "@scope", "x", "1.0.0", &[]),
                "pkg:npm/%40scope/x@1.0.0",
            ),
            (
                package("golang", "example.org/a", "b", "", &[]),
                "pkg:golang/example.org/a/b",
            ),
        ] {
            assert_eq!(purl, expected);
        }
        let digest = repro_core::digest::Digest::of(b"");
        assert_eq!(
            image("registry.example:5000/acme/App:1", digest),
            format!("pkg:oci/app@sha256%3A{}", digest.hex())
        );
    }
}
