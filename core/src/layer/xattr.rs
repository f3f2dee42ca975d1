//! Which extended attributes belong to an image (ruleset 1, rule 13).

/// Name of the file capabilities.
const CAPABILITY: &[u8] = b"security.capability";
/// Bytes of a version 2 capability: magic and flags, two pairs of permitted and inheritable.
const CAPABILITY_V2_SIZE: usize = 20;
/// `VFS_CAP_REVISION_2` in the upper byte of the little-endian magic (linux/capability.h).
const CAPABILITY_V2: u8 = 2;

/// Whether an attribute is kept: file capabilities of version 2, and `user.*` except what
/// overlay takes for its own.
///
/// A version 3 capability holds the id of the user namespace that made it; `user.overlay.*`
/// would hide or redirect files where layers are mounted with `userxattr`.
#[must_use]
pub fn is_kept_xattr(name: &[u8], value: &[u8]) -> bool {
    if name == CAPABILITY {
        return value.len() == CAPABILITY_V2_SIZE && value[3] == CAPABILITY_V2;
    }
    // An equals sign would end the name for a reader of the PAX record, a NUL for the kernel.
    name.len() > b"user.".len()
        && name.starts_with(b"user.")
        && !name.starts_with(b"user.overlay.")
        && !name.iter().any(|byte| matches!(byte, b'=' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_13() {
        let v2 = [&[1, 0, 0, 2][..], &[0; 16]].concat();
        let v3 = [&[1, 0, 0, 3][..], &[0; 20]].concat();
        assert!(is_kept_xattr(b"security.capability", &v2));
        assert!(!is_kept_xattr(b"security.capability", &v3));
        assert!(!is_kept_xattr(b"security.capability", b""));
        assert!(is_kept_xattr(b"user.x", b""));
        for name in [
            "user.",
            "user.overlay.opaque",
            "trusted.x",
            "security.selinux",
            "system.posix_acl_access",
            "USER.x",
            "",
            "user.a=b",
        ] {
            assert!(!is_kept_xattr(name.as_bytes(), &v2), "{name}");
        }
    }
}
