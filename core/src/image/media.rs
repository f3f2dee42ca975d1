//! Media types of the documents and blobs of an image.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A media type. Docker's names are read; only OCI's are written (ruleset 1, rule 17).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaType {
    /// `application/vnd.oci.image.manifest.v1+json`
    OciManifest,
    /// `application/vnd.oci.image.index.v1+json`
    OciIndex,
    /// `application/vnd.oci.image.config.v1+json`
    OciConfig,
    /// `application/vnd.oci.image.layer.v1.tar`
    OciLayer,
    /// `application/vnd.oci.image.layer.v1.tar+gzip`
    OciLayerGzip,
    /// `application/vnd.oci.image.layer.v1.tar+zstd`
    OciLayerZstd,
    /// `application/vnd.docker.distribution.manifest.v2+json`
    DockerManifest,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    DockerIndex,
    /// `application/vnd.docker.container.image.v1+json`
    DockerConfig,
    /// `application/vnd.docker.image.rootfs.diff.tar`
    DockerLayer,
    /// `application/vnd.docker.image.rootfs.diff.tar.gzip`
    DockerLayerGzip,
    /// Anything else.
    Other(String),
}

/// How the tar of a layer is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

const NAMES: [(MediaType, &str); 11] = [
    (
        MediaType::OciManifest,
        "application/vnd.oci.image.manifest.v1+json",
    ),
    (
        MediaType::OciIndex,
        "application/vnd.oci.image.index.v1+json",
    ),
    (
        MediaType::OciConfig,
        "application/vnd.oci.image.config.v1+json",
    ),
    (
        MediaType::OciLayer,
        "application/vnd.oci.image.layer.v1.tar",
    ),
    (
        MediaType::OciLayerGzip,
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    (
        MediaType::OciLayerZstd,
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ),
    (
        MediaType::DockerManifest,
        "application/vnd.docker.distribution.manifest.v2+json",
    ),
    (
        MediaType::DockerIndex,
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ),
    (
        MediaType::DockerConfig,
        "application/vnd.docker.container.image.v1+json",
    ),
    (
        MediaType::DockerLayer,
        "application/vnd.docker.image.rootfs.diff.tar",
    ),
    (
        MediaType::DockerLayerGzip,
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
];

impl MediaType {
    /// The name as it stands in documents.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        NAMES
            .iter()
            .find(|(known, _)| known == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether a document of this type is a manifest of one image.
    #[must_use]
    pub const fn is_manifest(&self) -> bool {
        matches!(self, Self::OciManifest | Self::DockerManifest)
    }

    /// Whether a document of this type lists manifests.
    #[must_use]
    pub const fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerIndex)
    }

    /// Whether a document of this type configures an image.
    #[must_use]
    pub const fn is_config(&self) -> bool {
        matches!(self, Self::OciConfig | Self::DockerConfig)
    }

    /// How a layer of this type is compressed; `None` if it is no layer that can be read.
    #[must_use]
    pub const fn layer_compression(&self) -> Option<Compression> {
        match self {
            Self::OciLayer | Self::DockerLayer => Some(Compression::None),
            Self::OciLayerGzip | Self::DockerLayerGzip => Some(Compression::Gzip),
            Self::OciLayerZstd => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// OCI's name for the same bytes.
    #[must_use]
    pub fn to_oci(&self) -> Self {
        match self {
            Self::DockerManifest => Self::OciManifest,
            Self::DockerIndex => Self::OciIndex,
            Self::DockerConfig => Self::OciConfig,
            Self::DockerLayer => Self::OciLayer,
            Self::DockerLayerGzip => Self::OciLayerGzip,
            other => other.clone(),
        }
    }
}

impl From<String> for MediaType {
    fn from(name: String) -> Self {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map_or(Self::Other(name), |(known, _)| known.clone())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::image::MediaType as Spec;

    use super::*;

    #[test]
    fn the_names_are_those_of_the_specification() {
        for (ours, spec) in [
            (MediaType::OciManifest, Spec::ImageManifest),
            (MediaType::OciIndex, Spec::ImageIndex),
            (MediaType::OciConfig, Spec::ImageConfig),
            (MediaType::OciLayer, Spec::ImageLayer),
            (MediaType::OciLayerGzip, Spec::ImageLayerGzip),
            (MediaType::OciLayerZstd, Spec::ImageLayerZstd),
        ] {
            assert_eq!(ours.as_str(), spec.to_string());
        }
        for (known, name) in NAMES {
            assert_eq!(MediaType::from(name.to_owned()), known);
        }
    }
}
