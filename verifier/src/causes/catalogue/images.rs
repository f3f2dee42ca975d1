//! Causes in what surrounds the layers: configuration, manifest, and the form of their documents.

use repro_core::build::Axis;

use super::{Cause, CauseInfo, links};

pub(super) const IMAGES: &[(Cause, CauseInfo)] = &[
    (
        Cause::ImageCreated,
        CauseInfo {
            title: "the configuration holds the time of the build",
            meaning: "The builder wrote the time of the build into `created` of the \
                      configuration or of its history.",
            detection: "`/created` or `/history/N/created` differs.",
            remedy: "Build with SOURCE_DATE_EPOCH; the times of a base image stay as they are.",
            axis: Some(Axis::Clock),
            links: links::IMAGE,
        },
    ),
    (
        Cause::HistoryText,
        CauseInfo {
            title: "the history names another builder or another text",
            meaning: "The history says by which instruction, or by which builder, each layer \
                      was made.",
            detection: "`created_by`, `comment` or `author` of a history entry differs.",
            remedy: "Build both with the same version of the same builder, or leave the history \
                     out where the builder allows it.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::BuilderLabel,
        CauseInfo {
            title: "a label or field names the builder",
            meaning: "Some builders write their name, version or cache records into labels or \
                      into the configuration.",
            detection: "A field such as `docker_version`, or a label such as \
                        `io.buildah.version`, differs.",
            remedy: "Switch it off (`--identity-label=false`, no inline cache), or build with \
                     the same version.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::ImageAnnotation,
        CauseInfo {
            title: "an annotation of the manifest differs",
            meaning: "Annotations often hold the time of the build, a name or a revision.",
            detection: "A value below `/annotations` of the manifest differs.",
            remedy: "Give the annotation a fixed value, or drop it.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::LegacyContainer,
        CauseInfo {
            title: "the configuration names the container it was made in",
            meaning: "The classic builder of Docker keeps the id and the settings of the last \
                      container.",
            detection: "`/container`, `/container_config` or `/config/Hostname` differs.",
            remedy: "Build with BuildKit, buildah or repro, which write no such field.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::MediaTypeForm,
        CauseInfo {
            title: "one image is in Docker's form, the other in OCI's",
            meaning: "The same layers and configuration are announced under other media types.",
            detection: "A `mediaType` differs.",
            remedy: "Choose the form when building or copying (`oci-mediatypes=true`).",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::PlatformField,
        CauseInfo {
            title: "the platform is written differently",
            meaning: "The variant or version of the platform is given in one and not in the \
                      other.",
            detection: "`/variant`, `/os.version` or `/architecture` differs.",
            remedy: "Name the platform with its variant: `--platform linux/arm64/v8`.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::PlatformMissing,
        CauseInfo {
            title: "a platform is in one of the indexes only",
            meaning: "One of the two is an index with an image for this platform, and the other \
                      has none: there is nothing to compare it with.",
            detection: "The platform of a manifest that only one index lists.",
            remedy: "Build both for the same platforms, or compare one platform with \
                     `--platform`.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::LayerSplit,
        CauseInfo {
            title: "the same files are in other layers",
            meaning: "One image has layers that the other has squashed, or left out because \
                      they were empty; or a layer holds what no file shows, such as an entry that is \
                      written again as it was.",
            detection: "The flattened file systems are equal and the layers are not.",
            remedy: "Build both with the same builder and the same options for squashing. `repro diff` \
                     without --flatten compares layers of which there are as many.",
            axis: None,
            links: links::IMAGE,
        },
    ),
    (
        Cause::ListOrder,
        CauseInfo {
            title: "the same values stand in another order",
            meaning: "A list of the configuration or of a document was written from a set or map \
                      without order.",
            detection: "A list differs, and is equal once both are sorted. In a document, a list \
                        of three items or more that are all different and no numbers.",
            remedy: "Sort it where it is made; upgrade the builder.",
            axis: None,
            links: links::ORDER,
        },
    ),
    (
        Cause::DateLabel,
        CauseInfo {
            title: "a label holds the date of the build",
            meaning: "A label such as `org.opencontainers.image.created` or `build-date` was \
                      set to the current time.",
            detection: "The label's name is one of those, or both values are dates.",
            remedy: "Set it from SOURCE_DATE_EPOCH or from the commit, or drop it.",
            axis: Some(Axis::Clock),
            links: links::IMAGE,
        },
    ),
    (
        Cause::DocumentForm,
        CauseInfo {
            title: "the documents say the same in other bytes",
            meaning: "Order of keys or white space differ; all fields are equal.",
            detection: "The documents are equal after parsing and their digests are not.",
            remedy: "Write both with the same builder.",
            axis: None,
            links: links::IMAGE,
        },
    ),
];
