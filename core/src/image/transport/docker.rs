//! Archives of `docker save`: `manifest.json`, configurations, and layers as plain tars.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use serde::{Deserialize, Serialize};

use super::{
    ImportOptions, TransportError, forms,
    oci::{file_member, member},
    source::{FileSource, sniff},
};
use crate::{
    digest::{DiffId, Digest, HashingReader},
    image::{
        Compression, ImageConfig, ImageError, LayerDescriptor, MediaType, StoredImage, keys,
        stored::write_manifest,
    },
    layer::{GzipWriter, LayerWriter, Limits, decompress, open_tar},
    reference::ImageRef,
    ruleset::Ruleset,
    store::{BlobStore as _, LocalBlobs, VerifyingReader},
    tree::{EntryKind, EntrySink as _},
};

const FORM: &str = "an archive of docker save";

/// One image of `manifest.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    /// The file with the configuration.
    pub(super) config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Item {
    /// The image's names. A text that is none names nothing.
    pub(super) fn names(&self) -> impl Iterator<Item = ImageRef> {
        let tags = self.repo_tags.iter().flatten();
        tags.filter_map(|tag| tag.parse().ok())
    }
}

/// What `manifest.json` lists.
pub(super) fn items(source: &FileSource) -> Result<Vec<Item>, TransportError> {
    let bytes = source.document("manifest.json")?;
    let items =
        serde_json::from_slice(&bytes).map_err(|error| source.not_this_form(FORM, Some(error)))?;
    keys::refuse_folded(&bytes, keys::DOCKER_ARCHIVE)?;
    Ok(items)
}

pub(super) fn import(
    blobs: &LocalBlobs,
    source: &mut FileSource,
    reference: Option<&ImageRef>,
    options: ImportOptions<'_>,
) -> Result<StoredImage, TransportError> {
    let items = items(source)?;
    let item = choose(source, &items, reference)?;
    let bytes = source.document(&item.config)?;
    check_config_name(&item.config, &bytes)?;
    let config: ImageConfig = serde_json::from_slice(&bytes).map_err(ImageError::Json)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != item.layers.len() {
        return Err(TransportError::Image(ImageError::LayerCount {
            layers: item.layers.len(),
            diff_ids: diff_ids.len(),
        }));
    }
    let mut layers = Vec::new();
    for (number, (name, expected)) in (1..).zip(item.layers.iter().zip(diff_ids)) {
        let layer = import_layer(blobs, source, name, options)?;
        if layer.diff_id != *expected {
            return Err(TransportError::DiffId {
                number,
                expected: expected.0,
                found: layer.diff_id.0,
            });
        }
        layers.push(layer);
    }
    let image = write_manifest(blobs, &bytes, &layers, &BTreeMap::new())?;
    let name = reference.filter(|_| items.len() > 1);
    forms::check_index(source, name, &image)?;
    Ok(image)
}

fn choose<'a>(
    source: &FileSource,
    items: &'a [Item],
    reference: Option<&ImageRef>,
) -> Result<&'a Item, TransportError> {
    let found = || {
        let tags = items
            .iter()
            .flat_map(|item| item.repo_tags.iter().flatten());
        tags.cloned().collect::<Vec<_>>()
    };
    match (reference, items) {
        (None, [only]) => Ok(only),
        (None, []) => Err(source.not_this_form(FORM, None)),
        (None, _) => Err(TransportError::SeveralImages {
            path: source.path().to_owned(),
            found: found(),
        }),
        (Some(wanted), _) => {
            let has_name = |item: &&Item| item.names().any(|name| name == *wanted);
            let named: Vec<&Item> = items.iter().filter(has_name).collect();
            let chosen = named.first().ok_or_else(|| TransportError::NoSuchImage {
                path: source.path().to_owned(),
                wanted: wanted.to_string(),
                found: found(),
            })?;
            let same =
                |item: &&Item| (&item.config, &item.layers) == (&chosen.config, &chosen.layers);
            if named.iter().all(same) {
                return Ok(chosen);
            }
            Err(TransportError::SameName {
                path: source.path().to_owned(),
                wanted: wanted.to_string(),
                found: named.iter().map(|item| item.config.clone()).collect(),
            })
        }
    }
}

/// Docker names a configuration by its digest; other programs may not.
fn check_config_name(name: &str, bytes: &[u8]) -> Result<(), TransportError> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.strip_suffix(".json").unwrap_or(name);
    match Digest::from_hex(name) {
        Ok(expected) if expected != Digest::of(bytes) => {
            Err(TransportError::Blob(crate::store::BlobError::Corrupt {
                expected,
                found: Digest::of(bytes),
            }))
        }
        _ => Ok(()),
    }
}

/// Keeps one layer: a plain tar compressed by the ruleset's encoder, a compressed one as it is.
fn import_layer(
    blobs: &LocalBlobs,
    source: &FileSource,
    name: &str,
    options: ImportOptions<'_>,
) -> Result<LayerDescriptor, TransportError> {
    let fail = |source_error| TransportError::Io {
        what: format!("read {name} of {}", source.path().display()),
        source: source_error,
    };
    let (mut reader, size) = source.open(name)?;
    let mut head = Vec::new();
    (&mut reader).take(6).read_to_end(&mut head).map_err(fail)?;
    let whole = io::Cursor::new(head.clone()).chain(reader);
    let media_type = match sniff(&head) {
        Some(Compression::None) => {
            let Ruleset::V1 = options.ruleset;
            let mut tar = HashingReader::new(whole);
            let mut gzip = GzipWriter::new(blobs.create()?).map_err(fail)?;
            io::copy(&mut tar, &mut gzip).map_err(fail)?;
            let blob = gzip.finish().map_err(fail)?.commit()?;
            return Ok(LayerDescriptor {
                media_type: MediaType::OciLayerGzip,
                digest: blob.digest,
                size: blob.size,
                diff_id: DiffId(tar.finish().0),
            });
        }
        Some(Compression::Gzip) => MediaType::OciLayerGzip,
        Some(Compression::Zstd) => MediaType::OciLayerZstd,
        None => return Err(source.not_this_form(FORM, None)),
    };
    let mut out = blobs.create()?;
    io::copy(&mut { whole }, &mut out).map_err(fail)?;
    let blob = out.commit()?;
    let compression = media_type.layer_compression().unwrap_or(Compression::None);
    let tar = decompress(blobs.open(blob.digest)?, compression, size, options.limits);
    let mut tar = HashingReader::new(tar);
    io::copy(&mut tar, &mut io::sink()).map_err(fail)?;
    Ok(LayerDescriptor {
        media_type,
        digest: blob.digest,
        size: blob.size,
        diff_id: DiffId(tar.finish().0),
    })
}

/// Writes the image as `docker save` did before it knew OCI layouts, which is what every program
/// that loads such archives reads: layers are plain tars named by their diffID.
pub(super) fn export(
    blobs: &LocalBlobs,
    image: &StoredImage,
    name: Option<&ImageRef>,
    out: &mut dyn Write,
) -> Result<(), TransportError> {
    let config = &image.manifest.config;
    let config_name = format!("{}.json", config.digest.hex());
    let layer_name = |diff_id: DiffId| format!("{}.tar", diff_id.0.hex());
    let manifest = [Item {
        config: config_name.clone(),
        repo_tags: Some(name.map(ImageRef::familiar).into_iter().collect()),
        layers: image.diff_ids().iter().map(|id| layer_name(*id)).collect(),
    }];
    let manifest = crate::json::canonical(&manifest).map_err(ImageError::Canonical)?;
    let layers: BTreeMap<String, &LayerDescriptor> = image
        .layers
        .iter()
        .map(|layer| (layer_name(layer.diff_id), layer))
        .collect();
    // Configuration and layers are named by digests of different things: one list in order.
    let mut names: Vec<&String> = layers.keys().chain([&config_name]).collect();
    names.sort_unstable();
    let write = || {
        let mut tar = LayerWriter::new(out, Ruleset::V1);
        for name in names {
            let mut content: Box<dyn Read + Send>;
            let size;
            if let Some(layer) = layers.get(name) {
                // A tar says how long a file is before its content, so it is unpacked twice.
                let mut measured = plain_tar(blobs, layer)?;
                size = io::copy(&mut measured, &mut io::sink())?;
                content = plain_tar(blobs, layer)?;
            } else {
                size = config.size;
                content = blobs.open(config.digest).map_err(io::Error::from)?;
            }
            tar.entry(&member(name, EntryKind::File { size })?, &mut content)?;
        }
        tar.entry(
            &file_member("manifest.json", &manifest)?,
            &mut &manifest[..],
        )?;
        tar.finish().map(drop)
    };
    write().map_err(|source| TransportError::Io {
        what: "write a docker archive".into(),
        source,
    })
}

fn plain_tar(blobs: &LocalBlobs, layer: &LayerDescriptor) -> io::Result<Box<dyn Read + Send>> {
    let tar = open_tar(blobs, layer, Limits::default()).map_err(io::Error::other)?;
    Ok(Box::new(VerifyingReader::new(tar, layer.diff_id.0)))
}
