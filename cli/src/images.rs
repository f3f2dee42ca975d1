//! Images of the store, as commands name and show them.

use repro_core::{
    digest::Digest,
    image::{Descriptor, LayerDescriptor, StoredImage, find_platform, load_image},
    platform::Platform,
    reference::ImageRef,
    store::Store,
};
use serde::Serialize;

use crate::error::{CommandError, ErrorKind};

/// Names that a hint lists: enough to find a slip of the finger.
const NAMES_SHOWN: usize = 10;

/// The image that `reference` means in `store`; of a list, that of this machine.
pub(crate) fn load(store: &Store, reference: &ImageRef) -> Result<StoredImage, CommandError> {
    let root = find(store, reference)?.digest;
    find_platform(store.blobs(), root, &Platform::host())
        .and_then(|manifest| load_image(store.blobs(), manifest))
        .map_err(|error| CommandError::from(error).context(format!("cannot read {reference}")))
}

/// The manifest or list that `reference` means in `store`.
pub(crate) fn find(store: &Store, reference: &ImageRef) -> Result<Descriptor, CommandError> {
    match store.resolve(reference)? {
        Some(root) => Ok(root),
        None => Err(missing(store, reference)?),
    }
}

/// What to say where there is none, with names that there are.
fn missing(store: &Store, reference: &ImageRef) -> Result<CommandError, CommandError> {
    let error = CommandError::message(ErrorKind::Input, format!("{reference} is not in the store"));
    let known = store.tags()?;
    let names: Vec<String> = known
        .keys()
        .take(NAMES_SHOWN)
        .map(ImageRef::familiar)
        .collect();
    Ok(if names.is_empty() {
        error.hint(
            "the store has no images; `repro pull REF` or `repro import TRANSPORT REF` brings one in",
        )
    } else {
        let more = if known.len() > names.len() {
            ", ..."
        } else {
            ""
        };
        error.hint(format!("the store has {}{more}", names.join(", ")))
    })
}

/// An image in the JSON of commands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary<'a> {
    name: &'a ImageRef,
    manifest_digest: Digest,
    config_digest: Digest,
    platform: Option<&'a Platform>,
    layers: Vec<Layer<'a>>,
}

/// A layer in the JSON of commands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    diff_id: repro_core::digest::DiffId,
    digest: Digest,
    size: u64,
    media_type: &'a repro_core::image::MediaType,
}

impl<'a> Summary<'a> {
    pub(crate) fn new(name: &'a ImageRef, image: &'a StoredImage) -> Self {
        let layer = |layer: &'a LayerDescriptor| Layer {
            diff_id: layer.diff_id,
            digest: layer.digest,
            size: layer.size,
            media_type: &layer.media_type,
        };
        Self {
            name,
            manifest_digest: image.descriptor.digest,
            config_digest: image.manifest.config.digest,
            platform: image.descriptor.platform.as_ref(),
            layers: image.layers.iter().map(layer).collect(),
        }
    }
}
