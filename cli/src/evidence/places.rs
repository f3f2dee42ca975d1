//! Where evidence is looked for: a registry, a layout, the store.

use repro_core::event::{EventSink, NoEvents};
use repro_core::{
    digest::Digest,
    image::{
        Descriptor, Index, MAX_DOCUMENT, Manifest, REF_NAME,
        transport::{Layout, TransportError},
    },
    reference::ImageRef,
    store::{BlobError, BlobStore as _, LocalBlobs, Store, read_small},
};
use repro_toolchains::registry::{Registry, RegistryError};
use repro_verifier::attached::gather::{EvidencePlace, Trouble};

use crate::{
    commands::{Context, referrers_name},
    error::{CommandError, ErrorKind},
};

/// Bytes from which on a download is shown.
const SHOWN: u64 = 1 << 20;
/// Most manifests of a layout that are looked at for what refers to an image.
const MAX_ENTRIES: usize = 1000;

/// Beside an image in a registry.
pub(crate) struct InRegistry<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) name: &'a ImageRef,
    pub(crate) context: &'a Context,
    pub(crate) store: &'a Store,
}

/// What an error of a registry says of what was asked for.
fn of_registry(error: RegistryError) -> Trouble<CommandError> {
    if error.is_not_found() {
        Trouble::Missing
    } else if error.is_damage() {
        Trouble::Damaged(CommandError::from(error).to_string())
    } else {
        Trouble::Place(error.into())
    }
}

fn tag_of(name: &ImageRef, tag: &str) -> Result<ImageRef, Trouble<CommandError>> {
    format!("{}:{tag}", name.name())
        .parse()
        .map_err(|error| Trouble::Place(CommandError::new(ErrorKind::Internal, &error)))
}

fn of_blob(error: BlobError) -> Trouble<CommandError> {
    match error {
        BlobError::Missing(_) => Trouble::Missing,
        BlobError::Corrupt { .. } | BlobError::TooLarge { .. } => {
            Trouble::Damaged(error.to_string())
        }
        BlobError::Io { .. } => Trouble::Place(error.into()),
    }
}

/// A document of the store, of the size that its descriptor says.
fn stored(blobs: &LocalBlobs, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<CommandError>> {
    let bytes = read_small(blobs, wanted.digest, MAX_DOCUMENT).map_err(of_blob)?;
    if bytes.len() as u64 != wanted.size {
        let found = bytes.len();
        return Err(Trouble::Damaged(format!(
            "{} has {found} bytes, it is listed with {}",
            wanted.digest, wanted.size
        )));
    }
    Ok(bytes)
}

impl EvidencePlace for InRegistry<'_> {
    type Error = CommandError;

    fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Trouble<CommandError>> {
        let found = self.registry.referrers(self.name, subject, None);
        Ok(found.map_err(of_registry)?.manifests)
    }

    fn tagged(&self, tag: &str) -> Result<Descriptor, Trouble<CommandError>> {
        let tag = tag_of(self.name, tag)?;
        let found = self.registry.document(&tag, self.store.blobs());
        found.map_err(of_registry)
    }

    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<CommandError>> {
        let name = self.name.with_digest(wanted.digest);
        let found = self.registry.document(&name, self.store.blobs());
        found.map_err(of_registry)?;
        stored(self.store.blobs(), wanted)
    }

    fn blobs(&self, _: &Descriptor, blobs: &[Descriptor]) -> Result<(), Trouble<CommandError>> {
        let total = blobs
            .iter()
            .fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        let events: Box<dyn EventSink> = if total < SHOWN {
            Box::new(NoEvents)
        } else {
            self.context
                .settings
                .view
                .start(&self.context.settings.output)
        };
        let store = self.store.blobs();
        let fetched = self
            .registry
            .blobs(self.name, blobs, store, events.as_ref());
        fetched.map_err(of_registry)
    }
}

/// Beside an image in a layout, from where it is copied.
pub(crate) struct InLayout<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) blobs: &'a LocalBlobs,
}

/// What an error of a layout says of what was asked for.
pub(crate) fn of_layout(error: TransportError) -> Trouble<CommandError> {
    match error {
        TransportError::NoMember { .. } => Trouble::Missing,
        TransportError::Blob(error) => of_blob(error),
        TransportError::Io { .. } => Trouble::Place(error.into()),
        _ => Trouble::Damaged(CommandError::from(error).to_string()),
    }
}

impl EvidencePlace for InLayout<'_> {
    type Error = CommandError;

    fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Trouble<CommandError>> {
        let entries = self.layout.index().manifests.iter();
        let artifacts = entries.filter(|entry| entry.artifact_type.is_some());
        let mut found = Vec::new();
        for entry in artifacts.take(MAX_ENTRIES) {
            // What cannot be read may be about this image: it is listed, and its trouble is told.
            let other = self
                .document(entry)
                .ok()
                .and_then(|bytes| Manifest::parse(&bytes, None).ok())
                .and_then(|manifest| manifest.subject)
                .is_some_and(|about| about.digest != subject);
            if !other {
                found.push(entry.clone());
            }
        }
        Ok(found)
    }

    fn tagged(&self, tag: &str) -> Result<Descriptor, Trouble<CommandError>> {
        let mut entries = self.layout.index().manifests.iter();
        let named =
            |entry: &&Descriptor| entry.annotations.get(REF_NAME).map(String::as_str) == Some(tag);
        entries.find(named).cloned().ok_or(Trouble::Missing)
    }

    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<CommandError>> {
        self.layout.document(self.blobs, wanted).map_err(of_layout)
    }

    fn blobs(&self, _: &Descriptor, blobs: &[Descriptor]) -> Result<(), Trouble<CommandError>> {
        for blob in blobs {
            self.layout.copy(self.blobs, blob).map_err(of_layout)?;
        }
        Ok(())
    }
}

/// What `repro pull --referrers` brought into the store.
pub(crate) struct InStore<'a> {
    pub(crate) store: &'a Store,
    pub(crate) name: &'a ImageRef,
}

impl EvidencePlace for InStore<'_> {
    type Error = CommandError;

    fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Trouble<CommandError>> {
        let list = referrers_name(self.name, subject).map_err(Trouble::Place)?;
        let Some(list) = self.store.resolve(&list).map_err(place)? else {
            return Ok(Vec::new());
        };
        let bytes = stored(self.store.blobs(), &list)?;
        let index = Index::parse(&bytes, Some(&list.media_type));
        Ok(index
            .map_err(|error| Trouble::Damaged(error.to_string()))?
            .manifests)
    }

    fn tagged(&self, tag: &str) -> Result<Descriptor, Trouble<CommandError>> {
        let tag = tag_of(self.name, tag)?;
        let found = self.store.resolve(&tag).map_err(place)?;
        found.ok_or(Trouble::Missing)
    }

    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<CommandError>> {
        stored(self.store.blobs(), wanted)
    }

    fn blobs(&self, _: &Descriptor, blobs: &[Descriptor]) -> Result<(), Trouble<CommandError>> {
        for blob in blobs {
            if self
                .store
                .blobs()
                .size(blob.digest)
                .map_err(of_blob)?
                .is_none()
            {
                return Err(Trouble::Missing);
            }
        }
        Ok(())
    }
}

fn place(error: impl Into<CommandError>) -> Trouble<CommandError> {
    Trouble::Place(error.into())
}
