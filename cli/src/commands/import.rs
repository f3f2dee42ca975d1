//! `repro import`

use std::{io, path::Path};

use repro_core::{
    image::transport::{Archive, ImportOptions, import},
    layer::Limits,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Context;
use crate::{
    args::{JsonArgs, archive},
    error::{CommandError, io_kind},
    exit::ExitStatus,
    images::Summary,
    output::Format,
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
  repro import rootfs:root.tar acme/base --platform linux/amd64")]
pub(crate) struct Args {
    /// Where the image is: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or
    /// rootfs:FILE; - for FILE is standard input
    #[arg(value_name = "TRANSPORT", value_parser = archive)]
    from: Archive,
    /// What it is called in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// Choose the image of this platform; that of this machine unless given
    #[arg(long, value_name = "OS/ARCH", env = "REPRO_PLATFORM")]
    platform: Option<Platform>,
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
    let options = ImportOptions {
        platform: &platform,
        limits: Limits::default(),
        ruleset: Ruleset::default(),
    };
    let failed = |error: CommandError| error.context(format!("cannot import {}", args.reference));
    // The members of an archive are not in the order in which they are needed, so that what comes
    // through a pipe is kept first.
    let spool = spool(&args.from, store.blobs().tmp()).map_err(failed)?;
    let from = match &spool {
        Some(file) => args.from.at(file.path().to_owned()),
        None => args.from.clone(),
    };
    let image = import(store.blobs(), &from, options).map_err(|error| failed(error.into()))?;
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
