//! The content-addressed store.
//!
//! ```text
//! ROOT/oci-layout index.json blobs/sha256/<hex>   an OCI image layout; index.json is the tag list
//! ROOT/snapshots/                                 unpacked trees, owned by the executor
//! ROOT/cache/<kind>/<hex>.json                    remembered results, each with the blobs it needs
//! ROOT/runs/<invocation>/                         scratch of a running build, locked while it lives
//! ROOT/locks/ tmp/ meta.json                      advisory locks, unfinished files, format version
//! ```
//!
//! Every file gets its name by a rename after it was synced, so a process that is killed
//! leaves at most files in `tmp/` and unlocked directories in `runs/`. Every process that has
//! the store open holds a shared lock; [`Store::gc`] needs the exclusive one.

mod blob;
mod cache;
#[cfg(test)]
mod contract;
mod gc;
mod local;
mod lock;
mod memory;
mod meta;
mod open;
mod run;
mod tags;
#[cfg(test)]
mod tests;
mod usage;
mod verify;

pub use blob::{
    BlobError, BlobStore, BlobWriter, StoredBlob, VerifyingReader, put_bytes, read_small,
};
pub use cache::{CacheKind, CacheKindError};
pub use gc::{GcError, GcReport};
pub use local::LocalBlobs;
pub use memory::MemoryBlobs;
pub use meta::{FORMAT_VERSION, MetaError};
pub use open::{Store, StoreError};
pub use run::{RunDir, StaleRun};
pub use usage::{AreaUsage, StoreUsage};
pub use verify::{Damage, VerifyReport};
