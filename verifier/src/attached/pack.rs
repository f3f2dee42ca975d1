//! What a pack from outside may be.

use std::collections::BTreeMap;

use repro_core::{digest::Digest, image::Manifest};

use super::{
    manifest::TITLE,
    read::{ArtifactError, PackArtifact},
};
use crate::pack::layout::IMAGE;

/// Most bytes of the files of a pack besides its image: logs and reports.
pub const MAX_PACK_BYTES: u64 = 1 << 30;
/// Longest path and deepest nesting of a file, as a pack on disk has them.
const MAX_PATH: usize = 512;
const MAX_DEPTH: usize = 16;

/// The files of a pack, if nothing speaks against fetching them.
///
/// `image` has the parts of the image that the pack is attached to, with their sizes: of the image in
/// the pack, nothing else is taken, so a pack makes nobody fetch more than the image.
pub(super) fn files(
    manifest: &Manifest,
    image: &BTreeMap<Digest, u64>,
) -> Result<PackArtifact, ArtifactError> {
    let blobs = format!("{IMAGE}/blobs/sha256/");
    let mut files = BTreeMap::new();
    let mut rest = 0_u64;
    for layer in &manifest.layers {
        let path = layer.annotations.get(TITLE).cloned().unwrap_or_default();
        if !is_plain(&path) {
            return Err(ArtifactError::Path(path.chars().take(80).collect()));
        }
        match path.strip_prefix(&blobs) {
            Some(hex)
                if hex != layer.digest.hex() || image.get(&layer.digest) != Some(&layer.size) =>
            {
                return Err(ArtifactError::OtherImage(layer.digest));
            }
            Some(_) => {}
            None => rest = rest.saturating_add(layer.size),
        }
        if files.insert(path.clone(), layer.clone()).is_some() {
            return Err(ArtifactError::Twice(path));
        }
    }
    if rest > MAX_PACK_BYTES {
        return Err(ArtifactError::TooLarge {
            found: rest,
            limit: MAX_PACK_BYTES,
        });
    }
    // A file cannot be a directory too.
    for path in files.keys() {
        let mut above = path.as_str();
        while let Some((dir, _)) = above.rsplit_once('/') {
            if files.contains_key(dir) {
                return Err(ArtifactError::Twice(dir.into()));
            }
            above = dir;
        }
    }
    Ok(PackArtifact { files })
}

/// Whether a path leads to a file below a directory, whatever reads it.
fn is_plain(path: &str) -> bool {
    let parts = || path.split('/');
    path.len() <= MAX_PATH
        && parts().count() <= MAX_DEPTH
        && parts().all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains(|c: char| c.is_control() || c == '\\')
}
