//! The image of a pack: an OCI layout with one image in it.

use repro_core::{
    digest::Digest,
    image::{Index, REF_NAME, load_image},
    json::canonical,
    reference::ImageRef,
    store::BlobStore,
};

use super::{PackError, layout::IMAGE, stage::Stage};

/// Copies the image with the manifest `manifest`.
pub(super) fn write(
    stage: &mut Stage,
    blobs: &dyn BlobStore,
    manifest: Digest,
    tags: &[ImageRef],
) -> Result<(), PackError> {
    let image = load_image(blobs, manifest)?;
    let mut parts = vec![manifest, image.manifest.config.digest];
    parts.extend(image.layers.iter().map(|layer| layer.digest));
    // Two layers with the same bytes are one blob.
    parts.sort_unstable();
    parts.dedup();
    for part in parts {
        let path = format!("{IMAGE}/blobs/sha256/{}", part.hex());
        stage.blob(&path, blobs, part)?;
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
