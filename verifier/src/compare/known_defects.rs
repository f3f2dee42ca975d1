//! What other comparisons of images are known to miss or to get wrong, each as a test. The numbers are those
//! of a reading of diffoci in 2026.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use repro_core::{
    digest::{DiffId, Digest},
    image::{ImageConfig, LayerDescriptor, MediaType, write_image},
    store::{MemoryBlobs, put_bytes, read_small},
};
use serde_json::{Value, json};

use super::{
    CompareError, Comparison, DifferenceKind as Kind, Options, View, compare_images,
    compare_indexes,
};
use crate::{
    causes::{Cause, Confidence, Facts},
    render::pair_html,
    report::PairReport,
};

/// A tar as other programs write it.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, path: &str, content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(if path.ends_with('/') {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        change(&mut header);
        // The crate would leave a prefix `./` out.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, content).unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        self.0.extend(bytes);
        self
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, content.as_ref(), |_| ())
    }

    /// An extended header before the next entry.
    fn extended(mut self, key: &str, value: &[u8]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([(key, value)]).unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        self.0.extend(bytes);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }
}

#[derive(Default)]
struct Images(MemoryBlobs);

impl Images {
    fn layer(&self, tar: &[u8], level: u32) -> LayerDescriptor {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
        gzip.write_all(tar).unwrap();
        let blob = put_bytes(&self.0, &gzip.finish().unwrap()).unwrap();
        LayerDescriptor {
            media_type: MediaType::OciLayerGzip,
            digest: blob.digest,
            size: blob.size,
            diff_id: DiffId(Digest::of(tar)),
        }
    }

    fn of_layers(&self, layers: &[LayerDescriptor], platform: &str) -> Digest {
        let config = ImageConfig::for_platform(&platform.parse().unwrap());
        let image = write_image(&self.0, &config, layers).unwrap();
        image.descriptor.digest
    }

    fn image(&self, tars: &[Tar]) -> Digest {
        let layers: Vec<_> = tars.iter().map(|tar| self.layer(&tar.bytes(), 6)).collect();
        self.of_layers(&layers, "linux/amd64")
    }

    /// The image with another configuration.
    fn configured(&self, image: Digest, change: impl FnOnce(&mut Value)) -> Digest {
        let read = |digest| -> Value {
            serde_json::from_slice(&read_small(&self.0, digest, 1 << 20).unwrap()).unwrap()
        };
        let mut manifest = read(image);
        let digest = manifest["config"]["digest"].as_str().unwrap();
        let mut config = read(digest.parse().unwrap());
        change(&mut config);
        let stored = put_bytes(&self.0, config.to_string().as_bytes()).unwrap();
        manifest["config"]["digest"] = stored.digest.to_string().into();
        manifest["config"]["size"] = stored.size.into();
        let manifest = manifest.to_string();
        put_bytes(&self.0, manifest.as_bytes()).unwrap().digest
    }

    fn index(&self, entries: &[Value]) -> Digest {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        });
        put_bytes(&self.0, index.to_string().as_bytes())
            .unwrap()
            .digest
    }

    fn try_compare(&self, a: Digest, b: Digest, view: View) -> Result<Comparison, CompareError> {
        let scratch = tempfile::tempdir().unwrap();
        let mut options = Options::new(scratch.path().to_owned());
        options.threads = std::num::NonZeroUsize::new(2).unwrap();
        compare_images(&self.0, a, b, view, &Facts::default(), &options)
    }

    fn compare_indexes(&self, a: Digest, b: Digest) -> Comparison {
        let scratch = tempfile::tempdir().unwrap();
        let options = Options::new(scratch.path().to_owned());
        compare_indexes(
            &self.0,
            (a, b),
            None,
            View::Layers,
            &Facts::default(),
            &options,
        )
        .unwrap()
    }

    fn rows(&self, a: &[Tar], b: &[Tar]) -> Vec<(String, Kind, Cause)> {
        rows(
            &self
                .try_compare(self.image(a), self.image(b), View::Layers)
                .unwrap(),
        )
    }
}

fn rows(found: &Comparison) -> Vec<(String, Kind, Cause)> {
    let rows = found.differences.iter();
    rows.map(|row| (row.path.clone(), row.kind, row.cause))
        .collect()
}

fn manifest(digest: Digest, platform: &str) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest.to_string(), "size": 500,
        "platform": {"os": os, "architecture": architecture},
    })
}

fn attestation(digest: Digest, about: Digest) -> Value {
    let mut entry = manifest(digest, "unknown/unknown");
    entry["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": about.to_string(),
    });
    entry
}

#[test]
fn diffoci_1_security_attributes_count_whoever_looks() {
    let images = Images::default();
    let capability = |value: &[u8]| {
        let tar = Tar::default().extended("SCHILY.xattr.security.capability", value);
        [tar.file("ping", "x")]
    };
    let v2 = [&[1, 0, 0, 2, 0, 0x20, 0, 0][..], &[0; 12]].concat();
    let v3 = [&[1, 0, 0, 3, 0, 0x20, 0, 0][..], &[0; 16]].concat();
    let nested = [&[1, 0, 0, 3, 0, 0x20, 0, 0][..], &[0; 12], &[1, 0, 0, 0]].concat();
    let plain = || [Tar::default().file("ping", "x")];
    let lost = [("ping".to_owned(), Kind::Xattr, Cause::FileCapability)];
    assert_eq!(images.rows(&capability(&v2), &plain()), lost);
    assert_eq!(images.rows(&capability(&v3), &plain()), lost);
    assert_eq!(images.rows(&capability(&v2), &capability(&nested)), lost);
    // Another version that means the same: only the header says so.
    let same = images.rows(&capability(&v2), &capability(&v3));
    assert_eq!(same, [(String::new(), Kind::Content, Cause::PaxHeader)]);
    let label = |value: &[u8]| {
        let tar = Tar::default().extended("SCHILY.xattr.security.selinux", value);
        [tar.file("ping", "x")]
    };
    assert_eq!(
        images.rows(&label(b"one"), &label(b"two")),
        [("ping".into(), Kind::Xattr, Cause::ExtendedAttribute)]
    );
}

#[test]
fn diffoci_2_fields_that_only_docker_has_count() {
    let images = Images::default();
    let image = images.image(&[Tar::default().file("x", "")]);
    for (field, one, other) in [
        (
            "Healthcheck",
            json!({"Test": ["CMD", "a"]}),
            json!({"Test": ["CMD", "b"]}),
        ),
        ("OnBuild", json!(["RUN a"]), json!(["RUN b"])),
        ("Shell", json!(["/bin/sh"]), json!(["/bin/bash"])),
    ] {
        let with = |value: &Value| {
            images.configured(image, |config| config["config"][field] = value.clone())
        };
        let found = images
            .try_compare(with(&one), with(&other), View::Layers)
            .unwrap();
        assert_eq!(found.differences.len(), 1, "{field}");
        let row = &found.differences[0];
        assert!(
            row.path.starts_with(&format!("/config/{field}")),
            "{}",
            row.path
        );
        assert_eq!(row.kind, Kind::Config);
    }
}

#[test]
fn diffoci_3_compression_and_padding_are_answers() {
    let images = Images::default();
    let text = b"the same text again and again ".repeat(500);
    let tar = Tar::default().file("x", text).bytes();
    let image = |layer| images.of_layers(&[layer], "linux/amd64");
    let (fast, best) = (image(images.layer(&tar, 1)), image(images.layer(&tar, 9)));
    let found = images.try_compare(fast, best, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [(String::new(), Kind::Content, Cause::LayerCompression)]
    );
    let zstd =
        ruzstd::encoding::compress_to_vec(&tar[..], ruzstd::encoding::CompressionLevel::Fastest);
    let blob = put_bytes(&images.0, &zstd).unwrap();
    let zstd = image(LayerDescriptor {
        media_type: MediaType::OciLayerZstd,
        digest: blob.digest,
        size: blob.size,
        diff_id: DiffId(Digest::of(&tar)),
    });
    let found = images.try_compare(fast, zstd, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [(String::new(), Kind::Content, Cause::LayerCompression)]
    );
    let padded = image(images.layer(&[&tar[..], &[0; 8192]].concat(), 1));
    let found = images.try_compare(fast, padded, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [(String::new(), Kind::Content, Cause::TarPadding)]
    );
}

#[test]
fn diffoci_4_layers_of_another_number_are_put_together_with_their_removals() {
    let images = Images::default();
    let many = images.image(&[
        Tar::default()
            .file("gone", "1")
            .file("twice", "old")
            .file("keep", "3"),
        Tar::default().file(".wh.gone", "").file("twice", "new"),
    ]);
    let one = images.image(&[Tar::default().file("keep", "3").file("twice", "new")]);
    let found = images.try_compare(many, one, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [("/rootfs/diff_ids".into(), Kind::Config, Cause::LayerSplit)]
    );
    let other = images.image(&[Tar::default().file("keep", "3").file("twice", "newer")]);
    let found = images.try_compare(many, other, View::Layers).unwrap();
    assert!(
        found
            .differences
            .iter()
            .all(|row| row.cause != Cause::LayerSplit)
    );
    let of_twice = found.differences.iter().filter(|row| row.path == "twice");
    assert_eq!(of_twice.count(), 1);
}

#[test]
fn other_files_are_not_the_same_files_in_other_layers() {
    let images = Images::default();
    let base = || Tar::default().file("a", "1");
    let one = images.image(&[base()]);
    let more = images.image(&[base(), Tar::default().file("b", "2")]);
    let found = images.try_compare(one, more, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [("b".into(), Kind::Missing, Cause::MissingFile)]
    );
    let split = images.image(&[base(), Tar::default()]);
    let found = images.try_compare(one, split, View::Layers).unwrap();
    let evidence = found.differences[0].evidence.as_ref().unwrap();
    assert_eq!(found.differences[0].cause, Cause::LayerSplit);
    assert_eq!((&evidence.a[..], &evidence.b[..]), ("1 layer", "2 layers"));
}

/// What only one side's entries have says nothing of how the other's were written.
#[test]
fn an_entry_more_is_no_other_form() {
    let images = Images::default();
    let image = |tar: Tar| images.image(&[tar]);
    let plain = || Tar::default().file("a", "1");
    let joe =
        |tar: Tar, path: &str| tar.entry(path, b"1", |header| header.set_username("joe").unwrap());
    let root = |path: &str| {
        Tar::default().entry(path, b"1", |header| header.set_username("root").unwrap())
    };
    let gnu = |path: &str| {
        Tar::default().entry(path, b"1", |header| {
            header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
        })
    };
    for (a, b, form) in [
        (Tar::default(), plain(), None),
        (root("a"), joe(root("a"), "b"), None),
        (
            plain(),
            plain().extended("mtime", b"1.5").file("b", "1"),
            None,
        ),
        (root("a"), joe(Tar::default(), "b"), Some(Cause::OwnerName)),
        (plain(), gnu("b"), Some(Cause::TarFormat)),
    ] {
        let found = images
            .try_compare(image(a), image(b), View::Layers)
            .unwrap();
        let said: Vec<_> = found
            .differences
            .iter()
            .filter(|row| row.path.is_empty() && row.kind == Kind::Content)
            .map(|row| (row.cause, row.confidence))
            .collect();
        let expected: Vec<_> = form
            .map(|cause| (cause, Confidence::Likely))
            .into_iter()
            .collect();
        assert_eq!(said, expected);
    }
}

#[test]
fn diffoci_5_an_index_and_a_manifest_compare_in_either_order() {
    let images = Images::default();
    let layer = |text: &str| images.layer(&Tar::default().file("x", text).bytes(), 6);
    let amd = images.of_layers(&[layer("1")], "linux/amd64");
    let arm = images.of_layers(&[layer("1")], "linux/arm64");
    let index = images.index(&[manifest(amd, "linux/amd64"), manifest(arm, "linux/arm64")]);
    for (a, b) in [(index, amd), (amd, index)] {
        let found = images.compare_indexes(a, b);
        assert_eq!(found.differences.len(), 1);
        let row = &found.differences[0];
        assert_eq!(row.cause, Cause::PlatformMissing);
        assert_eq!(row.platform.as_deref(), Some("linux/arm64"));
        assert_eq!((found.ratio.layers_equal, found.ratio.layers), (1, 1));
    }
    // Each platform by itself, and attestations apart from the verdict.
    let other = images.of_layers(&[layer("2")], "linux/arm64");
    let with = |arm, said: &str| {
        let said = put_bytes(&images.0, said.as_bytes()).unwrap().digest;
        images.index(&[
            manifest(amd, "linux/amd64"),
            manifest(arm, "linux/arm64"),
            attestation(said, arm),
        ])
    };
    let found = images.compare_indexes(with(arm, "one"), with(arm, "two"));
    assert!(found.image_is_equal(), "{:?}", found.differences);
    assert_eq!(found.attestations.len(), 1);
    assert_eq!(found.attestations[0].platform, "linux/arm64");
    assert_ne!(found.attestations[0].a, found.attestations[0].b);
    let found = images.compare_indexes(with(arm, "one"), with(other, "one"));
    let platforms = found.differences.iter().map(|row| row.platform.as_deref());
    assert!(
        platforms
            .clone()
            .all(|platform| platform == Some("linux/arm64"))
    );
    assert!(platforms.count() > 0);
}

#[test]
fn diffoci_6_a_tar_cut_short_is_an_error_with_its_layer() {
    let images = Images::default();
    let whole = Tar::default()
        .extended("path", b"long/name")
        .file("x", "content")
        .file("y", "more")
        .bytes();
    let good = images.image(&[Tar::default().file("x", "other")]);
    for cut in (1..whole.len() - 1024).step_by(100) {
        let layer = images.layer(&whole[..cut], 6);
        let bad = images.of_layers(std::slice::from_ref(&layer), "linux/amd64");
        for (a, b) in [(good, bad), (bad, good)] {
            let error = images.try_compare(a, b, View::Layers).unwrap_err();
            assert!(
                matches!(&error, CompareError::Layer { digest, .. } if *digest == layer.digest),
                "{cut}: {error}"
            );
        }
    }
}

#[test]
fn diffoci_7_differences_are_found_inside_of_archives() {
    let images = Images::default();
    let scripts = |time| {
        let inner = Tar::default().entry("post-install", b"#!/bin/sh\n", |header| {
            header.set_mtime(time);
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&inner.bytes()).unwrap();
        [Tar::default().file("opt/scripts.tar.gz", gzip.finish().unwrap())]
    };
    let (a, b) = (images.image(&scripts(1)), images.image(&scripts(2)));
    let found = images.try_compare(a, b, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [(
            "opt/scripts.tar.gz".into(),
            Kind::Content,
            Cause::ArchiveTime
        )]
    );
    let evidence = found.differences[0].evidence.clone().unwrap();
    assert_eq!(evidence.inside.as_deref(), Some("post-install: time"));
}

#[test]
fn diffoci_8_every_field_is_said_and_always_in_one_order() {
    let images = Images::default();
    let tar = |mode, owner, time| {
        let mut tar = Tar::default();
        for number in 0..50 {
            tar = tar.entry(&format!("f{number}"), b"", |header| {
                header.set_mode(mode);
                header.set_uid(owner);
                header.set_gid(owner);
                header.set_mtime(time);
            });
        }
        [tar]
    };
    let (a, b) = (
        images.image(&tar(0o644, 0, 1)),
        images.image(&tar(0o600, 7, 2)),
    );
    let first = images.try_compare(a, b, View::Layers).unwrap();
    let kinds = |path: &str| -> Vec<Kind> {
        let rows = first.differences.iter().filter(|row| row.path == path);
        rows.map(|row| row.kind).collect()
    };
    assert_eq!(kinds("f7"), [Kind::Mode, Kind::Owner, Kind::Mtime]);
    for _ in 0..5 {
        assert_eq!(images.try_compare(a, b, View::Layers).unwrap(), first);
    }
    let owners =
        |name: &str| [Tar::default().entry("x", b"", |header| header.set_username(name).unwrap())];
    assert_eq!(
        images.rows(&owners("root"), &owners("builder")),
        [(String::new(), Kind::Content, Cause::OwnerName)]
    );
}

/// Neither the order nor an owner differs, though the tars do.
#[test]
fn an_entry_that_stands_twice_is_no_order_and_no_owner() {
    let images = Images::default();
    let owned = |tar: Tar| {
        tar.extended("comment", b"x")
            .entry("f", b"x", |header| header.set_username("u").unwrap())
    };
    let (once, twice) = (|| owned(Tar::default()), || owned(owned(Tar::default())));
    let (a, b) = (images.image(&[twice()]), images.image(&[once()]));
    let found = images.try_compare(a, b, View::Layers).unwrap();
    assert_eq!(
        rows(&found),
        [(String::new(), Kind::Content, Cause::Unknown)]
    );
    let evidence = found.differences[0].evidence.clone().unwrap();
    assert_eq!(
        (evidence.a.as_str(), evidence.b.as_str()),
        ("2 entries", "1 entry")
    );
    // The same entries in another order, with the same owners and extended headers.
    let swapped = owned(Tar::default().file("g", "y"));
    assert_eq!(
        images.rows(&[once().file("g", "y")], &[swapped]),
        [(String::new(), Kind::Content, Cause::EntryOrder)]
    );
    // The same entry with another prefix, which `tar -c .` writes.
    let dotted = Tar::default().entry("./f", b"x", |_| ());
    assert_eq!(
        images.rows(&[dotted], &[Tar::default().file("f", "x")]),
        [(String::new(), Kind::Content, Cause::TarFormat)]
    );
}

#[test]
fn equal_file_systems_of_other_layers_are_no_equal_documents() {
    let images = Images::default();
    let image = |top: Tar| images.image(&[Tar::default().file("e", "1"), top]);
    let a = image(Tar::default().file("e", "1").file("n", "2"));
    let b = image(Tar::default().file("n", "2"));
    let found = images.try_compare(a, b, View::FileSystem).unwrap();
    assert_eq!(
        rows(&found),
        [("/rootfs/diff_ids".into(), Kind::Config, Cause::LayerSplit)]
    );
    let evidence = found.differences[0].evidence.clone().unwrap();
    assert!(evidence.a.starts_with("sha256:") && evidence.a != evidence.b);
}

#[test]
fn diffoci_9_removals_count_by_what_they_remove() {
    let images = Images::default();
    let base = || {
        Tar::default()
            .entry("d/", b"", |_| ())
            .file("d/x", "1")
            .file("d/y", "2")
    };
    let at_once = || {
        [
            base(),
            Tar::default().file("d/.wh..wh..opq", "").file("d/z", "3"),
        ]
    };
    let one_by_one = || {
        [
            base(),
            Tar::default()
                .file("d/.wh.x", "")
                .file("d/.wh.y", "")
                .file("d/z", "3"),
        ]
    };
    assert_eq!(
        images.rows(&at_once(), &one_by_one()),
        [("d".into(), Kind::Type, Cause::OpaqueRemoval)]
    );
    let (a, b) = (images.image(&at_once()), images.image(&one_by_one()));
    let flat = images.try_compare(a, b, View::FileSystem).unwrap();
    assert_eq!(flat.ratio.files_equal, flat.ratio.files);
    // Not the same: one of the entries stays.
    let some = [base(), Tar::default().file("d/.wh.x", "").file("d/z", "3")];
    let found = images
        .try_compare(a, images.image(&some), View::Layers)
        .unwrap();
    let row = &found.differences[0];
    assert_eq!((row.path.as_str(), row.kind), ("d/y", Kind::Missing));
    assert_eq!(row.evidence.as_ref().unwrap().a, "removed");
}

#[test]
fn diffoci_10_each_row_has_a_cause_and_a_page_to_look_at() {
    let images = Images::default();
    let stamp = |text: &str| images.image(&[Tar::default().file("stamp", text)]);
    let (a, b) = (
        stamp("Mon Nov 23 21:33:25 UTC 2026\n"),
        stamp("Mon Nov 23 21:33:27 UTC 2026\n"),
    );
    let found = images.try_compare(a, b, View::Layers).unwrap();
    let rows = rows(&found);
    assert_eq!(
        rows,
        [("stamp".into(), Kind::Content, Cause::EmbeddedTimestamp)]
    );
    let page = pair_html(&PairReport::new("a".into(), "b".into(), found));
    for part in ["embedded-timestamp", "stamp", "21:33:25", "21:33:27"] {
        assert!(page.contains(part), "{part}");
    }
}

/// Names of one file, whichever of them a tar has as the file.
#[test]
fn names_of_one_file_are_a_group() {
    let images = Images::default();
    let link = |tar: Tar, path: &str, target: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Link);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_link(&mut header, path, target).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        Tar([tar.0, bytes].concat())
    };
    let one = |text: &str| [link(Tar::default().file("a", text), "b", "a")];
    let other = |text: &str| [link(Tar::default().file("b", text), "a", "b")];
    let layout = [("a".to_owned(), Kind::Link, Cause::HardlinkLayout)];
    assert_eq!(images.rows(&one("x"), &other("x")), layout);
    let found = images.rows(&one("x on Monday"), &other("x on Sunday"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.contains(&layout[0]));
    assert!(
        found
            .iter()
            .any(|(path, kind, _)| path == "a" && *kind == Kind::Content)
    );
    let copies = [Tar::default().file("a", "x").file("b", "x")];
    assert_eq!(
        images.rows(&one("x"), &copies),
        [("b".into(), Kind::Type, Cause::HardlinkBroken)]
    );
}
