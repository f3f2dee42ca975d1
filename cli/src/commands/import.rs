//! `repro import`

use std::{io, path::Path};

use repro_core::{
    image::{
        StoredImage, newest_mtime,
        transport::{Archive, ImportOptions, import},
    },
    layer::Limits,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
    store::Store,
};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Context;
use crate::{
    args::{JsonArgs, Outside},
    error::{CommandError, io_kind},
    exit::ExitStatus,
    images::Summary,
    output::Format,
    registries::{self, RegistryArgs},
};

/// Bring an image into the store
///
/// Every digest is verified and every layer is read to its end before REF means the image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro import oci:layout busybox
  repro import oci-archive:image.tar:v1 acme/app:1
  repro import docker-archive:saved.tar acme/app:1
  docker save acme/app:1 | repro import docker-archive:- acme/app:1
  repro import docker://registry.example/app:1 acme/app:1
  repro import rootfs:root.tar acme/base --platform linux/amd64")]
pub(crate) struct Args {
    /// Where the image is: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF],
    /// rootfs:FILE or `docker://REF`; - for FILE is standard input
    #[arg(value_name = "TRANSPORT")]
    from: Outside,
    /// What it is called in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// Choose the image of this platform; that of this machine unless given
    #[arg(long, value_name = "OS/ARCH", env = "REPRO_PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    image: Summary<'a>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let store = context.open_store()?;
    let platform = args.platform.clone().unwrap_or_else(Platform::host);
    let failed = |error: CommandError| error.context(format!("cannot import {}", args.reference));
    let image = match &args.from {
        Outside::Archive(archive) => from_archive(archive, &store, &platform),
        Outside::Registry(from) => of_registry(args, context, &store, from, &platform),
    };
    let image = image.map_err(failed)?;
    store
        .tag(&args.reference, &image.descriptor)
        .map_err(|error| failed(error.into()))?;
    match output.format() {
        Format::Json => {
            let image = Summary::new(&args.reference, &image);
            output.json("cli/import/v1", &Document { image })?;
        }
        Format::Text => output.text(&format!("{} {}", args.reference, image.descriptor.digest))?,
    }
    Ok(ExitStatus::Done)
}

fn from_archive(
    archive: &Archive,
    store: &Store,
    platform: &Platform,
) -> Result<StoredImage, CommandError> {
    let options = ImportOptions {
        platform,
        limits: Limits::default(),
        ruleset: Ruleset::default(),
    };
    // The members of an archive are not in the order in which they are needed, so that what comes
    // through a pipe is kept first.
    let spool = spool(archive, store.blobs().tmp())?;
    let from = match &spool {
        Some(file) => archive.at(file.path().to_owned()),
        None => archive.clone(),
    };
    Ok(import(store.blobs(), &from, options)?)
}

fn of_registry(
    args: &Args,
    context: &Context,
    store: &Store,
    from: &ImageRef,
    platform: &Platform,
) -> Result<StoredImage, CommandError> {
    let image = registries::fetch(&args.registries, context, store, from, platform)?;
    // Reads every layer, as an import does.
    newest_mtime(store.blobs(), &image)?;
    Ok(image)
}

/// Standard input as a file, where it is what is imported.
fn spool(from: &Archive, tmp: &Path) -> Result<Option<NamedTempFile>, CommandError> {
    if !from.is_stream() {
        return Ok(None);
    }
    let failed = |error: io::Error| {
        CommandError::new(io_kind(&error), &error).context("cannot read standard input")
    };
    if matches!(from, Archive::OciDir { .. }) {
        return Err(CommandError::usage(
            "a layout is a directory and cannot be piped; oci-archive: is one file",
        ));
    }
    let mut file = NamedTempFile::new_in(tmp).map_err(failed)?;
    io::copy(&mut io::stdin().lock(), &mut file).map_err(failed)?;
    Ok(Some(file))
}
