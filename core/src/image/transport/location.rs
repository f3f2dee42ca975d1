//! Where an image is, as the user writes it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::reference::{ImageRef, ReferenceError};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or directory: `oci:`, `oci-archive:`, `docker-archive:`, `rootfs:`.
    Archive(Archive),
    /// `docker://REF`: a registry.
    Registry(ImageRef),
    /// A bare reference: the store.
    Store(ImageRef),
}

/// An image in a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// `oci:DIR[:TAG]`: an OCI image layout.
    OciDir {
        /// The directory.
        dir: PathBuf,
        /// Which image of several, or what the image will be called.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: a tar of an OCI image layout.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// Which image of several, or what the image will be called.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:REF]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which image of several, or what the image will be called.
        reference: Option<ImageRef>,
    },
    /// `rootfs:FILE`: a plain tar of a file system.
    Rootfs {
        /// The file.
        file: PathBuf,
    },
}

/// Why a text is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing behind the transport.
    #[error("{0}: needs a path")]
    NoPath(&'static str),
    /// A tag that is empty.
    #[error("the name behind the path is empty")]
    NoTag,
    /// The reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl Archive {
    /// The file or directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::OciDir { dir, .. } => dir,
            Self::OciArchive { file, .. }
            | Self::DockerArchive { file, .. }
            | Self::Rootfs { file } => file,
        }
    }

    /// Whether the path is `-`: standard output, or standard input.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.path() == "-"
    }

    /// The same form in the file `file`.
    #[must_use]
    pub fn at(&self, path: PathBuf) -> Self {
        match self.clone() {
            Self::OciDir { tag, .. } => Self::OciDir { dir: path, tag },
            Self::OciArchive { tag, .. } => Self::OciArchive { file: path, tag },
            Self::DockerArchive { reference, .. } => Self::DockerArchive {
                file: path,
                reference,
            },
            Self::Rootfs { .. } => Self::Rootfs { file: path },
        }
    }
}

/// The path and what stands behind the first colon, as skopeo has it: a path with a colon
/// cannot be written.
fn split(transport: &'static str, rest: &str) -> Result<(PathBuf, Option<String>), LocationError> {
    let (path, tag) = match rest.split_once(':') {
        Some((_, "")) => return Err(LocationError::NoTag),
        Some((path, tag)) => (path, Some(tag.to_owned())),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(LocationError::NoPath(transport));
    }
    Ok((path.into(), tag))
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Some(rest) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(rest.parse()?));
        }
        Ok(Self::Archive(match text.split_once(':') {
            Some(("oci", rest)) => {
                let (dir, tag) = split("oci", rest)?;
                Archive::OciDir { dir, tag }
            }
            Some(("oci-archive", rest)) => {
                let (file, tag) = split("oci-archive", rest)?;
                Archive::OciArchive { file, tag }
            }
            Some(("docker-archive", rest)) => {
                let (file, reference) = split("docker-archive", rest)?;
                let reference = reference.map(|text| text.parse()).transpose()?;
                Archive::DockerArchive { file, reference }
            }
            Some(("rootfs", "")) => return Err(LocationError::NoPath("rootfs")),
            Some(("rootfs", rest)) => Archive::Rootfs { file: rest.into() },
            _ => return Ok(Self::Store(text.parse()?)),
        }))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(archive) => archive.fmt(f),
            Self::Registry(reference) => write!(f, "docker://{reference}"),
            Self::Store(reference) => reference.fmt(f),
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag) = match self {
            Self::OciDir { dir, tag } => ("oci", dir, tag.clone()),
            Self::OciArchive { file, tag } => ("oci-archive", file, tag.clone()),
            Self::DockerArchive { file, reference } => {
                let reference = reference.as_ref().map(ToString::to_string);
                ("docker-archive", file, reference)
            }
            Self::Rootfs { file } => ("rootfs", file, None),
        };
        write!(f, "{transport}:{}", path.display())?;
        match tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_parses_and_prints() {
        let digest = crate::digest::Digest::of(b"");
        for text in [
            "oci:dir",
            "oci:/a/dir:tag",
            "oci:dir:docker.io/library/a:1",
            "oci-archive:f.tar:v1",
            "docker-archive:f.tar",
            "docker-archive:f.tar:docker.io/library/a:1",
            "rootfs:a:b.tar",
            "docker://images.example/a/b:1",
            "docker.io/library/busybox:1.36",
            &format!("docker.io/library/busybox@{digest}"),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
        }
        assert!(matches!("busybox".parse(), Ok(Location::Store(_))));
    }

    #[test]
    fn what_is_no_location_says_so() {
        for text in [
            "oci:",
            "oci::tag",
            "oci:dir:",
            "rootfs:",
            "docker://",
            "docker-archive:f:A",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
