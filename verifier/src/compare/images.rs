//! Two images of which nothing else is known.

use repro_core::{
    digest::Digest,
    image::{LayerDescriptor, StoredImage, load_image},
    layer::{FlatTree, LayerBuilder, open_layer},
    ruleset::Ruleset,
    store::BlobStore,
};

use super::{
    CompareError, Comparison, Difference, DifferenceKind, Evidence, Options, layers::Place,
    runs::Comparer,
};
use crate::causes::{Cause, Confidence, Facts};

/// What of two images is compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// Layer by layer in their order; the file systems where the numbers of layers differ.
    #[default]
    Layers,
    /// The file systems that containers see: all layers put together.
    FileSystem,
}

/// Compares the images with the manifests `a` and `b`. `facts` says what is known of how they
/// were made; [`Facts::default`] where nothing is. Layers put together are written to `store`,
/// where nothing refers to them.
pub fn compare_images(
    store: &dyn BlobStore,
    a: Digest,
    b: Digest,
    view: View,
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
    let counts = (image_a.layers.len(), image_b.layers.len());
    let same = image_a.diff_ids() == image_b.diff_ids();
    if !same && (view == View::FileSystem || counts.0 != counts.1) {
        if counts.0 != counts.1 {
            comparer.add(split(counts));
        }
        let (flat_a, flat_b) = (
            flatten(store, &image_a, options)?,
            flatten(store, &image_b, options)?,
        );
        let place = Place {
            layer: Some(0),
            step: None,
        };
        comparer.layers(flat_a.as_ref(), flat_b.as_ref(), place)?;
    } else {
        for index in 0..counts.0.max(counts.1) {
            let place = Place {
                layer: u32::try_from(index).ok(),
                step: None,
            };
            comparer.layers(image_a.layers.get(index), image_b.layers.get(index), place)?;
        }
    }
    comparer.documents(
        (a, image_a.manifest.config.digest),
        (b, image_b.manifest.config.digest),
    )?;
    Ok(comparer.finish())
}

fn split((a, b): (usize, usize)) -> Difference {
    let layers = |count: usize| format!("{count} layers");
    Difference {
        path: "/rootfs/diff_ids".into(),
        layer: None,
        step: None,
        kind: DifferenceKind::Config,
        cause: Cause::LayerSplit,
        confidence: Confidence::Likely,
        derived_from: None,
        evidence: Some(Evidence {
            offset: None,
            inside: None,
            a: layers(a),
            b: layers(b),
        }),
    }
}

/// The layers of `image` put together to one.
fn flatten(
    store: &dyn BlobStore,
    image: &StoredImage,
    options: &Options,
) -> Result<Option<LayerDescriptor>, CompareError> {
    let failed = |source| CompareError::Scratch {
        scratch: options.scratch.clone(),
        source,
    };
    let mut tree = FlatTree::new(&options.scratch).map_err(failed)?;
    for layer in &image.layers {
        let mut reader = open_layer(store, layer, options.limits)?;
        tree.apply(&mut reader)
            .map_err(|source| CompareError::Layer {
                digest: layer.digest,
                source,
            })?;
    }
    let mut builder = LayerBuilder::new(store, Ruleset::default());
    tree.write_to(&mut builder).map_err(failed)?;
    let layer = builder.finish()?;
    Ok(layer.map(|layer| layer.descriptor()))
}
