//! Everything that a layout lists: images for several platforms, and what is said about them.

use super::{Archive, ImportOptions, TransportError, import, oci, source::FileSource};
use crate::{
    digest::Digest,
    image::{Descriptor, ImageError, Index, MAX_DOCUMENT, Manifest, stored::MAX_DEPTH},
    store::{BlobStore as _, LocalBlobs, put_bytes, read_small},
};

/// Most manifests that are copied, those of nested indexes included.
const MAX_MANIFESTS: usize = 512;

/// As [`import`] for those who look at all platforms: brings in whatever an index lists, and gives the
/// digest of that index, or of the manifest where there is only one image. What an index lists and the
/// archive does not hold is left out, as in archives that hold one platform of several. Blobs have the
/// digests of their descriptors; layers are not read.
pub fn import_all(
    blobs: &LocalBlobs,
    from: &Archive,
    options: ImportOptions<'_>,
) -> Result<Digest, TransportError> {
    let (mut source, tag) = match from {
        Archive::OciDir { dir, tag } => (FileSource::dir(dir), tag),
        Archive::OciArchive { file, tag } => {
            (FileSource::image(file, blobs.tmp(), options.limits)?, tag)
        }
        Archive::DockerArchive { .. } | Archive::Rootfs { .. } => {
            return Ok(import(blobs, from, options)?.descriptor.digest);
        }
    };
    let (bytes, index) = oci::index(&mut source)?;
    let mut left = MAX_MANIFESTS;
    let platforms =
        index.manifests.len() > 1 && index.manifests.iter().all(|entry| entry.platform.is_some());
    if tag.is_none() && platforms {
        for entry in &index.manifests {
            copy(blobs, &source, entry, MAX_DEPTH, &mut left)?;
        }
        return Ok(put_bytes(blobs, &bytes)?.digest);
    }
    let chosen = oci::choose(&source, &index, tag.as_deref(), options)?;
    if copy(blobs, &source, &chosen, MAX_DEPTH, &mut left)? == Held::No {
        return Err(TransportError::NoMember {
            path: source.path().to_owned(),
            name: oci::blob_name(chosen.digest),
        });
    }
    Ok(chosen.digest)
}

/// Whether a document is there, and was copied with everything it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

/// Copies `entry` and what lies below it, if the archive holds it.
fn copy(
    blobs: &LocalBlobs,
    source: &FileSource,
    entry: &Descriptor,
    depth: usize,
    left: &mut usize,
) -> Result<Held, TransportError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(ImageError::TooDeep(MAX_DEPTH).into());
    };
    *left = left
        .checked_sub(1)
        .ok_or(TransportError::TooManyManifests(MAX_MANIFESTS))?;
    if entry.size > MAX_DOCUMENT {
        return Err(TransportError::DocumentTooLarge {
            name: entry.digest.to_string(),
            limit: MAX_DOCUMENT,
        });
    }
    match oci::copy_in(blobs, source, entry) {
        Err(TransportError::NoMember { .. }) => return Ok(Held::No),
        copied => copied?,
    }
    let bytes = read_small(blobs, entry.digest, MAX_DOCUMENT)?;
    if entry.media_type.is_index() {
        for inner in &Index::parse(&bytes, Some(&entry.media_type))?.manifests {
            copy(blobs, source, inner, depth, left)?;
        }
        return Ok(Held::Yes);
    }
    // What is neither is something about an image: kept as the blob that it is.
    if entry.media_type.is_manifest() {
        let manifest = Manifest::parse(&bytes, Some(&entry.media_type))?;
        for part in manifest.layers.iter().chain([&manifest.config]) {
            if blobs.size(part.digest)?.is_none() {
                oci::copy_in(blobs, source, part)?;
            }
        }
    }
    Ok(Held::Yes)
}
