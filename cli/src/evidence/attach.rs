//! Evidence on its way to an image, in a registry or a layout.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use repro_core::{
    digest::Digest,
    event::EventSink,
    image::{
        Descriptor, Document, MAX_DOCUMENT,
        transport::{Addition, add_to_layout},
    },
    reference::ImageRef,
    store::{Store, read_small},
};
use repro_toolchains::registry::{MountCandidates, Registry, RegistryError};
use repro_verifier::attached::{
    Attached, Content, LAYOUT_IMAGE, LAYOUT_LIST, StatementFile, Subjects, attach_pack,
    attach_statement, extend_legacy, legacy_tag, merge_legacy,
};
use serde::Serialize;

use crate::{
    commands::Context,
    error::{CommandError, ErrorKind},
    files::{self, Limit},
};

/// How often the legacy tag is written anew where others write it at the same time.
const ATTEMPTS: u32 = 5;

/// In which form evidence lies beside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum AttachForm {
    /// One manifest for each statement and one for the whole pack, which refer to the image (OCI 1.1);
    /// cosign 3 reads the statements
    Referrers,
    /// The statements alone, under the tag sha256-DIGEST.att, for cosign 2
    Att,
}

/// In which form evidence goes beside images.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AttachArgs {
    /// Put evidence beside the image in this form, separated by commas; referrers unless given
    #[arg(long, value_enum, value_name = "FORM", value_delimiter = ',')]
    attach: Vec<AttachForm>,
}

impl AttachArgs {
    /// What the user named; nothing, if nothing was.
    pub(crate) fn given(&self) -> &[AttachForm] {
        &self.attach
    }

    /// The forms, which are referrers unless named.
    pub(crate) fn forms(&self) -> &[AttachForm] {
        match self.given() {
            [] => &[AttachForm::Referrers],
            given => given,
        }
    }
}

/// Packs that go beside an image.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PackArgs {
    /// Put this evidence pack beside the image: its statements, and the pack with its reports and logs;
    /// repeat for several
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) attach: AttachArgs,
}

/// What is to be attached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// Evidence packs.
    pub(crate) packs: &'a [PathBuf],
    /// Single bundles.
    pub(crate) statements: &'a [PathBuf],
}

/// Something that is beside the image now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placed {
    /// The manifest; of the legacy form, the one that the tag means.
    digest: Digest,
    /// The image that it is about.
    subject: Digest,
    form: &'static str,
    /// URI of the type of a statement's predicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    /// SHA-256 of the `index.json` of a pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<Digest>,
    /// Whether it was there already.
    present: bool,
}

impl Placed {
    fn referrer(made: &Attached, present: bool) -> Self {
        let (predicate_type, index) = match &made.content {
            Content::Statement { predicate_type, .. } => (Some(predicate_type.clone()), None),
            Content::Pack { index } => (None, Some(*index)),
        };
        Self {
            digest: made.descriptor.digest,
            subject: made.subject,
            form: "referrer",
            predicate_type,
            index,
            present,
        }
    }

    /// One that is a line of a file.
    pub(crate) fn line_of(made: &Attached) -> Self {
        Self {
            form: "line",
            ..Self::referrer(made, false)
        }
    }

    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let what = match (&self.predicate_type, self.form) {
            (Some(kind), _) => kind.clone(),
            (None, "referrer") => "evidence pack".to_owned(),
            (None, _) => format!("tag {}", legacy_tag(self.subject)),
        };
        let state = if self.present { "present" } else { "attached" };
        format!("{state:<8} {}  {what}", self.digest)
    }
}

/// The images that `root`, a document of the store, stands for.
pub(crate) fn subjects(store: &Store, root: Descriptor) -> Result<Subjects, CommandError> {
    let bytes = read_small(store.blobs(), root.digest, MAX_DOCUMENT)?;
    let listed = match Document::parse(&bytes, None)? {
        Document::Index(index) => index.manifests,
        Document::Manifest(_) => Vec::new(),
    };
    Ok(Subjects::new(root, listed))
}

/// Makes the artifacts of the evidence in the store.
pub(crate) fn make(
    store: &Store,
    subjects: &Subjects,
    evidence: Evidence<'_>,
) -> Result<Vec<Attached>, CommandError> {
    let mut made = Vec::new();
    for dir in evidence.packs {
        let all = attach_pack(dir, subjects, store.blobs());
        made.extend(all.map_err(|error| failed(error.into(), dir))?);
    }
    for path in evidence.statements {
        let bytes = files::read(path, Limit::Statement)?;
        let name = path.display().to_string();
        let file = StatementFile {
            name: &name,
            bytes: &bytes,
        };
        made.push(attach_statement(file, subjects, store.blobs())?);
    }
    Ok(made)
}

fn failed(error: CommandError, path: &Path) -> CommandError {
    error.context(format!("cannot attach {}", path.display()))
}

/// Puts what was made beside the image in the repository of `name`.
pub(crate) fn to_registry(
    registry: &Registry,
    context: &Context,
    store: &Store,
    name: &ImageRef,
    forms: &[AttachForm],
    made: &[Attached],
) -> Result<Vec<Placed>, CommandError> {
    let mut placed = Vec::new();
    let events = context.settings.view.start(&context.settings.output);
    let mut subjects: Vec<Digest> = made.iter().map(|one| one.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    for subject in subjects {
        let about = || made.iter().filter(|one| one.subject == subject);
        if forms.contains(&AttachForm::Referrers) {
            let known = registry.referrers(name, subject, None)?.manifests;
            for one in about() {
                let digest = one.descriptor.digest;
                let present = known.iter().any(|found| found.digest == digest);
                // Sent also where it is listed: a list outlives what it lists.
                registry.push_referrer(digest, name, store.blobs(), events.as_ref())?;
                placed.push(Placed::referrer(one, present));
            }
        }
        let statements = about().any(|one| matches!(one.content, Content::Statement { .. }));
        if forms.contains(&AttachForm::Att) && statements {
            let new = |existing| Ok(extend_legacy(subject, existing, made, store.blobs())?);
            let (digest, present) = legacy(registry, events.as_ref(), store, name, subject, &new)?;
            placed.push(Placed {
                digest,
                subject,
                form: "att",
                predicate_type: None,
                index: None,
                present,
            });
        }
    }
    Ok(placed)
}

/// Puts what the legacy tag of `subject` means in the store beside the image in the repository of `name`;
/// gives the manifest that it means there then.
pub(crate) fn legacy_to_registry(
    registry: &Registry,
    events: &dyn EventSink,
    store: &Store,
    (name, subject): (&ImageRef, Digest),
    ours: Digest,
) -> Result<Digest, CommandError> {
    let new = |existing| Ok(merge_legacy(subject, existing, ours, store.blobs())?);
    let (digest, _) = legacy(registry, events, store, name, subject, &new)?;
    Ok(digest)
}

/// The name of the legacy tag of `subject` in the repository of `name`.
pub(crate) fn legacy_name(name: &ImageRef, subject: Digest) -> Result<ImageRef, CommandError> {
    let tag = format!("{}:{}", name.name(), legacy_tag(subject));
    tag.parse()
        .map_err(|error| CommandError::new(ErrorKind::Internal, &error))
}

/// Adds statements to what the legacy tag means: `new` makes the manifest, unless nothing is missing in the
/// one that is there. There is no way to do so at once: what others wrote in between is seen afterwards.
fn legacy(
    registry: &Registry,
    events: &dyn EventSink,
    store: &Store,
    name: &ImageRef,
    subject: Digest,
    new: &dyn Fn(Option<Digest>) -> Result<Option<Descriptor>, CommandError>,
) -> Result<(Digest, bool), CommandError> {
    let tag = legacy_name(name, subject)?;
    let mut present = true;
    for _ in 0..ATTEMPTS {
        let existing = match registry.current(&tag, store.blobs()) {
            Ok(found) => Some(found.digest),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        match (new(existing)?, existing) {
            (None, Some(digest)) => return Ok((digest, present)),
            (None, None) => break,
            (Some(root), _) => {
                present = false;
                let mounts = MountCandidates::default();
                registry.push(&root, &tag, &mounts, store.blobs(), events)?;
            }
        }
    }
    Err(CommandError::message(
        ErrorKind::Inconclusive,
        format!("others write {tag} at the same time"),
    )
    .hint("the same again may succeed"))
}

/// Puts what was made into the layout in `dir`.
pub(crate) fn to_layout(
    store: &Store,
    dir: &Path,
    image: &Descriptor,
    made: &[Attached],
) -> Result<Vec<Placed>, CommandError> {
    let entries: Vec<Descriptor> = made.iter().map(|one| one.descriptor.clone()).collect();
    let mut parts: Vec<Digest> = made.iter().flat_map(|one| one.parts.clone()).collect();
    parts.sort_unstable();
    parts.dedup();
    let addition = Addition {
        entries: &entries,
        parts: &parts,
        image: image.digest,
        annotation: if image.media_type.is_index() {
            LAYOUT_LIST
        } else {
            LAYOUT_IMAGE
        },
    };
    let new = add_to_layout(store.blobs(), dir, &addition)?;
    let placed = made.iter().map(|one| {
        let present = !new.contains(&one.descriptor.digest);
        Placed::referrer(one, present)
    });
    Ok(placed.collect())
}

/// The document that `name` means in its registry, which is in the store afterwards.
pub(crate) fn root_in_registry(
    registry: &Registry,
    store: &Store,
    name: &ImageRef,
) -> Result<Descriptor, RegistryError> {
    registry.current(name, store.blobs())
}
