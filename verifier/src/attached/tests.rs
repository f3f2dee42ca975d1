//! Artifacts as they are made and as they are found again, in a place that the tests make.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use repro_core::{
    digest::Digest,
    image::{Descriptor, Manifest, MediaType, load_image},
    store::{BlobStore, MemoryBlobs, put_bytes, read_small},
};
use serde_json::{Value, json};

use super::{
    gather::{EvidencePlace, Gathered, Trouble, gather},
    *,
};
use crate::{
    keys::KeyKind,
    pack::Signer,
    testing::{Case, key},
};

/// Statements on an image that is reproducible: provenance and network of both runs, verdict, tests,
/// attributes, list of packages.
const STATEMENTS: usize = 8;

/// An image with its pack, and a place that has what was attached.
struct Beside {
    blobs: MemoryBlobs,
    image: Descriptor,
    parts: BTreeMap<Digest, u64>,
    made: Vec<Attached>,
    /// Beside what was made, and before it.
    more: Vec<Descriptor>,
    tags: BTreeMap<String, Descriptor>,
    /// What was fetched.
    fetched: RefCell<Vec<Digest>>,
}

impl Beside {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let case = Case::reproducible();
        case.write(
            &dir.path().join("pack"),
            Signer::Key(&key(KeyKind::P256, 1)),
        )
        .unwrap();
        let manifest = case.record.runs[0].image.as_ref().unwrap().manifest;
        let image = load_image(&case.blobs, manifest).unwrap();
        let own = &image.descriptor;
        let all = image.manifest.layers.iter();
        let all = all.chain([&image.manifest.config, own]);
        let parts = all.map(|part| (part.digest, part.size)).collect();
        let subjects = Subjects::new(own.clone(), Vec::new());
        let made = attach_pack(&dir.path().join("pack"), &subjects, &case.blobs).unwrap();
        Self {
            image: own.clone(),
            parts,
            made,
            blobs: case.blobs,
            more: Vec::new(),
            tags: BTreeMap::new(),
            fetched: RefCell::default(),
        }
    }

    fn gather(&self) -> Gathered {
        gather(self, self.image.digest, None, &self.parts).unwrap()
    }

    /// Lists a manifest that somebody else made.
    fn list(&mut self, document: &Value, kind: &str) {
        let stored = put_bytes(&self.blobs, document.to_string().as_bytes()).unwrap();
        let mut entry = Descriptor::new(MediaType::OciManifest, stored.digest, stored.size);
        entry.artifact_type = Some(kind.into());
        self.more.push(entry);
    }

    fn pack(&self) -> Value {
        let pack = self.made.last().unwrap().descriptor.digest;
        let bytes = read_small(&self.blobs, pack, 1 << 20).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl EvidencePlace for Beside {
    type Error = String;

    fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Trouble<String>> {
        let own = self.made.iter().filter(|one| one.subject == subject);
        let own = own.map(|one| one.descriptor.clone());
        Ok(self.more.iter().cloned().chain(own).collect())
    }

    fn tagged(&self, tag: &str) -> Result<Descriptor, Trouble<String>> {
        self.tags.get(tag).cloned().ok_or(Trouble::Missing)
    }

    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<String>> {
        read_small(&self.blobs, wanted.digest, 1 << 22).map_err(|_| Trouble::Missing)
    }

    fn blobs(&self, _: &Descriptor, blobs: &[Descriptor]) -> Result<(), Trouble<String>> {
        for blob in blobs {
            self.fetched.borrow_mut().push(blob.digest);
            match self.blobs.size(blob.digest).unwrap() {
                Some(size) if size == blob.size => {}
                Some(_) => return Err(Trouble::Damaged("another size".into())),
                None => return Err(Trouble::Missing),
            }
        }
        Ok(())
    }
}

#[test]
fn a_statement_is_as_cosign_has_it() {
    let beside = Beside::new();
    let provenance = "https://slsa.dev/provenance/v1";
    let is_provenance = |made: &&Attached| {
        let annotations = &made.descriptor.annotations;
        annotations.values().any(|value| value == provenance)
    };
    let statement = beside.made.iter().find(is_provenance).unwrap();
    let bytes = read_small(&beside.blobs, statement.descriptor.digest, 1 << 20).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        document,
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "size": 2,
            },
            "layers": [{
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "digest": document["layers"][0]["digest"],
                "size": document["layers"][0]["size"],
            }],
            "subject": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": beside.image.digest, "size": beside.image.size,
            },
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
                "org.opencontainers.image.created": "2027-01-15T07:30:00Z",
            },
        })
    );
    assert_eq!(statement.descriptor.annotations.len(), 3);
}

#[test]
fn what_was_attached_is_found_whole() {
    let found = Beside::new().gather();
    assert_eq!((found.packs.len(), found.statements.len()), (1, STATEMENTS));
    assert!(found.others.is_empty() && found.damaged.is_empty());
    let files = found.packs[0].files.files();
    assert!(files.contains_key("index.sigstore.json") && files.contains_key("logs/run-a/01.log"));
}

#[test]
fn the_legacy_tag_grows_and_keeps_what_is_there() {
    let mut beside = Beside::new();
    let subject = beside.image.digest;
    let add = |existing| extend_legacy(subject, existing, &beside.made, &beside.blobs).unwrap();
    let first = add(None).unwrap();
    assert!(add(Some(first.digest)).is_none());
    let bytes = read_small(&beside.blobs, first.digest, 1 << 20).unwrap();
    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
    let others =
        json!({"mediaType": "text/plain", "digest": Digest::of(b"x"), "size": 1, "data": "eA=="});
    document["layers"] = json!([others]);
    let stored = put_bytes(&beside.blobs, document.to_string().as_bytes()).unwrap();
    let grown = add(Some(stored.digest)).unwrap();
    let bytes = read_small(&beside.blobs, grown.digest, 1 << 20).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["layers"][0], others);
    assert_eq!(document["layers"].as_array().unwrap().len(), 1 + STATEMENTS);
    assert!(Manifest::parse(&bytes, None).is_ok());
    // Of another place: what is missing comes behind what is there.
    let merge = |here: Descriptor, there: &Descriptor| {
        merge_legacy(subject, Some(here.digest), there.digest, &beside.blobs).unwrap()
    };
    assert!(merge(grown.clone(), &first).is_none());
    let merged = merge(first, &grown).unwrap();
    let bytes = read_small(&beside.blobs, merged.digest, 1 << 20).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["layers"][STATEMENTS], others);
    beside.made.clear();
    beside.tags.insert(legacy_tag(subject), grown);
    let found = beside.gather();
    assert_eq!(found.statements.len(), STATEMENTS);
    assert_eq!(found.others[0].why, "they are no envelopes");
}

#[test]
fn an_artifact_that_is_none_is_passed_over_and_makes_nobody_fetch() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 8] = [
        ("another image", |pack| {
            pack["subject"]["digest"] = json!(Digest::of(b"another"));
        }),
        ("has no subject", |pack| pack["subject"] = Value::Null),
        ("is no path", |pack| title(pack, "../x")),
        ("is no path", |pack| title(pack, "/x")),
        ("is no path", |pack| title(pack, "a//x")),
        ("is there twice", |pack| title(pack, "index.json/x")),
        ("no part of the image", |pack| {
            let hex = Digest::of(b"x").hex();
            title(pack, &format!("image/blobs/sha256/{hex}"));
        }),
        ("more than the", |pack| {
            pack["layers"][0]["size"] = json!(1_u64 << 40);
            title(pack, "huge");
        }),
    ];
    for (why, edit) in edits {
        let mut beside = Beside::new();
        let mut pack = beside.pack();
        edit(&mut pack);
        beside.made.clear();
        beside.list(&pack, PACK_TYPE);
        let found = beside.gather();
        assert!(found.packs.is_empty(), "{why}");
        assert!(
            found.others[0].why.contains(why),
            "{why}: {:?}",
            found.others
        );
        assert!(beside.fetched.borrow().is_empty(), "{why}");
    }
}

fn title(pack: &mut Value, path: &str) {
    pack["layers"][0]["annotations"]["org.opencontainers.image.title"] = path.into();
}

#[test]
fn what_is_looked_at_is_bounded_and_the_rest_is_named() {
    let mut beside = Beside::new();
    for number in 0..2000 {
        let mut entry = Descriptor::new(
            MediaType::OciManifest,
            Digest::of(format!("{number}").as_bytes()),
            7,
        );
        entry.artifact_type = Some(STATEMENT_TYPE.into());
        beside.more.push(entry);
    }
    let found = beside.gather();
    // Packs have a number of their own: no crowd of statements hides one.
    assert_eq!((found.packs.len(), found.statements.len()), (1, 0));
    let last = found.others.last().unwrap();
    assert_eq!(last.what, "1752 more artifacts");
}

#[test]
fn evidence_goes_to_what_it_is_about() {
    let beside = Beside::new();
    let pointer =
        |text: &str| Descriptor::new(MediaType::OciManifest, Digest::of(text.as_bytes()), 7);
    let bundle = match &beside.made[0].content {
        Content::Statement { bundle, .. } => read_small(&beside.blobs, *bundle, 1 << 20).unwrap(),
        Content::Pack { .. } => panic!("a statement is made first"),
    };
    let attach = |root: Descriptor, listed: Vec<Descriptor>| {
        let file = StatementFile {
            name: "x",
            bytes: &bundle,
        };
        attach_statement(file, &Subjects::new(root, listed), &beside.blobs)
    };
    let error = attach(pointer("other"), Vec::new()).unwrap_err();
    assert!(matches!(error, AttachError::OtherSubject { .. }));
    let made = attach(pointer("list"), vec![pointer("arm"), beside.image.clone()]).unwrap();
    assert_eq!(made.subject, beside.image.digest);
    assert_eq!(made.descriptor.digest, beside.made[0].descriptor.digest);
    let none = attach_pack(
        Path::new("/nonexistent"),
        &Subjects::new(pointer("x"), Vec::new()),
        &beside.blobs,
    );
    assert!(matches!(none, Err(AttachError::Files(_))));
}

#[test]
fn statements_that_lie_in_a_list_are_no_subjects() {
    let mut statement = Descriptor::new(MediaType::OciManifest, Digest::of(b"s"), 7);
    statement.annotations.insert(
        "vnd.docker.reference.type".into(),
        "attestation-manifest".into(),
    );
    let image = Descriptor::new(MediaType::OciManifest, Digest::of(b"i"), 7);
    let root = Descriptor::new(MediaType::OciIndex, Digest::of(b"r"), 7);
    let subjects = Subjects::new(root.clone(), vec![statement, image.clone()]);
    assert_eq!(subjects.all(), [root, image]);
}
