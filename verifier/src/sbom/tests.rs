//! Images with databases of packages in their layers.

use repro_core::{
    image::{ImageConfig, StoredImage, write_image},
    layer::LayerBuilder,
    ruleset::Ruleset,
    store::MemoryBlobs,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};
use serde_json::{Value, json};

use super::*;
use crate::testing;

/// What a layer of a test has at a path.
#[derive(Clone, Copy)]
enum Put {
    File(&'static str, u16),
    Removed,
    Link(&'static str),
    Pointer,
}

fn layer(blobs: &MemoryBlobs, entries: &[(&str, Put)]) -> repro_core::layer::StoredLayer {
    let mut builder = LayerBuilder::new(blobs, Ruleset::V1);
    let mut entries: Vec<(Entry, &str)> = entries
        .iter()
        .map(|(path, put)| {
            let (kind, mode, content) = match put {
                Put::File(content, mode) => {
                    let size = content.len() as u64;
                    (EntryKind::File { size }, *mode, *content)
                }
                Put::Removed => (EntryKind::Whiteout, 0, ""),
                Put::Link(target) => {
                    let target = TreePath::parse(target.as_bytes()).unwrap();
                    (EntryKind::Hardlink { target }, 0o644, "")
                }
                Put::Pointer => {
                    let target = b"elsewhere".to_vec();
                    (EntryKind::Symlink { target }, 0o777, "")
                }
            };
            let meta = Meta {
                mode,
                ..Meta::default()
            };
            let path = TreePath::parse(path.as_bytes()).unwrap();
            (Entry { path, kind, meta }, content)
        })
        .collect();
    entries.sort_by_key(|(entry, _)| entry.sort_key());
    for (entry, content) in entries {
        builder.entry(&entry, &mut content.as_bytes()).unwrap();
    }
    builder.finish().unwrap().unwrap()
}

fn image(blobs: &MemoryBlobs, layers: &[&[(&str, Put)]]) -> StoredImage {
    let descriptors: Vec<_> = layers
        .iter()
        .map(|entries| layer(blobs, entries).descriptor())
        .collect();
    let config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
    write_image(blobs, &config, &descriptors).unwrap()
}

fn names(inventory: &Inventory) -> Vec<String> {
    let packages = inventory.packages.iter();
    packages
        .map(|(package, file, _)| format!("{} {} {file}", package.kind.name(), package.name))
        .collect()
}

const STATUS: &str = "var/lib/dpkg/status";
const DEB: Put = Put::File(
    "Package: a\nStatus: install ok installed\nVersion: 1\n",
    0o644,
);
const TWO_DEBS: Put = Put::File(
    "Package: a\nStatus: install ok installed\nVersion: 1\n\n\
     Package: b\nStatus: install ok installed\nVersion: 2\n",
    0o644,
);
const PYTHON: Put = Put::File("Name: Py_X\nVersion: 3\n", 0o644);
const NPM: Put = Put::File("{\"version\": \"4.0.0\"}", 0o644);

#[test]
fn the_highest_layer_counts_and_what_it_removes_is_gone() {
    let blobs = MemoryBlobs::new();
    let low: &[(&str, Put)] = &[
        (STATUS, DEB),
        ("app/node_modules/n/package.json", NPM),
        ("app/node_modules-old/x", Put::File("x", 0o644)),
        ("usr/lib/python3/p.dist-info/METADATA", PYTHON),
    ];
    let inventory =
        |layers: &[&[(&str, Put)]]| Inventory::of_image(&image(&blobs, layers), &blobs).unwrap();
    let all = inventory(&[low]);
    assert_eq!(
        names(&all),
        [
            "deb a /var/lib/dpkg/status",
            "npm n /app/node_modules/n/package.json",
            "pypi py-x /usr/lib/python3/p.dist-info/METADATA",
        ]
    );
    let replaced = inventory(&[
        low,
        &[(STATUS, TWO_DEBS), ("app/node_modules", Put::Removed)],
    ]);
    assert_eq!(
        names(&replaced),
        [
            "deb a /var/lib/dpkg/status",
            "deb b /var/lib/dpkg/status",
            "pypi py-x /usr/lib/python3/p.dist-info/METADATA",
        ]
    );
    // What is no directory hides what was below its path.
    let hidden = inventory(&[low, &[("usr/lib", Put::Pointer), ("app", Put::Pointer)]]);
    assert_eq!(names(&hidden), ["deb a /var/lib/dpkg/status"]);
    // A file of another kind in place of a database lists nothing.
    let other = inventory(&[low, &[(STATUS, Put::Pointer), ("usr", Put::Removed)]]);
    assert_eq!(names(&other), ["npm n /app/node_modules/n/package.json"]);
    // And a second name of one does.
    let linked = inventory(&[&[
        ("usr/lib/a.egg-info", PYTHON),
        ("usr/lib/b.egg-info", Put::Link("usr/lib/a.egg-info")),
    ]]);
    assert_eq!(linked.packages.len(), 2, "{linked:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let blobs = MemoryBlobs::new();
    let broken: &[(&str, Put)] = &[(
        "var/lib/rpm/rpmdb.sqlite",
        Put::File("SQLite format 3", 0o644),
    )];
    let image = image(&blobs, &[broken]);
    let inventory = Inventory::of_image(&image, &blobs).unwrap();
    assert_eq!(
        inventory.unread.keys().collect::<Vec<_>>(),
        ["/var/lib/rpm/rpmdb.sqlite"]
    );
    let document = document(&image, &blobs);
    let comment = document["packages"][0]["comment"].as_str().unwrap();
    assert!(comment.contains("/var/lib/rpm/rpmdb.sqlite"), "{comment}");
}

fn document(image: &StoredImage, blobs: &MemoryBlobs) -> Value {
    let record = testing::record();
    let (provenance, _) =
        Provenance::of_run(&record, &record.runs[0], &testing::builder()).unwrap();
    let subject = Subject {
        name: "registry.example/acme/app:1".into(),
        digest: image.descriptor.digest,
    };
    let document = SpdxDocument::of_image(image, blobs, &subject, &provenance).unwrap();
    let again = SpdxDocument::of_image(image, blobs, &subject, &provenance).unwrap();
    assert_eq!(document.to_bytes().unwrap(), again.to_bytes().unwrap());
    assert_eq!(document.inventory(), Some(INVENTORY));
    serde_json::from_slice(&document.to_bytes().unwrap()).unwrap()
}

#[test]
fn the_document_names_image_packages_and_inputs() {
    let blobs = MemoryBlobs::new();
    let image = image(
        &blobs,
        &[&[
            (STATUS, DEB),
            (
                "etc/os-release",
                Put::File("ID=debian\nVERSION_ID=\"12\"\n", 0o644),
            ),
        ]],
    );
    let document = document(&image, &blobs);
    let hex = image.descriptor.digest.hex();
    assert_eq!(
        document["documentNamespace"],
        format!("https://intelgraph.io/repro/sbom/{hex}")
    );
    assert_eq!(document["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    let packages = document["packages"].as_array().unwrap();
    let purls: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
        .collect();
    let of_image = format!("pkg:oci/app@sha256%3A{hex}");
    for purl in [
        of_image.as_str(),
        "pkg:deb/debian/a@1?distro=debian-12",
        "pkg:docker/busybox@1.36",
    ] {
        assert!(purls.contains(&purl), "{purl}: {purls:?}");
    }
    // Every element that is related to is one that is there.
    let mut ids: Vec<&Value> = packages.iter().map(|package| &package["SPDXID"]).collect();
    let document_id = json!("SPDXRef-DOCUMENT");
    ids.push(&document_id);
    for relationship in document["relationships"].as_array().unwrap() {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(ids.contains(&&relationship[end]), "{relationship}");
        }
    }
}

#[test]
fn names_of_files_are_safe() {
    for (name, file) in [
        ("docker.io/library/app:1", "sbom-app"),
        ("registry.example:5000/x/y@sha256:0", "sbom-y"),
        ("image", "sbom-image"),
        ("a/..", "sbom-.."),
        ("ä b", "sbom---b"),
    ] {
        assert_eq!(file_name(name), file);
    }
}
