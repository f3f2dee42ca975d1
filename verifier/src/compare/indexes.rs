//! Indexes: the images for each platform, one by one. What is said about images, the attestations, is
//! listed apart.

use std::collections::BTreeMap;

use repro_core::{
    digest::Digest,
    image::{Index, MAX_DOCUMENT, load_image},
    store::{BlobStore, read_small},
};
use serde_json::{Value, json};

use super::{
    AttestationPair, CompareError, Comparison, Difference, DifferenceKind, Evidence, Options, View,
    compare_images, config, runs::add_up,
};
use crate::causes::{Cause, Confidence, Facts};

/// Indexes that may lie in each other. Two are in use.
const MAX_DEPTH: usize = 4;
/// Most manifests of one index, nested ones included. Images for all platforms of a compiler's test
/// machines have some thirty.
const MAX_MANIFESTS: usize = 512;
/// The annotation of BuildKit that tells what a manifest is, and its value for attestations.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const ATTESTATION: &str = "attestation-manifest";
/// The annotation of BuildKit that names what an attestation is about.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// What a platform is called that is not known.
const UNKNOWN: &str = "unknown";

/// What an index lists, or an image alone.
#[derive(Default)]
struct Members {
    /// Manifests by platform, as the index writes it; of several for one, each with its number.
    images: BTreeMap<String, Digest>,
    /// Digests of attestations with that of what each is about.
    attestations: Vec<(Option<Digest>, Digest)>,
    /// What the index says besides digests.
    says: Value,
    /// Whether it is an index.
    is_index: bool,
    seen: usize,
}

/// Compares what the digests `a` and `b` name, each the manifest of an image or an index; in either
/// order. With `platform` only the images for it are looked at.
///
/// An image that an archive lists and does not hold has no counterpart, unless the other side lists the
/// same digest.
pub fn compare_indexes(
    store: &dyn BlobStore,
    (a, b): (Digest, Digest),
    platform: Option<&str>,
    view: View,
    facts: &Facts,
    options: &Options,
) -> Result<Comparison, CompareError> {
    let (mut members_a, mut members_b) = (members(store, a)?, members(store, b)?);
    if let Some(platform) = platform {
        for (members, digest) in [(&mut members_a, a), (&mut members_b, b)] {
            let there: Vec<String> = members.images.keys().cloned().collect();
            members.images.retain(|name, _| *name == platform);
            if members.images.is_empty() {
                return Err(CompareError::NoPlatform {
                    digest,
                    wanted: platform.to_owned(),
                    found: there,
                });
            }
        }
    }
    if let ([image_a], [image_b]) = (&members_a.only()[..], &members_b.only()[..])
        && (platform.is_some() || !(members_a.is_index || members_b.is_index))
    {
        return compare_images(store, *image_a, *image_b, view, facts, options);
    }
    let mut whole = Comparison {
        attestations: attestations(&members_a, &members_b),
        ..Comparison::default()
    };
    for (name, image_a) in &members_a.images {
        let Some(image_b) = members_b.images.get(name) else {
            whole.differences.push(alone(name, *image_a, true));
            continue;
        };
        let held = store.size(*image_a)?.is_some() && store.size(*image_b)?.is_some();
        let mut found = if image_a == image_b && !held {
            Comparison::default()
        } else if held {
            compare_images(store, *image_a, *image_b, view, facts, options)?
        } else {
            return Err(CompareError::NotHeld {
                platform: name.clone(),
            });
        };
        for row in &mut found.differences {
            row.platform = Some(name.clone());
        }
        add_up(&mut whole, found);
    }
    for (name, image_b) in &members_b.images {
        if !members_a.images.contains_key(name) {
            whole.differences.push(alone(name, *image_b, false));
        }
    }
    if platform.is_none() && members_a.is_index && members_b.is_index {
        let rows = config::compare_values(&members_a.says, &members_b.says, &[], facts);
        whole.differences.extend(rows);
    }
    Ok(whole)
}

impl Members {
    fn only(&self) -> Vec<Digest> {
        self.images.values().copied().collect()
    }
}

fn members(store: &dyn BlobStore, digest: Digest) -> Result<Members, CompareError> {
    let mut members = Members::default();
    let bytes = read_small(store, digest, MAX_DOCUMENT)?;
    if Index::parse(&bytes, None).is_err() {
        // No index: a manifest, or what the error says of it as one.
        let image = load_image(store, digest).map_err(|source| CompareError::Image {
            manifest: digest,
            source: Box::new(source),
        })?;
        let platform = image.descriptor.platform;
        let name = platform.map_or_else(|| UNKNOWN.to_owned(), |platform| platform.to_string());
        members.images.insert(name, digest);
        return Ok(members);
    }
    members.is_index = true;
    members.read(store, digest, &bytes, MAX_DEPTH)?;
    Ok(members)
}

impl Members {
    fn read(
        &mut self,
        store: &dyn BlobStore,
        digest: Digest,
        bytes: &[u8],
        depth: usize,
    ) -> Result<(), CompareError> {
        let beyond = |limit: String| CompareError::IndexLimit { digest, limit };
        let Some(depth) = depth.checked_sub(1) else {
            return Err(beyond(format!("{MAX_DEPTH} indexes inside each other")));
        };
        let index = Index::parse(bytes, None).map_err(|source| CompareError::Image {
            manifest: digest,
            source: Box::new(source),
        })?;
        // Again as JSON: fields that no type of this program knows count as well.
        let mut raw: Value = serde_json::from_slice(bytes)
            .map_err(|source| CompareError::Config { digest, source })?;
        let mut said = BTreeMap::new();
        let listed = raw["manifests"].take();
        for (entry, raw) in index
            .manifests
            .iter()
            .zip(listed.as_array().into_iter().flatten())
        {
            self.seen += 1;
            if self.seen > MAX_MANIFESTS {
                return Err(beyond(format!("{MAX_MANIFESTS} manifests")));
            }
            let kind = entry.annotations.get(REFERENCE_TYPE).map(String::as_str);
            let platform = name(&raw["platform"]);
            if entry.media_type.is_index() {
                let inner = read_small(store, entry.digest, MAX_DOCUMENT)?;
                self.read(store, entry.digest, &inner, depth)?;
                continue;
            }
            let is_image = entry.media_type.is_manifest() && entry.artifact_type.is_none();
            if kind == Some(ATTESTATION) || !is_image || platform == "unknown/unknown" {
                let about = entry.annotations.get(REFERENCE_DIGEST);
                let about = about.and_then(|digest| digest.parse().ok());
                self.attestations.push((about, entry.digest));
                continue;
            }
            let base = if platform == UNKNOWN {
                platform_of(store, entry.digest)?.unwrap_or(platform)
            } else {
                platform
            };
            let mut label = base.clone();
            let mut number = 1;
            while self.images.contains_key(&label) {
                number += 1;
                label = format!("{base} #{number}");
            }
            let mut fields = raw.clone();
            if let Some(fields) = fields.as_object_mut() {
                // They follow from the image, which is compared as such.
                fields.remove("digest");
                fields.remove("size");
            }
            said.insert(label.clone(), fields);
            self.images.insert(label, entry.digest);
        }
        raw["manifests"] = json!(said);
        if self.says.is_null() {
            self.says = raw;
        }
        Ok(())
    }
}

/// The platform that the configuration of an image names, if the image is there.
fn platform_of(store: &dyn BlobStore, manifest: Digest) -> Result<Option<String>, CompareError> {
    if store.size(manifest)?.is_none() {
        return Ok(None);
    }
    let image = load_image(store, manifest).map_err(|source| CompareError::Image {
        manifest,
        source: Box::new(source),
    })?;
    Ok(image.descriptor.platform.map(|found| found.to_string()))
}

/// A platform as an index writes it, with the version of its system where there is one.
fn name(platform: &Value) -> String {
    let field = |name: &str| platform[name].as_str().filter(|value| !value.is_empty());
    let (Some(os), Some(architecture)) = (field("os"), field("architecture")) else {
        return UNKNOWN.into();
    };
    let variant = field("variant").map_or_else(String::new, |variant| format!("/{variant}"));
    let plain = format!("{os}/{architecture}{variant}");
    let plain = plain
        .parse::<repro_core::platform::Platform>()
        .map_or(plain, |platform| platform.to_string());
    let version = field("os.version").map_or_else(String::new, |version| format!(" {version}"));
    // Names come from outside.
    let shown = repro_core::tree::show_bytes(format!("{plain}{version}").as_bytes()).into_owned();
    shown.chars().take(80).collect()
}

fn alone(platform: &str, manifest: Digest, in_a: bool) -> Difference {
    let (there, absent) = (manifest.to_string(), "absent".to_owned());
    let (a, b) = if in_a {
        (there, absent)
    } else {
        (absent, there)
    };
    Difference {
        path: String::new(),
        platform: Some(platform.to_owned()),
        layer: None,
        step: None,
        kind: DifferenceKind::Missing,
        cause: Cause::PlatformMissing,
        confidence: Confidence::Certain,
        derived_from: None,
        evidence: Some(Evidence {
            offset: None,
            inside: None,
            a,
            b,
            around: None,
        }),
    }
}

/// The attestations of both by the platform of what they are about.
fn attestations(a: &Members, b: &Members) -> Vec<AttestationPair> {
    let mut pairs: BTreeMap<String, AttestationPair> = BTreeMap::new();
    for (members, is_a) in [(a, true), (b, false)] {
        for (about, digest) in &members.attestations {
            let mut images = members.images.iter();
            let found = images.find(|(_, image)| Some(**image) == *about);
            let platform = found.map_or(UNKNOWN, |(name, _)| name);
            let pair = pairs
                .entry(platform.to_owned())
                .or_insert_with(|| AttestationPair {
                    platform: platform.to_owned(),
                    a: Vec::new(),
                    b: Vec::new(),
                });
            if is_a { &mut pair.a } else { &mut pair.b }.push(*digest);
        }
    }
    pairs.into_values().collect()
}
