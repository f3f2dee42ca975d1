//! `--push` and `-o docker://REF`: the image goes to registries last, and only if nothing speaks against
//! it.

use repro_core::{
    build::{BuildRecord, BuildRequest, Runs},
    image::load_image,
    reference::ImageRef,
    store::Store,
};
use repro_verifier::predicate::reproducibility::Verdict;

use super::{Args, outputs::Outputs, results};
use crate::{
    commands::Context,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    registries::send,
};

/// Where the image is to go, as far as that can be without a build.
pub(super) fn destinations(
    args: &Args,
    request: &BuildRequest,
) -> Result<Vec<ImageRef>, CommandError> {
    let mut all: Vec<ImageRef> = Outputs(&args.output).registries().cloned().collect();
    if args.push == Some(true) {
        if request.tags.is_empty() {
            return Err(CommandError::usage("--push needs a name for the image")
                .hint("name it: -t REGISTRY/REPOSITORY:TAG"));
        }
        all.extend(request.tags.iter().cloned());
    }
    if let Some(name) = all.iter().find(|name| name.digest().is_some()) {
        return Err(CommandError::usage(format!(
            "{name} has a digest, which the image of a build has only afterwards"
        )));
    }
    if !all.is_empty() && (request.runs == Runs::One || request.vary.is_empty()) {
        return Err(CommandError::usage(
            "only an image that two differing runs made alike is pushed, and there are none here",
        )
        .hint("leave out --runs 1 and --vary none, or build without --push and use `repro push`"));
    }
    Ok(all)
}

/// Sends the image there.
pub(super) fn push(
    args: &Args,
    context: &Context,
    store: &Store,
    record: &BuildRecord,
    verdict: Verdict,
    status: ExitStatus,
    to: &[ImageRef],
) -> Result<(), CommandError> {
    if to.is_empty() {
        return Ok(());
    }
    let output = &context.settings.output;
    let image = match (verdict, results::image_of(record)) {
        (Verdict::Reproducible, Some(image)) => image,
        // With --on-difference=warn all would seem well, and it was not done.
        _ if status == ExitStatus::Done => {
            return Err(CommandError::message(
                ErrorKind::Refused,
                "the image is not pushed, since it is not reproducible",
            )
            .hint("`repro push` sends any image of the store"));
        }
        _ => {
            output.warning("the image is not pushed, since it is not reproducible");
            return Ok(());
        }
    };
    let root = load_image(store.blobs(), image.manifest)?.descriptor;
    let registry = args.registries.watched(context, store);
    for name in to {
        let pushed = send(&registry, context, store, &root, name)
            .map_err(|error| error.context(format!("cannot push to {name}")))?;
        output.status(&format!("pushed {name} {}", pushed.digest));
    }
    Ok(())
}
