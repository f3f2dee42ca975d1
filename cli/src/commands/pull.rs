//! `repro pull`

use std::collections::BTreeSet;

use repro_core::{
    digest::Digest,
    event::EventSink,
    image::{Descriptor, Index, MediaType, find_platform, load_image},
    json::canonical,
    platform::Platform,
    reference::ImageRef,
    store::{BlobStore as _, Store, put_bytes},
};
use repro_toolchains::registry::{Platforms, Pulled, Registry, fallback_tag};
use serde::Serialize;

use super::Context;
use crate::{
    args::{JsonArgs, ProgressArgs, registry_reference},
    error::{CommandError, ErrorKind},
    evidence::attach::legacy_name,
    exit::ExitStatus,
    output::Format,
    registries::RegistryArgs,
    text,
};

/// Bring an image from a registry into the store
///
/// REF then means the image there. Every digest and size is verified as the bytes arrive; what the store
/// has already is not fetched again, and what was interrupted is gone on with. A build fetches nothing
/// but what is pinned by digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro pull busybox:1.36
  repro pull --platform linux/amd64 --platform linux/arm64 registry.example/app:1
  repro pull --registry-mirror docker.io=https://mirror.example busybox
  repro pull registry.example/app@sha256:...
  repro pull --referrers registry.example/app:1")]
pub(crate) struct Args {
    /// The image, with a tag or a digest; latest unless given
    #[arg(value_name = "REF", value_parser = registry_reference)]
    reference: ImageRef,
    /// Which image of a list; that of this machine unless given. Of several, REF means the list
    #[arg(
        long,
        value_name = "OS/ARCH",
        env = "REPRO_PLATFORM",
        value_delimiter = ','
    )]
    platform: Vec<Platform>,
    /// All images of the list, and what else is on it
    #[arg(long)]
    all_platforms: bool,
    /// Also what refers to the images: signatures, statements, bills of materials, and the statements that
    /// cosign 2 keeps under a tag
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    image: Pull<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pull<'a> {
    name: &'a ImageRef,
    digest: Digest,
    media_type: &'a MediaType,
    manifests: Vec<Manifest<'a>>,
    /// Blobs and documents that were not in the store, and their bytes.
    fetched: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrers: Option<Vec<Digest>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a Platform>,
}

impl<'a> Manifest<'a> {
    fn of(found: &'a Descriptor) -> Self {
        Self {
            digest: found.digest,
            size: found.size,
            platform: found.platform.as_ref(),
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let store = context.open_store()?;
    let reference = &args.reference;
    let failed = |error: CommandError| error.context(format!("cannot pull {reference}"));
    let registry = args.registries.watched(context, &store);
    let events = context.settings.view.start(&context.settings.output);
    let (pulled, referrers) = pull(args, &registry, &store, events.as_ref()).map_err(failed)?;
    drop(events);
    let output = &context.settings.output;
    match output.format() {
        Format::Json => {
            let image = Pull {
                name: reference,
                digest: pulled.root.digest,
                media_type: &pulled.root.media_type,
                manifests: pulled.manifests.iter().map(Manifest::of).collect(),
                fetched: pulled.fetched,
                bytes: pulled.bytes,
                referrers,
            };
            output.json("cli/pull/v1", &Document { image })?;
        }
        Format::Text => {
            output.text(&format!("{reference} {}", pulled.root.digest))?;
            if let Some(referrers) = referrers {
                let count = text::plural(referrers.len() as u64, "referrer");
                output.status(&format!("{count} in the store"));
            }
        }
    }
    Ok(ExitStatus::Done)
}

fn pull(
    args: &Args,
    registry: &Registry,
    store: &Store,
    events: &dyn EventSink,
) -> Result<(Pulled, Option<Vec<Digest>>), CommandError> {
    let reference = &args.reference;
    let platforms = platforms(args)?;
    let pulled = registry.pull(reference, &platforms, store.blobs(), events)?;
    // Whole and an image, for each platform that was asked for, before the name means it.
    let wanted: Vec<&Platform> = match &platforms {
        Platforms::One(platform) => vec![platform],
        Platforms::Several(platforms) => platforms.iter().collect(),
        Platforms::All => Vec::new(),
    };
    for platform in wanted {
        let manifest = find_platform(store.blobs(), pulled.root.digest, platform)?;
        load_image(store.blobs(), manifest)?;
    }
    store.tag(reference, &pulled.root)?;
    let mut referrers = None;
    if args.referrers {
        let mut subjects = vec![pulled.root.digest];
        subjects.extend(pulled.manifests.iter().map(|manifest| manifest.digest));
        subjects.dedup();
        let mut all = Vec::new();
        for subject in subjects {
            all.extend(pull_referrers(registry, reference, subject, store, events)?);
            all.extend(pull_legacy(registry, reference, subject, store, events)?);
        }
        referrers = Some(all);
    }
    Ok((pulled, referrers))
}

fn platforms(args: &Args) -> Result<Platforms, CommandError> {
    let given: BTreeSet<Platform> = args.platform.iter().cloned().collect();
    let mut each = given.iter();
    Ok(match (args.all_platforms, each.next(), each.next()) {
        (true, None, _) => Platforms::All,
        (true, Some(_), _) => {
            return Err(CommandError::message(
                ErrorKind::Usage,
                "--all-platforms and --platform exclude each other",
            ));
        }
        (false, None, _) => Platforms::One(Platform::host()),
        (false, Some(only), None) => Platforms::One(only.clone()),
        (false, Some(_), Some(_)) => Platforms::Several(given),
    })
}

/// Brings what refers to `subject` into the store, as a list under the name that stands for it where a
/// registry keeps none: there `repro push --referrers` finds it, and no collection of garbage takes it.
fn pull_referrers(
    registry: &Registry,
    name: &ImageRef,
    subject: Digest,
    store: &Store,
    events: &dyn EventSink,
) -> Result<Vec<Digest>, CommandError> {
    let found = registry.referrers(name, subject, None)?.manifests;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    for artifact in &found {
        let artifact = name.with_digest(artifact.digest);
        registry.pull(&artifact, &Platforms::All, store.blobs(), events)?;
    }
    let digests = found.iter().map(|artifact| artifact.digest).collect();
    let bytes = canonical(&Index::new(found))
        .map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
    let list = put_bytes(store.blobs(), &bytes)?;
    let size = store.blobs().size(list.digest)?.unwrap_or_default();
    let list = Descriptor::new(MediaType::OciIndex, list.digest, size);
    store.tag(&referrers_name(name, subject)?, &list)?;
    Ok(digests)
}

/// Brings what the legacy tag of `subject` means, where there is one, into the store under the same name.
fn pull_legacy(
    registry: &Registry,
    name: &ImageRef,
    subject: Digest,
    store: &Store,
    events: &dyn EventSink,
) -> Result<Option<Digest>, CommandError> {
    let tag = legacy_name(name, subject)?;
    match registry.pull(&tag, &Platforms::All, store.blobs(), events) {
        Err(error) if error.is_not_found() => Ok(None),
        pulled => {
            let root = pulled?.root;
            store.tag(&tag, &root)?;
            Ok(Some(root.digest))
        }
    }
}

/// The name in the store of the list of what refers to `subject`.
pub(crate) fn referrers_name(name: &ImageRef, subject: Digest) -> Result<ImageRef, CommandError> {
    let text = format!("{}:{}", name.name(), fallback_tag(subject));
    text.parse()
        .map_err(|error| CommandError::new(ErrorKind::Internal, &error))
}
