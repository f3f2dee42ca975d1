//! What is verified: an evidence pack, or an image with what lies beside it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_core::{
    digest::Digest,
    hosts::DEFAULT_REGISTRY,
    image::{
        Descriptor, Document, Index, MAX_DOCUMENT, StoredImage, find_platform, load_image,
        transport::{self, Archive, ImportOptions, Layout, Location, LocationError},
    },
    layer::Limits,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
    store::{LocalBlobs, read_small},
};
use repro_toolchains::registry::{Platforms, RegistryError};
use repro_verifier::{
    attached::{
        gather::{EvidencePlace, Gathered, Trouble, gather},
        unpack,
    },
    bundle::BUNDLE_MAX,
    terms::Terms,
    verify::{
        self, Beside, ImageFacts, Looked, Named, PackAt, VerifiedPack, VerifyReport, Wanted,
        refuse_image, verify_image,
    },
};
use tempfile::TempDir;

use super::Args;
use crate::{
    commands::Context,
    error::CommandError,
    evidence::places::{InLayout, InRegistry, InStore, of_layout},
    images,
};

/// What the user named.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The directory of a pack.
    Pack(PathBuf),
    /// An image in a file or directory.
    Archive(Archive),
    /// An image in a registry.
    Registry(ImageRef),
}

/// Why a text names nothing that can be verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubjectError {
    /// A transport without a path, or the like.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A plain tar.
    #[error("a plain tar of files has no digest that evidence could be about")]
    Rootfs,
    /// Standard input.
    #[error("what is verified is read more than once; name a file")]
    Stream,
    /// A directory by the name of something else: whoever fills the working directory would decide what is
    /// verified.
    #[error(
        "names an image, and there is a directory of that name: write ./{0} for the directory, and docker://... for the image in a registry"
    )]
    Directory(String),
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// A directory that is there is a pack, unless its name is one of an image; so is what can be no
    /// reference.
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text.starts_with(['.', '/']) {
            return Ok(Self::Pack(text.into()));
        }
        if Path::new(text).is_dir() {
            return if names_image(text) {
                Err(SubjectError::Directory(text.to_owned()))
            } else {
                Ok(Self::Pack(text.into()))
            };
        }
        match text.parse() {
            Ok(Location::Registry(name) | Location::Store(name)) => Ok(Self::Registry(name)),
            Ok(Location::Archive(Archive::Rootfs { .. })) => Err(SubjectError::Rootfs),
            Ok(Location::Archive(archive)) if archive.is_stream() => Err(SubjectError::Stream),
            Ok(Location::Archive(archive)) => Ok(Self::Archive(archive)),
            Err(LocationError::Reference(_)) if !text.contains("://") => {
                Ok(Self::Pack(text.into()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a text says more of an image than a directory's name does: a tag, a digest, a transport, or the
/// host of a registry.
fn names_image(text: &str) -> bool {
    let host = text.split_once('/').map_or("", |(host, _)| host);
    text.contains([':', '@']) || host.contains('.') || host == "localhost"
}

impl Subject {
    /// As `repro diff` names it. What lies on the disk is meant there, and no image of that name.
    pub(super) fn side(&self, offline: bool) -> String {
        match self {
            Self::Pack(dir) if dir.has_root() || dir.starts_with(".") => dir.display().to_string(),
            Self::Pack(dir) => format!("./{}", dir.display()),
            Self::Archive(archive) => archive.to_string(),
            Self::Registry(name) if offline => name.to_string(),
            Self::Registry(name) => Location::Registry(name.clone()).to_string(),
        }
    }
}

/// Verifies what was named; a report for each pack, or for an image without one.
pub(super) fn verify(
    args: &Args,
    context: &Context,
    terms: &Terms<'_>,
    wanted: Wanted,
) -> Result<Verified, CommandError> {
    let work = Work {
        args,
        context,
        terms,
        wanted,
        kept: RefCell::default(),
    };
    let mut reports = Vec::new();
    for subject in &args.subjects {
        reports.extend(match subject {
            Subject::Pack(dir) if args.beside.evidence.is_empty() => {
                vec![(dir.display().to_string(), verify::look(dir, terms)?)]
            }
            Subject::Pack(_) => {
                return Err(CommandError::usage(
                    "a pack is its own evidence: --evidence names one for an image",
                ));
            }
            Subject::Archive(archive) => work.archive(archive)?,
            Subject::Registry(name) if args.beside.offline => work.store(name)?,
            Subject::Registry(name) => work.registry(name)?,
        });
    }
    let mut kept = work.kept.into_inner();
    let reports = reports.into_iter().map(|(name, looked)| {
        kept.packs.extend(looked.pack);
        (name, looked.report)
    });
    let reports = reports.collect();
    Ok(Verified { reports, kept })
}

/// What was looked at.
#[derive(Debug)]
pub(super) struct Verified {
    /// Reports by the names of what they are on.
    pub(super) reports: Vec<(String, VerifyReport)>,
    /// The packs of which all was verified.
    pub(super) kept: Kept,
}

/// Packs of which all was verified, as long as somebody goes by them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) packs: Vec<VerifiedPack>,
    /// Directories that were made for them.
    scratch: Vec<TempDir>,
}

/// What was found, by the names of what it is on.
type Reports = Vec<(String, Looked)>;

struct Work<'a> {
    args: &'a Args,
    context: &'a Context,
    terms: &'a Terms<'a>,
    wanted: Wanted,
    kept: RefCell<Kept>,
}

/// An image of which every blob is there, and the list that it is on.
struct Image {
    name: String,
    named: Named,
    stored: StoredImage,
    list: Option<(Digest, Index)>,
}

impl Work<'_> {
    fn platform(&self) -> Platform {
        self.args
            .beside
            .platform
            .clone()
            .unwrap_or_else(Platform::host)
    }

    fn registry(&self, name: &ImageRef) -> Result<Reports, CommandError> {
        let store = self.context.open_store()?;
        let registry = self.args.beside.registries.watched(self.context, &store);
        let failed = |error: CommandError| {
            let error = error.context(format!("cannot verify {name}"));
            if name.registry() == DEFAULT_REGISTRY {
                error.hint("if an evidence pack is meant: there is no directory of that name here")
            } else {
                error
            }
        };
        // Once: whatever the tag means afterwards, this is what is verified.
        let root = match registry.document(name, store.blobs()) {
            Err(error) if error.is_damage() => return Ok(damaged(name, error)),
            found => found.map_err(|error| failed(error.into()))?,
        };
        let pinned = name.with_digest(root.digest);
        let platforms = if root.media_type.is_index() {
            Platforms::One(self.platform())
        } else {
            Platforms::All
        };
        let events = self
            .context
            .settings
            .view
            .start(&self.context.settings.output);
        match registry.pull(&pinned, &platforms, store.blobs(), events.as_ref()) {
            Err(error) if error.is_damage() => return Ok(damaged(name, error)),
            pulled => pulled.map_err(|error| failed(error.into()))?,
        };
        drop(events);
        let named = named(name);
        let image = self.image(store.blobs(), name, named, &root)?;
        let place = InRegistry {
            registry: &registry,
            name: &pinned,
            context: self.context,
            store: &store,
        };
        self.gathered(&place, &image, store.blobs(), store.blobs().tmp())
            .map_err(failed)
    }

    /// What the store has, without a network.
    fn store(&self, name: &ImageRef) -> Result<Reports, CommandError> {
        let store = self.context.open_store()?;
        let root = images::find(&store, name).map_err(|error| {
            error.hint(format!(
                "bring it in with its evidence: repro pull --referrers {name}"
            ))
        })?;
        let image = self.image(store.blobs(), name, named(name), &root)?;
        let place = InStore {
            store: &store,
            name,
        };
        self.gathered(&place, &image, store.blobs(), store.blobs().tmp())
    }

    fn archive(&self, archive: &Archive) -> Result<Reports, CommandError> {
        let store = self.context.open_store()?;
        let scratch = scratch(store.blobs().tmp())?;
        let blobs = LocalBlobs::open(scratch.path()).map_err(|error| write_failed(&error))?;
        let name = Location::Archive(archive.clone()).to_string();
        let failed = |error: CommandError| error.context(format!("cannot verify {name}"));
        let platform = self.platform();
        let options = ImportOptions {
            platform: &platform,
            limits: Limits::default(),
            ruleset: Ruleset::V1,
        };
        let image = match transport::import(&blobs, archive, options).map_err(of_layout) {
            Ok(image) => image,
            Err(Trouble::Damaged(why)) => {
                return Ok(refused(name, &why));
            }
            Err(Trouble::Place(error)) => return Err(failed(error)),
            Err(Trouble::Missing) => {
                return Ok(refused(name, "a part of the image is missing"));
            }
        };
        let mut image = Image {
            name: name.clone(),
            named: Named::InFile,
            stored: image,
            list: None,
        };
        if let Archive::DockerArchive { .. } = archive {
            // Its manifest was made here, and is about nothing that anybody signed.
            let facts = ImageFacts {
                manifest: None,
                ..image.facts()
            };
            return self.finish(&facts, self.given(), &blobs).map_err(failed);
        }
        let tag = match archive {
            Archive::OciDir { tag, .. } | Archive::OciArchive { tag, .. } => tag.as_deref(),
            _ => None,
        };
        let layout = Layout::open(archive, store.blobs().tmp(), Limits::default())?;
        image.list = list_of(&layout, &blobs, tag);
        let place = InLayout {
            layout: &layout,
            blobs: &blobs,
        };
        self.gathered(&place, &image, &blobs, store.blobs().tmp())
            .map_err(failed)
    }

    fn image(
        &self,
        blobs: &LocalBlobs,
        name: &ImageRef,
        named: Named,
        root: &Descriptor,
    ) -> Result<Image, CommandError> {
        let bytes = read_small(blobs, root.digest, MAX_DOCUMENT)?;
        let list = match Document::parse(&bytes, None)? {
            Document::Index(index) => Some((root.digest, index)),
            Document::Manifest(_) => None,
        };
        let manifest = match &list {
            Some(_) => find_platform(blobs, root.digest, &self.platform())?,
            None => root.digest,
        };
        let shown = name.to_string();
        let image = load_image(blobs, manifest)
            .map_err(|error| CommandError::from(error).context(format!("cannot verify {name}")))?;
        Ok(Image {
            name: shown,
            named,
            stored: image,
            list,
        })
    }

    /// Packs that the user named, which then are all the evidence.
    fn given(&self) -> Beside {
        let packs = self.args.beside.evidence.iter().map(|dir| PackAt {
            at: dir.display().to_string(),
            dir: dir.clone(),
        });
        Beside {
            packs: packs.collect(),
            ..Beside::default()
        }
    }

    fn gathered<P: EvidencePlace<Error = CommandError>>(
        &self,
        place: &P,
        image: &Image,
        blobs: &LocalBlobs,
        tmp: &Path,
    ) -> Result<Reports, CommandError> {
        let facts = image.facts();
        if !self.args.beside.evidence.is_empty() {
            return self.finish(&facts, self.given(), blobs);
        }
        let list = image.list.as_ref().map(|(digest, index)| (*digest, index));
        let manifest = image.stored.descriptor.digest;
        let found = gather(place, manifest, list, &image.parts())?;
        let scratch = scratch(tmp)?;
        let beside = lay_out(found, blobs, scratch.path())?;
        self.kept.borrow_mut().scratch.push(scratch);
        self.finish(&facts, beside, blobs)
    }

    fn finish(
        &self,
        facts: &ImageFacts,
        beside: Beside,
        blobs: &LocalBlobs,
    ) -> Result<Reports, CommandError> {
        Ok(verify_image(facts, beside, blobs, self.terms, self.wanted)?)
    }
}

impl Image {
    fn facts(&self) -> ImageFacts {
        ImageFacts {
            name: self.name.clone(),
            named: self.named,
            manifest: Some(self.stored.descriptor.digest),
            config: self.stored.manifest.config.digest,
            list: self.list.as_ref().map(|(digest, _)| *digest),
        }
    }

    /// What the image is made of, with sizes.
    fn parts(&self) -> BTreeMap<Digest, u64> {
        let manifest = &self.stored.manifest;
        let all = manifest.layers.iter().chain([&manifest.config]);
        let own = &self.stored.descriptor;
        all.chain([own])
            .map(|part| (part.digest, part.size))
            .collect()
    }
}

fn named(name: &ImageRef) -> Named {
    if name.digest().is_some() {
        Named::ByDigest
    } else {
        Named::ByTag
    }
}

fn damaged(name: &ImageRef, error: RegistryError) -> Reports {
    refused(name.to_string(), &CommandError::from(error).to_string())
}

fn refused(name: String, why: &str) -> Reports {
    let report = refuse_image(&name, why);
    vec![(name, Looked::refused(report))]
}

/// The list of a layout that the image is on, if it is on one that can be read.
fn list_of(layout: &Layout, blobs: &LocalBlobs, tag: Option<&str>) -> Option<(Digest, Index)> {
    let root = layout.choose(tag).ok()?;
    let bytes = layout.document(blobs, &root).ok()?;
    match Document::parse(&bytes, None).ok()? {
        Document::Index(index) => Some((root.digest, index)),
        Document::Manifest(_) => None,
    }
}

/// Gives every pack its directory below `dir`, and reads the statements.
fn lay_out(found: Gathered, blobs: &LocalBlobs, dir: &Path) -> Result<Beside, CommandError> {
    let mut beside = Beside {
        others: found.others,
        damaged: found.damaged,
        ..Beside::default()
    };
    for (number, pack) in found.packs.iter().enumerate() {
        let at = pack.artifact.to_string();
        let dir = dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|error| write_failed(&error))?;
        unpack(&pack.files, blobs, &dir)?;
        beside.packs.push(PackAt { at, dir });
    }
    for statement in found.statements {
        let bytes = read_small(blobs, statement.blob, BUNDLE_MAX as u64)?;
        beside.statements.push((statement, bytes));
    }
    Ok(beside)
}

/// A directory that is gone when the command ends, on the store's file system.
fn scratch(tmp: &Path) -> Result<TempDir, CommandError> {
    tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(tmp)
        .map_err(|error| write_failed(&error))
}

fn write_failed(error: &std::io::Error) -> CommandError {
    CommandError::new(crate::error::io_kind(error), error).context("cannot write to the store")
}
