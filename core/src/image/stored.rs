//! Images in a store.

use std::{collections::BTreeMap, io};

use super::{
    Descriptor, Document, ImageConfig, Index, LayerDescriptor, MAX_DOCUMENT, Manifest, MediaType,
    keys,
};
use crate::{
    digest::{DiffId, Digest},
    json::CanonicalError,
    layer::{Limits, OpenLayerError, open_layer},
    platform::Platform,
    store::{BlobError, BlobStore, put_bytes, read_small},
    tree::{EntryKind, EntrySource as _},
};

/// Why an image cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store's trouble.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Bytes that are not the JSON of such a document.
    #[error("the document does not have its shape")]
    Json(#[source] serde_json::Error),
    /// A key that other programs take for a field.
    #[error("the key \"{}\" is {field:?} to other programs, which read another document then",
        .key.escape_default())]
    FoldedKey {
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
    },
    /// A value without canonical form.
    #[error("the document has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// `schemaVersion` is not 2.
    #[error("the document does not have schemaVersion 2")]
    SchemaVersion,
    /// Manifest and index at once, or neither.
    #[error("the document is not exactly one of manifest and index")]
    AmbiguousDocument,
    /// A media type that does not belong there.
    #[error("media type {0} does not fit the document")]
    MediaType(String),
    /// An index where a manifest belongs.
    #[error("the document lists several images where one is expected")]
    NotAManifest,
    /// A manifest where an index belongs.
    #[error("the document describes one image where a list is expected")]
    NotAnIndex,
    /// A manifest of something that is no container image.
    #[error("the configuration has media type {0}, which is no image's")]
    NotAnImage(String),
    /// The parts do not fit together.
    #[error("the manifest has {layers} layers, the configuration {diff_ids}")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// `diff_ids` of the configuration.
        diff_ids: usize,
    },
    /// The history does not fit the layers.
    #[error("the history has {history} entries with a layer, the image has {layers} layers")]
    HistoryCount {
        /// Entries without `empty_layer`.
        history: usize,
        /// Layers.
        layers: usize,
    },
    /// A blob whose size is not what the descriptor says.
    #[error("blob {digest} has {found} bytes, its descriptor says {expected}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// No image for the platform.
    #[error("there is no image for {wanted}, only for: {}", .found.join(", "))]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        found: Vec<String>,
    },
    /// An index lists the image, but it was never fetched.
    #[error("the image for {0} is listed and is not in the store")]
    Absent(Platform),
    /// Indexes in indexes without end.
    #[error("the image lies below more than {0} indexes")]
    TooDeep(usize),
    /// A layer that cannot be opened.
    #[error(transparent)]
    OpenLayer(#[from] OpenLayerError),
    /// A layer that cannot be read to its end.
    #[error("layer {digest} cannot be read")]
    Layer {
        /// Its blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An image of which every blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The manifest, with the platform of the image.
    pub descriptor: Descriptor,
    /// Its content.
    pub manifest: Manifest,
    /// The configuration; its digest is in the manifest.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<LayerDescriptor>,
}

impl StoredImage {
    /// Digests of the uncompressed layers, lowest first.
    #[must_use]
    pub fn diff_ids(&self) -> &[DiffId] {
        &self.config.rootfs.diff_ids
    }
}

/// Reads the image whose manifest has the digest `manifest`, and checks that its parts are there
/// and fit together. The content of the layers is verified when it is read.
pub fn load_image(store: &dyn BlobStore, manifest: Digest) -> Result<StoredImage, ImageError> {
    let bytes = read_small(store, manifest, MAX_DOCUMENT)?;
    let parsed = Manifest::parse(&bytes, None)?;
    if !parsed.config.media_type.is_config() {
        return Err(ImageError::NotAnImage(parsed.config.media_type.to_string()));
    }
    for part in parsed.layers.iter().chain([&parsed.config]) {
        let found = store
            .size(part.digest)?
            .ok_or(BlobError::Missing(part.digest))?;
        if found != part.size {
            return Err(ImageError::Size {
                digest: part.digest,
                expected: part.size,
                found,
            });
        }
    }
    let bytes_of_config = read_small(store, parsed.config.digest, MAX_DOCUMENT)?;
    let config: ImageConfig = serde_json::from_slice(&bytes_of_config).map_err(ImageError::Json)?;
    keys::refuse_folded(&bytes_of_config, keys::CONFIG)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != parsed.layers.len() {
        return Err(ImageError::LayerCount {
            layers: parsed.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let layers = parsed.layers.iter().zip(diff_ids).map(|(layer, diff_id)| {
        if layer.media_type.layer_compression().is_none() {
            return Err(ImageError::MediaType(layer.media_type.to_string()));
        }
        Ok(LayerDescriptor {
            media_type: layer.media_type.clone(),
            digest: layer.digest,
            size: layer.size,
            diff_id: *diff_id,
        })
    });
    let layers = layers.collect::<Result<_, _>>()?;
    let media_type = parsed.media_type.clone();
    let mut descriptor = Descriptor::new(
        media_type.unwrap_or(MediaType::OciManifest),
        manifest,
        bytes.len() as u64,
    );
    descriptor.platform = config.platform();
    Ok(StoredImage {
        descriptor,
        manifest: parsed,
        config,
        layers,
    })
}

/// Writes configuration and manifest of an image whose layers are in the store (rule 17).
/// `config.rootfs` is set from `layers`; a history must account for each of them.
pub fn write_image(
    store: &dyn BlobStore,
    config: &ImageConfig,
    layers: &[LayerDescriptor],
) -> Result<StoredImage, ImageError> {
    write_annotated_image(store, config, layers, &BTreeMap::new())
}

/// As [`write_image`], with annotations in the manifest.
pub fn write_annotated_image(
    store: &dyn BlobStore,
    config: &ImageConfig,
    layers: &[LayerDescriptor],
    annotations: &BTreeMap<String, String>,
) -> Result<StoredImage, ImageError> {
    let mut config = config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let with_layer = config.history.iter().filter(|entry| !entry.empty_layer);
    let with_layer = with_layer.count();
    if !config.history.is_empty() && with_layer != layers.len() {
        return Err(ImageError::HistoryCount {
            history: with_layer,
            layers: layers.len(),
        });
    }
    let bytes = crate::json::canonical(&config)?;
    write_manifest(store, &bytes, layers, annotations)
}

/// As [`write_image`] for a configuration that came from outside and keeps its bytes.
pub(super) fn write_manifest(
    store: &dyn BlobStore,
    config: &[u8],
    layers: &[LayerDescriptor],
    annotations: &BTreeMap<String, String>,
) -> Result<StoredImage, ImageError> {
    let stored = put_bytes(store, config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        artifact_type: None,
        config: Descriptor::new(MediaType::OciConfig, stored.digest, stored.size),
        layers: layers
            .iter()
            .map(|layer| Descriptor::new(layer.media_type.to_oci(), layer.digest, layer.size))
            .collect(),
        subject: None,
        annotations: annotations.clone(),
    };
    let stored = put_bytes(store, &crate::json::canonical(&manifest)?)?;
    load_image(store, stored.digest)
}

/// The entry of `index` for `wanted`. A variant that is not asked for is taken only if there is
/// no choice.
pub fn pick_platform<'a>(
    index: &'a Index,
    wanted: &Platform,
) -> Result<&'a Descriptor, ImageError> {
    let of = |same: fn(&Platform, &Platform) -> bool| {
        index.manifests.iter().filter(move |manifest| {
            let platform = manifest.platform.as_ref();
            manifest.media_type.is_manifest() && platform.is_some_and(|found| same(found, wanted))
        })
    };
    if let Some(exact) = of(|found, wanted| found == wanted).next() {
        return Ok(exact);
    }
    let mut near = of(|found, wanted| {
        wanted.variant().is_none()
            && (found.os(), found.architecture()) == (wanted.os(), wanted.architecture())
    });
    if let (Some(only), None) = (near.next(), near.next()) {
        return Ok(only);
    }
    let platforms = index
        .manifests
        .iter()
        .filter_map(|found| found.platform.as_ref());
    Err(ImageError::NoPlatform {
        wanted: wanted.clone(),
        found: platforms.map(ToString::to_string).collect(),
    })
}

/// Indexes that may lie on the way to an image. Two are in use: a layout's own, and one of platforms.
pub(super) const MAX_DEPTH: usize = 4;

/// The manifest in the store that `root` means for `platform`: `root` itself, whatever its platform
/// is, or what an index lists.
pub fn find_platform(
    store: &dyn BlobStore,
    root: Digest,
    platform: &Platform,
) -> Result<Digest, ImageError> {
    let mut digest = root;
    for _ in 0..MAX_DEPTH {
        match Document::parse(&read_small(store, digest, MAX_DOCUMENT)?, None)? {
            Document::Manifest(_) => return Ok(digest),
            Document::Index(index) => {
                digest = pick_platform(&index, platform)?.digest;
                if store.size(digest)?.is_none() {
                    return Err(ImageError::Absent(platform.clone()));
                }
            }
        }
    }
    Err(ImageError::TooDeep(MAX_DEPTH))
}

/// The newest modification time of any entry of any layer, in seconds since 1970; 0 for an
/// image without entries. Reads, and so verifies, every layer.
pub fn newest_mtime(store: &dyn BlobStore, image: &StoredImage) -> Result<u64, ImageError> {
    read_layers(store, image, Limits::default())
}

/// As [`newest_mtime`], believing no more than `limits`.
pub(super) fn read_layers(
    store: &dyn BlobStore,
    image: &StoredImage,
    limits: Limits,
) -> Result<u64, ImageError> {
    let mut newest = 0;
    for layer in &image.layers {
        let mut reader = open_layer(store, layer, limits)?;
        let mut look = || {
            reader.next_entry(&mut |entry, _| {
                // A whiteout's time is when its file was written, not a time in the image.
                if !matches!(entry.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout) {
                    newest = newest.max(entry.meta.mtime);
                }
                Ok(())
            })
        };
        while look().map_err(|source| ImageError::Layer {
            digest: layer.digest,
            source,
        })? {}
    }
    Ok(newest)
}
