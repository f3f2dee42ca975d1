//! Names of images: `index.json` of the store's layout.

use std::{collections::BTreeMap, fs, io};

use super::{Store, StoreError, lock};
use crate::{
    image::{Descriptor, Index, REF_NAME},
    reference::ImageRef,
};

impl Store {
    /// Makes `reference` mean `image`. Durable, and safe beside other processes.
    pub fn tag(&self, reference: &ImageRef, image: &Descriptor) -> Result<(), StoreError> {
        if reference
            .digest()
            .is_some_and(|digest| digest != image.digest)
        {
            return Err(StoreError::TagDigest {
                reference: reference.to_string(),
                found: image.digest,
            });
        }
        self.change_tags(|tags| {
            tags.insert(reference.clone(), image.clone());
        })
    }

    /// Takes a name away; whether it was there. The image stays until [`Store::gc`].
    pub fn untag(&self, reference: &ImageRef) -> Result<Option<Descriptor>, StoreError> {
        let mut removed = None;
        self.change_tags(|tags| removed = tags.remove(reference))?;
        Ok(removed)
    }

    /// What `reference` means here. With a digest: the image of that digest that has any tag of
    /// the same name.
    pub fn resolve(&self, reference: &ImageRef) -> Result<Option<Descriptor>, StoreError> {
        let tags = self.tags()?;
        Ok(match reference.digest() {
            None => tags.get(reference).cloned(),
            Some(digest) => tags
                .into_iter()
                .find(|(known, image)| known.name() == reference.name() && image.digest == digest)
                .map(|(_, image)| image),
        })
    }

    /// All names, sorted.
    pub fn tags(&self) -> Result<BTreeMap<ImageRef, Descriptor>, StoreError> {
        let path = self.root().join("index.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            result => result.map_err(StoreError::io("read", &path))?,
        };
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|source| StoreError::Document { path, source })?;
        // Descriptors without a name, or with one that is no reference, are another program's:
        // they are left out here and by the next change.
        Ok(index
            .manifests
            .into_iter()
            .filter_map(|mut image| {
                let name = image.annotations.remove(REF_NAME)?;
                Some((name.parse().ok()?, image))
            })
            .collect())
    }

    fn change_tags(
        &self,
        change: impl FnOnce(&mut BTreeMap<ImageRef, Descriptor>),
    ) -> Result<(), StoreError> {
        let path = self.locks_dir().join("tags");
        let _guard = lock::exclusive(&path).map_err(StoreError::io("lock", &path))?;
        let mut tags = self.tags()?;
        change(&mut tags);
        let manifests = tags.into_iter().map(|(reference, mut image)| {
            image
                .annotations
                .insert(REF_NAME.to_owned(), reference.to_string());
            image
        });
        let index = Index::new(manifests.collect());
        self.write(
            &self.root().join("index.json"),
            &crate::json::canonical(&index)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, image::MediaType};

    fn image(bytes: &[u8]) -> Descriptor {
        Descriptor::new(
            MediaType::OciManifest,
            Digest::of(bytes),
            bytes.len() as u64,
        )
    }

    fn reference(text: &str) -> ImageRef {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_kept_and_moved_and_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.resolve(&reference("a")).unwrap(), None);
        store.tag(&reference("a"), &image(b"1")).unwrap();
        store.tag(&reference("b:2"), &image(b"2")).unwrap();
        store.tag(&reference("a"), &image(b"3")).unwrap();
        assert_eq!(
            store.resolve(&reference("a:latest")).unwrap(),
            Some(image(b"3"))
        );
        assert_eq!(store.tags().unwrap().len(), 2);
        assert_eq!(store.untag(&reference("a")).unwrap(), Some(image(b"3")));
        assert_eq!(store.resolve(&reference("a")).unwrap(), None);
    }

    #[test]
    fn a_digest_finds_its_image_under_any_tag_of_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.tag(&reference("a:1"), &image(b"1")).unwrap();
        let digest = Digest::of(b"1");
        assert!(
            store
                .resolve(&reference(&format!("a@{digest}")))
                .unwrap()
                .is_some()
        );
        assert!(
            store
                .resolve(&reference(&format!("b@{digest}")))
                .unwrap()
                .is_none()
        );
        let error = store.tag(&reference(&format!("a@{digest}")), &image(b"2"));
        assert!(matches!(error, Err(StoreError::TagDigest { .. })));
    }

    /// Two processes that tag at the same time both succeed. Threads with stores of their own
    /// stand for processes: `flock` belongs to the open file, not to the process.
    #[test]
    fn no_tag_is_lost_between_writers() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let root = dir.path();
                scope.spawn(move || {
                    let store = Store::open(root).unwrap();
                    for tag in 0..5 {
                        let name = format!("w{writer}:{tag}");
                        store
                            .tag(&reference(&name), &image(name.as_bytes()))
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(Store::open(dir.path()).unwrap().tags().unwrap().len(), 20);
    }
}
