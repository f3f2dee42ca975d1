//! V14: subjects against digests recomputed from the bytes of the image.

use std::collections::BTreeSet;

use repro_core::{
    build::RunId,
    digest::Digest,
    image::{ImageError, Index, MAX_DOCUMENT, StoredImage, load_image},
    layer::{Limits, open_layer},
    tree::EntrySource as _,
};
use serde_json::json;

use super::{
    Evidence,
    blobs::{self, PackBlobs},
    check::{CheckCode, Checks, chain},
    files::PackFiles,
    runs,
};
use crate::{pack::layout::IMAGE, strict_json};

const CODE: CheckCode = CheckCode::SubjectMatches;

/// Gives the number of layers of the image, where all of it holds.
pub(super) fn check(files: &PackFiles, evidence: &Evidence, checks: &mut Checks) -> Option<usize> {
    let expected = expected(files, evidence, checks)?;
    match recompute(files, expected, evidence) {
        Ok(layers) => {
            let summary = format!("{expected} with {layers} layers, recomputed");
            checks.pass(CODE, IMAGE, summary);
            Some(layers)
        }
        Err(reason) => {
            checks.fail(CODE, IMAGE, reason);
            None
        }
    }
}

/// The image that the statements are about, if there is one to look at.
fn expected(files: &PackFiles, evidence: &Evidence, checks: &mut Checks) -> Option<Digest> {
    let stated = evidence.verdict.as_ref().and_then(runs::image_of_a);
    let present = files
        .paths()
        .iter()
        .any(|path| path.starts_with(&format!("{IMAGE}/")));
    let expected = match (stated, present) {
        (Some(expected), true) => expected,
        (Some(expected), false) => {
            let reason = format!("the image {expected} is missing");
            checks.fail(CODE, IMAGE, reason);
            return None;
        }
        (None, true) if evidence.verdict.is_some() => {
            checks.fail(CODE, IMAGE, "is an image that no statement is about");
            return None;
        }
        (None, true) => {
            checks.skip(CODE, IMAGE, "no verdict was verified");
            return None;
        }
        (None, false) => return None,
    };
    if let Some(signed) = &evidence.index {
        let indexed = signed.predicate.image;
        checks.expect(
            CODE,
            &signed.path,
            indexed == Some(expected),
            expected,
            "the signed index is about another image",
        );
    }
    if let Some(signed) = evidence.provenance(RunId::A) {
        let good = signed.subjects.iter().all(|s| s.digest == expected);
        let bad = format!("a subject is not {expected}, the manifest of run a");
        checks.expect(CODE, &signed.path, good, expected, bad);
    }
    Some(expected)
}

/// Reads every byte of the image; gives the number of its layers.
fn recompute(files: &PackFiles, expected: Digest, evidence: &Evidence) -> Result<usize, String> {
    let limit = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
    let document = |name: &str| {
        let path = format!("{IMAGE}/{name}");
        let bytes = files.read(&path, limit).map_err(|error| chain(&error))?;
        let value = strict_json::parse(&bytes, limit).map_err(|error| chain(&error))?;
        Ok::<_, String>((bytes, value))
    };
    let (_, version) = document("oci-layout")?;
    if version != json!({"imageLayoutVersion": "1.0.0"}) {
        return Err("oci-layout is not that of version 1.0.0".into());
    }
    let (index, _) = document("index.json")?;
    let index = Index::parse(&index, None).map_err(|error| chain(&error))?;
    let [descriptor] = index.manifests.as_slice() else {
        return Err(format!("lists {} images, not one", index.manifests.len()));
    };
    if descriptor.digest != expected {
        return Err(format!(
            "is {}, the statements are about {expected}",
            descriptor.digest
        ));
    }
    let blobs = PackBlobs(files);
    let image = load_image(&blobs, expected).map_err(|error| chain(&error))?;
    if image.descriptor.size != descriptor.size {
        return Err("the manifest has another size than its descriptor says".into());
    }
    for layer in &image.layers {
        let unpack = || {
            let mut reader = open_layer(&blobs, layer, Limits::default())?;
            while reader
                .next_entry(&mut |_, _| Ok(()))
                .map_err(|source| ImageError::Layer {
                    digest: layer.digest,
                    source,
                })?
            {}
            Ok::<_, ImageError>(())
        };
        unpack().map_err(|error| chain(&error))?;
    }
    refuse_loose_blobs(files, &image)?;
    steps_are_in(&image, evidence)?;
    Ok(image.layers.len())
}

fn refuse_loose_blobs(files: &PackFiles, image: &StoredImage) -> Result<(), String> {
    let mut parts: BTreeSet<String> = image.layers.iter().map(|part| part.digest.hex()).collect();
    parts.insert(image.descriptor.digest.hex());
    parts.insert(image.manifest.config.digest.hex());
    let loose = files
        .paths()
        .iter()
        .filter_map(|path| path.strip_prefix(&blobs::prefix()))
        .find(|name| !parts.contains(*name));
    match loose {
        Some(name) => Err(format!("blob {name} belongs to no image")),
        None => Ok(()),
    }
}

/// Every layer that provenance says is one of the image is: evidence of another build cannot be
/// put beside this one.
fn steps_are_in(image: &StoredImage, evidence: &Evidence) -> Result<(), String> {
    let Some(signed) = evidence.provenance(RunId::A) else {
        return Ok(());
    };
    let steps = &signed.predicate.run_details.metadata.steps;
    let missing = steps.iter().filter(|step| step.in_image).find(|step| {
        step.diff_id
            .is_some_and(|id| !image.diff_ids().contains(&id))
    });
    match missing {
        Some(step) => Err(format!(
            "the layer of step {} is not in the image",
            step.index
        )),
        None => Ok(()),
    }
}
