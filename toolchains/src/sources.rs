//! What the names that a project declares stand for: the builder's way in.

use std::collections::BTreeMap;

use repro_core::{
    build::{InputKind, InputRecord, LockMode},
    digest::Digest,
    image::LayerDescriptor,
    platform::Platform,
    reference::ImageRef,
    store::StoreError,
};

use crate::{
    definition::{self, PinnedToolchain},
    inputs::InputError,
    lock::{LockError, LockedInput, LockedSource, ProjectLock},
    materialise::{MaterialiseError, Workshop},
    project::{Project, ToolchainSource},
    registry::{Platforms, Registry, RegistryError},
};

/// Why a declared name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The lock, or a shipped one, cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Declared, but the project's lock does not have it.
    #[error("{0} is declared in repro.toml and has no entry in the lock")]
    NotLocked(String),
    /// The lock has another thing under the name.
    #[error("{name} is {declared} in repro.toml and {locked} in the lock")]
    OtherThing {
        /// The name.
        name: String,
        /// What the project says.
        declared: String,
        /// What the lock says.
        locked: String,
    },
    /// The lock is for another platform.
    #[error("{name} is locked for {locked}, and {wanted} is built")]
    Platform {
        /// The name.
        name: String,
        /// The platform in the lock.
        locked: String,
        /// The platform of the build.
        wanted: Platform,
    },
    /// The toolchain cannot be made.
    #[error(transparent)]
    Toolchain(#[from] MaterialiseError),
    /// The input cannot be made.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The image cannot be fetched.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The image cannot be given a name.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A toolchain that is in the store as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// The image, then every package that it was made of.
    pub records: Vec<InputRecord>,
}

/// An input that is in the store as a layer on nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedTree {
    /// Its tree.
    pub layer: LayerDescriptor,
    /// The tree, then every file that it was made of.
    pub records: Vec<InputRecord>,
}

/// Manifests of images, by name and platform.
pub type Pins = BTreeMap<(ImageRef, Platform), Digest>;

/// Looks declared names up, and makes what they stand for if it is not in the store.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// What the project declares.
    pub project: &'a Project,
    /// Which bytes that is; `None` if the project has no lock.
    pub lock: Option<&'a ProjectLock>,
    /// What images mean before any lock is asked: those of a build that is done again.
    pub pins: &'a Pins,
    /// Whether a toolchain without lock may be used, in the state that is shipped. An input
    /// without lock never may: nothing says which bytes it has.
    pub lock_mode: LockMode,
    /// The platform of the build.
    pub platform: &'a Platform,
    /// Brings images that are pinned by digest.
    pub registry: &'a Registry,
    /// Makes things.
    pub workshop: Workshop<'a>,
}

impl Sources<'_> {
    /// The toolchain declared as `name`; `None` if none is.
    pub fn toolchain(&self, name: &str) -> Result<Option<ResolvedImage>, SourceError> {
        let Some(declared) = self.project.toolchains.get(name) else {
            return Ok(None);
        };
        let (toolchain, locked) = self.locked_toolchain(name, declared)?;
        if toolchain.lock.platform != *self.platform {
            return Err(SourceError::Platform {
                name: name.to_owned(),
                locked: toolchain.lock.platform.to_string(),
                wanted: self.platform.clone(),
            });
        }
        let manifest = self.workshop.toolchain(&toolchain)?;
        let image = InputRecord {
            uri: format!(
                "pkg:generic/repro/{}@{}",
                toolchain.definition.name,
                toolchain.lock_digest.hex()
            ),
            name: Some(name.to_owned()),
            digest: manifest,
            kind: InputKind::Toolchain,
            step: None,
            locked,
        };
        let packages = toolchain.lock.packages.iter().map(|package| InputRecord {
            uri: package.purl(),
            name: None,
            digest: package.file.sha256,
            kind: InputKind::Package,
            step: None,
            locked,
        });
        let records = std::iter::once(image).chain(packages).collect();
        Ok(Some(ResolvedImage { manifest, records }))
    }

    /// The toolchain behind `name`, and whether the project's lock pins it.
    fn locked_toolchain(
        &self,
        name: &str,
        declared: &ToolchainSource,
    ) -> Result<(PinnedToolchain, bool), SourceError> {
        let not_locked = || SourceError::NotLocked(name.to_owned());
        let Some(lock) = self.lock else {
            return match declared {
                ToolchainSource::Shipped(shipped) if self.lock_mode != LockMode::Locked => {
                    // The project was parsed with names of shipped toolchains only.
                    let shipped = definition::shipped(shipped)?.ok_or_else(not_locked)?;
                    Ok((shipped, false))
                }
                // Which packages one of the project's own has, only its lock says.
                ToolchainSource::Shipped(_) | ToolchainSource::Own(_) => Err(not_locked()),
            };
        };
        let locked = lock.toolchains.get(name).ok_or_else(not_locked)?;
        let same = match (&locked.source, declared) {
            (LockedSource::Shipped { uses, .. }, ToolchainSource::Shipped(shipped)) => {
                uses == shipped
            }
            (LockedSource::Own(lock), ToolchainSource::Own(own)) => lock.definition == own.digest(),
            _ => false,
        };
        if !same {
            return Err(SourceError::OtherThing {
                name: name.to_owned(),
                declared: declared.to_string(),
                locked: match &locked.source {
                    LockedSource::Shipped { uses, .. } => uses.clone(),
                    LockedSource::Own(_) => "other packages".to_owned(),
                },
            });
        }
        let pinned = lock.toolchain(name, declared)?.ok_or_else(not_locked)?;
        Ok((pinned, true))
    }

    /// What `name` means in its registry now: the digest of the platform's manifest. Fetches documents
    /// alone; only a lock asks this, since another answer tomorrow is another build.
    pub fn look_up_image(
        &self,
        name: &ImageRef,
        platform: &Platform,
    ) -> Result<Digest, SourceError> {
        Ok(self.registry.resolve(name, platform)?.manifest.digest)
    }

    /// Brings the image of `name` with this digest into the store, where its full name keeps it.
    pub fn fetch_image(
        &self,
        name: &ImageRef,
        digest: Digest,
        platform: &Platform,
    ) -> Result<(), SourceError> {
        let pinned = name.with_digest(digest);
        let Workshop { store, events, .. } = self.workshop;
        let platforms = Platforms::One(platform.clone());
        let pulled = self
            .registry
            .pull(&pinned, &platforms, store.blobs(), events)?;
        Ok(store.tag(&pinned, &pulled.root)?)
    }

    /// The input declared as `name`; `None` if none is.
    pub fn input(&self, name: &str) -> Result<Option<ResolvedTree>, SourceError> {
        let Some(declared) = self.project.inputs.get(name) else {
            return Ok(None);
        };
        let locked = self.lock.and_then(|lock| lock.inputs.get(name));
        let locked = locked.ok_or_else(|| SourceError::NotLocked(name.to_owned()))?;
        if locked.purl != *declared {
            return Err(SourceError::OtherThing {
                name: name.to_owned(),
                declared: declared.to_string(),
                locked: locked.purl.to_string(),
            });
        }
        if !locked.platform.covers(self.platform) {
            return Err(SourceError::Platform {
                name: name.to_owned(),
                locked: locked.platform.to_string(),
                wanted: self.platform.clone(),
            });
        }
        let layer = self.workshop.input(locked)?;
        let records = input_records(name, locked, &layer);
        Ok(Some(ResolvedTree { layer, records }))
    }
}

fn input_records(name: &str, input: &LockedInput, layer: &LayerDescriptor) -> Vec<InputRecord> {
    let tree = InputRecord {
        uri: input.purl.to_string(),
        name: Some(name.to_owned()),
        digest: layer.diff_id.0,
        kind: InputKind::Source,
        step: None,
        locked: true,
    };
    let files = input.files.iter().map(|file| InputRecord {
        uri: format!("{}#{}", input.purl, file.name),
        name: None,
        digest: file.file.sha256,
        kind: InputKind::Package,
        step: None,
        locked: true,
    });
    std::iter::once(tree).chain(files).collect()
}
