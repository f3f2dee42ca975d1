//! `repro export`

use repro_core::{
    digest::Digest,
    image::transport::{Archive, TransportError, export},
    reference::ImageRef,
    store::Store,
};

use super::{Context, build::outputs::write_archive};
use crate::{
    args::Outside,
    error::{CommandError, DAMAGED, ErrorKind},
    exit::ExitStatus,
    images,
    registries::{RegistryArgs, send},
};

/// Write an image of the store to a file or directory, or to a registry
///
/// The same image and name give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro export acme/app:1 oci:layout:v1
  repro export acme/app:1 docker-archive:app.tar
  repro export acme/app:1 rootfs:root.tar
  repro export acme/app:1 docker-archive:- | docker load
  repro export acme/app:1 docker://registry.example/acme/app:1")]
pub(crate) struct Args {
    /// The image, by its name in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// Where to: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], rootfs:FILE or
    /// `docker://REF`; - for FILE is standard output
    #[arg(value_name = "TRANSPORT")]
    to: Outside,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let store = context.open_store()?;
    let digest = match &args.to {
        Outside::Archive(archive) => to_archive(args, context, &store, archive)?,
        Outside::Registry(to) => {
            let root = images::find(&store, &args.reference)?;
            let registry = args.registries.watched(context, &store);
            let sent = send(&registry, context, &store, &root, to);
            let failed = |error: CommandError| error.context(cannot(args));
            sent.map_err(failed)?.digest
        }
    };
    context
        .settings
        .output
        .status(&format!("exported {} {digest}", args.reference));
    Ok(ExitStatus::Done)
}

fn cannot(args: &Args) -> String {
    format!("cannot export {}", args.reference)
}

fn to_archive(
    args: &Args,
    context: &Context,
    store: &Store,
    archive: &Archive,
) -> Result<Digest, CommandError> {
    let failed = |(error, written): (CommandError, bool)| {
        let error = error.context(cannot(args));
        if error.kind() == ErrorKind::Input && !written {
            error.hint(DAMAGED)
        } else {
            error
        }
    };
    let image = images::load(store, &args.reference)?;
    if archive.is_stream() {
        context.settings.output.refuse_terminal()?;
        write_archive(store, &image, Some(&args.reference), archive)
            .map_err(|error| failed((error, true)))?;
    } else {
        let to = export(store.blobs(), &image, Some(&args.reference), archive);
        to.map_err(|error| {
            // Trouble with a file is the destination's; all that is read here is the store.
            let written = matches!(error, TransportError::Io { .. });
            failed((CommandError::from(error), written))
        })?;
    }
    Ok(image.descriptor.digest)
}
