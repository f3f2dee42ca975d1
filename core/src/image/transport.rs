//! Images in and out of a store, in the forms that other tools know, spelt as in skopeo.

mod docker;
mod forms;
mod layout;
mod local;
mod location;
mod oci;
mod rootfs;
mod several;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

pub use layout::{Addition, Layout, add_to_layout};
pub use local::{LocalError, export_local};
pub use location::{Archive, Location, LocationError};
pub use several::import_all;
pub use source::FileSource;

use super::{ImageError, StoredImage, stored::read_layers};
use crate::{
    digest::Digest,
    fs::persist_durably,
    layer::{BuildLayerError, Limits},
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
    store::{BlobError, LocalBlobs},
};

/// Why an image did not get in or out.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The operating system's word.
    #[error("{what}")]
    Io {
        /// The operation and the file.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the form needs is not there.
    #[error("{} has no {name}", path.display())]
    NoMember {
        /// The archive or directory.
        path: PathBuf,
        /// The file inside.
        name: String,
    },
    /// A name of an archive that programs read differently.
    #[error(
        "{} has {name} more than once, or where programs differ in what they find; pack it again",
        path.display()
    )]
    UnclearMember {
        /// The archive.
        path: PathBuf,
        /// The file inside.
        name: String,
    },
    /// Not what the transport says.
    #[error("{} is not {form}", path.display())]
    NotThisForm {
        /// The archive or directory.
        path: PathBuf,
        /// What it should be.
        form: &'static str,
        /// Why not, where a document is at fault.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A document inside is longer than any.
    #[error("{name} has more than the {limit} bytes allowed")]
    DocumentTooLarge {
        /// The document.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The image asked for is not among those that are there.
    #[error("{} has no image {wanted:?}, only: {}", path.display(), .found.join(", "))]
    NoSuchImage {
        /// The archive or directory.
        path: PathBuf,
        /// The tag or reference asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// Several images, and none was asked for.
    #[error("{} has several images; name one of: {}", path.display(), .found.join(", "))]
    SeveralImages {
        /// The archive or directory.
        path: PathBuf,
        /// What there is.
        found: Vec<String>,
    },
    /// Different images under one name.
    #[error(
        "{} has different images named {wanted:?}, and programs differ in which of them they take: \
         {}; leave the name to one",
        path.display(),
        .found.join(", ")
    )]
    SameName {
        /// The archive or directory.
        path: PathBuf,
        /// The tag or reference asked for.
        wanted: String,
        /// What has that name.
        found: Vec<String>,
    },
    /// An archive that is one image by `manifest.json` and another by `index.json`.
    #[error(
        "{} is not one image: its manifest.json leads to configuration {docker}, its index.json to {}; \
         save it again, one platform alone",
        path.display(),
        listed(oci)
    )]
    FormsDiffer {
        /// The archive.
        path: PathBuf,
        /// The configuration behind `manifest.json`.
        docker: Digest,
        /// The configurations behind `index.json`.
        oci: Vec<Digest>,
    },
    /// An archive whose forms agree on the configuration and not on what it is about.
    #[error(
        "{} is not one image: for configuration {config} its index.json lists other layers than its \
         manifest.json; save it again",
        path.display()
    )]
    FormsLayers {
        /// The archive.
        path: PathBuf,
        /// The configuration.
        config: Digest,
    },
    /// An index that lists more than any image needs.
    #[error("the index lists more than {0} manifests")]
    TooManyManifests(usize),
    /// A blob is not as long as its descriptor says.
    #[error("blob {digest} has more or fewer than the {expected} bytes its descriptor says")]
    BlobSize {
        /// The blob.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
    },
    /// A layer does not unpack to what the configuration says.
    #[error("layer {number} has diffID {found}, the configuration says {expected}")]
    DiffId {
        /// From 1.
        number: usize,
        /// What the configuration says.
        expected: Digest,
        /// What its tar hashes to.
        found: Digest,
    },
    /// A directory where a stream belongs.
    #[error("a layout is a directory and cannot be streamed; oci-archive: is one file")]
    NotAStream,
    /// The directory to write to holds other things.
    #[error("{} is neither empty nor an OCI layout", .0.display())]
    NotEmpty(PathBuf),
    /// The image itself.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The layer of a plain tar could not be made.
    #[error(transparent)]
    BuildLayer(#[from] BuildLayerError),
}

/// Digests in a message.
fn listed(digests: &[Digest]) -> String {
    if digests.is_empty() {
        return "none".into();
    }
    let texts: Vec<String> = digests.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

impl TransportError {
    fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

/// How an image is brought in.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// Which image of several; the platform of a plain tar.
    pub platform: &'a Platform,
    /// How much of a foreign layer is believed.
    pub limits: Limits,
    /// The rules for layers that have to be made.
    pub ruleset: Ruleset,
}

/// Brings an image into a store. Every digest is verified, every layer is read to its end, and
/// its `diff_id` is computed anew; on an error nothing in the store refers to what was copied.
pub fn import(
    blobs: &LocalBlobs,
    from: &Archive,
    options: ImportOptions<'_>,
) -> Result<StoredImage, TransportError> {
    let image = match from {
        Archive::OciDir { dir, tag } => {
            oci::import(blobs, &mut FileSource::dir(dir), tag.as_deref(), options)?
        }
        Archive::OciArchive { file, tag } => {
            let mut source = FileSource::image(file, blobs.tmp(), options.limits)?;
            oci::import(blobs, &mut source, tag.as_deref(), options)?
        }
        Archive::DockerArchive { file, reference } => {
            let mut source = FileSource::image(file, blobs.tmp(), options.limits)?;
            docker::import(blobs, &mut source, reference.as_ref(), options)?
        }
        Archive::Rootfs { file } => rootfs::import(blobs, file, options)?,
    };
    // Reads every layer through both of its digests and the strict reader.
    read_layers(blobs, &image, options.limits)?;
    Ok(image)
}

/// Writes an image of the store to a file or directory. The same image and name give the same
/// bytes. `name` is what an archive calls the image, where it holds names.
pub fn export(
    blobs: &LocalBlobs,
    image: &StoredImage,
    name: Option<&ImageRef>,
    to: &Archive,
) -> Result<(), TransportError> {
    match to {
        Archive::OciDir { dir, tag } => oci::export_dir(blobs, image, tag.as_deref(), dir),
        Archive::OciArchive { file, tag } => write_whole(file, |out| {
            oci::export_archive(blobs, image, tag.as_deref(), out)
        }),
        Archive::DockerArchive { file, reference } => write_whole(file, |out| {
            docker::export(blobs, image, reference.as_ref().or(name), out)
        }),
        Archive::Rootfs { file } => {
            write_whole(file, |out| rootfs::export(blobs, image, file, out))
        }
    }
}

/// As [`export`] to a stream, for the forms that are one file.
pub fn export_stream(
    blobs: &LocalBlobs,
    image: &StoredImage,
    name: Option<&ImageRef>,
    form: &Archive,
    out: &mut dyn io::Write,
) -> Result<(), TransportError> {
    match form {
        Archive::OciDir { .. } => Err(TransportError::NotAStream),
        Archive::OciArchive { tag, .. } => oci::export_archive(blobs, image, tag.as_deref(), out),
        Archive::DockerArchive { reference, .. } => {
            docker::export(blobs, image, reference.as_ref().or(name), out)
        }
        Archive::Rootfs { file } => rootfs::export(blobs, image, file, out),
    }
}

/// Permissions of what is written for others.
const FILE_MODE: u32 = 0o644;

/// Writes `path` by way of a temporary file beside it, so that it is whole or as it was. A link is
/// followed; what is no file, such as a pipe or `/dev/null`, is written to and stays what it is.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), TransportError>,
) -> Result<(), TransportError> {
    if let Ok(found) = path.metadata()
        && !found.is_file()
        && !found.is_dir()
    {
        let file = fs::File::options().write(true).open(path);
        let mut out = io::BufWriter::new(file.map_err(TransportError::io("open", path))?);
        write(&mut out)?;
        return out.flush().map_err(TransportError::io("write", path));
    }
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let file = tempfile::NamedTempFile::new_in(dir);
    let file = file.map_err(TransportError::io("make a file in", dir))?;
    let mut out = io::BufWriter::with_capacity(256 << 10, file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    let file = file.map_err(TransportError::io("write", path))?;
    persist_durably(
        file,
        &dir.join(path.file_name().unwrap_or_default()),
        FILE_MODE,
    )
    .map_err(TransportError::io("write", path))
}
