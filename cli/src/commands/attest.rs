//! `repro attest`

use std::path::{Path, PathBuf};

use repro_core::{
    digest::Digest,
    image::transport::{Archive, Layout, Location, LocationError},
    layer::Limits,
    reference::ImageRef,
    store::Store,
};
use serde::Serialize;

use super::Context;
use crate::{
    args::{JsonArgs, ProgressArgs},
    error::CommandError,
    evidence::attach::{
        AttachForm, Evidence, Placed, make, root_in_registry, subjects, to_layout, to_registry,
    },
    exit::ExitStatus,
    output::Format,
    registries::RegistryArgs,
};

/// Put evidence beside an image that is already in a registry or a layout
///
/// The image and its digest stay as they are: what is attached refers to it. Attaching the same again
/// changes nothing. Nothing is signed here, and no signature is checked: that is for those who verify.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro attest registry.example/acme/app:1 --evidence repro-out
  repro attest registry.example/acme/app:1 --evidence repro-out --attach referrers,att
  repro attest registry.example/acme/app@sha256:... --statement summary.sigstore.json
  repro attest oci:layout:v1 --evidence repro-out")]
pub(crate) struct Args {
    /// The image: a reference in a registry, or oci:DIR[:TAG]
    #[arg(value_name = "IMAGE", value_parser = place)]
    image: Place,
    /// Attach the statements of this evidence pack, and the pack with its reports and logs; repeat for
    /// several
    #[arg(long, value_name = "DIR", required_unless_present = "statements")]
    evidence: Vec<PathBuf>,
    /// Attach this statement, a Sigstore bundle such as a verification summary; repeat for several
    #[arg(long = "statement", value_name = "FILE")]
    statements: Vec<PathBuf>,
    /// In which form, separated by commas
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        value_delimiter = ',',
        default_value = "referrers"
    )]
    attach: Vec<AttachForm>,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Where the image is.
#[derive(Debug, Clone)]
enum Place {
    Registry(ImageRef),
    Layout { dir: PathBuf, tag: Option<String> },
}

#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error("evidence lies beside images of registries and of oci:DIR; an archive is one file")]
    Archive,
}

fn place(text: &str) -> Result<Place, PlaceError> {
    Ok(match text.parse()? {
        Location::Registry(reference) | Location::Store(reference) => Place::Registry(reference),
        Location::Archive(Archive::OciDir { dir, tag }) => Place::Layout { dir, tag },
        Location::Archive(_) => return Err(PlaceError::Archive),
    })
}

#[derive(Serialize)]
struct Document<'a> {
    attest: Attest<'a>,
}

#[derive(Serialize)]
struct Attest<'a> {
    name: String,
    digest: Digest,
    attached: &'a [Placed],
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let store = context.open_store()?;
    let (name, (digest, placed)) = match &args.image {
        Place::Registry(name) => {
            let done = in_registry(args, context, &store, name);
            let failed = |error: CommandError| error.context(format!("cannot attest {name}"));
            (name.to_string(), done.map_err(failed)?)
        }
        Place::Layout { dir, tag } => {
            if args.attach != [AttachForm::Referrers] {
                return Err(CommandError::usage(
                    "a layout holds evidence as referrers; the tag of --attach att is one of registries",
                ));
            }
            let shown = match tag {
                Some(tag) => format!("oci:{}:{tag}", dir.display()),
                None => format!("oci:{}", dir.display()),
            };
            let done = in_layout(args, &store, dir, tag.as_deref());
            let done = done.map_err(|error| error.context(format!("cannot attest {shown}")))?;
            (shown, done)
        }
    };
    let output = &context.settings.output;
    match output.format() {
        Format::Json => {
            let attest = Attest {
                name,
                digest,
                attached: &placed,
            };
            output.json("cli/attest/v1", &Document { attest })?;
        }
        Format::Text => {
            let lines: Vec<String> = placed.iter().map(Placed::line).collect();
            output.text(&format!("{name} {digest}\n{}", lines.join("\n")))?;
        }
    }
    Ok(ExitStatus::Done)
}

impl Args {
    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            packs: &self.evidence,
            statements: &self.statements,
        }
    }
}

fn in_registry(
    args: &Args,
    context: &Context,
    store: &Store,
    name: &ImageRef,
) -> Result<(Digest, Vec<Placed>), CommandError> {
    let registry = args.registries.watched(context, store);
    let root = root_in_registry(&registry, store, name)?;
    let digest = root.digest;
    let made = make(store, &subjects(store, root)?, args.evidence())?;
    let placed = to_registry(&registry, context, store, name, &args.attach, &made)?;
    Ok((digest, placed))
}

fn in_layout(
    args: &Args,
    store: &Store,
    dir: &Path,
    tag: Option<&str>,
) -> Result<(Digest, Vec<Placed>), CommandError> {
    let from = Archive::OciDir {
        dir: dir.to_owned(),
        tag: None,
    };
    let layout = Layout::open(&from, store.blobs().tmp(), Limits::default())?;
    let root = layout.choose(tag)?;
    layout.document(store.blobs(), &root)?;
    let digest = root.digest;
    let made = make(store, &subjects(store, root.clone())?, args.evidence())?;
    Ok((digest, to_layout(store, dir, &root, &made)?))
}
