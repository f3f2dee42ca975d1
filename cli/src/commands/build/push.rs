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
    evidence::attach::{self, AttachArgs, AttachForm, Evidence},
    exit::ExitStatus,
    registries::send,
    text,
};

/// Where the evidence of a build goes besides its own directory.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct EvidenceArgs {
    #[command(flatten)]
    attach: AttachArgs,
    /// Push the image without its evidence
    ///
    /// Evidence signed by --key or --signer goes beside the image in registries, as referrers. That of a key
    /// made for this build alone, which shows nobody, stays at home, and layouts of -o oci:DIR hold the
    /// image alone, unless --attach asks for it.
    #[arg(long, conflicts_with = "attach")]
    no_attach: bool,
}

impl EvidenceArgs {
    /// What the user named.
    fn given(&self) -> &[AttachForm] {
        self.attach.given()
    }
}

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
    let forms = forms(args);
    let made = if forms.is_empty() {
        Vec::new()
    } else {
        made(args, store, root.clone())?
    };
    let registry = args.registries.watched(context, store);
    for name in to {
        let failed = |error: CommandError| error.context(format!("cannot push to {name}"));
        let pushed = send(&registry, context, store, &root, name).map_err(failed)?;
        output.status(&format!("pushed {name} {}", pushed.digest));
        let placed = attach::to_registry(&registry, context, store, name, forms, &made);
        for line in placed.map_err(failed)?.iter().map(attach::Placed::line) {
            output.status(&line);
        }
    }
    Ok(())
}

/// In which forms evidence goes beside the image in registries.
fn forms(args: &Args) -> &[AttachForm] {
    match (
        args.attach.given(),
        args.attach.no_attach || !args.signing.is_given(),
    ) {
        ([], true) => &[],
        ([], false) => &[AttachForm::Referrers],
        (given, _) => given,
    }
}

/// The artifacts of the pack that was written.
fn made(
    args: &Args,
    store: &Store,
    root: repro_core::image::Descriptor,
) -> Result<Vec<repro_verifier::attached::Attached>, CommandError> {
    let evidence = Evidence {
        packs: std::slice::from_ref(&args.evidence),
        statements: &[],
    };
    attach::make(store, &attach::subjects(store, root)?, evidence)
}

/// Puts the evidence into the layouts that were written, where that was asked for.
pub(super) fn into_layouts(
    args: &Args,
    context: &Context,
    store: &Store,
    record: &BuildRecord,
) -> Result<(), CommandError> {
    let Some(image) = results::image_of(record) else {
        return Ok(());
    };
    let wanted = args.attach.given().contains(&AttachForm::Referrers);
    let mut layouts = Outputs(&args.output).layouts().peekable();
    if !wanted || layouts.peek().is_none() {
        return Ok(());
    }
    let root = load_image(store.blobs(), image.manifest)?.descriptor;
    let made = made(args, store, root.clone())?;
    for dir in layouts {
        let placed = attach::to_layout(store, dir, &root, &made)
            .map_err(|error| error.context(format!("cannot add evidence to {}", dir.display())))?;
        let count = text::plural(placed.len() as u64, "artifact");
        let message = format!("{count} of the evidence in oci:{}", dir.display());
        context.settings.output.status(&message);
    }
    Ok(())
}

/// Refuses what cannot be attached anywhere, before anything is built.
pub(super) fn check_attach(args: &Args, to: &[ImageRef]) -> Result<(), CommandError> {
    let layouts = Outputs(&args.output).layouts().count();
    if !args.attach.given().is_empty() && to.is_empty() && layouts == 0 {
        return Err(CommandError::usage(
            "there is nothing to attach evidence to: the image goes to no registry and no layout",
        )
        .hint("push it: --push, or write a layout: -o oci:DIR"));
    }
    if args.attach.given() == [AttachForm::Att] && to.is_empty() {
        return Err(CommandError::usage(
            "a layout holds evidence as referrers; the tag of --attach att is one of registries",
        ));
    }
    Ok(())
}
