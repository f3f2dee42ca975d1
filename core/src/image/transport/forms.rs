//! Archives that hold an image in two forms.
//!
//! Docker since 25, containerd and BuildKit write `manifest.json` for programs that read what `docker
//! save` always wrote, and `index.json` for those that read OCI layouts. `docker load` reads the one or
//! the other, as its store is, and `podman load` the latter. So both must be the same image.

use super::{TransportError, docker, oci, source::FileSource};
use crate::{
    digest::Digest,
    image::{
        Descriptor, Document, ImageError, Index, MAX_DOCUMENT, Manifest, REF_NAME, StoredImage,
        stored::MAX_DEPTH,
    },
    platform::Platform,
    reference::ImageRef,
    store::BlobError,
};

/// The annotation by which containerd, Docker and Podman name an entry of `index.json`.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Most documents of an index that are looked at.
const MAX_DOCUMENTS: usize = 512;

/// For an image that was read by way of `manifest.json`: refuses an archive in which `index.json`
/// leads elsewhere. `wanted` is the image's name, where `manifest.json` has others too.
///
/// Every image counts that the archive holds under that name, of whatever platform: which of them is
/// run depends on the machine.
pub(super) fn check_index(
    source: &FileSource,
    wanted: Option<&ImageRef>,
    image: &StoredImage,
) -> Result<(), TransportError> {
    let index = match source.document("index.json") {
        Err(TransportError::NoMember { .. }) => return Ok(()),
        found => Index::parse(&found?, None)?,
    };
    // Docker 25 lists no image without a name. Who reads only this finds none, and so no other.
    if index.manifests.is_empty() {
        return Ok(());
    }
    let mut held = Held {
        source,
        left: MAX_DOCUMENTS,
        images: Vec::new(),
    };
    // The only one is what is loaded, whatever its name is.
    let only = index.manifests.len() == 1;
    for entry in &index.manifests {
        if only || wanted.is_none_or(|wanted| may_mean(entry, wanted)) {
            held.add(entry, MAX_DEPTH)?;
        }
    }
    let config = image.manifest.config.digest;
    let images = held.images;
    let same = images.iter().all(|held| held.config.digest == config);
    if images.is_empty() || !same {
        return Err(TransportError::FormsDiffer {
            path: source.path().to_owned(),
            docker: config,
            oci: images.iter().map(|held| held.config.digest).collect(),
        });
    }
    if images.iter().all(|held| has_layers_of(held, image)) {
        Ok(())
    } else {
        Err(TransportError::FormsLayers {
            path: source.path().to_owned(),
            config,
        })
    }
}

/// For an image with the configuration `config` that was read by way of the entry `root` of
/// `index.json`: refuses an archive in which `manifest.json` leads elsewhere.
pub(super) fn check_docker(
    source: &FileSource,
    root: &Descriptor,
    config: Digest,
) -> Result<(), TransportError> {
    let items = match docker::items(source) {
        Err(TransportError::NoMember { .. }) => return Ok(()),
        found => found?,
    };
    let of_name = |item: &&docker::Item| item.names().any(|name| may_mean(root, &name));
    let mut meant: Vec<&docker::Item> = items.iter().filter(of_name).collect();
    // Without a common name, or with one image, each is what others may load.
    if meant.is_empty() || items.len() == 1 {
        meant = items.iter().collect();
    }
    for item in meant {
        let found = Digest::of(&source.document(&item.config)?);
        if found != config {
            return Err(TransportError::FormsDiffer {
                path: source.path().to_owned(),
                docker: found,
                oci: vec![config],
            });
        }
    }
    Ok(())
}

/// Whether programs may take an entry of `index.json` for the image `wanted`. The full name counts
/// before the short one, which several images of one archive may have.
fn may_mean(entry: &Descriptor, wanted: &ImageRef) -> bool {
    let annotation = |key| {
        let text = entry.annotations.get(key).map(String::as_str);
        text.filter(|text| !text.is_empty())
    };
    let parsed = |text: &str| text.parse::<ImageRef>();
    let short = annotation(REF_NAME);
    if short.is_some_and(|short| parsed(short).is_ok_and(|name| name == *wanted)) {
        return true;
    }
    match annotation(IMAGE_NAME) {
        // One that is no name here may still be one elsewhere.
        Some(full) => parsed(full).map_or(true, |name| name == *wanted),
        None => short.is_some() && short == wanted.tag(),
    }
}

/// Whether the layers of `held` are those that `image` was read from. Some versions of Docker 25 list
/// none: nothing can be run from that.
fn has_layers_of(held: &Manifest, image: &StoredImage) -> bool {
    held.layers.is_empty()
        || held.layers.len() == image.layers.len()
            && held
                .layers
                .iter()
                .zip(&image.layers)
                // As it was in the archive, or the tar inside.
                .all(|(held, own)| [own.digest, own.diff_id.0].contains(&held.digest))
}

/// Looks for the images of an archive.
struct Held<'a> {
    source: &'a FileSource,
    left: usize,
    images: Vec<Manifest>,
}

impl Held<'_> {
    /// Adds the images behind an entry of an index. Docker lists platforms that it does not have, of
    /// which it writes the manifest at most.
    fn add(&mut self, entry: &Descriptor, depth: usize) -> Result<(), TransportError> {
        let depth = depth.checked_sub(1).ok_or(ImageError::TooDeep(MAX_DEPTH))?;
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(TransportError::TooManyManifests(MAX_DOCUMENTS))?;
        let bytes = match self.document(entry) {
            Err(TransportError::NoMember { .. }) => return Ok(()),
            found => found?,
        };
        match Document::parse(&bytes, Some(&entry.media_type))? {
            Document::Index(index) => {
                let images = index.manifests.iter().filter(|inner| !is_no_image(inner));
                images
                    .into_iter()
                    .try_for_each(|inner| self.add(inner, depth))
            }
            Document::Manifest(manifest) => {
                match self.source.open(&oci::blob_name(manifest.config.digest)) {
                    Err(TransportError::NoMember { .. }) => {}
                    found => {
                        found?;
                        self.images.push(*manifest);
                    }
                }
                Ok(())
            }
        }
    }

    /// The document that an entry of an index points to.
    fn document(&self, entry: &Descriptor) -> Result<Vec<u8>, TransportError> {
        if entry.size > MAX_DOCUMENT {
            return Err(TransportError::DocumentTooLarge {
                name: entry.digest.to_string(),
                limit: MAX_DOCUMENT,
            });
        }
        let bytes = self.source.document(&oci::blob_name(entry.digest))?;
        let found = Digest::of(&bytes);
        if found != entry.digest {
            return Err(TransportError::Blob(BlobError::Corrupt {
                expected: entry.digest,
                found,
            }));
        }
        Ok(bytes)
    }
}

/// Whether an entry of a list of platforms runs nowhere, as what BuildKit says about the others. In
/// `index.json` itself entries are loaded whatever their platform is.
fn is_no_image(entry: &Descriptor) -> bool {
    let unknown = |platform: &Platform| [platform.os(), platform.architecture()] == ["unknown"; 2];
    entry.platform.as_ref().is_some_and(unknown)
}
