//! `--annotation`: free texts beside the image's configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Annotations by where they stand (image-spec, "Annotations").
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// In the manifest, and so part of the image's digest.
    pub manifest: BTreeMap<String, String>,
    /// In descriptors of the manifest: the entry of a layout's index. No part of any digest of the
    /// image.
    pub descriptor: BTreeMap<String, String>,
}
