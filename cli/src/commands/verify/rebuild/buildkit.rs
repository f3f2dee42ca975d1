//! `--buildkit`: an image of BuildKit again, by its provenance.

use std::{
    collections::BTreeMap,
    fs, mem,
    path::{Path, PathBuf},
};

use repro_core::{
    build::{ContextModes, ContextPlace, EpochChoice, InputKind, InputRecord, NamedText},
    digest::{Digest, HashingReader},
    image::{Index, MAX_DOCUMENT, Manifest, find_platform},
    platform::Platform,
    redact::Redactor,
    store::{BlobStore, Store, read_small},
};
use repro_toolchains::{project::Project, registry::Platforms};
use repro_verifier::{
    pack::{self, PackInputs, Sbom},
    predicate::reproducibility::{RebuildOf, RebuildOutcome, Verdict},
    rebuild::{
        Likeness,
        buildkit::{BuildkitOrder, Context as Source, DOCUMENT_MAX, Fate, PREDICATE, Row},
        resemblance::{Aspect, Resemblance},
    },
    render,
    report::Report,
};
use serde::Serialize;
use tempfile::TempDir;

use super::{
    RebuildArgs, With, build_again,
    gather::{lent, machine, plain},
    missing::Missing,
};
use crate::{
    ambient::{self, SystemClock},
    commands::{
        Context,
        build::{
            self, Evidence,
            place::Place,
            request::{Asked, absolute},
        },
    },
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    files::{self, Limit},
    git,
    output::{Format, Meaning, Output},
    registries::{self, RegistryArgs},
    reports::Subject,
    sides::{Loaded, Scratch, Side},
    text,
};

/// What BuildKit notes on the entry of an index that has attestations, and on an attestation.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// The JSON form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    /// Whether files, metadata and settings are the same; absent where no image was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    likeness: Option<Likeness>,
    provenance: Digest,
    attested: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<Digest>,
    verdict: Verdict,
    rows: &'a [Row],
    #[serde(skip_serializing_if = "Option::is_none")]
    resemblance: Option<&'a Resemblance>,
    evidence: String,
}

/// Builds the image `subject` again and compares.
pub(in crate::commands::verify) fn verify(
    by: With<'_>,
    context: &Context,
    subject: &str,
) -> Result<ExitStatus, CommandError> {
    let With {
        args,
        registries,
        passphrase,
    } = by;
    let output = &context.settings.output;
    pack::check_replaceable(&args.evidence)?;
    let signing = args.signing(passphrase);
    signing.check(output)?;
    let store = context.open_store()?;
    let tmp = TempDir::new_in(store.blobs().tmp()).map_err(|error| machine(&error))?;
    let scratch = Scratch::new(&store, tmp.path())?;
    let root = load(registries, context, &store, &scratch, subject)?;
    let platform = Platform::host();
    let image = find_platform(&scratch, root, &platform)?;
    let bytes = match &args.buildkit {
        Some(Some(file)) => files::read(file, Limit::Provenance)?,
        _ => attached(&scratch, root, image)?,
    };
    let order = BuildkitOrder::parse(&bytes, image, &platform)?;
    output.warning(
        "the provenance of BuildKit is signed by nobody: what counts is whether the same comes out",
    );
    if output.format() == Format::Text {
        output.text(&table(&order.rows))?;
    }
    let mut asked = gather(args, context, &order, tmp.path(), &platform)?;
    let rebuilt = build_again(
        (args, registries),
        context,
        &store,
        &asked.0,
        order.provenance,
        pinned,
    )?;
    let inputs = mem::take(&mut asked.0.inputs);
    let (record, report, inputs) = build::redaction::of_rebuild(rebuilt, inputs, &store)?;
    let a = record.runs.first().and_then(|run| run.image.as_ref());
    let rebuilt = a.map(|image| image.manifest);
    let options = build::options(&store);
    let resemblance = rebuilt
        .map(|rebuilt| Resemblance::of(&scratch, (image, rebuilt), &options))
        .transpose()?;
    let rebuild_of = RebuildOf {
        provenance: order.provenance,
        manifest: image,
        builder: order.builder.clone(),
        lineage: BTreeMap::new(),
        lineage_by: None,
        outcome: RebuildOutcome::of(image, rebuilt),
    };
    let evidence = Evidence {
        dir: &args.evidence,
        signing: &signing,
        sbom: Sbom::Written,
        inputs: &inputs,
        rebuild_of: Some(&rebuild_of),
    };
    let builder = build::builder_info(&args.builder_id)?;
    build::write_pack(&evidence, &store, &record, &report, &builder)?;
    let likeness = resemblance.as_ref().map(Resemblance::likeness);
    match output.format() {
        Format::Json => {
            let document = Document {
                likeness,
                provenance: order.provenance,
                attested: image,
                rebuilt,
                verdict: report.verdict,
                rows: &order.rows,
                resemblance: resemblance.as_ref(),
                evidence: args.evidence.display().to_string(),
            };
            output.json("cli/rebuild/v1", &document)?;
        }
        Format::Text => say(output, &report, resemblance.as_ref())?,
    }
    output.status(&format!(
        "evidence of the rebuild: {}",
        args.evidence.display()
    ));
    Ok(match (likeness, report.verdict) {
        (None, Verdict::BuildFailed) => ExitStatus::StepFailed,
        (None, _) => ExitStatus::Inconclusive,
        (Some(Likeness::Different), _) | (Some(Likeness::Same), Verdict::NotReproducible) => {
            ExitStatus::NotReproducible
        }
        (Some(Likeness::Same), _) => ExitStatus::Done,
    })
}

/// The image that the user names, or the index that has it.
fn load(
    registries: &RegistryArgs,
    context: &Context,
    store: &Store,
    scratch: &Scratch<'_>,
    subject: &str,
) -> Result<Digest, CommandError> {
    let side: Side = subject
        .parse()
        .map_err(|error| CommandError::new(ErrorKind::Usage, &error))?;
    let fetch =
        |reference: &_| registries::pull(registries, context, store, reference, &Platforms::All);
    match scratch.load(&side, &fetch)? {
        Loaded::Image(digest) => Ok(digest),
        Loaded::Directory(_) => Err(CommandError::usage(format!("{side} is no image"))
            .hint("name an image: oci:DIR, oci-archive:FILE, docker://REF or one of the store")),
    }
}

/// The provenance in the attestation manifest of `image`.
fn attached(blobs: &dyn BlobStore, root: Digest, image: Digest) -> Result<Vec<u8>, CommandError> {
    let none = || {
        CommandError::message(
            ErrorKind::Input,
            format!("no provenance in SLSA v1 is attached to the image {image}"),
        )
        .hint("BuildKit attaches it so: --attest type=provenance,mode=max,version=v1")
        .hint("or name it: --buildkit=FILE")
    };
    let bytes = read_small(blobs, root, MAX_DOCUMENT)?;
    let Ok(index) = Index::parse(&bytes, None) else {
        return Err(none());
    };
    let of_image = image.to_string();
    let entry = index.manifests.iter().find(|entry| {
        let says = |name: &str| entry.annotations.get(name).map(String::as_str);
        says(REFERENCE_TYPE) == Some("attestation-manifest")
            && says(REFERENCE_DIGEST) == Some(of_image.as_str())
    });
    let entry = entry.ok_or_else(none)?;
    let manifest = Manifest::parse(&read_small(blobs, entry.digest, MAX_DOCUMENT)?, None)?;
    let statement = manifest
        .layers
        .iter()
        .find(|layer| layer.annotations.get(PREDICATE_TYPE).map(String::as_str) == Some(PREDICATE))
        .ok_or_else(none)?;
    Ok(read_small(blobs, statement.digest, DOCUMENT_MAX as u64)?)
}

/// What to build, and what has to be there as long as it is built.
fn gather(
    args: &RebuildArgs,
    context: &Context,
    order: &BuildkitOrder,
    tmp: &Path,
    platform: &Platform,
) -> Result<(Asked, Option<Place>), CommandError> {
    let mut missing = Missing::default();
    let unknown = |row: &&Row| row.fate == Fate::NotMapped;
    for row in order.rows.iter().filter(unknown) {
        missing.add(&row.item, format!("{}: {}", row.item, row.detail));
    }
    let place = source(args, order, tmp, &mut missing)?;
    let own = |name: &str| match &place {
        Some(place) => place.read(name),
        None => Ok(None),
    };
    let dockerfile = match &order.dockerfile {
        Some(text) => Some(text.clone()),
        None => own(&order.dockerfile_name)?,
    };
    if dockerfile.is_none() && place.is_some() {
        missing.add(
            format!("the Dockerfile {}", order.dockerfile_name),
            "the context must have it",
        );
    }
    let grants = lent(args, &order.secrets, &order.agents, &mut missing)?;
    missing.refuse()?;
    let text = dockerfile.unwrap_or_default();
    let evidence = absolute(&args.evidence)?;
    let ignore = match &place {
        Some(place) => place.ignore(&order.dockerfile_name)?,
        None => None,
    };
    let dockerfile = NamedText {
        name: order.dockerfile_name.clone(),
        text: text.clone(),
    };
    let files = match &place {
        Some(place) => place.context(),
        None => ContextPlace::Directory(directory(tmp, "empty")?),
    };
    let invocation = ambient::invocation_id(&SystemClock)?;
    let mut request = plain(invocation, dockerfile, files, platform, args.runs);
    request.ignore = ignore;
    request.exclude = vec![
        pack::unfinished(&evidence),
        evidence,
        absolute(context.settings.store_dir()?)?,
    ];
    request.context_modes = match order.context {
        // Git keeps no more of modes; what it checks out has those of the caller's mask.
        Source::Git { .. } => ContextModes::Git,
        Source::Local | Source::Archive { .. } => ContextModes::Keep,
    };
    request.target.clone_from(&order.target);
    request.allowed_args = order.build_args.keys().cloned().collect();
    request.build_args.clone_from(&order.build_args);
    request.labels.clone_from(&order.labels);
    request.settings = order.settings.clone();
    request.secrets = grants.secrets.keys().cloned().collect();
    request.agents = grants.agents.keys().cloned().collect();
    if let Some(epoch) = order.epoch {
        request.epoch = EpochChoice::BuildArg(epoch);
    }
    let asked = Asked {
        lineage: BTreeMap::new(),
        redactor: Redactor::default(),
        request,
        project: Project::default(),
        lock: None,
        pins: order.pins.clone(),
        grants,
        inputs: PackInputs {
            dockerfile: Some(text),
            ..PackInputs::default()
        },
    };
    Ok((asked, place))
}

/// The context: of a repository the commit, of an archive the one with the digest, of a directory what
/// the user says it was.
fn source(
    args: &RebuildArgs,
    order: &BuildkitOrder,
    tmp: &Path,
    missing: &mut Missing,
) -> Result<Option<Place>, CommandError> {
    let (what, hint) = match &order.context {
        Source::Local => (
            "the context, of which the provenance has no digest".to_owned(),
            "give the files as they were built: --context DIR".to_owned(),
        ),
        Source::Git { url, commit, .. } => (
            format!("the commit {commit} of {url}"),
            "give a repository that has it: --context DIR".to_owned(),
        ),
        Source::Archive { url, digest } => (
            format!("the archive {url} ({digest})"),
            "give it: --context FILE".to_owned(),
        ),
    };
    let Some(given) = &args.context else {
        missing.add(what, hint);
        return Ok(None);
    };
    match &order.context {
        Source::Local => Place::at(given, tmp).map(Some),
        Source::Git { commit, subdir, .. } => {
            let to = directory(tmp, "commit")?;
            git::check_out(given, commit, subdir.as_deref(), tmp, &to)?;
            if to.join(".gitmodules").exists() {
                missing.add(
                    "the submodules of the repository",
                    "their files are no part of the commit, and are not taken",
                );
            }
            Place::at(&to, tmp).map(Some)
        }
        Source::Archive { digest, .. } => {
            let failed = |error: std::io::Error| {
                CommandError::new(crate::error::io_kind(&error), &error)
                    .context(format!("cannot read {}", given.display()))
            };
            let mut file = HashingReader::new(fs::File::open(given).map_err(failed)?);
            std::io::copy(&mut file, &mut std::io::sink()).map_err(failed)?;
            let (found, _, _) = file.finish();
            if found != *digest {
                missing.add(format!("{what}; {} is {found}", given.display()), hint);
                return Ok(None);
            }
            Place::at(given, tmp).map(Some)
        }
    }
}

/// An empty directory in `tmp`.
fn directory(tmp: &Path, name: &str) -> Result<PathBuf, CommandError> {
    let path = tmp.join(name);
    fs::create_dir_all(&path).map_err(|error| machine(&error))?;
    Ok(path)
}

/// Before the first step: every image is one that the provenance pins, or the Dockerfile.
fn pinned(inputs: &[InputRecord]) -> Result<(), CommandError> {
    let mut missing = Missing::default();
    let loose = |input: &&InputRecord| input.kind == InputKind::Image && !input.locked;
    for input in inputs.iter().filter(loose) {
        let name = input.name.as_deref().unwrap_or(&input.uri);
        missing.add(
            format!("the digest of the image {name}"),
            "the provenance does not list it among its resolvedDependencies",
        );
    }
    missing.refuse()
}

/// What is known of everything that decided the image.
fn table(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let (mark, meaning) = match row.fate {
            Fate::Known => ("known", Meaning::Good),
            Fate::Pinned => ("pinned", Meaning::Good),
            Fate::Wanted => ("to be given", Meaning::Warning),
            Fate::NotHermetic => ("not hermetic", Meaning::Warning),
            Fate::NotMapped => ("UNKNOWN", Meaning::Bad),
        };
        let mark = meaning.paint(format!("{mark:<12}"));
        let text = format!("{}  {}", row.item, row.detail);
        format!("{mark}  {}", text::one_line(&text))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn say(
    output: &Output,
    report: &Report,
    resemblance: Option<&Resemblance>,
) -> Result<(), CommandError> {
    let options = output.text_options(false, 0);
    let Some(resemblance) = resemblance else {
        output.report(&render::text(report, &options))?;
        let text = "not rebuilt: the build made no image here";
        return output.text(&Meaning::Bad.paint(text).to_string());
    };
    let mut lines = vec!["rebuild".to_owned()];
    for row in &resemblance.aspects {
        let name = match row.aspect {
            Aspect::Files => "files",
            Aspect::Metadata => "modes, owners, attributes",
            Aspect::Settings => "settings of the image",
            Aspect::Times => "times of files",
            Aspect::History => "history",
            Aspect::Layers => "layers",
            Aspect::Manifest => "manifest",
        };
        let (mark, meaning) = match (row.likeness, row.aspect.counts()) {
            (Likeness::Same, _) => ("same", Meaning::Good),
            (Likeness::Different, true) => ("DIFFERS", Meaning::Bad),
            (Likeness::Different, false) => ("differs", Meaning::Faint),
        };
        let mark = meaning.paint(format!("{mark:<7}"));
        let detail = match (row.likeness, row.aspect) {
            (Likeness::Different, Aspect::Manifest) | (Likeness::Same, _) => String::new(),
            (Likeness::Different, Aspect::Layers) => {
                format!("  {}", text::plural(row.different, "layer"))
            }
            (Likeness::Different, _) => {
                format!("  in {}", text::plural(row.different, "place"))
            }
        };
        lines.push(format!("{mark}  {name}{detail}"));
    }
    output.text(&lines.join("\n"))?;
    let likeness = resemblance.likeness();
    if likeness == Likeness::Different {
        output.report(&Subject::Pair(&resemblance.difference).text(&options))?;
    }
    if report.verdict == Verdict::NotReproducible {
        output.report(&render::text(report, &options))?;
    }
    let (text, meaning) = match likeness {
        Likeness::Same => (
            "rebuilt: the same files, metadata and settings; layers are written otherwise here",
            Meaning::Good,
        ),
        Likeness::Different => (
            "rebuilt: another image than the one that BuildKit made",
            Meaning::Bad,
        ),
    };
    output.text(&meaning.paint(text).to_string())
}
