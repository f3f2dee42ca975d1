//! `repro push`

use repro_core::{
    digest::Digest,
    image::{Document as Parsed, Index, MAX_DOCUMENT},
    reference::ImageRef,
    store::{Store, read_small},
};
use repro_toolchains::registry::Registry;
use serde::Serialize;

use super::{Context, pull::referrers_name};
use crate::{
    args::{JsonArgs, ProgressArgs, registry_reference},
    error::CommandError,
    evidence::attach::{self, Evidence, PackArgs, Placed},
    exit::ExitStatus,
    images,
    output::Format,
    registries::{RegistryArgs, send},
    text,
};

/// Send an image of the store to a registry
///
/// What the registry has already is not sent again.
#[derive(Debug, clap::Args)]
#[command(mut_arg("attach", |attach| attach.requires("evidence")))]
#[command(after_help = "\
Examples:
  repro push registry.example/acme/app:1
  repro push acme/app:1 registry.example/acme/app:1
  repro push --evidence repro-out registry.example/acme/app:1
  repro push --referrers registry.example/acme/app:1 other.example/acme/app:1")]
pub(crate) struct Args {
    /// The image, by its name in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// Where to; what REF says unless given
    #[arg(value_name = "DEST", value_parser = registry_reference)]
    to: Option<ImageRef>,
    /// Also what refers to the image and is in the store, as `repro pull --referrers` brings it
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    packs: PackArgs,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    push: Push<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Push<'a> {
    name: &'a ImageRef,
    digest: Digest,
    /// Blobs sent, and their bytes.
    sent: u64,
    bytes: u64,
    /// Blobs that another repository of the registry had.
    mounted: u64,
    /// Blobs that the repository had.
    present: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrers: Option<Vec<Digest>>,
    #[serde(skip_serializing_if = "<[Placed]>::is_empty")]
    attached: &'a [Placed],
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let store = context.open_store()?;
    let to = args.to.as_ref().unwrap_or(&args.reference);
    let failed = |error: CommandError| error.context(format!("cannot push to {to}"));
    let root = images::find(&store, &args.reference)?;
    // Before anything is sent: evidence on another image would leave this one without.
    let evidence = Evidence {
        packs: &args.packs.evidence,
        statements: &[],
    };
    let made = if args.packs.evidence.is_empty() {
        Vec::new()
    } else {
        attach::make(&store, &attach::subjects(&store, root.clone())?, evidence).map_err(failed)?
    };
    let forms = args.packs.attach.forms();
    let registry = args.registries.watched(context, &store);
    let pushed = send(&registry, context, &store, &root, to).map_err(failed)?;
    let placed =
        attach::to_registry(&registry, context, &store, to, forms, &made).map_err(failed)?;
    let referrers = if args.referrers {
        let all = push_referrers(args, &registry, context, &store, root.digest, to);
        Some(all.map_err(failed)?)
    } else {
        None
    };
    let output = &context.settings.output;
    match output.format() {
        Format::Json => {
            let push = Push {
                name: to,
                digest: pushed.digest,
                sent: pushed.sent,
                bytes: pushed.bytes,
                mounted: pushed.mounted,
                present: pushed.present,
                referrers,
                attached: &placed,
            };
            output.json("cli/push/v1", &Document { push })?;
        }
        Format::Text => {
            output.text(&format!("{to} {}", pushed.digest))?;
            for line in placed.iter().map(Placed::line) {
                output.status(&line);
            }
            if let Some(referrers) = referrers {
                let count = text::plural(referrers.len() as u64, "referrer");
                output.status(&format!("{count} pushed"));
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// Sends what the store knows to refer to the image, and to the images of a list.
fn push_referrers(
    args: &Args,
    registry: &Registry,
    context: &Context,
    store: &Store,
    root: Digest,
    to: &ImageRef,
) -> Result<Vec<Digest>, CommandError> {
    let mut subjects = vec![root];
    let bytes = read_small(store.blobs(), root, MAX_DOCUMENT)?;
    if let Parsed::Index(list) = Parsed::parse(&bytes, None)? {
        subjects.extend(list.manifests.iter().map(|manifest| manifest.digest));
    }
    let events = context.settings.view.start(&context.settings.output);
    let mut sent = Vec::new();
    for subject in subjects {
        if let Some(ours) = store.resolve(&attach::legacy_name(&args.reference, subject)?)? {
            let place = (to, subject);
            let events = events.as_ref();
            let there = attach::legacy_to_registry(registry, events, store, place, ours.digest)?;
            sent.push(there);
        }
        let name = referrers_name(&args.reference, subject)?;
        let Some(list) = store.resolve(&name)? else {
            continue;
        };
        let bytes = read_small(store.blobs(), list.digest, MAX_DOCUMENT)?;
        for artifact in Index::parse(&bytes, Some(&list.media_type))?.manifests {
            registry.push_referrer(artifact.digest, to, store.blobs(), events.as_ref())?;
            sent.push(artifact.digest);
        }
    }
    Ok(sent)
}
