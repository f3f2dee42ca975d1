//! The whole store: what is kept, what is removed, what is found.

use std::{fs, sync::Mutex};

use super::{BlobStore as _, CacheKind, Damage, GcError, Store, put_bytes};
use crate::{
    digest::ChainId,
    event::{Event, EventSink, NoEvents},
    image::{ImageConfig, StoredImage, write_image},
    layer::LayerBuilder,
    ruleset::Ruleset,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

const KIND: &str = "toolchain";

fn image(store: &Store, content: &[u8]) -> StoredImage {
    let mut layer = LayerBuilder::new(store.blobs(), Ruleset::V1);
    let entry = Entry {
        path: TreePath::parse(b"x").unwrap(),
        kind: EntryKind::File {
            size: content.len() as u64,
        },
        meta: Meta::default(),
    };
    layer.entry(&entry, &mut &content[..]).unwrap();
    let layer = layer.finish().unwrap().unwrap().descriptor();
    let config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
    write_image(store.blobs(), &config, &[layer]).unwrap()
}

fn gc(store: &mut Store) -> Result<super::GcReport, GcError> {
    store.gc(|_, _| Ok(()))
}

#[test]
fn garbage_is_what_neither_tag_nor_cache_reaches() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let kind = CacheKind::new(KIND).unwrap();
    let tagged = image(&store, b"tagged");
    let cached = image(&store, b"cached");
    let dropped = image(&store, b"dropped");
    let lost = image(&store, b"lost");
    store
        .tag(&"a".parse().unwrap(), &tagged.descriptor)
        .unwrap();
    store
        .cache_put(kind, "c", &[cached.descriptor.digest], &1_u32)
        .unwrap();
    store
        .cache_put(kind, "lost", &[lost.descriptor.digest], &2_u32)
        .unwrap();
    store.blobs().remove(lost.layers[0].digest).unwrap();
    fs::write(store.blobs().tmp().join("unfinished"), b"1234").unwrap();

    let report = gc(&mut store).unwrap();
    // Manifest and configuration of two images, the layer of one.
    assert_eq!(
        (
            report.blobs,
            report.kept,
            report.leftovers,
            report.forgotten
        ),
        (5, 6, 1, 1)
    );
    for part in [&tagged, &cached] {
        assert!(store.blobs().size(part.layers[0].digest).unwrap().is_some());
        assert!(report.chains.contains(&ChainId::base(part.diff_ids()[0])));
    }
    assert!(
        !report
            .chains
            .contains(&ChainId::base(dropped.diff_ids()[0]))
    );
    assert!(
        store
            .blobs()
            .size(dropped.descriptor.digest)
            .unwrap()
            .is_none()
    );
    assert_eq!(store.cache_get::<u32>(kind, "lost").unwrap(), None);
    assert_eq!(gc(&mut store).unwrap().blobs, 0);
    assert!(store.verify(&NoEvents).unwrap().damage.is_empty());
}

#[test]
fn garbage_is_not_collected_under_another_user() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let other = Store::open(dir.path()).unwrap();
    let blob = put_bytes(other.blobs(), b"just written, not yet tagged").unwrap();
    assert!(matches!(gc(&mut store), Err(GcError::InUse)));
    assert!(other.blobs().size(blob.digest).unwrap().is_some());
    drop(other);
    assert_eq!(gc(&mut store).unwrap().blobs, 1);
    // The lock is shared again afterwards.
    Store::open(dir.path()).unwrap();
}

/// Keeps every event.
#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl EventSink for Seen {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn every_kind_of_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let kind = CacheKind::new(KIND).unwrap();
    let image = image(&store, b"x");
    let layer = image.layers[0].digest;
    store.tag(&"a".parse().unwrap(), &image.descriptor).unwrap();
    fs::write(store.blobs().tmp().join("unfinished"), b"").unwrap();
    let seen = Seen::default();
    let report = store.verify(&seen).unwrap();
    assert_eq!(
        (report.blobs, report.tags, report.leftovers.len()),
        (3, 1, 1)
    );
    assert!(report.damage.is_empty());
    let events = seen.0.into_inner().unwrap();
    assert!(matches!(
        events.first(),
        Some(Event::TaskStarted { total: Some(3), .. })
    ));
    assert!(matches!(events.last(), Some(Event::TaskFinished { .. })));

    // A blob that lies, a name that is none, a result that cannot be read, and one that is lost.
    fs::remove_file(store.blobs().path(image.manifest.config.digest)).unwrap();
    fs::write(store.blobs().path(image.manifest.config.digest), b"{}").unwrap();
    fs::write(store.blobs().dir().join("README"), b"").unwrap();
    fs::remove_file(store.blobs().path(layer)).unwrap();
    store.cache_put(kind, "k", &[], &1_u32).unwrap();
    let document = crate::fs::sorted_names(&store.cache_dir().join(KIND)).unwrap();
    fs::write(store.cache_dir().join(KIND).join(&document[0]), b"").unwrap();
    let damage = store.verify(&NoEvents).unwrap().damage;
    assert!(
        damage
            .iter()
            .any(|found| matches!(found, Damage::Corrupt { digest, .. }
        if *digest == image.manifest.config.digest))
    );
    assert!(
        damage
            .iter()
            .any(|found| matches!(found, Damage::NotABlob { name } if name == "README"))
    );
    assert!(
        damage
            .iter()
            .any(|found| matches!(found, Damage::Document { .. }))
    );
    assert!(
        damage
            .iter()
            .any(|found| matches!(found, Damage::Missing { digest, referrer }
        if *digest == layer && referrer.contains("library/a"))),
        "{damage:?}"
    );
}

#[test]
fn room_is_counted_by_area() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let before = store.usage().unwrap();
    put_bytes(store.blobs(), &vec![1; 100_000]).unwrap();
    let after = store.usage().unwrap();
    assert!(after.blobs.bytes >= before.blobs.bytes + 100_000);
    assert_eq!(after.blobs.entries, before.blobs.entries + 1);
    assert_eq!(after.snapshots, before.snapshots);
}
