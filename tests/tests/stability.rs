//! Digests that must not move: those of `tests/stability/`, each with its reason.
use std::collections::BTreeMap;

use repro_tests::{Pack, TestContext, root};
use serde::Deserialize;

#[path = "stability/layers.rs"]
mod layers;

/// What a ruleset gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Goldens {
    layers: BTreeMap<String, LayerGolden>,
    images: BTreeMap<String, Image>,
    toolchains: BTreeMap<String, Image>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerGolden {
    reason: String,
    tar: String,
    blob: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    reason: String,
    manifest: String,
}

fn ruleset_1() -> Goldens {
    let path = root().join("tests/stability/ruleset-1.toml");
    let text = std::fs::read_to_string(path).expect("the goldens are there");
    toml::from_str(&text).expect("the goldens can be read")
}

#[test]
fn every_golden_says_why_it_is_there() {
    let Goldens {
        layers,
        images,
        toolchains,
    } = ruleset_1();
    let layers = layers.values().map(|layer| &layer.reason);
    let images = images.values().chain(toolchains.values());
    let mut reasons: Vec<&String> = layers.chain(images.map(|image| &image.reason)).collect();
    assert!(reasons.iter().all(|reason| reason.len() > 20));
    let all = reasons.len();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), all);
}

#[test]
fn ruleset_1_gives_these_layers_and_blobs() {
    let goldens = ruleset_1().layers;
    let trees = layers::all();
    let names: Vec<&str> = trees.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), goldens.len(), "{names:?}");
    let mut moved = Vec::new();
    for (name, tree) in &trees {
        let golden = &goldens[*name];
        let (tar, blob) = layers::digests(tree);
        if (&tar, &blob) != (&golden.tar, &golden.blob) {
            moved.push(format!("{name}: tar = {tar:?}, blob = {blob:?}"));
        }
    }
    assert!(moved.is_empty(), "{}", moved.join("\n"));
}

#[test]
fn ruleset_1_gives_these_images() {
    let goldens = ruleset_1();
    let context = TestContext::new();
    let mut found = BTreeMap::new();
    for name in goldens.images.keys() {
        let project = context.example(name);
        let (_, pack) = context.built(&project, 0);
        assert_eq!(pack.report["ruleset"], 1);
        for (name, golden) in &goldens.toolchains {
            if let Some(digest) = toolchain(&pack, name) {
                assert_eq!(digest, golden.manifest, "{name} moved");
                found.insert(name.clone(), digest);
            }
        }
        assert_eq!(pack.digest(), goldens.images[name].manifest, "{name} moved");
    }
    assert_eq!(found.len(), goldens.toolchains.len(), "{found:?}");
}

/// Digest of the image that the report says a toolchain is, if it was used.
fn toolchain(pack: &Pack, name: &str) -> Option<String> {
    let uri = format!("pkg:generic/repro/{name}@");
    let inputs = pack.report["inputs"].as_array()?;
    let is_it = |input: &&serde_json::Value| {
        let text = input["uri"].as_str();
        text.is_some_and(|text| text.starts_with(&uri))
    };
    let digest = inputs.iter().find(is_it)?["digest"].as_str()?;
    Some(digest.to_owned())
}
