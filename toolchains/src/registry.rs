//! Images in and out of registries (distribution-spec 1.1).
//!
//! A [`Registry`] is made once for an invocation, with everything that surrounds it as
//! [`RegistrySettings`]: nothing here reads the environment. Its calls block, show progress as events,
//! and end soon after `cancelled` is set.
//!
//! Nothing that arrives is believed: every document and blob has the digest and the size that it was
//! asked for by, or it is not kept; none is read beyond that size; a manifest is never taken for an
//! index. What is in the store already is not fetched again, and what an interruption left is gone on
//! with. Credentials go to the host they are for and to the service of tokens that it names, never
//! to where it redirects to.
//!
//! ```no_run
//! # use repro_core::{event::NoEvents, platform::Platform, store::Store};
//! # use repro_toolchains::registry::{Platforms, Registry, RegistryError, RegistrySettings};
//! # fn lock(store: &Store, settings: RegistrySettings) -> Result<(), RegistryError> {
//! let registry = Registry::new(settings);
//! let reference = "busybox:1.36".parse().unwrap();
//! // What `repro lock` writes down: the manifest of a platform.
//! let resolved = registry.resolve(&reference, &Platform::host())?;
//! // What a build fetches before its first step: that manifest, whatever the tag means by then.
//! let pinned = reference.with_digest(resolved.manifest.digest);
//! let platforms = Platforms::One(Platform::host());
//! let pulled = registry.pull(&pinned, &platforms, store.blobs(), &NoEvents)?;
//! assert_eq!(pulled.root.digest, resolved.manifest.digest);
//! # Ok(()) }
//! ```

mod client;
mod credentials;
mod document;
mod error;
mod place;
mod pull;
mod push;
mod referrers;
mod session;
mod trust;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use repro_core::{
    digest::Digest,
    event::EventSink,
    image::Descriptor,
    platform::Platform,
    reference::ImageRef,
    store::{BlobStore, LocalBlobs, put_bytes},
};

pub use credentials::{CredentialError, CredentialSources, HelperError};
pub use error::{Action, MirrorTried, RegistryError};
pub use place::{RegistryMirror, RegistryMirrorError};
pub use pull::{Platforms, Pulled};
pub use push::{MountCandidates, Pushed};
pub use referrers::{Referrers, ReferrersSource, fallback_tag};
pub use trust::Trust;

use self::{
    client::Client,
    place::Place,
    session::{Known, Session},
};
use crate::fetch::RetryPolicy;

/// Everything that surrounds a registry client.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Who we are.
    pub credentials: CredentialSources,
    /// Places that are asked before the registry itself, in this order. Only for reading.
    pub mirrors: Vec<RegistryMirror>,
    /// Registries, `HOST[:PORT]`, that are talked to without TLS. Those on this machine need not be
    /// named.
    pub plain_http: BTreeSet<String>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Directory for unfinished downloads, on the store's file system.
    pub partial: PathBuf,
    /// When to ask again.
    pub retry: RetryPolicy,
    /// Set by the caller to stop.
    pub cancelled: Arc<AtomicBool>,
}

impl RegistrySettings {
    /// Nobody known, no mirrors, the machine's certificates, unfinished downloads in `partial`.
    #[must_use]
    pub fn at(partial: PathBuf) -> Self {
        Self {
            credentials: CredentialSources::default(),
            mirrors: Vec::new(),
            plain_http: BTreeSet::new(),
            trust: Trust::default(),
            partial,
            retry: RetryPolicy::default(),
            cancelled: Arc::default(),
        }
    }
}

/// What a reference means for one platform now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The list that has the image; `None` where the reference names the image itself. A lock does not
    /// need it: the manifest is what is built on, and a list changes with every other platform.
    pub index: Option<Digest>,
    /// The manifest, with its platform: what a lock pins, and what [`Registry::pull`] fetches by
    /// `NAME@DIGEST`.
    pub manifest: Descriptor,
    /// The platform of that image, which may have a variant that was not asked for.
    pub platform: Platform,
}

/// A client of registries. Shared by threads; connections and tokens are kept while it lives.
pub struct Registry {
    client: Client,
    known: Known,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("settings", &self.client.settings)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A client. Connects to nothing yet.
    #[must_use]
    pub fn new(settings: RegistrySettings) -> Self {
        Self {
            client: Client::new(settings),
            known: Known::default(),
        }
    }

    /// What `reference` means for `platform`: one manifest, or an error that says which platforms
    /// there are. Fetches documents alone.
    pub fn resolve(
        &self,
        reference: &ImageRef,
        platform: &Platform,
    ) -> Result<Resolved, RegistryError> {
        self.reading(reference, |session| {
            pull::resolve(session, reference, platform)
        })
    }

    /// Brings images into `store`. The caller gives [`Pulled::root`] a name there; until then nothing
    /// keeps it from being collected as garbage.
    ///
    /// A reference with a digest gets exactly that, wherever it comes from.
    pub fn pull(
        &self,
        reference: &ImageRef,
        platforms: &Platforms,
        store: &LocalBlobs,
        events: &dyn EventSink,
    ) -> Result<Pulled, RegistryError> {
        self.reading(reference, |session| {
            pull::pull(session, reference, platforms, store, events)
        })
    }

    /// Brings the one document that `reference` means, a manifest or an index, into `store`, and nothing
    /// that it lists: for callers who decide by it what they want of the rest. What a tag means is asked
    /// once; the digest of the answer says the same for ever.
    pub fn document(
        &self,
        reference: &ImageRef,
        store: &dyn BlobStore,
    ) -> Result<Descriptor, RegistryError> {
        self.reading(reference, |session| {
            let fetched = pull::root(session, reference, Some(store))?;
            put_bytes(store, &fetched.bytes)?;
            Ok(fetched.descriptor)
        })
    }

    /// As [`Registry::document`], of the registry itself and as it is now, whatever its mirrors have: for
    /// callers who write it anew.
    pub fn current(
        &self,
        reference: &ImageRef,
        store: &dyn BlobStore,
    ) -> Result<Descriptor, RegistryError> {
        let session = self.writing(reference)?;
        let fetched = pull::root(&session, reference, None)?;
        put_bytes(store, &fetched.bytes)?;
        Ok(fetched.descriptor)
    }

    /// Brings blobs of the repository of `name` into `store`: those that are not there.
    pub fn blobs(
        &self,
        name: &ImageRef,
        blobs: &[Descriptor],
        store: &LocalBlobs,
        events: &dyn EventSink,
    ) -> Result<(), RegistryError> {
        let wanted = blobs.iter().map(|blob| (blob.digest, blob.clone()));
        let wanted = wanted.collect();
        self.reading(name, |session| {
            pull::fetch_blobs(session, name, &wanted, store, events).map(drop)
        })
    }

    /// Sends `root`, a manifest or a whole index of the store, to `to` and names it there: by the tag,
    /// or by its digest alone.
    pub fn push(
        &self,
        root: &Descriptor,
        to: &ImageRef,
        mounts: &MountCandidates,
        store: &dyn BlobStore,
        events: &dyn EventSink,
    ) -> Result<Pushed, RegistryError> {
        let session = self.writing(to)?;
        let session = session.reading_from(mounts.repositories());
        push::push(&session, root, to, mounts, store, events)
    }

    /// What refers to the manifest `subject` of the repository of `name`: its signatures, statements,
    /// bills of materials (OCI 1.1). With `artifact_type`, those of that type.
    pub fn referrers(
        &self,
        name: &ImageRef,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        self.reading(name, |session| {
            referrers::list(session, subject, artifact_type)
        })
    }

    /// Sends the manifest `artifact` of the store, which has a subject, and sees to it that
    /// [`Registry::referrers`] finds it, also where the registry does not keep such lists itself.
    pub fn push_referrer(
        &self,
        artifact: Digest,
        name: &ImageRef,
        store: &dyn BlobStore,
        events: &dyn EventSink,
    ) -> Result<Pushed, RegistryError> {
        let session = self.writing(name)?;
        referrers::push(&session, artifact, name, store, events)
    }

    /// Does `work` with the mirrors of the registry, then with the registry itself, until one of them
    /// can.
    fn reading<T>(
        &self,
        reference: &ImageRef,
        work: impl Fn(&Session<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let (registry, repository) = (reference.registry(), reference.repository());
        let mirrors = self.client.settings.mirrors.iter();
        let mirrors = mirrors.filter_map(|mirror| {
            let place = Place::of_mirror(mirror, registry, repository)?;
            Some((Some(mirror.to_string()), place))
        });
        let own = self.own(reference)?;
        let mut tried = Vec::new();
        for (mirror, place) in mirrors.chain([(None, own)]) {
            let session = Session::open(&self.client, &self.known, place, Action::Pull);
            match (session.and_then(|session| work(&session)), mirror) {
                (Err(error), Some(mirror)) if error.is_of_the_place() => {
                    tried.push(MirrorTried { mirror, error });
                }
                (Err(error), None) if error.is_of_the_place() && !tried.is_empty() => {
                    let source = Box::new(error);
                    return Err(RegistryError::Everywhere { tried, source });
                }
                (result, _) => return result,
            }
        }
        Err(RegistryError::Cancelled)
    }

    fn writing(&self, reference: &ImageRef) -> Result<Session<'_>, RegistryError> {
        let place = self.own(reference)?;
        Session::open(&self.client, &self.known, place, Action::Push)
    }

    fn own(&self, reference: &ImageRef) -> Result<Place, RegistryError> {
        let settings = &self.client.settings;
        let registry = reference.registry();
        let safe = !settings.trust.files_for(registry)?.is_empty();
        Ok(Place::of_registry(
            registry,
            reference.repository(),
            &settings.plain_http,
            safe,
        ))
    }
}
