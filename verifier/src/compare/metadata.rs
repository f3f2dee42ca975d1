//! Causes that the headers of two entries, or a field of two configurations, tell by themselves.

use repro_core::tree::{EntryKind, Meta};

use super::capability::{self, CAPABILITY};
use crate::causes::{Cause, Confidence};

type Named = (Cause, Confidence);

/// The set-group-id bit.
const SETGID: u16 = 0o2000;

/// Why permissions differ.
pub(super) fn mode(kind: &EntryKind, a: u16, b: u16) -> Named {
    /// The bits that usual umasks take away, or that two of them take away differently.
    const UMASKS: [u16; 6] = [0o022, 0o002, 0o027, 0o077, 0o020, 0o007];
    let changed = a ^ b;
    if changed == SETGID && matches!(kind, EntryKind::Directory) {
        return (Cause::SetgidDirectory, Confidence::Certain);
    }
    // An umask only takes away: one of the modes has all bits of the other.
    let taken = a & b == a || a & b == b;
    let masked = UMASKS.iter().any(|mask| {
        let kept = |mode: u16| mode & !mask;
        kept(a) == kept(b) && changed & !mask == 0
    });
    if taken && masked {
        (Cause::ModeUmask, Confidence::Likely)
    } else {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// Why extended attributes differ: by the name of those that do.
pub(super) fn xattr(a: &Meta, b: &Meta) -> Named {
    let same = match (a.xattrs.get(CAPABILITY), b.xattrs.get(CAPABILITY)) {
        (Some(a), Some(b)) => capability::same(CAPABILITY, a, b),
        (a, b) => a == b,
    };
    if same {
        (Cause::ExtendedAttribute, Confidence::Certain)
    } else {
        (Cause::FileCapability, Confidence::Certain)
    }
}

/// Why types differ, but for files and hard links.
pub(super) const fn kind(a: &EntryKind, b: &EntryKind) -> Named {
    use EntryKind::{OpaqueWhiteout, Whiteout};
    match (a, b) {
        (Whiteout, OpaqueWhiteout) | (OpaqueWhiteout, Whiteout) => {
            (Cause::OpaqueRemoval, Confidence::Likely)
        }
        _ => (Cause::Unknown, Confidence::Unknown),
    }
}

/// The cause that the name of a field tells, given its JSON pointer and both values.
pub(super) fn field(pointer: &str, a: Option<&str>, b: Option<&str>) -> Option<Named> {
    const BUILDER_LABELS: [&str; 4] = [
        "io.buildah.version",
        "moby.buildkit.buildinfo.v1",
        "moby.buildkit.cache.v0",
        "moby.buildkit.frontend.caps",
    ];
    const DATE_LABELS: [&str; 5] = [
        "org.opencontainers.image.created",
        "org.label-schema.build-date",
        "build-date",
        "BUILD_DATE",
        "build_date",
    ];
    let last = pointer.rsplit('/').next().unwrap_or_default();
    let history = pointer.starts_with("/history/");
    let cause = if pointer == "/created" || history && last == "created" {
        Cause::ImageCreated
    } else if history {
        Cause::HistoryText
    } else if BUILDER_LABELS.contains(&last)
        || last == "docker_version"
        || last.starts_with("moby.buildkit.")
    {
        Cause::BuilderLabel
    } else if pointer.starts_with("/config/Labels/") && DATE_LABELS.contains(&last) {
        Cause::DateLabel
    } else if pointer.starts_with("/annotations/") {
        Cause::ImageAnnotation
    } else if pointer == "/container"
        || pointer.starts_with("/container_config")
        || pointer == "/config/Hostname"
        || pointer == "/config/Image"
    {
        Cause::LegacyContainer
    } else if last == "mediaType" {
        Cause::MediaTypeForm
    } else if ["/variant", "/architecture", "/os", "/os.version"].contains(&pointer) {
        Cause::PlatformField
    } else {
        return None;
    };
    // What only one side has is a difference of form, not of a value that varies.
    let both = a.is_some() && b.is_some();
    Some((
        cause,
        if both {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let file = EntryKind::File { size: 0 };
        assert_eq!(mode(&file, 0o644, 0o664).0, Cause::ModeUmask);
        assert_eq!(mode(&file, 0o755, 0o775).0, Cause::ModeUmask);
        assert_eq!(mode(&file, 0o644, 0o600).0, Cause::ModeUmask);
        assert_eq!(mode(&file, 0o644, 0o755).0, Cause::Unknown);
        assert_eq!(mode(&file, 0o4755, 0o755).0, Cause::Unknown);
        let directory = EntryKind::Directory;
        assert_eq!(mode(&directory, 0o2755, 0o755).0, Cause::SetgidDirectory);
    }

    #[test]
    fn fields() {
        let name = |pointer| field(pointer, Some("1"), Some("2")).map(|(cause, _)| cause);
        assert_eq!(name("/created"), Some(Cause::ImageCreated));
        assert_eq!(name("/history/3/created"), Some(Cause::ImageCreated));
        assert_eq!(name("/history/3/created_by"), Some(Cause::HistoryText));
        assert_eq!(
            name("/config/Labels/io.buildah.version"),
            Some(Cause::BuilderLabel)
        );
        assert_eq!(name("/config/Env/0"), None);
        assert_eq!(name("/config/Healthcheck/Interval"), None);
    }
}
