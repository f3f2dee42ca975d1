//! Causes in the headers of entries and in the form of the tar.

use repro_core::build::Axis;

use super::{Cause, CauseInfo, links};

pub(super) const LAYERS: &[(Cause, CauseInfo)] = &[
    (
        Cause::EntryOrder,
        CauseInfo {
            title: "the entries of the layer stand in another order",
            meaning: "Whoever wrote the tar took the entries in the order in which the \
                      directory gave them.",
            detection: "The layers differ, the entries are equal, and the same names, each as \
                        often, stand in another order.",
            remedy: "Write tars with `tar --sort=name`.",
            axis: Some(Axis::DirectoryOrder),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::OwnerName,
        CauseInfo {
            title: "the layer holds names of owners",
            meaning: "The headers carry user and group names besides the numbers, from the \
                      machine that wrote them.",
            detection: "Names in the headers differ where the numbers do not.",
            remedy: "Write tars with `--numeric-owner` or `--owner=0 --group=0`.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::TarFormat,
        CauseInfo {
            title: "the tars are of different dialects",
            meaning: "One is in the POSIX form, the other in GNU's or the old one.",
            detection: "The magic of the headers, the types of extended headers, or `./` and `/` \
                        before names differ.",
            remedy: "Write both with one tool and one `--format`.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::PaxHeader,
        CauseInfo {
            title: "extended headers differ",
            meaning: "Extended headers keep access and change times, fractions of seconds, or \
                      the id of the process in their name.",
            detection: "Names or records of the extended headers differ.",
            remedy: "`tar --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime`.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::TarPadding,
        CauseInfo {
            title: "the tars end with other padding",
            meaning: "Writers round the size of a tar up to blocks of different sizes.",
            detection: "Every header and content is equal; the number of zeros at the end is not.",
            remedy: "Write both with one tool.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::ModeUmask,
        CauseInfo {
            title: "permissions follow the umask of the caller",
            meaning: "Files were made or copied with the permissions that the umask of some \
                      process allowed.",
            detection: "The permissions differ exactly in bits of a usual umask: 022, 002, 027 \
                        or 077.",
            remedy: "Set the mode: `COPY --chmod`, `install -m`, or `umask 022` at the start of \
                     the RUN.",
            axis: Some(Axis::Caller),
            links: links::GENERAL,
        },
    ),
    (
        Cause::SetgidDirectory,
        CauseInfo {
            title: "directories inherit the set-group-id bit",
            meaning: "A directory that is made below one with the bit has it too.",
            detection: "Only the bit 02000 of a directory differs.",
            remedy: "`chmod g-s` on the directory; build below a directory without the bit.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::OwnerId,
        CauseInfo {
            title: "the owner differs",
            meaning: "Files belong to whoever ran the build, or were copied with the owner they \
                      had outside.",
            detection: "The numeric owner or group differs.",
            remedy: "`COPY --chown=0:0`, or `chown` in the RUN that makes them.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::FileCapability,
        CauseInfo {
            title: "the capabilities of a file differ",
            meaning: "A capability was set in one build and lost in the other: builders without \
                      root cannot set it, and copying loses it.",
            detection: "`security.capability` is there on one side only, or grants something \
                        else.",
            remedy: "Set it by `setcap` in the step that makes the file, in a sandbox that may; \
                     check with `getcap`.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::ExtendedAttribute,
        CauseInfo {
            title: "extended attributes differ",
            meaning: "A label or attribute of the building host went along with the file.",
            detection: "An extended attribute other than the capabilities differs.",
            remedy: "Remove it with `setfattr -x`, or copy without attributes.",
            axis: None,
            links: links::GENERAL,
        },
    ),
    (
        Cause::HardlinkLayout,
        CauseInfo {
            title: "the names of one file are linked the other way round",
            meaning: "Of several names of a file, another one comes first.",
            detection: "One name is the file and the others link to it, in both, but not the \
                        same one.",
            remedy: "Write links to the first name in sorted order.",
            axis: Some(Axis::DirectoryOrder),
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::HardlinkBroken,
        CauseInfo {
            title: "a hard link became a copy",
            meaning: "A file with two names was copied as two files.",
            detection: "The content is equal; one entry is a link, the other a file.",
            remedy: "Copy with `cp -a` and `tar` in one call, so that links are seen.",
            axis: None,
            links: links::ARCHIVES,
        },
    ),
    (
        Cause::OpaqueRemoval,
        CauseInfo {
            title: "a directory is removed as a whole, or entry by entry",
            meaning: "Snapshotters write the replacement of a directory differently.",
            detection: "One layer hides a directory with an opaque whiteout, the other names \
                        what is gone.",
            remedy: "Compare the flattened file systems: `repro diff --flatten`.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::MountPoint,
        CauseInfo {
            title: "a place that the runtime mounts differs",
            meaning: "Builders leave an empty file or directory where they mount something into \
                      a step.",
            detection: "The path is one of those that runtimes mount: `etc/resolv.conf`, \
                        `proc`, `sys` and the like.",
            remedy: "Make the entry in the base image, or remove it.",
            axis: None,
            links: links::IMAGE,
        },
    ),
];
