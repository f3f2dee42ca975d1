//! `repro import`

use repro_core::{
    image::transport::{Archive, ImportOptions, import},
    layer::Limits,
    platform::Platform,
    reference::ImageRef,
    ruleset::Ruleset,
};
use serde::Serialize;

use super::Context;
use crate::{
    args::{JsonArgs, archive},
    error::CommandError,
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
  repro import rootfs:root.tar acme/base --platform linux/amd64")]
pub(crate) struct Args {
    /// Where the image is: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or
    /// rootfs:FILE
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
    let image = import(store.blobs(), &args.from, options).map_err(|error| failed(error.into()))?;
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
