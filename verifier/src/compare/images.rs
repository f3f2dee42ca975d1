//! Two images of which nothing else is known.

use repro_core::{
    digest::Digest,
    image::{StoredImage, load_image},
    store::BlobStore,
};

use super::{CompareError, Comparison, Options, layers::Place, runs::Comparer};
use crate::causes::Facts;

/// Compares the images with the manifests `a` and `b`, layer by layer in their order. `facts`
/// says what is known of how they were made; [`Facts::default`] where nothing is.
pub fn compare_images(
    store: &dyn BlobStore,
    a: Digest,
    b: Digest,
    facts: &Facts,
    options: &Options,
) -> Result<Comparison, CompareError> {
    let load = |manifest| -> Result<StoredImage, CompareError> {
        load_image(store, manifest).map_err(|source| CompareError::Image {
            manifest,
            source: Box::new(source),
        })
    };
    let (image_a, image_b) = (load(a)?, load(b)?);
    let mut comparer = Comparer::new(store, options, facts);
    for index in 0..image_a.layers.len().max(image_b.layers.len()) {
        let place = Place {
            layer: u32::try_from(index).ok(),
            step: None,
        };
        comparer.layers(image_a.layers.get(index), image_b.layers.get(index), place)?;
    }
    comparer.documents(
        (a, image_a.manifest.config.digest),
        (b, image_b.manifest.config.digest),
    )?;
    Ok(comparer.finish())
}
