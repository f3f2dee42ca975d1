//! Bytes that are not what they should be.

use std::sync::Arc;

use repro_core::digest::Digest;
use repro_toolchains::registry::RegistryError;
use serde_json::json;

use crate::{
    Client, good,
    image::{INDEX, Image, MANIFEST},
    name,
    server::{Answer, Manner, Server},
    small_image,
};

/// A registry that has `image`, with another layer.
fn with_layer(image: &Arc<Image>, other: Answer) -> Server {
    let image = Arc::clone(image);
    let layer = Digest::of(&image.layer).to_string();
    Server::start(move |asked, _| {
        if asked.path.ends_with(&layer) {
            return other.clone();
        }
        image.answer(asked)
    })
}

/// A registry that answers every request for a manifest so.
fn with_manifest(other: Answer) -> Server {
    Server::start(move |asked, _| {
        if asked.path == "/v2/" {
            return Answer::new(200);
        }
        other.clone()
    })
}

fn refused(server: &Server) -> RegistryError {
    let client = Client::new();
    let error = client.pull(&name(server)).expect_err("it is refused");
    // Neither a manifest nor a layer is left.
    let left = repro_core::fs::sorted_names(client.store.blobs().dir());
    let left = left.expect("the store can be read");
    assert!(left.len() <= 1, "{error}: {left:?}");
    error
}

#[test]
fn a_layer_of_another_length_or_digest_is_not_kept() {
    let image = small_image();
    let server = with_layer(&image, Answer::new(200).body("LAYER"));
    let error = refused(&server);
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    let server = with_layer(&image, Answer::new(200).body("layers"));
    let error = refused(&server);
    assert!(
        matches!(error, RegistryError::TooLong { limit: 5, .. }),
        "{error}"
    );
    let server = with_layer(&image, Answer::new(200).manner(Manner::Endless));
    let error = refused(&server);
    assert!(
        matches!(error, RegistryError::TooLong { limit: 5, .. }),
        "{error}"
    );
    let server = with_layer(&image, Answer::new(200).body("lay"));
    let error = refused(&server);
    assert!(
        matches!(error, RegistryError::Short { found: 3, .. }),
        "{error}"
    );
}

#[test]
fn a_manifest_is_what_it_was_asked_for_by() {
    let image = small_image();
    let other = Image::new("amd64", b"other");
    let manifest = Answer::new(200)
        .header("Content-Type", MANIFEST)
        .body(other.manifest.clone());
    let server = with_manifest(manifest.clone());
    let client = Client::new();
    let error = client
        .pull(&name(&server).with_digest(image.digest()))
        .unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    // By tag, what the registry itself says of it must be true.
    let said = manifest.header("Docker-Content-Digest", image.digest().to_string());
    let error = refused(&with_manifest(said));
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}

#[test]
fn a_manifest_is_no_index_and_the_other_way_round() {
    let image = small_image();
    let both = {
        let mut json = image.manifest_json();
        json["manifests"] = json!([]);
        json.to_string().into_bytes()
    };
    for (media_type, body) in [
        (INDEX, image.manifest.clone()),
        (MANIFEST, br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()),
        (MANIFEST, both.clone()),
        (INDEX, both),
        ("text/html", image.manifest.clone()),
        ("application/json", image.manifest.clone()),
        (MANIFEST, br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec()),
        (MANIFEST, b"no json".to_vec()),
        (MANIFEST, b"[".repeat(100_000)),
    ] {
        let answer = Answer::new(200)
            .header("Content-Type", media_type)
            .body(body);
        let error = refused(&with_manifest(answer));
        assert!(
            matches!(error, RegistryError::Document { .. }),
            "{media_type}: {error}"
        );
    }
}

#[test]
fn a_list_and_what_it_lists_agree_on_what_that_is() {
    let image = small_image();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "digest": image.digest(), "size": image.manifest.len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    }]});
    let server = listing(&image, index.to_string());
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(matches!(error, RegistryError::Document { .. }), "{error}");

    let mut index = index;
    index["manifests"][0]["mediaType"] = json!(MANIFEST);
    index["manifests"][0]["size"] = json!(image.manifest.len() + 1);
    let server = listing(&image, index.to_string());
    let error = Client::new().pull(&name(&server)).unwrap_err();
    assert!(matches!(error, RegistryError::Short { .. }), "{error}");
}

fn listing(image: &Arc<Image>, index: String) -> Server {
    let image = Arc::clone(image);
    Server::start(move |asked, _| {
        if asked.path.ends_with("/manifests/1") {
            return Answer::new(200)
                .header("Content-Type", INDEX)
                .body(index.clone());
        }
        image.answer(asked)
    })
}

#[test]
fn a_manifest_without_end_is_not_read_to_it() {
    let giant = Answer::new(200)
        .header("Content-Type", MANIFEST)
        .body(vec![b' '; 5 << 20]);
    let error = refused(&with_manifest(giant));
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error}");
    let endless = Answer::new(200)
        .header("Content-Type", MANIFEST)
        .manner(Manner::Endless);
    let error = refused(&with_manifest(endless));
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error}");
}

#[test]
fn layers_that_are_kept_elsewhere_are_refused() {
    let image = Image::new("amd64", b"layer");
    for (field, value) in [
        ("urls", json!(["https://elsewhere.example/layer"])),
        (
            "mediaType",
            json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        ),
        (
            "mediaType",
            json!("application/vnd.oci.image.layer.nondistributable.v1.tar"),
        ),
    ] {
        let mut image = Image::new("amd64", &image.layer);
        let mut json = image.manifest_json();
        json["layers"][0][field] = value;
        image.set_manifest(&json);
        let server = good(&Arc::new(image));
        let error = refused(&server);
        assert!(matches!(error, RegistryError::Foreign { .. }), "{error}");
        assert!(server.asked_for("/blobs/").is_empty());
    }
}

#[test]
fn a_layer_that_no_disk_has_room_for_is_not_begun() {
    for size in [1_u64 << 60, u64::MAX] {
        let mut image = Image::new("amd64", b"layer");
        let mut json = image.manifest_json();
        json["layers"][0]["size"] = json!(size);
        image.set_manifest(&json);
        let layer = Digest::of(&image.layer).to_string();
        let server = good(&Arc::new(image));
        let error = refused(&server);
        assert!(matches!(error, RegistryError::NoRoom { .. }), "{error}");
        assert!(server.asked_for(&layer).is_empty());
    }
    // A configuration is small.
    let mut image = Image::new("amd64", b"layer");
    let mut json = image.manifest_json();
    json["config"]["size"] = json!(5 << 20);
    image.set_manifest(&json);
    let error = refused(&good(&Arc::new(image)));
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error}");
}

#[test]
fn an_image_of_another_platform_is_not_taken_for_ours() {
    let server = good(&Arc::new(Image::new("arm64", b"layer")));
    let error = refused(&server);
    assert!(matches!(error, RegistryError::Platform { .. }), "{error}");
    assert!(error.to_string().contains("linux/arm64"), "{error}");
}
