//! Archives with `manifest.json` and `index.json`, as Docker since 25 writes them.

use std::io::Read as _;

use serde_json::{Value, json};

use super::{
    Fixture,
    ambiguous::{Member, other, write_tar},
};
use crate::{
    digest::Digest,
    image::{
        REF_NAME, StoredImage,
        transport::{Archive, TransportError, forms::IMAGE_NAME},
        write_image,
    },
    layer::{Limits, open_tar},
    store::read_small,
};

/// An archive that is put together.
struct Saved {
    fixture: Fixture,
    members: Vec<(String, Vec<u8>)>,
    items: Vec<Value>,
    entries: Vec<Value>,
}

impl Saved {
    fn new() -> Self {
        Self {
            fixture: Fixture::new(),
            members: vec![(
                "oci-layout".into(),
                br#"{"imageLayoutVersion": "1.0.0"}"#.into(),
            )],
            items: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Adds a blob; its descriptor.
    fn blob(&mut self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let name = format!("blobs/sha256/{}", digest.hex());
        if !self.members.iter().any(|(found, _)| *found == name) {
            self.members.push((name, bytes.to_vec()));
        }
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest.to_string(),
            "size": bytes.len(),
        })
    }

    fn stored(&self, digest: Digest) -> Vec<u8> {
        read_small(&self.fixture.blobs, digest, 1 << 20).unwrap()
    }

    /// Adds the blobs of an image as containerd keeps them; the entry for its manifest.
    fn image(&mut self, image: &StoredImage) -> Value {
        for layer in &image.layers {
            let bytes = self.stored(layer.digest);
            self.blob("layer.v1.tar+gzip", &bytes);
        }
        let config = self.stored(image.manifest.config.digest);
        self.blob("config.v1+json", &config);
        let manifest = self.stored(image.descriptor.digest);
        let mut entry = self.blob("manifest.v1+json", &manifest);
        entry["platform"] = serde_json::to_value(&image.descriptor).unwrap()["platform"].clone();
        entry
    }

    fn index(&mut self, entries: &[&Value]) -> Value {
        let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
        self.blob("index.v1+json", index.as_bytes())
    }

    fn item(&mut self, image: &StoredImage, tags: &[&str]) {
        let path = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
        self.items.push(json!({
            "Config": path(image.manifest.config.digest),
            "RepoTags": tags,
            "Layers": image.layers.iter().map(|layer| path(layer.digest)).collect::<Vec<_>>(),
        }));
    }

    /// Lists `entry` in `index.json` under a name, as Docker does it.
    fn list(&mut self, entry: &Value, name: &str) {
        let mut entry = entry.clone();
        let (_, tag) = name.rsplit_once(':').unwrap();
        entry["annotations"] = json!({IMAGE_NAME: name, REF_NAME: tag});
        self.entries.push(entry);
    }

    fn write(&self) {
        let manifest = json!(self.items).to_string();
        // As Go writes a list with nothing in it.
        let entries = (!self.entries.is_empty()).then_some(&self.entries);
        let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
        let blobs = self.members.iter();
        let mut members: Vec<Member<'_>> = blobs
            .map(|(name, bytes)| Member::File(name, bytes))
            .collect();
        members.push(Member::File("manifest.json", manifest.as_bytes()));
        members.push(Member::File("index.json", index.as_bytes()));
        write_tar(&self.fixture.path("saved.tar"), &members);
    }

    fn docker(&self, reference: Option<&str>) -> Result<StoredImage, TransportError> {
        self.write();
        self.fixture.import(&Archive::DockerArchive {
            file: self.fixture.path("saved.tar"),
            reference: reference.map(|name| name.parse().unwrap()),
        })
    }

    fn oci(&self, tag: Option<&str>) -> Result<StoredImage, TransportError> {
        self.write();
        self.fixture.import(&Archive::OciArchive {
            file: self.fixture.path("saved.tar"),
            tag: tag.map(ToOwned::to_owned),
        })
    }
}

fn assert_differ(
    result: &Result<StoredImage, TransportError>,
    expected: &StoredImage,
    evil: &StoredImage,
) {
    let Err(TransportError::FormsDiffer { docker, oci, .. }) = result else {
        panic!("{result:?}");
    };
    let both: Vec<Digest> = oci.iter().chain([docker]).copied().collect();
    for image in [expected, evil] {
        assert!(both.contains(&image.manifest.config.digest), "{both:?}");
    }
}

const NAME: &str = "docker.io/acme/app:1";

#[test]
fn an_archive_that_is_one_image_in_both_forms_is_read_by_way_of_either() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let entry = saved.image(&image);
    saved.item(&image, &["acme/app:1", "acme/app:2"]);
    saved.list(&entry, NAME);
    saved.list(&entry, "docker.io/acme/app:2");
    for reference in [None, Some("acme/app:1"), Some("acme/app:2")] {
        assert_eq!(saved.docker(reference).unwrap(), image);
    }
    assert_eq!(saved.oci(Some("1")).unwrap(), image);
    // Without a name, as `docker save ID` writes it.
    saved.items[0]["RepoTags"] = Value::Null;
    saved.entries = vec![entry];
    assert_eq!(saved.docker(None).unwrap(), image);
    assert_eq!(saved.oci(None).unwrap(), image);
    // The first versions of Docker 25 list it in one form only.
    saved.entries.clear();
    assert_eq!(saved.docker(None).unwrap(), image);
    assert!(saved.oci(None).is_err());
}

/// Docker's own store keeps layers as plain tars, and names them by their diffID in both forms.
#[test]
fn layers_may_be_plain_tars_in_both_forms() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let mut layers = Vec::new();
    for layer in &image.layers {
        let mut tar = Vec::new();
        let mut reader = open_tar(&saved.fixture.blobs, layer, Limits::default()).unwrap();
        reader.read_to_end(&mut tar).unwrap();
        layers.push(saved.blob("layer.v1.tar", &tar));
    }
    let config = saved.stored(image.manifest.config.digest);
    let config = saved.blob("config.v1+json", &config);
    saved.item(&image, &["acme/app:1"]);
    saved.items[0]["Layers"] = layers
        .iter()
        .map(|layer| {
            let digest = layer["digest"].as_str().unwrap();
            Value::from(digest.replace("sha256:", "blobs/sha256/"))
        })
        .collect();
    let manifest = |layers: &[Value]| {
        json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string()
    };
    let mut with_layers = |layers: &[Value]| {
        let entry = saved.blob("manifest.v1+json", manifest(layers).as_bytes());
        saved.entries.clear();
        saved.list(&entry, NAME);
        saved.docker(None)
    };
    assert_eq!(with_layers(&layers).unwrap(), image);
    // The first versions of Docker 25 list none.
    assert_eq!(with_layers(&[]).unwrap(), image);
    let swapped = [layers[1].clone(), layers[0].clone()];
    for evil in [&layers[..1], &swapped[..]] {
        assert!(matches!(
            with_layers(evil),
            Err(TransportError::FormsLayers { config, .. })
                if config == image.manifest.config.digest
        ));
    }
}

#[test]
fn an_index_of_another_image_is_refused_whatever_its_entry_says() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let evil = other(&saved.fixture, &image, "evil");
    let good_entry = saved.image(&image);
    let evil_entry = saved.image(&evil);
    saved.item(&image, &["acme/app:1"]);
    let nested = saved.index(&[&evil_entry]);
    let mut unknown = evil_entry.clone();
    unknown["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let mut artifact = evil_entry.clone();
    artifact["artifactType"] = "x".into();
    for evil_entry in [&evil_entry, &nested, &unknown, &artifact] {
        for name in [NAME, "docker.io/acme/other:9"] {
            saved.entries.clear();
            saved.list(evil_entry, name);
            assert_differ(&saved.docker(None), &image, &evil);
            assert_differ(&saved.docker(Some("acme/app:1")), &image, &evil);
            saved.list(&good_entry, NAME);
            assert_differ(&saved.docker(Some("acme/app:1")), &image, &evil);
        }
    }
    // One that leads nowhere.
    saved.entries.clear();
    let mut gone = good_entry;
    gone["digest"] = Digest::of(b"gone").to_string().into();
    saved.list(&gone, NAME);
    let Err(TransportError::FormsDiffer { oci, .. }) = saved.docker(None) else {
        panic!("an index of what is not there leads to the image");
    };
    assert_eq!(oci, []);
}

#[test]
fn a_manifest_json_of_another_image_is_refused_in_an_archive_of_a_layout() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let evil = other(&saved.fixture, &image, "evil");
    let entry = saved.image(&image);
    saved.image(&evil);
    saved.list(&entry, NAME);
    saved.item(&image, &["acme/app:1"]);
    saved.item(&evil, &["acme/app:2"]);
    assert_eq!(saved.oci(Some("1")).unwrap(), image);
    saved.item(&evil, &["acme/app:1"]);
    assert_differ(&saved.oci(Some("1")), &image, &evil);
    assert_differ(&saved.oci(None), &image, &evil);
    // Alone, whatever its name is.
    saved.items.drain(0..1);
    saved.items.truncate(1);
    assert_differ(&saved.oci(Some("1")), &image, &evil);
}

#[test]
fn several_images_are_told_apart_by_their_full_names() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let second = other(&saved.fixture, &image, "b");
    for (image, name) in [(&image, NAME), (&second, "docker.io/acme/other:1")] {
        let entry = saved.image(image);
        saved.item(image, &[name.strip_prefix("docker.io/").unwrap()]);
        saved.list(&entry, name);
    }
    assert_eq!(saved.docker(Some("acme/app:1")).unwrap(), image);
    assert_eq!(saved.docker(Some("acme/other:1")).unwrap(), second);
    // By the short name programs differ in which they take.
    assert!(matches!(
        saved.oci(Some("1")),
        Err(TransportError::SameName { .. })
    ));
    for (evil, key, name) in [
        (1, IMAGE_NAME, NAME),
        (1, REF_NAME, "acme/app:1"),
        (0, IMAGE_NAME, "docker.io/acme/other:1"),
    ] {
        let before = saved.entries.clone();
        saved.entries[evil]["annotations"][key] = name.into();
        let wanted = if evil == 1 {
            "acme/app:1"
        } else {
            "acme/other:1"
        };
        assert_differ(&saved.docker(Some(wanted)), &image, &second);
        saved.entries = before;
    }
    // Without the full name the short one counts.
    saved.entries[1]["annotations"] = json!({REF_NAME: "1"});
    assert_differ(&saved.docker(Some("acme/app:1")), &image, &second);
}

/// As Docker saves an image of several platforms, of which it has one, with attestations of BuildKit.
#[test]
fn of_a_list_what_is_not_held_and_what_is_no_image_does_not_count() {
    let mut saved = Saved::new();
    let image = saved.fixture.image();
    let entry = saved.image(&image);
    let absent = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(b"absent").to_string(),
        "size": 6,
        "platform": {"os": "linux", "architecture": "s390x"},
    });
    let mut elsewhere = image.config.clone();
    elsewhere.architecture = "arm64".into();
    let elsewhere = write_image(&saved.fixture.blobs, &elsewhere, &image.layers).unwrap();
    let manifest = saved.stored(elsewhere.descriptor.digest);
    let mut hollow = saved.blob("manifest.v1+json", &manifest);
    hollow["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let attestation = other(&saved.fixture, &image, "attestation");
    let mut attestation = saved.image(&attestation);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let list = saved.index(&[&absent, &hollow, &entry, &attestation]);
    saved.item(&image, &["acme/app:1"]);
    saved.list(&list, NAME);
    assert_eq!(saved.docker(None).unwrap(), image);
    assert_eq!(saved.oci(Some("1")).unwrap(), image);
    // With the other platform the archive is two images: the machine chooses.
    saved.image(&elsewhere);
    assert_differ(&saved.docker(None), &image, &elsewhere);
}
