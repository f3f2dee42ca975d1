//! Remembered results: small documents by kind and key, each naming the blobs it needs.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{BlobStore as _, Store, StoreError};
use crate::{digest::Digest, fs::sorted_names};

/// What kind of result a document remembers: a directory name of lower-case letters and dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKind(&'static str);

/// A text that cannot be a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cache kind has lower-case letters and dashes only")]
pub struct CacheKindError;

impl CacheKind {
    /// Takes a name such as `toolchain`.
    pub const fn new(name: &'static str) -> Result<Self, CacheKindError> {
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !(bytes[at].is_ascii_lowercase() || bytes[at] == b'-') {
                return Err(CacheKindError);
            }
            at += 1;
        }
        if bytes.is_empty() {
            return Err(CacheKindError);
        }
        Ok(Self(name))
    }
}

/// A document on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Document<T> {
    key: String,
    roots: Vec<Digest>,
    value: T,
}

/// What every document has, whatever its value.
#[derive(Debug, Deserialize)]
pub(super) struct Roots {
    /// The blobs that the result needs.
    pub(super) roots: Vec<Digest>,
}

/// A document's file, and its roots unless it is damaged.
pub(super) type FoundDocument = (PathBuf, Result<Roots, serde_json::Error>);

impl Store {
    /// Remembers `value` under `kind` and `key`. [`Store::gc`] keeps `roots` and everything that
    /// they refer to, as long as the document is there.
    pub fn cache_put<T: Serialize>(
        &self,
        kind: CacheKind,
        key: &str,
        roots: &[Digest],
        value: &T,
    ) -> Result<(), StoreError> {
        let path = self.cache_path(kind, key);
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(StoreError::io("make", dir))?;
        let document = Document {
            key: key.to_owned(),
            roots: roots.to_vec(),
            value,
        };
        self.write(&path, &crate::json::canonical(&document)?)
    }

    /// What is remembered under `kind` and `key`; `None` if nothing is, or if one of its root
    /// blobs is gone.
    pub fn cache_get<T: DeserializeOwned>(
        &self,
        kind: CacheKind,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let path = self.cache_path(kind, key);
        let Some(bytes) = read_if_there(&path)? else {
            return Ok(None);
        };
        let document: Document<T> = serde_json::from_slice(&bytes)
            .map_err(|source| StoreError::Document { path, source })?;
        for root in &document.roots {
            if self.blobs().size(*root)?.is_none() {
                return Ok(None);
            }
        }
        // File names are digests of keys, so this can only be another key after an edit by hand.
        Ok((document.key == key).then_some(document.value))
    }

    /// Forgets one result; one that is not there is no error.
    pub fn cache_remove(&self, kind: CacheKind, key: &str) -> Result<(), StoreError> {
        let path = self.cache_path(kind, key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(StoreError::io("remove", &path)),
        }
    }

    /// Every document with its roots; those that are damaged with the error.
    pub(super) fn cache_documents(&self) -> Result<Vec<FoundDocument>, StoreError> {
        let mut documents = Vec::new();
        let cache = self.cache_dir();
        for kind in sorted_names(&cache).map_err(StoreError::io("list", &cache))? {
            let dir = cache.join(kind);
            for name in sorted_names(&dir).map_err(StoreError::io("list", &dir))? {
                let path = dir.join(name);
                if path.extension() != Some(OsStr::new("json")) {
                    continue;
                }
                if let Some(bytes) = read_if_there(&path)? {
                    documents.push((path, serde_json::from_slice(&bytes)));
                }
            }
        }
        Ok(documents)
    }

    fn cache_path(&self, kind: CacheKind, key: &str) -> PathBuf {
        let name = format!("{}.json", Digest::of(key.as_bytes()).hex());
        self.cache_dir().join(kind.0).join(name)
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("read", path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::put_bytes, *};

    const KIND: CacheKind = match CacheKind::new("toolchain") {
        Ok(kind) => kind,
        Err(_) => panic!("a good kind"),
    };

    #[test]
    fn results_are_remembered_while_their_blobs_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.cache_get::<u32>(KIND, "k").unwrap(), None);
        let blob = put_bytes(store.blobs(), b"x").unwrap().digest;
        store.cache_put(KIND, "k", &[blob], &7_u32).unwrap();
        store.cache_put(KIND, "../../k", &[], &8_u32).unwrap();
        assert_eq!(store.cache_get(KIND, "k").unwrap(), Some(7_u32));
        assert_eq!(store.cache_get(KIND, "../../k").unwrap(), Some(8_u32));
        store.blobs().remove(blob).unwrap();
        assert_eq!(store.cache_get::<u32>(KIND, "k").unwrap(), None);
        store.cache_remove(KIND, "../../k").unwrap();
        assert_eq!(store.cache_get::<u32>(KIND, "../../k").unwrap(), None);
    }

    #[test]
    fn a_damaged_document_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.cache_put(KIND, "k", &[], &1_u32).unwrap();
        let path = store.cache_path(KIND, "k");
        fs::write(&path, b"{").unwrap();
        let error = store.cache_get::<u32>(KIND, "k").unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }

    #[test]
    fn kinds_are_directory_names() {
        for name in ["", "..", "a/b", "A"] {
            assert_eq!(CacheKind::new(name), Err(CacheKindError), "{name}");
        }
    }
}
