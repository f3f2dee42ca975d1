//! The image of a pack: an OCI layout with one image in it.

use repro_core::{
    digest::Digest,
    image::{Index, REF_NAME, StoredImage, load_image},
    json::canonical,
    reference::ImageRef,
    store::BlobStore,
};

use super::{
    PackError,
    layout::{IMAGE, image_blob},
    stage::Stage,
};

/// The blobs of an image, each once: two layers with the same bytes are one.
pub(crate) fn parts(image: &StoredImage) -> Vec<Digest> {
    let mut parts = vec![image.descriptor.digest, image.manifest.config.digest];
    parts.extend(image.layers.iter().map(|layer| layer.digest));
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Copies the image with the manifest `manifest`.
pub(super) fn write(
    stage: &mut Stage,
    blobs: &dyn BlobStore,
    manifest: Digest,
    tags: &[ImageRef],
) -> Result<(), PackError> {
    let image = load_image(blobs, manifest)?;
    for part in parts(&image) {
        stage.blob(&image_blob(part), blobs, part)?;
    }
    let mut descriptor = image.descriptor;
    if let Some(tag) = tags.first() {
        descriptor
            .annotations
            .insert(REF_NAME.into(), tag.to_string());
    }
    let index = canonical(&Index::new(vec![descriptor]))?;
    stage.file(&format!("{IMAGE}/index.json"), &index)?;
    stage.file(
        &format!("{IMAGE}/oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )
}
