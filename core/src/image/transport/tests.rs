//! Images out of a store and into another, and what other programs make of them.

mod ambiguous;
mod two_forms;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Archive, ImportOptions, TransportError, export, import};
use crate::{
    digest::Digest,
    image::{
        Descriptor, Healthcheck, History, ImageConfig, ImageError, Index, MediaType, StoredImage,
        load_image, newest_mtime, pick_platform, write_image,
    },
    layer::{LayerBuilder, Limits},
    platform::Platform,
    ruleset::Ruleset,
    store::{BlobError, BlobStore, LocalBlobs, put_bytes, read_small},
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

struct Fixture {
    dir: tempfile::TempDir,
    blobs: LocalBlobs,
    platform: Platform,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(&dir.path().join("store")).unwrap();
        Self {
            dir,
            blobs,
            platform: "linux/amd64".parse().unwrap(),
        }
    }

    fn options(&self) -> ImportOptions<'_> {
        ImportOptions {
            platform: &self.platform,
            limits: Limits::default(),
            ruleset: Ruleset::V1,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self, from: &Archive) -> Result<StoredImage, TransportError> {
        import(&self.blobs, from, self.options())
    }

    fn layer(&self, entries: &[(&str, EntryKind, &[u8], u64)]) -> crate::image::LayerDescriptor {
        let mut builder = LayerBuilder::new(&self.blobs, Ruleset::V1);
        for (path, kind, content, mtime) in entries {
            let entry = Entry {
                path: TreePath::parse(path.as_bytes()).unwrap(),
                kind: kind.clone(),
                meta: Meta {
                    mode: 0o755,
                    mtime: *mtime,
                    ..Meta::default()
                },
            };
            builder.entry(&entry, &mut &content[..]).unwrap();
        }
        builder.finish().unwrap().unwrap().descriptor()
    }

    /// Two layers: the second removes a file of the first.
    fn image(&self) -> StoredImage {
        let lower = self.layer(&[
            ("bin", EntryKind::Directory, b"", 9),
            ("bin/old", EntryKind::File { size: 3 }, b"old", 77),
        ]);
        let upper = self.layer(&[
            ("bin/old", EntryKind::Whiteout, b"", 0),
            ("bin/new", EntryKind::File { size: 3 }, b"new", 5),
        ]);
        let mut config = ImageConfig::for_platform(&self.platform);
        config.created = Some("1980-01-01T00:00:00Z".into());
        config.config.env = vec!["PATH=/bin".into()];
        config.config.healthcheck = Some(Healthcheck {
            test: vec!["NONE".into()],
            ..Healthcheck::default()
        });
        config.history = vec![History::default(), History::default()];
        write_image(&self.blobs, &config, &[lower, upper]).unwrap()
    }
}

fn archives(fixture: &Fixture) -> [Archive; 3] {
    [
        Archive::OciDir {
            dir: fixture.path("layout"),
            tag: Some("v1".into()),
        },
        Archive::OciArchive {
            file: fixture.path("oci.tar"),
            tag: None,
        },
        Archive::DockerArchive {
            file: fixture.path("docker.tar"),
            reference: Some("acme/app:1".parse().unwrap()),
        },
    ]
}

#[test]
fn images_survive_every_transport_and_come_out_as_the_same_bytes() {
    let fixture = Fixture::new();
    let image = fixture.image();
    assert_eq!(newest_mtime(&fixture.blobs, &image).unwrap(), 77);
    for archive in archives(&fixture) {
        let bytes = || match &archive {
            Archive::OciDir { dir, .. } => fs::read(dir.join("index.json")).unwrap(),
            Archive::OciArchive { file, .. }
            | Archive::DockerArchive { file, .. }
            | Archive::Rootfs { file } => fs::read(file).unwrap(),
        };
        export(&fixture.blobs, &image, None, &archive).unwrap();
        let first = bytes();
        export(&fixture.blobs, &image, None, &archive).unwrap();
        assert!(bytes() == first, "{archive}");
        let other = Fixture::new();
        // Layers are canonical, so that even a docker archive, which holds plain tars, leads to
        // the same manifest.
        assert_eq!(other.import(&archive).unwrap(), image, "{archive}");
    }
}

#[test]
fn a_rootfs_is_the_tree_of_all_layers_and_its_import_does_not_depend_on_order() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let file = fixture.path("rootfs.tar");
    export(
        &fixture.blobs,
        &image,
        None,
        &Archive::Rootfs { file: file.clone() },
    )
    .unwrap();
    let listed = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "bin/\nbin/new\n");
    let imported = fixture.import(&Archive::Rootfs { file }).unwrap();
    assert_eq!(
        imported.config.created.as_deref(),
        Some("1980-01-01T00:00:00Z")
    );
    assert_eq!(imported.layers.len(), 1);

    let tree = fixture.path("tree");
    fs::create_dir_all(tree.join("b")).unwrap();
    fs::write(tree.join("b/x"), "x").unwrap();
    fs::write(tree.join("a"), "a").unwrap();
    let mut digests = Vec::new();
    for (order, format, compress) in [
        (["a", "b", "b/x"], "gnu", false),
        (["b/x", "b", "a"], "pax", true),
    ] {
        let file = fixture.path("made.tar");
        let status = Command::new("tar")
            .args([
                "--no-recursion",
                "--mtime=@1000000000",
                "--owner=0",
                "--group=0",
                "-C",
            ])
            .arg(&tree)
            .arg(format!("--format={format}"))
            .arg(if compress { "-czf" } else { "-cf" })
            .arg(&file)
            .args(order)
            .status();
        assert!(status.unwrap().success());
        let image = fixture.import(&Archive::Rootfs { file }).unwrap();
        assert_eq!(
            image.config.created.as_deref(),
            Some("2001-09-09T01:46:40Z")
        );
        digests.push(image.descriptor.digest);
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_specifications_own_types_read_what_is_written() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let [dir, ..] = archives(&fixture);
    export(&fixture.blobs, &image, None, &dir).unwrap();
    let layout = fixture.path("layout");
    let index = oci_spec::image::ImageIndex::from_file(layout.join("index.json")).unwrap();
    let blob = |digest: &oci_spec::image::Digest| layout.join("blobs/sha256").join(digest.digest());
    let manifest = blob(index.manifests()[0].digest());
    let manifest = oci_spec::image::ImageManifest::from_file(manifest).unwrap();
    assert_eq!(manifest.layers().len(), 2);
    let config = blob(manifest.config().digest());
    let config = oci_spec::image::ImageConfiguration::from_file(config).unwrap();
    assert_eq!(config.rootfs().diff_ids().len(), 2);
}

/// Replaces a blob of an exported layout.
fn forge(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn forged_layouts_are_refused() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let [dir, ..] = archives(&fixture);
    let attempt = |digest: Digest, change: fn(&mut Vec<u8>)| {
        export(&fixture.blobs, &image, None, &dir).unwrap();
        forge(
            &fixture.path("layout/blobs/sha256").join(digest.hex()),
            change,
        );
        Fixture::new().import(&dir).unwrap_err()
    };
    let layer = image.layers[0].digest;
    let error = attempt(layer, |bytes| bytes[20] ^= 1);
    assert!(matches!(
        error,
        TransportError::Blob(BlobError::Corrupt { .. })
    ));
    let error = attempt(layer, |bytes| bytes.push(0));
    assert!(matches!(error, TransportError::BlobSize { .. }));
    let error = attempt(image.descriptor.digest, |bytes| bytes[0] = b' ');
    assert!(matches!(
        error,
        TransportError::Blob(BlobError::Corrupt { .. })
    ));

    // A configuration that claims another content for a layer: every blob is what its name says.
    let mut config = image.config.clone();
    config.rootfs.diff_ids.swap(0, 1);
    let config = put_bytes(&fixture.blobs, &crate::json::canonical(&config).unwrap()).unwrap();
    let mut manifest = image.manifest.clone();
    manifest.config = Descriptor::new(MediaType::OciConfig, config.digest, config.size);
    let manifest = crate::json::canonical(&manifest).unwrap();
    let manifest = put_bytes(&fixture.blobs, &manifest).unwrap();
    let forged = load_image(&fixture.blobs, manifest.digest).unwrap();
    let dir = Archive::OciDir {
        dir: fixture.path("forged"),
        tag: None,
    };
    export(&fixture.blobs, &forged, None, &dir).unwrap();
    let error = Fixture::new().import(&dir).unwrap_err();
    assert!(
        matches!(error, TransportError::Image(ImageError::Layer { .. })),
        "{error:?}"
    );
}

#[test]
fn one_image_of_several_is_named_or_asked_for() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let dir = fixture.path("layout");
    let at = |tag: Option<&str>| Archive::OciDir {
        dir: dir.clone(),
        tag: tag.map(ToOwned::to_owned),
    };
    let mut other = image.config.clone();
    other.author = Some("b".into());
    let other = write_image(&fixture.blobs, &other, &image.layers).unwrap();
    let mut unplaced = other.clone();
    unplaced.descriptor.platform = None;
    export(&fixture.blobs, &image, None, &at(Some("a"))).unwrap();
    export(&fixture.blobs, &unplaced, None, &at(Some("b"))).unwrap();
    assert_eq!(fixture.import(&at(Some("b"))).unwrap(), other);
    assert!(matches!(
        fixture.import(&at(None)),
        Err(TransportError::SeveralImages { found, .. }) if found == ["a", "b"]
    ));
    assert!(matches!(
        fixture.import(&at(Some("c"))),
        Err(TransportError::NoSuchImage { .. })
    ));
    // The same name again replaces the image.
    export(&fixture.blobs, &image, None, &at(Some("b"))).unwrap();
    assert_eq!(fixture.import(&at(Some("b"))).unwrap(), image);
}

#[test]
fn what_is_no_image_says_what_is_missing() {
    let fixture = Fixture::new();
    let empty = fixture.path("empty");
    fs::create_dir(&empty).unwrap();
    let dir = Archive::OciDir {
        dir: empty.clone(),
        tag: None,
    };
    assert!(matches!(
        fixture.import(&dir),
        Err(TransportError::NoMember { name, .. }) if name == "oci-layout"
    ));
    fs::write(empty.join("thesis.txt"), "x").unwrap();
    let image = fixture.image();
    let error = export(&fixture.blobs, &image, None, &dir).unwrap_err();
    assert!(matches!(error, TransportError::NotEmpty(_)));
    let file = fixture.path("xz");
    fs::write(&file, b"\xfd7zXZ\0").unwrap();
    for archive in [
        Archive::Rootfs { file: file.clone() },
        Archive::DockerArchive {
            file,
            reference: None,
        },
        Archive::Rootfs { file: empty },
    ] {
        let error = fixture.import(&archive).unwrap_err();
        assert!(
            matches!(error, TransportError::NotThisForm { .. }),
            "{archive}"
        );
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let put = |manifest: &crate::image::Manifest| {
        let bytes = crate::json::canonical(manifest).unwrap();
        put_bytes(&fixture.blobs, &bytes).unwrap().digest
    };
    let mut manifest = image.manifest.clone();
    manifest.layers.pop();
    assert!(matches!(
        load_image(&fixture.blobs, put(&manifest)),
        Err(ImageError::LayerCount {
            layers: 1,
            diff_ids: 2
        })
    ));
    let mut manifest = image.manifest.clone();
    manifest.layers[0].size += 1;
    let error = load_image(&fixture.blobs, put(&manifest)).unwrap_err();
    assert!(matches!(error, ImageError::Size { .. }));
    let mut manifest = image.manifest.clone();
    manifest.config.media_type = MediaType::Other("application/vnd.oci.empty.v1+json".into());
    let error = load_image(&fixture.blobs, put(&manifest)).unwrap_err();
    assert!(matches!(error, ImageError::NotAnImage(_)));
    let mut config = image.config.clone();
    config.history.pop();
    let error = write_image(&fixture.blobs, &config, &image.layers).unwrap_err();
    assert!(matches!(
        error,
        ImageError::HistoryCount {
            history: 1,
            layers: 2
        }
    ));
}

#[test]
fn a_docker_base_gets_oci_media_types_and_the_same_blobs() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let mut layers = image.layers.clone();
    for layer in &mut layers {
        layer.media_type = MediaType::DockerLayerGzip;
    }
    let written = write_image(&fixture.blobs, &image.config, &layers).unwrap();
    assert_eq!(written, image);
    let bytes = read_small(&fixture.blobs, written.descriptor.digest, 1 << 20).unwrap();
    assert!(!String::from_utf8(bytes).unwrap().contains("docker"));
    assert!(
        fixture
            .blobs
            .size(written.manifest.config.digest)
            .unwrap()
            .is_some()
    );
}

#[test]
fn platforms_are_picked_exactly_or_without_choice() {
    let at = |platform: &str| {
        Descriptor::new(MediaType::OciManifest, Digest::of(platform.as_bytes()), 1)
            .with_platform(platform.parse().unwrap())
    };
    let index = Index::new(vec![
        at("linux/amd64"),
        at("linux/arm/v6"),
        at("linux/arm/v7"),
        at("linux/ppc64le/v9"),
        at("unknown/unknown"),
    ]);
    let pick = |wanted: &str| {
        let picked = pick_platform(&index, &wanted.parse().unwrap());
        picked.map(|found| found.platform.as_ref().unwrap().to_string())
    };
    assert_eq!(pick("linux/arm/v7").unwrap(), "linux/arm/v7");
    assert_eq!(pick("linux/ppc64le").unwrap(), "linux/ppc64le/v9");
    assert!(pick("linux/arm").is_err(), "two variants");
    assert!(pick("linux/arm/v8").is_err());
    assert!(
        pick("linux/s390x")
            .unwrap_err()
            .to_string()
            .contains("linux/amd64")
    );
}
