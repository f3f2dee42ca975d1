//! The little of package URLs that is written here.

use std::fmt::Write as _;

/// `pkg:generic/linux@RELEASE`: the kernel, by what it says of itself.
pub(super) fn kernel(release: &str) -> String {
    format!("pkg:generic/linux@{}", encode(release))
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
    #[test]
    fn a_release_cannot_leave_its_component() {
        assert_eq!(
            super::kernel("6.1.0-28+a?b#c/d"),
            "pkg:generic/linux@6.1.0-28%2Ba%3Fb%23c%2Fd"
        );
    }
}
