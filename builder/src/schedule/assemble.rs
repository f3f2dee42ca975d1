//! Layers, configuration and history to an image (ruleset 1, rules 16 to 18).

use std::collections::BTreeMap;

use repro_core::{
    build::ImageRecord,
    digest::DiffId,
    epoch::Epoch,
    image::{History, ImageConfig, ImageError, LayerDescriptor, write_annotated_image},
    store::BlobStore,
};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// It cannot be kept.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// One instruction, as the history lists it.
#[derive(Debug, Clone)]
pub(super) struct HistoryStep {
    pub(super) created_by: String,
    pub(super) layer: Option<DiffId>,
}

impl HistoryStep {
    pub(super) fn empty(created_by: &str) -> Self {
        Self {
            created_by: created_by.to_owned(),
            layer: None,
        }
    }
}

/// Writes the image of one run. `config` carries the history of the base.
pub(super) fn assemble(
    blobs: &dyn BlobStore,
    config: &ImageConfig,
    layers: &[LayerDescriptor],
    history: &[HistoryStep],
    annotations: &BTreeMap<String, String>,
    epoch: Epoch,
) -> Result<ImageRecord, AssembleError> {
    let created = epoch.rfc3339();
    let mut config = config.clone();
    let own_layers = history.iter().filter(|step| step.layer.is_some()).count();
    complete_base_history(&mut config, layers.len() - own_layers);
    config.history.extend(history.iter().map(|step| History {
        created: Some(created.clone()),
        created_by: Some(step.created_by.clone()),
        empty_layer: step.layer.is_none(),
        ..History::default()
    }));
    config.created = Some(created);
    let image = write_annotated_image(blobs, &config, layers, annotations)?;
    Ok(ImageRecord {
        manifest: image.descriptor.digest,
        manifest_size: image.descriptor.size,
        config: image.manifest.config.digest,
        diff_ids: image.config.rootfs.diff_ids,
    })
}

/// Gives a base without a history one empty entry a layer. Some tools write none, and engines
/// refuse an image whose history accounts for some of its layers only.
fn complete_base_history(config: &mut ImageConfig, base_layers: usize) {
    let listed = config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer)
        .count();
    let missing = base_layers.saturating_sub(listed);
    config
        .history
        .extend(std::iter::repeat_n(History::default(), missing));
}
