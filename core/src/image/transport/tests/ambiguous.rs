//! Files in which other programs find another image: refused, whichever of them is the good one.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, slice};

use serde_json::{Value, json};

use super::Fixture;
use crate::{
    digest::Digest,
    image::{
        ImageError, REF_NAME, StoredImage,
        stored::write_manifest,
        transport::{Archive, FileSource, Layout, TransportError, export, forms::IMAGE_NAME},
        write_image,
    },
    layer::Limits,
    store::read_small,
};

/// A member of an archive, with names and targets that a writer of archives would refuse.
#[derive(Clone, Copy)]
pub(super) enum Member<'a> {
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
}

use Member::{File, Link};

pub(super) fn write_tar(path: &Path, members: &[Member<'_>]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for member in members {
        let mut header = tar::Header::new_gnu();
        let (name, kind, target, content) = match member {
            File(name, content) => (name, tar::EntryType::Regular, "", *content),
            Link(name, target) => (name, tar::EntryType::Symlink, *target, &b""[..]),
        };
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.finish().unwrap();
}

/// Another image of the same layers.
pub(super) fn other(fixture: &Fixture, image: &StoredImage, author: &str) -> StoredImage {
    let mut config = image.config.clone();
    config.author = Some(author.into());
    write_image(&fixture.blobs, &config, &image.layers).unwrap()
}

/// A layout with two images, `v1` and `v2`.
struct Layouts {
    fixture: Fixture,
    good: StoredImage,
    evil: StoredImage,
}

impl Layouts {
    fn new() -> Self {
        let fixture = Fixture::new();
        let good = fixture.image();
        let evil = other(&fixture, &good, "evil");
        let made = Self {
            fixture,
            good,
            evil,
        };
        for (image, tag) in [(&made.good, "v1"), (&made.evil, "v2")] {
            export(&made.fixture.blobs, image, None, &made.at(tag)).unwrap();
        }
        made
    }

    fn at(&self, tag: &str) -> Archive {
        Archive::OciDir {
            dir: self.fixture.path("layout"),
            tag: Some(tag.into()),
        }
    }

    /// An entry of `index.json` named `v1`.
    fn entry(image: &StoredImage) -> Value {
        let mut entry = serde_json::to_value(&image.descriptor).unwrap();
        entry["annotations"] = json!({REF_NAME: "v1"});
        entry
    }

    /// What comes of `index.json` with this text.
    fn import(&self, index: &str) -> Result<StoredImage, TransportError> {
        fs::write(self.fixture.path("layout/index.json"), index).unwrap();
        let imported = self.fixture.import(&self.at("v1"));
        // Whoever looks for what is said about the image must not find another one.
        let opened = Layout::open(&self.at("v1"), self.fixture.blobs.tmp(), Limits::default());
        let chosen = opened.and_then(|layout| layout.choose(Some("v1")));
        assert_eq!(imported.is_ok(), chosen.is_ok(), "{index}");
        imported
    }

    fn import_entries(&self, entries: &[Value]) -> Result<StoredImage, TransportError> {
        self.import(&json!({"schemaVersion": 2, "manifests": entries}).to_string())
    }
}

fn assert_folded(result: &Result<StoredImage, TransportError>, folded: &str) {
    assert!(
        matches!(
            result,
            Err(TransportError::Image(ImageError::FoldedKey { key, .. })) if key == folded
        ),
        "{folded}: {result:?}"
    );
}

#[test]
fn keys_of_a_layout_that_differ_by_case_are_refused() {
    let layouts = Layouts::new();
    let [good, evil] = [&layouts.good, &layouts.evil].map(Layouts::entry);
    assert!(layouts.import_entries(slice::from_ref(&good)).is_ok());
    for key in ["Manifests", "MANIFESTS", "manife\u{17f}ts"] {
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{good}],"{key}":[{evil}]}}"#);
        assert_folded(&layouts.import(&index), key);
    }
    let mut entry = good.clone();
    entry["Digest"] = evil["digest"].clone();
    assert_folded(&layouts.import_entries(&[entry]), "Digest");
    // Keys of annotations are anybody's.
    let mut entry = good;
    entry["annotations"]["Name"] = "x".into();
    entry["annotations"]["name"] = "y".into();
    assert!(layouts.import_entries(&[entry.clone()]).is_ok());
    let layout = r#"{"imageLayoutVersion":"1.0.0","ImageLayoutVersion":"2"}"#;
    fs::write(layouts.fixture.path("layout/oci-layout"), layout).unwrap();
    assert_folded(&layouts.import_entries(&[entry]), "ImageLayoutVersion");
}

#[test]
fn a_manifest_with_keys_that_differ_by_case_is_refused() {
    let layouts = Layouts::new();
    let manifest = read_small(
        &layouts.fixture.blobs,
        layouts.good.descriptor.digest,
        1 << 20,
    );
    let text = String::from_utf8(manifest.unwrap()).unwrap();
    let text = text.replacen('{', r#"{"Layers":[],"#, 1);
    let digest = Digest::of(text.as_bytes());
    let blob = format!("layout/blobs/sha256/{}", digest.hex());
    fs::write(layouts.fixture.path(&blob), &text).unwrap();
    let mut entry = Layouts::entry(&layouts.good);
    entry["digest"] = digest.to_string().into();
    entry["size"] = text.len().into();
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    fs::write(layouts.fixture.path("layout/index.json"), index).unwrap();
    assert_folded(&layouts.fixture.import(&layouts.at("v1")), "Layers");
}

#[test]
fn a_configuration_with_other_layers_by_case_is_refused() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let config = read_small(&fixture.blobs, image.manifest.config.digest, 1 << 20).unwrap();
    let text = String::from_utf8(config).unwrap();
    let write = |text: &str| {
        write_manifest(
            &fixture.blobs,
            text.as_bytes(),
            &image.layers,
            &BTreeMap::new(),
        )
    };
    let evil = text.replacen('{', r#"{"Rootfs":{"type":"layers","diff_ids":[]},"#, 1);
    assert!(matches!(
        write(&evil),
        Err(ImageError::FoldedKey { key, field: "rootfs" }) if key == "Rootfs"
    ));
    let labelled = text.replacen(
        r#""config":{"#,
        r#""config":{"env":null,"Labels":{"Name":"a","name":"b"},"#,
        1,
    );
    assert!(write(&labelled).is_ok());
}

#[test]
fn a_tag_of_several_different_images_is_refused() {
    let layouts = Layouts::new();
    let [good, evil] = [&layouts.good, &layouts.evil].map(Layouts::entry);
    let artifact = |entry: &Value| {
        let mut entry = entry.clone();
        entry["artifactType"] = "x".into();
        entry
    };
    let mut elsewhere = evil.clone();
    elsewhere["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let mut by_containerd = evil.clone();
    by_containerd["annotations"] = json!({IMAGE_NAME: "v1", REF_NAME: "v2"});
    let mut resized = good.clone();
    resized["size"] = 1.into();
    let expected = [&layouts.good, &layouts.evil].map(|image| image.descriptor.digest.to_string());
    for evil in [evil.clone(), artifact(&evil), elsewhere, by_containerd] {
        for order in [[&good, &evil], [&evil, &good]] {
            let error = layouts
                .import_entries(&order.map(Clone::clone))
                .unwrap_err();
            let TransportError::SameName { wanted, found, .. } = &error else {
                panic!("{order:?}: {error:?}");
            };
            assert_eq!(wanted, "v1");
            assert!(
                expected.iter().all(|digest| found.contains(digest)),
                "{found:?}"
            );
        }
    }
    assert!(matches!(
        layouts.import_entries(&[good.clone(), resized]),
        Err(TransportError::SameName { .. })
    ));
    // The same twice is one, and an artifact alone is no image.
    for twice in [good.clone(), artifact(&good)] {
        let imported = layouts.import_entries(&[twice, good.clone()]);
        assert_eq!(imported.unwrap(), layouts.good);
    }
    assert!(matches!(
        layouts.import_entries(&[artifact(&good)]),
        Err(TransportError::NoSuchImage { .. })
    ));
}

/// What `export` writes as docker-archive, to be put together again in other ways.
struct Parts {
    fixture: Fixture,
    image: StoredImage,
    /// Without `manifest.json`.
    members: Vec<(String, Vec<u8>)>,
    manifest: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        let fixture = Fixture::new();
        let image = fixture.image();
        let file = fixture.path("saved.tar");
        let saved = Archive::DockerArchive {
            file: file.clone(),
            reference: Some("acme/app:1".parse().unwrap()),
        };
        export(&fixture.blobs, &image, None, &saved).unwrap();
        let mut saved = tar::Archive::new(fs::File::open(&file).unwrap());
        let mut members = Vec::new();
        for entry in saved.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            members.push((name, content));
        }
        let (name, manifest) = members.pop().unwrap();
        assert_eq!(name, "manifest.json");
        Self {
            fixture,
            image,
            members,
            manifest,
        }
    }

    /// What comes of the parts with `more` behind them.
    fn import(&self, more: &[Member<'_>]) -> Result<StoredImage, TransportError> {
        let file = self.fixture.path("made.tar");
        let parts = self.members.iter().map(|(name, bytes)| File(name, bytes));
        let all: Vec<Member<'_>> = parts.chain(more.iter().copied()).collect();
        write_tar(&file, &all);
        let reference = Some("acme/app:1".parse().unwrap());
        self.fixture
            .import(&Archive::DockerArchive { file, reference })
    }

    fn import_manifest(&self, manifest: &str) -> Result<StoredImage, TransportError> {
        self.import(&[File("manifest.json", manifest.as_bytes())])
    }
}

#[test]
fn keys_of_docker_save_that_differ_by_case_are_refused() {
    let parts = Parts::new();
    let manifest = str::from_utf8(&parts.manifest).unwrap();
    assert_eq!(parts.import_manifest(manifest).unwrap(), parts.image);
    for (key, value) in [
        ("config", r#""evil.json""#),
        ("layers", "[]"),
        ("Layer\u{17f}", "[]"),
        ("repoTags", r#"["acme/app:2"]"#),
    ] {
        let text = manifest.replacen('{', &format!(r#"{{"{key}":{value},"#), 1);
        assert_folded(&parts.import_manifest(&text), key);
    }
    let text = manifest.replacen('{', r#"{"Config":"evil.json","#, 1);
    assert!(matches!(
        parts.import_manifest(&text),
        Err(TransportError::NotThisForm {
            source: Some(_),
            ..
        })
    ));
}

#[test]
fn a_name_of_several_different_items_is_refused() {
    let parts = Parts::new();
    let items: Vec<Value> = serde_json::from_slice(&parts.manifest).unwrap();
    let mut evil = items[0].clone();
    evil["Config"] = "evil.json".into();
    let import = |items: &[&Value]| parts.import_manifest(&json!(items).to_string());
    // Docker keeps the last one, skopeo takes the first.
    for order in [[&items[0], &evil], [&evil, &items[0]]] {
        assert!(matches!(
            import(&order),
            Err(TransportError::SameName { wanted, found, .. })
                if wanted == "docker.io/acme/app:1" && found.contains(&"evil.json".to_owned())
        ));
    }
    assert_eq!(import(&[&items[0], &items[0]]).unwrap(), parts.image);
    evil["RepoTags"] = json!(["acme/app:2"]);
    assert_eq!(import(&[&evil, &items[0]]).unwrap(), parts.image);
}

#[test]
fn a_member_that_programs_find_in_different_places_is_refused() {
    let parts = Parts::new();
    let manifest = File("manifest.json", &parts.manifest);
    let (config, layer) = (parts.members[0].0.as_str(), parts.members[1].0.as_str());
    for (more, unclear) in [
        (vec![manifest, manifest], "manifest.json"),
        (
            vec![File("./manifest.json", b"[]"), manifest],
            "manifest.json",
        ),
        (
            vec![manifest, File("/manifest.json", b"[]")],
            "manifest.json",
        ),
        (
            vec![manifest, File("x/../manifest.json", b"[]")],
            "manifest.json",
        ),
        (
            vec![manifest, Link("manifest.json", "evil.json")],
            "manifest.json",
        ),
        (vec![File("x/../manifest.json", b"[]")], "manifest.json"),
        (vec![manifest, File("x/../index.json", b"{}")], "index.json"),
        (vec![manifest, File(config, b"{}")], config),
        (vec![manifest, File(layer, b"")], layer),
        (
            vec![
                File("real", b"[]"),
                File("./real", b"[]"),
                Link("manifest.json", "real"),
            ],
            "manifest.json",
        ),
        // Unpacked, the second one is written over the first.
        (
            vec![
                manifest,
                Link("here", "."),
                File("here/manifest.json", b"[]"),
            ],
            "here/manifest.json",
        ),
    ] {
        assert!(
            matches!(
                parts.import(&more),
                Err(TransportError::UnclearMember { name, .. }) if name == unclear
            ),
            "{unclear}"
        );
    }
    // To Docker the root is the archive's, to skopeo the link's directory.
    let text = String::from_utf8(parts.manifest.clone()).unwrap();
    let text = text.replace(config, "sub/config.json");
    let link = Link("sub/config.json", "/other.json");
    assert!(matches!(
        parts.import(&[File("manifest.json", text.as_bytes()), link]),
        Err(TransportError::UnclearMember { name, .. }) if name == "sub/config.json"
    ));
    let unasked = [manifest, File("VERSION", b"1.0"), File("./VERSION", b"2.0")];
    assert_eq!(parts.import(&unasked).unwrap(), parts.image);
}

#[test]
fn a_blob_or_index_twice_in_an_archive_of_a_layout_is_refused() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let file = fixture.path("oci.tar");
    let archive = Archive::OciArchive {
        file: file.clone(),
        tag: None,
    };
    export(&fixture.blobs, &image, None, &archive).unwrap();
    let whole = fs::read(&file).unwrap();
    let config = format!("blobs/sha256/{}", image.manifest.config.digest.hex());
    for name in ["index.json", "oci-layout", "./index.json", config.as_str()] {
        // Before the whole archive, without the blocks of zeros that end a tar.
        write_tar(&file, &[File(name, b"{}")]);
        let mut bytes = fs::read(&file).unwrap();
        bytes.truncate(1024);
        bytes.extend_from_slice(&whole);
        fs::write(&file, bytes).unwrap();
        assert!(
            matches!(
                fixture.import(&archive),
                Err(TransportError::UnclearMember { .. })
            ),
            "{name}"
        );
    }
}

/// Of a context the later of two files counts, as when it is unpacked.
#[test]
fn a_tar_that_is_no_image_may_have_a_file_twice() {
    let fixture = Fixture::new();
    let file = fixture.path("context.tar");
    write_tar(
        &file,
        &[File("Dockerfile", b"1"), File("./Dockerfile", b"2")],
    );
    let files = FileSource::archive(&file, fixture.blobs.tmp(), Limits::default()).unwrap();
    assert_eq!(files.document("Dockerfile").unwrap(), b"2");
}
