//! `repro attest`

use std::path::{Path, PathBuf};

use repro_core::{
    digest::Digest,
    image::transport::{Archive, Layout, Location, LocationError},
    layer::Limits,
    reference::ImageRef,
    store::{Store, read_small},
};
use repro_verifier::{
    attached::Content, attestation::Attestation, bundle::BUNDLE_MAX, pack::layout,
};
use serde::Serialize;

use super::Context;
use crate::{
    args::{JsonArgs, ProgressArgs},
    error::{CommandError, ErrorKind},
    evidence::attach::{
        AttachForm, Evidence, PackArgs, Placed, make, root_in_registry, subjects, to_layout,
        to_registry,
    },
    exit::ExitStatus,
    files,
    output::Format,
    registries::RegistryArgs,
};

/// Put evidence beside an image that is already in a registry or a layout
///
/// The image and its digest stay as they are: what is attached refers to it. Attaching the same again
/// changes nothing. Nothing is signed here, and no signature is checked: that is for those who verify.
#[derive(Debug, clap::Args)]
#[command(group(
    clap::ArgGroup::new("what")
        .required(true)
        .multiple(true)
        .args(["evidence", "statements"])
))]
#[command(after_help = "\
Examples:
  repro attest registry.example/acme/app:1 --evidence repro-out
  repro attest registry.example/acme/app:1 --evidence repro-out --attach referrers,att
  repro attest registry.example/acme/app@sha256:... --statement summary.sigstore.json
  repro attest oci:layout:v1 --evidence repro-out
  repro attest jsonl:app.tar.intoto.jsonl --evidence repro-out")]
pub(crate) struct Args {
    /// The image: a reference in a registry, or oci:DIR[:TAG]; or jsonl:FILE for a file beside an archive,
    /// with a statement a line, which others expect as NAME.intoto.jsonl
    #[arg(value_name = "IMAGE", value_parser = place)]
    image: Place,
    #[command(flatten)]
    packs: PackArgs,
    /// Put this statement there, a Sigstore bundle such as a verification summary; repeat for several
    #[arg(long = "statement", value_name = "FILE")]
    statements: Vec<PathBuf>,
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
    Layout {
        dir: PathBuf,
        tag: Option<String>,
    },
    /// No image, but a file of envelopes for those who have one elsewhere.
    Lines(PathBuf),
}

#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error("evidence lies beside images of registries and of oci:DIR; an archive is one file")]
    Archive,
    #[error("jsonl: is followed by a file")]
    NoFile,
}

fn place(text: &str) -> Result<Place, PlaceError> {
    match text.strip_prefix("jsonl:") {
        Some("") => return Err(PlaceError::NoFile),
        Some(file) => return Ok(Place::Lines(file.into())),
        None => {}
    }
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
            if args.packs.attach.forms() != [AttachForm::Referrers] {
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
        Place::Lines(file) => {
            let done = to_lines(args, &store, file);
            let failed =
                |error: CommandError| error.context(format!("cannot write {}", file.display()));
            (file.display().to_string(), done.map_err(failed)?)
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
            packs: &self.packs.evidence,
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
    let forms = args.packs.attach.forms();
    let placed = to_registry(&registry, context, store, name, forms, &made)?;
    Ok((digest, placed))
}

/// The envelopes of the statements, a line each, as in-toto has such files. They hold no pack, so nobody
/// sees in them whether one is missing.
fn to_lines(
    args: &Args,
    store: &Store,
    file: &Path,
) -> Result<(Digest, Vec<Placed>), CommandError> {
    let [pack] = args.packs.evidence.as_slice() else {
        return Err(CommandError::usage(
            "a file of statements is made of one evidence pack: --evidence DIR",
        ));
    };
    if !args.packs.attach.given().is_empty() {
        return Err(CommandError::usage(
            "--attach is for images of registries and layouts; a file has lines alone",
        ));
    }
    // The image that the pack is about says which statements belong to it.
    let image = Archive::OciDir {
        dir: pack.join(layout::IMAGE),
        tag: None,
    };
    let layout = Layout::open(&image, store.blobs().tmp(), Limits::default())?;
    let root = layout.choose(None)?;
    layout.document(store.blobs(), &root)?;
    let digest = root.digest;
    let made = make(store, &subjects(store, root)?, args.evidence())?;
    let mut lines = Vec::new();
    let mut placed = Vec::new();
    for one in &made {
        let Content::Statement { bundle, .. } = &one.content else {
            continue;
        };
        let bytes = read_small(store.blobs(), *bundle, BUNDLE_MAX as u64)?;
        let internal = |error: &dyn std::error::Error| {
            CommandError::message(ErrorKind::Internal, error.to_string())
        };
        let bundle = Attestation::parse(&bytes).map_err(|error| internal(&error))?;
        lines.extend(bundle.envelope_bytes().map_err(|error| internal(&error))?);
        lines.push(b'\n');
        placed.push(Placed::line_of(one));
    }
    files::write(file, &lines)?;
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
