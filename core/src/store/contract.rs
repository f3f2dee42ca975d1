//! What every [`BlobStore`] must do, applied to each.

use std::io::{Read as _, Write as _};

use super::{BlobError, BlobStore, LocalBlobs, MemoryBlobs, put_bytes, read_small};
use crate::digest::Digest;

fn contract(store: &dyn BlobStore) {
    let absent = Digest::of(b"absent");
    assert_eq!(store.size(absent).unwrap(), None);
    assert!(matches!(store.open(absent), Err(BlobError::Missing(digest)) if digest == absent));

    // Larger than any buffer, and written in pieces.
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut writer = store.create().unwrap();
    for piece in bytes.chunks(70_001) {
        writer.write_all(piece).unwrap();
    }
    assert_eq!(
        store.size(Digest::of(&bytes)).unwrap(),
        None,
        "not before commit"
    );
    let stored = writer.commit().unwrap();
    assert_eq!(
        (stored.digest, stored.size),
        (Digest::of(&bytes), bytes.len() as u64)
    );
    assert_eq!(store.size(stored.digest).unwrap(), Some(stored.size));
    let mut read = Vec::new();
    store
        .open(stored.digest)
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert!(read == bytes);

    // The same bytes again are no error, and nothing changes.
    assert_eq!(put_bytes(store, &bytes).unwrap(), stored);

    // An abandoned writer leaves nothing.
    let mut writer = store.create().unwrap();
    writer.write_all(b"abandoned").unwrap();
    drop(writer);
    assert_eq!(store.size(Digest::of(b"abandoned")).unwrap(), None);

    // Bytes that are not what the caller was promised are not kept under either name.
    let mut writer = store.create().unwrap();
    writer.write_all(b"forged").unwrap();
    let error = writer.commit_as(absent).unwrap_err();
    assert!(matches!(error, BlobError::Corrupt { expected, found }
        if expected == absent && found == Digest::of(b"forged")));
    assert_eq!(store.size(absent).unwrap(), None);
    assert_eq!(store.size(Digest::of(b"forged")).unwrap(), None);

    // The limit of a small read is exact.
    let five = put_bytes(store, b"12345").unwrap().digest;
    assert_eq!(read_small(store, five, 5).unwrap(), b"12345");
    assert!(matches!(
        read_small(store, five, 4),
        Err(BlobError::TooLarge { limit: 4, .. })
    ));

    // The empty blob is a blob.
    let empty = put_bytes(store, b"").unwrap();
    assert_eq!((empty.digest, empty.size), (Digest::of(b""), 0));
    assert_eq!(read_small(store, empty.digest, 0).unwrap(), b"");
}

#[test]
fn local() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(dir.path()).unwrap();
    contract(&store);
    assert!(crate::fs::sorted_names(store.tmp()).unwrap().is_empty());
}

#[test]
fn memory() {
    contract(&MemoryBlobs::new());
}

#[test]
fn a_damaged_blob_is_named_and_refused_and_healed_by_a_new_copy() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(dir.path()).unwrap();
    let stored = put_bytes(&store, b"good").unwrap();
    let path = store.path(stored.digest);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o444
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&path, b"evil").unwrap();
    let error = read_small(&store, stored.digest, 100).unwrap_err();
    assert!(matches!(error, BlobError::Corrupt { expected, .. } if expected == stored.digest));
    assert!(error.to_string().contains(&stored.digest.hex()));
    put_bytes(&store, b"good").unwrap();
    assert_eq!(read_small(&store, stored.digest, 100).unwrap(), b"good");
}

/// The caller tells a full disk (worth a retry, exit 75) from everything else by the kind of
/// the source.
#[test]
fn a_full_disk_is_distinguishable() {
    let error = BlobError::Io {
        what: "keep a blob".into(),
        source: std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .and_then(|mut file| file.write_all(b"x"))
            .unwrap_err(),
    };
    let source = std::error::Error::source(&error).unwrap();
    let kind = source.downcast_ref::<std::io::Error>().unwrap().kind();
    assert_eq!(kind, std::io::ErrorKind::StorageFull);
}
