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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use repro_core::{
        digest::Digest,
        image::{MediaType, load_image},
        store::{BlobStore as _, MemoryBlobs, put_bytes},
    };

    use super::*;

    /// A layer whose blob is no gzip of ours.
    fn layer(store: &MemoryBlobs, name: &str, media_type: MediaType) -> LayerDescriptor {
        let blob = put_bytes(store, name.as_bytes()).unwrap();
        LayerDescriptor {
            media_type,
            digest: blob.digest,
            size: blob.size,
            diff_id: DiffId(Digest::of(format!("tar of {name}").as_bytes())),
        }
    }

    fn text(store: &MemoryBlobs, digest: Digest) -> String {
        let mut text = String::new();
        let mut blob = store.open(digest).unwrap();
        std::io::Read::read_to_string(&mut blob, &mut text).unwrap();
        text
    }

    /// Base with one layer and its history, and a step that makes a layer between two that do not.
    fn image(store: &MemoryBlobs) -> (ImageRecord, Vec<LayerDescriptor>) {
        let mut config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
        config.created = Some("2001-01-01T00:00:00Z".into());
        config.config.env = vec!["Z=1".into(), "A=2".into()];
        config.config.labels = BTreeMap::from([("b".into(), "1".into()), ("a".into(), "2".into())]);
        config.history = vec![History {
            created_by: Some("the base's".into()),
            ..History::default()
        }];
        let layers = vec![
            layer(store, "base", MediaType::DockerLayerGzip),
            layer(store, "own", MediaType::OciLayerGzip),
        ];
        let history = [
            HistoryStep::empty("ENV A=2"),
            HistoryStep {
                created_by: "RUN /bin/sh -c make # repro".into(),
                layer: Some(layers[1].diff_id),
            },
            HistoryStep::empty("CMD [\"x\"]"),
        ];
        let epoch = Epoch::new(1_700_000_000).unwrap();
        (
            assemble(store, &config, &layers, &history, &BTreeMap::new(), epoch).unwrap(),
            layers,
        )
    }

    #[test]
    fn rule_9_an_instruction_without_difference_is_an_empty_layer() {
        let store = MemoryBlobs::new();
        let (record, _) = image(&store);
        let image = load_image(&store, record.manifest).unwrap();
        let empty: Vec<bool> = image.config.history.iter().map(|h| h.empty_layer).collect();
        assert_eq!(empty, [false, true, false, true]);
        assert_eq!(image.layers.len(), 2);
    }

    #[test]
    fn rule_16_layers_of_the_base_are_taken_over() {
        let store = MemoryBlobs::new();
        let (record, layers) = image(&store);
        let image = load_image(&store, record.manifest).unwrap();
        let blobs = |layers: &[LayerDescriptor]| {
            let blobs = layers
                .iter()
                .map(|layer| (layer.digest, layer.size, layer.diff_id));
            blobs.collect::<Vec<_>>()
        };
        assert_eq!(blobs(&image.layers), blobs(&layers));
        assert_eq!(text(&store, image.layers[0].digest), "base");
    }

    /// Every byte: a field more, such as one that names a version or a host, shows as well.
    #[test]
    fn rules_17_and_18_the_documents_are_canonical_and_say_nothing_else() {
        let store = MemoryBlobs::new();
        let (record, layers) = image(&store);
        let [base, own] = &layers[..] else {
            unreachable!()
        };
        let created = r#""created":"2023-11-14T22:13:20Z","#;
        let config = format!(
            concat!(
                r#"{{"architecture":"amd64","config":{{"Env":["Z=1","A=2"],"#,
                r#""Labels":{{"a":"2","b":"1"}}}},{created}"history":["#,
                r#"{{"created_by":"the base's"}},"#,
                r#"{{{created}"created_by":"ENV A=2","empty_layer":true}},"#,
                r#"{{{created}"created_by":"RUN /bin/sh -c make # repro"}},"#,
                r#"{{{created}"created_by":"CMD [\"x\"]","empty_layer":true}}],"#,
                r#""os":"linux","rootfs":{{"diff_ids":["{base}","{own}"],"type":"layers"}}}}"#,
            ),
            created = created,
            base = base.diff_id,
            own = own.diff_id,
        );
        assert_eq!(text(&store, record.config), config);
        let layer = |layer: &LayerDescriptor| {
            format!(
                r#"{{"digest":"{}","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":{}}}"#,
                layer.digest, layer.size
            )
        };
        let manifest = format!(
            concat!(
                r#"{{"config":{{"digest":"{digest}","#,
                r#""mediaType":"application/vnd.oci.image.config.v1+json","size":{size}}},"#,
                r#""layers":[{base},{own}],"#,
                r#""mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
            ),
            digest = record.config,
            size = config.len(),
            base = layer(base),
            own = layer(own),
        );
        assert_eq!(text(&store, record.manifest), manifest);
    }
}
