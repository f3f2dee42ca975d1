//! A small image in the form in which a registry has it.

use repro_core::{
    digest::Digest,
    image::{Descriptor, MediaType},
};
use serde_json::{Value, json};

use crate::server::{Answer, Asked};

pub(crate) struct Image {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Image {
    /// Of one layer with this content, which no test of this file unpacks.
    pub(crate) fn new(architecture: &str, layer: &[u8]) -> Self {
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(layer)]},
        });
        let config = serde_json::to_vec(&config).expect("it is JSON");
        let mut image = Self {
            layer: layer.to_vec(),
            config,
            manifest: Vec::new(),
        };
        image.set_manifest(&image.manifest_json());
        image
    }

    pub(crate) fn manifest_json(&self) -> Value {
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(&self.config), "size": self.config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": Digest::of(&self.layer), "size": self.layer.len(),
            }],
        })
    }

    pub(crate) fn set_manifest(&mut self, json: &Value) {
        self.manifest = serde_json::to_vec(json).expect("it is JSON");
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        let size = self.manifest.len() as u64;
        Descriptor::new(MediaType::OciManifest, self.digest(), size)
    }

    /// What a good registry answers: the tag `1`, and everything by its digest.
    pub(crate) fn answer(&self, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let manifest = || {
            Answer::new(200)
                .header("Content-Type", MANIFEST)
                .body(self.manifest.clone())
        };
        if path == "/v2/" {
            return Answer::new(200);
        }
        match name {
            "1" => manifest(),
            name if name == self.digest().to_string() => manifest(),
            name => {
                let mut blobs = [&self.layer, &self.config].into_iter();
                match blobs.find(|blob| Digest::of(blob).to_string() == name) {
                    Some(blob) => ranged(asked, blob),
                    None => Answer::new(404),
                }
            }
        }
    }
}

/// A blob, or the end of it.
pub(crate) fn ranged(asked: &Asked, blob: &[u8]) -> Answer {
    let range = asked.header("range");
    let start = range.and_then(|range| {
        let start = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        start.parse::<usize>().ok()
    });
    match start {
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            Answer::new(206)
                .header("Content-Range", range)
                .body(&blob[start..])
        }
        None => Answer::new(200).body(blob),
    }
}
