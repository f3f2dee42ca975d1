//! Contexts of earlier builds: where in the store they are, as long as it keeps them.

use std::collections::BTreeMap;

use repro_core::{
    digest::{DiffId, Digest},
    store::{BlobStore as _, CacheKind, Store},
};

use crate::error::CommandError;

/// The blob of a context by the digest of its canonical tar. It keeps no blob from being collected: a
/// context is of use to a rebuild alone, and whoever wants to be sure of it puts it into the evidence.
const CACHE: CacheKind = match CacheKind::new("context") {
    Ok(kind) => kind,
    Err(_) => panic!("lower-case letters"),
};

/// Remembers where contexts are.
pub(crate) fn remember(
    store: &Store,
    contexts: &BTreeMap<DiffId, Digest>,
) -> Result<(), CommandError> {
    for (tar, blob) in contexts {
        store.cache_put(CACHE, &tar.0.to_string(), &[], blob)?;
    }
    Ok(())
}

/// The blob of a context, if the store still has it.
pub(crate) fn find(store: &Store, tar: DiffId) -> Result<Option<Digest>, CommandError> {
    let Some(blob) = store.cache_get::<Digest>(CACHE, &tar.0.to_string())? else {
        return Ok(None);
    };
    Ok(store.blobs().size(blob)?.map(|_| blob))
}
