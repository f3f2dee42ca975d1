//! OCI layouts piece by piece: what else is in them besides the image that one asks for.

use std::path::Path;

use super::{Archive, TransportError, oci, source::FileSource};
use crate::{
    digest::Digest,
    image::{Descriptor, Index, MAX_DOCUMENT},
    layer::Limits,
    store::{BlobStore, LocalBlobs, read_small},
};

/// A layout in a directory or an archive that is read.
#[derive(Debug)]
pub struct Layout {
    source: FileSource,
    index: Index,
}

impl Layout {
    /// Opens `oci:` or `oci-archive:`. Unpacked files lie in `tmp` as long as this value.
    pub fn open(from: &Archive, tmp: &Path, limits: Limits) -> Result<Self, TransportError> {
        let mut source = match from {
            Archive::OciDir { dir, .. } => FileSource::dir(dir),
            Archive::OciArchive { file, .. } => FileSource::image(file, tmp, limits)?,
            Archive::DockerArchive { file, .. } | Archive::Rootfs { file } => {
                return Err(TransportError::NotThisForm {
                    path: file.clone(),
                    form: oci::FORM,
                    source: None,
                });
            }
        };
        let (_, index) = oci::index(&mut source)?;
        Ok(Self { source, index })
    }

    /// Its `index.json`.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The entry of the image that `tag` names, or of the only one. What refers to an image is none.
    pub fn choose(&self, tag: Option<&str>) -> Result<Descriptor, TransportError> {
        oci::choose_root(&self.source, &self.index, tag)
    }

    /// Copies a blob into `blobs`, if it has the size and digest that its descriptor says.
    pub fn copy(&self, blobs: &LocalBlobs, blob: &Descriptor) -> Result<(), TransportError> {
        oci::copy_in(blobs, &self.source, blob)
    }

    /// Reads a manifest or index, which is in `blobs` afterwards.
    pub fn document(
        &self,
        blobs: &LocalBlobs,
        wanted: &Descriptor,
    ) -> Result<Vec<u8>, TransportError> {
        if wanted.size > MAX_DOCUMENT {
            return Err(TransportError::DocumentTooLarge {
                name: wanted.digest.to_string(),
                limit: MAX_DOCUMENT,
            });
        }
        self.copy(blobs, wanted)?;
        Ok(read_small(blobs, wanted.digest, MAX_DOCUMENT)?)
    }
}

/// What is added to a layout beside an image.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    /// Manifests that are no images.
    pub entries: &'a [Descriptor],
    /// Their configurations and layers.
    pub parts: &'a [Digest],
    /// The image, or list of images, that they are about.
    pub image: Digest,
    /// Key and value of an annotation of that image's entry, by which readers know it from the rest.
    pub annotation: (&'a str, &'a str),
}

/// Adds to the layout in `dir` what is in `blobs`. Entries that are there already are left as they are;
/// gives those that were not.
pub fn add_to_layout(
    blobs: &dyn BlobStore,
    dir: &Path,
    addition: &Addition<'_>,
) -> Result<Vec<Digest>, TransportError> {
    oci::add_entries(blobs, dir, addition)
}
