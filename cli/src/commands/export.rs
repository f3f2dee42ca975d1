//! `repro export`

use repro_core::{
    image::transport::{Archive, TransportError, export},
    reference::ImageRef,
};

use super::{Context, build::outputs::write_archive};
use crate::{
    args::archive,
    error::{CommandError, DAMAGED, ErrorKind},
    exit::ExitStatus,
    images,
};

/// Write an image of the store to a file or directory
///
/// The same image and name give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro export acme/app:1 oci:layout:v1
  repro export acme/app:1 docker-archive:app.tar
  repro export acme/app:1 rootfs:root.tar
  repro export acme/app:1 docker-archive:- | docker load")]
pub(crate) struct Args {
    /// The image, by its name in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// Where to: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or rootfs:FILE; - for
    /// FILE is standard output
    #[arg(value_name = "TRANSPORT", value_parser = archive)]
    to: Archive,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let failed = |(error, written): (CommandError, bool)| {
        let error = error.context(format!("cannot export {}", args.reference));
        if error.kind() == ErrorKind::Input && !written {
            error.hint(DAMAGED)
        } else {
            error
        }
    };
    let store = context.open_store()?;
    let image = images::load(&store, &args.reference)?;
    if args.to.is_stream() {
        context.settings.output.refuse_terminal()?;
        write_archive(&store, &image, Some(&args.reference), &args.to)
            .map_err(|error| failed((error, true)))?;
    } else {
        let to = export(store.blobs(), &image, Some(&args.reference), &args.to);
        to.map_err(|error| {
            // Trouble with a file is the destination's; all that is read here is the store.
            let written = matches!(error, TransportError::Io { .. });
            failed((CommandError::from(error), written))
        })?;
    }
    let digest = image.descriptor.digest;
    context
        .settings
        .output
        .status(&format!("exported {} {digest}", args.reference));
    Ok(ExitStatus::Done)
}
