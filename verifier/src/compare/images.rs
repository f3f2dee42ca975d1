//! Two images of which nothing else is known.

use std::path::Path;

use repro_core::{
    digest::Digest,
    event::counted,
    image::{StoredImage, load_image},
    store::BlobStore,
};

use super::{
    CompareError, Comparison, Difference, DifferenceKind, Evidence, Options, removals::Below,
    rows::Place, runs::Comparer, source::Source,
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

/// One of two file systems to compare.
#[derive(Debug, Clone, Copy)]
pub enum Tree<'a> {
    /// The image with this manifest, its layers put together.
    Image(Digest),
    /// What lies below a directory of this machine.
    Directory(&'a Path),
}

/// Compares the images with the manifests `a` and `b`. `facts` says what is known of how they
/// were made; [`Facts::default`] where nothing is.
pub fn compare_images(
    store: &dyn BlobStore,
    a: Digest,
    b: Digest,
    view: View,
    facts: &Facts,
    options: &Options,
) -> Result<Comparison, CompareError> {
    let (image_a, image_b) = (load(store, a)?, load(store, b)?);
    let mut comparer = Comparer::new(store, options, facts);
    let counts = (image_a.layers.len(), image_b.layers.len());
    let same = image_a.diff_ids() == image_b.diff_ids();
    if !same && (view == View::FileSystem || counts.0 != counts.1) {
        let place = Place {
            layer: Some(0),
            step: None,
        };
        let trees = (Source::Tree(&image_a.layers), Source::Tree(&image_b.layers));
        comparer.trees(trees, place)?;
        // Other files are in other layers as well: only with the same ones it says something.
        if comparer.is_equal() {
            comparer.add(split(&image_a, &image_b));
        }
    } else {
        for index in 0..counts.0.max(counts.1) {
            let place = Place {
                layer: u32::try_from(index).ok(),
                step: None,
            };
            let below = Below {
                a: &image_a.layers[..index.min(counts.0)],
                b: &image_b.layers[..index.min(counts.1)],
            };
            let layers = (image_a.layers.get(index), image_b.layers.get(index));
            comparer.layers(layers, Some(below), place)?;
        }
    }
    comparer.documents(
        (a, image_a.manifest.config.digest),
        (b, image_b.manifest.config.digest),
    )?;
    Ok(comparer.finish())
}

/// Compares two file systems, of which one at least is a directory: files and their metadata alone.
pub fn compare_trees(
    store: &dyn BlobStore,
    a: Tree<'_>,
    b: Tree<'_>,
    facts: &Facts,
    options: &Options,
) -> Result<Comparison, CompareError> {
    let image = |tree| match tree {
        Tree::Image(manifest) => load(store, manifest).map(Some),
        Tree::Directory(_) => Ok(None),
    };
    let (image_a, image_b) = (image(a)?, image(b)?);
    let mut comparer = Comparer::new(store, options, facts);
    let place = Place {
        layer: Some(0),
        step: None,
    };
    let trees = (source(a, image_a.as_ref()), source(b, image_b.as_ref()));
    comparer.trees(trees, place)?;
    Ok(comparer.finish())
}

fn source<'a>(tree: Tree<'a>, image: Option<&'a StoredImage>) -> Source<'a> {
    match (tree, image) {
        (Tree::Directory(path), _) => Source::Directory(path),
        (Tree::Image(_), image) => Source::Tree(image.map_or(&[], |image| &image.layers)),
    }
}

fn load(store: &dyn BlobStore, manifest: Digest) -> Result<StoredImage, CompareError> {
    load_image(store, manifest).map_err(|source| CompareError::Image {
        manifest,
        source: Box::new(source),
    })
}

fn split(a: &StoredImage, b: &StoredImage) -> Difference {
    let counts = [a, b].map(|image| image.layers.len());
    let of = |image: &StoredImage, other: &StoredImage| {
        let mut pairs = image.layers.iter().zip(&other.layers);
        let differs = pairs.find(|(own, other)| own.diff_id != other.diff_id);
        match differs {
            Some((own, _)) if counts[0] == counts[1] => own.diff_id.to_string(),
            _ => counted(image.layers.len() as u64, "layer", "layers"),
        }
    };
    Difference {
        path: "/rootfs/diff_ids".into(),
        platform: None,
        layer: None,
        step: None,
        kind: DifferenceKind::Config,
        cause: Cause::LayerSplit,
        confidence: Confidence::Likely,
        derived_from: None,
        evidence: Some(Evidence {
            offset: None,
            inside: None,
            a: of(a, b),
            b: of(b, a),
            around: None,
        }),
    }
}
