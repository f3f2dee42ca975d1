//! Plain tars of a file system.

use std::{
    io::{self, BufReader, Write},
    path::Path,
};

use super::{
    ImportOptions, TransportError,
    source::{head, open_file, sniff},
};
use crate::{
    epoch::Epoch,
    image::{History, ImageConfig, ImageError, StoredImage, write_image},
    layer::{
        FlatTree, LayerBuilder, LayerReader, LayerWriter, Limits, StoredLayer, decompress,
        open_layer,
    },
    ruleset::Ruleset,
    store::LocalBlobs,
};

/// What the history of such an image says: what it is, not which file on which machine.
const CREATED_BY: &str = "ADD rootfs / # repro";

/// Makes an image of one canonical layer. The tar may be in any order and plain or compressed
/// with gzip or zstd; the image depends on nothing but the tree in it.
pub(super) fn import(
    blobs: &LocalBlobs,
    path: &Path,
    options: ImportOptions<'_>,
) -> Result<StoredImage, TransportError> {
    let fail = |source| TransportError::io("read", path)(source);
    let (mut file, size) = open_file(path)?;
    let compression = sniff(&head(&mut file).map_err(fail)?);
    let compression = compression.ok_or_else(|| TransportError::NotThisForm {
        path: path.to_owned(),
        form: "a tar, plain or compressed with gzip or zstd",
        source: None,
    })?;
    let tar = decompress(Box::new(file), compression, size, options.limits);
    let mut tar = LayerReader::new(BufReader::new(tar), options.limits);
    let mut tree = FlatTree::new(blobs.tmp()).map_err(fail)?;
    tree.apply(&mut tar).map_err(fail)?;
    let mut layer = LayerBuilder::new(blobs, options.ruleset);
    tree.write_to(&mut layer).map_err(fail)?;
    let layer = layer.finish()?;
    // Rule 1 without flag, environment and base: not before 1980.
    let epoch = Epoch::new(tree.newest_mtime()).unwrap_or(Epoch::MIN);
    let created = Some(epoch.max(Epoch::MIN).rfc3339());
    let mut config = ImageConfig::for_platform(options.platform);
    config.created.clone_from(&created);
    config.history.push(History {
        created,
        created_by: Some(CREATED_BY.into()),
        empty_layer: layer.is_none(),
        ..History::default()
    });
    let layers: Vec<_> = layer.iter().map(StoredLayer::descriptor).collect();
    Ok(write_image(blobs, &config, &layers)?)
}

/// Writes the tree that the image unpacks to, as one canonical tar.
pub(super) fn export(
    blobs: &LocalBlobs,
    image: &StoredImage,
    path: &Path,
    out: &mut dyn Write,
) -> Result<(), TransportError> {
    let fail = |source| TransportError::io("write", path)(source);
    let mut tree = FlatTree::new(blobs.tmp()).map_err(fail)?;
    for layer in &image.layers {
        let mut entries =
            open_layer(blobs, layer, Limits::default()).map_err(ImageError::OpenLayer)?;
        tree.apply(&mut entries)
            .map_err(|source| ImageError::Layer {
                digest: layer.digest,
                source,
            })?;
    }
    let write = || {
        let mut tar = LayerWriter::new(out, Ruleset::V1);
        tree.write_to(&mut tar)?;
        tar.finish().map(drop)
    };
    let written: io::Result<()> = write();
    written.map_err(fail)
}
