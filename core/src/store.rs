//! The content-addressed store.

mod blob;

pub use blob::{BlobError, BlobStore, BlobWriter, StoredBlob, put_bytes, read_small};
