//! Builds, compares, reports, signs, delivers: in this order.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    sync::Arc,
};

use repro_builder::{Builder, LockState};
use repro_core::{
    build::{BuildRecord, BuildRequest, Reason, RunId, Runs},
    digest::HashingWriter,
    image::load_image,
    store::Store,
};
use repro_toolchains::{Sources, fetch::Mirror, materialise::Workshop};
use repro_verifier::{
    compare,
    pack::{self, PackContents, PackInputs, Sbom, Signer, WrittenPack, layout::ReportFormat},
    predicate::{
        provenance::{BuilderId, BuilderInfo},
        reproducibility::{RebuildOf, Verdict},
    },
    remedy::{Change, Trial},
    render,
    report::{Compared, Report},
};

use super::{
    Args, OnDifference, bisect,
    call::{Method, say_findings, say_targets},
    contexts::contexts,
    inputs, load,
    network::Wanted,
    outputs::Outputs,
    place::{Place, from_here},
    push, redaction,
    request::{Asked, asked},
    results, suggest,
};
use crate::{
    ambient::{self, SystemClock},
    commands::Context,
    engine::Engine,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    output::Format,
    place::PlaceArgs,
    registries::RegistryArgs,
    reports::{Reports, Subject},
    signing::{Opened, SigningArgs},
};

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let clock = SystemClock;
    let output = &context.settings.output;
    args.docker.check()?;
    let outputs = Outputs(&args.output);
    outputs.check(output)?;
    let reports = Reports(&args.reports);
    let taken = outputs.streams() || output.format() == Format::Json;
    reports.check(&args.evidence, taken)?;
    let notes = args.docker.notes();
    for note in notes.iter().map(String::as_str).chain(args.same.notes()) {
        output.status(note);
    }
    let tmp = || Ok(context.open_store()?.blobs().tmp().to_owned());
    let place = Place::open(args, tmp)?;
    let mut asked = asked(
        args,
        &context.settings,
        &place,
        ambient::invocation_id(&clock)?,
    )?;
    let call = args.call();
    let format = call.format(output.format());
    if call.method == Method::Targets {
        return say_targets(output, format, &asked.request);
    }
    args.signing.check(output)?;
    let store = context.open_store()?;
    asked.request.contexts = contexts(&args.contexts, &store, &asked.request.platform)?;
    if call.method == Method::Check {
        let (means, wanted) = (args.means(), Wanted::Nothing);
        let check = |builder: &Builder<'_>, request: &BuildRequest| builder.check(request);
        let findings = with_builder(&means, context, &asked, &store, wanted, check)?;
        return say_findings(output, format, &asked.request, &findings);
    }
    let pushes = push::destinations(args, &asked.request)?;
    push::check_attach(args, &pushes)?;
    let engine = load::engine(args)?;
    asked.request.exclude.extend(suggest::path(&asked.request));
    let patch = if args.suggest {
        Some(suggest::wanted(&asked.request)?)
    } else {
        None
    };
    let named = [
        args.iidfile.as_deref(),
        args.metadata_file.as_deref(),
        patch.as_deref(),
    ];
    let stale: Vec<_> = named.into_iter().chain(reports.files().map(Some)).collect();
    results::forget(&stale)?;
    let builder = builder_info(&args.builder_id)?;
    let options = options(&store);
    let (means, wanted) = (args.means(), Wanted::Replay);
    let (record, findings, contexts) = with_builder(
        &means,
        context,
        &asked,
        &store,
        wanted,
        |builder, request| {
            let build = builder.start(request)?;
            let record = build.record();
            let mut findings = bisect::compare(&record, &store, &options)?;
            if args.more.bisect_axes {
                findings.bisection = bisect::bisect(&build, &record, &store, &options, &findings)?;
            }
            let contexts = build.contexts().clone();
            let mut record = build.finish();
            record.lineage.clone_from(&asked.lineage);
            Ok::<_, CommandError>((record, findings, contexts))
        },
    )?;
    inputs::remember(&store, &contexts)?;
    if args.evidence_context {
        asked.inputs.contexts = contexts;
    }
    let compared = Compared {
        b: findings.b.as_ref(),
        control: findings.control.as_ref(),
        bisection: findings.bisection.as_ref(),
    };
    let record = redaction::record(&asked.redactor, record, &store)?;
    let report = redaction::report(&asked.redactor, Report::on(&record, compared)?)?;
    let subject = Subject::Build {
        report: &report,
        dockerfile: &from_here(&asked.request)?,
    };
    reports.write(subject, output)?;
    deliver(args, context, &asked, &store, &record, &report)?;
    let evidence = Evidence {
        dir: &args.evidence,
        signing: &args.signing,
        sbom: args.same.sbom(),
        inputs: &asked.inputs,
        rebuild_of: None,
    };
    let pack = write_pack(&evidence, &store, &record, &report, &builder)?;
    push::into_layouts(args, context, &store, &record)?;
    say(args, context, &record, &report, &pack)?;
    if let Some(path) = &patch {
        let found = suggest::find(&asked.request, &report)?;
        let tried = match &found.change {
            Some(change) => {
                output.status("builds with the change, to see what it does");
                let trial = trial(&means, context, &asked, &store, (&record, &report), change);
                Some(suggest::Tried::of(trial)?)
            }
            None => None,
        };
        suggest::write(path, &asked.request, &found, tried.as_ref(), output)?;
    }
    let status = status(args.on_difference, &record, &report);
    let tags = &asked.request.tags;
    load::load(engine.as_ref(), context, &store, &record, status, tags)?;
    push::push(
        args,
        context,
        &store,
        &record,
        report.verdict,
        status,
        &pushes,
    )?;
    Ok(status)
}

/// Builds with a change of the Dockerfile, twice, and looks at what it does to what was built before.
fn trial(
    means: &Means<'_>,
    context: &Context,
    asked: &Asked,
    store: &Store,
    (record, report): (&BuildRecord, &Report),
    change: &Change,
) -> Result<Trial, CommandError> {
    let mut request = asked.request.clone();
    request.dockerfile.text = change.text.clone().into_bytes();
    request.runs = Runs::Two;
    let build = |builder: &Builder<'_>, _: &BuildRequest| builder.build(&request);
    let after = with_builder(means, context, asked, store, Wanted::Replay, build)?;
    let options = options(store);
    let findings = bisect::compare(&after, store, &options)?;
    let changed = match bisect::find(&after, RunId::A) {
        Some(a) => bisect::of(record, a, store, &options)?,
        None => None,
    };
    let compared = Compared {
        b: findings.b.as_ref(),
        ..Compared::default()
    };
    let after = Report::on(&after, compared)?;
    Ok(Trial::of(report, &after, changed.as_ref()))
}

/// What a build does its work with, as far as options say it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means<'a> {
    /// Where packages are looked for first.
    pub(crate) mirrors: &'a [Mirror],
    /// How registries are reached.
    pub(crate) registries: &'a RegistryArgs,
    /// Where steps run.
    pub(crate) place: &'a PlaceArgs,
    /// Steps that each run has going at a time.
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// The build itself, or a look at it, with everything that may be stopped by a signal.
pub(crate) fn with_builder<T, E>(
    means: &Means<'_>,
    context: &Context,
    asked: &Asked,
    store: &Store,
    wanted: Wanted,
    work: impl FnOnce(&Builder<'_>, &BuildRequest) -> Result<T, E>,
) -> Result<T, CommandError>
where
    CommandError: From<E>,
{
    let request = &asked.request;
    let engine = Engine::start(
        context,
        store,
        &request.invocation,
        means.mirrors,
        &asked.grants,
        means.place,
    )?;
    let events = context.settings.view.start(&context.settings.output);
    let registry = means
        .registries
        .client(store, Arc::clone(&engine.cancelled));
    let sources = Sources {
        registry: &registry,
        project: &asked.project,
        lock: asked.lock.as_ref(),
        pins: &asked.pins,
        lock_mode: request.lock_mode,
        platform: &request.platform,
        workshop: Workshop {
            store,
            executor: &*engine.executor,
            fetcher: &engine.fetcher,
            events: events.as_ref(),
            invocation: &request.invocation,
            ruleset: request.ruleset,
        },
    };
    let lock_state = match &wanted {
        Wanted::Capture { .. } => LockState::InTheMaking,
        Wanted::Nothing | Wanted::Replay | Wanted::Restore(_) => LockState::Written,
    };
    let network = wanted.network(
        (request, &asked.project, asked.lock.as_ref()),
        &asked.grants,
        store,
        events.as_ref(),
        &engine.cancelled,
    );
    let network = match network {
        Ok(network) => network,
        Err(error) => return engine.finish(Err(error)),
    };
    let builder = Builder {
        lock_state,
        network: network.as_ref(),
        store,
        executor: &*engine.executor,
        sources: &sources,
        events: events.as_ref(),
        clock: &SystemClock,
        jobs: means.jobs.unwrap_or_else(processors),
    };
    let done = work(&builder, request).map_err(CommandError::from);
    drop(network);
    engine.finish(done)
}

/// How many this process may use; one where the system does not say.
fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// How runs are compared.
pub(crate) fn options(store: &Store) -> compare::Options {
    let mut options = compare::Options::new(store.blobs().tmp().to_owned());
    options.host_cpus = NonZeroU32::try_from(processors()).ok();
    options.threads = processors();
    options
}

/// The image of run A: to where `-o` says always, under the names of `-t` only where nothing
/// speaks against it.
fn deliver(
    args: &Args,
    context: &Context,
    asked: &Asked,
    store: &Store,
    record: &BuildRecord,
    report: &Report,
) -> Result<(), CommandError> {
    let Some(image) = results::image_of(record) else {
        return Ok(());
    };
    let mut stored = load_image(store.blobs(), image.manifest)?;
    stored
        .descriptor
        .annotations
        .extend(asked.request.annotations.descriptor.clone());
    let tags = &asked.request.tags;
    Outputs(&args.output).write(store, &stored, tags.first())?;
    if status(args.on_difference, record, report) == ExitStatus::Done {
        for tag in tags {
            store.tag(tag, &stored.descriptor)?;
        }
        if let Some(path) = &args.iidfile {
            results::write_id(path, image)?;
        }
        if let Some(path) = &args.metadata_file {
            results::write_metadata(path, &stored, tags)?;
        }
    } else if !tags.is_empty() {
        context
            .settings
            .output
            .warning("the image is not tagged, since the runs differ");
    }
    Ok(())
}

/// Where evidence goes, and what is in it besides what was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// The pack.
    pub(crate) dir: &'a Path,
    /// Who signs; without anybody a key is made for this pack alone.
    pub(crate) signing: &'a SigningArgs,
    /// Whether packages are listed.
    pub(crate) sbom: Sbom,
    /// For whoever builds again.
    pub(crate) inputs: &'a PackInputs,
    /// Whose build this was again, if it was.
    pub(crate) rebuild_of: Option<&'a RebuildOf>,
}

pub(crate) fn write_pack(
    evidence: &Evidence<'_>,
    store: &Store,
    record: &BuildRecord,
    report: &Report,
    builder: &BuilderInfo,
) -> Result<WrittenPack, CommandError> {
    let internal = |error| CommandError::new(ErrorKind::Internal, &error);
    let reports = ReportFormat::ALL.into_iter().map(|format| {
        let bytes = render::report(report, format);
        Ok((format, bytes.map_err(internal)?))
    });
    let reports = reports.collect::<Result<BTreeMap<_, _>, CommandError>>()?;
    // The last step has ended.
    let opened = evidence.signing.open()?;
    let signer = match &opened {
        Opened::Known(key) => Signer::Key(key.as_ref()),
        Opened::Ephemeral(key) => Signer::Ephemeral(key.as_ref()),
    };
    let findings = report.findings();
    let contents = PackContents {
        record,
        blobs: store.blobs(),
        findings: &findings,
        reports: &reports,
        builder,
        sbom: evidence.sbom,
        signer,
        inputs: evidence.inputs,
        rebuild_of: evidence.rebuild_of,
    };
    Ok(pack::write(evidence.dir, &contents)?)
}

fn say(
    args: &Args,
    context: &Context,
    record: &BuildRecord,
    report: &Report,
    pack: &WrittenPack,
) -> Result<(), CommandError> {
    let output = &context.settings.output;
    let evidence = args.evidence.display().to_string();
    match output.format() {
        Format::Json => {
            let mut document = serde_json::Map::new();
            let internal = |error| CommandError::new(ErrorKind::Internal, &error);
            let mut field = |name: &str, value: Result<serde_json::Value, serde_json::Error>| {
                document.insert(name.to_owned(), value.map_err(internal)?);
                Ok::<(), CommandError>(())
            };
            field("outcome", serde_json::to_value(record.outcome))?;
            field("report", serde_json::to_value(report))?;
            field("evidence", serde_json::to_value(&evidence))?;
            field("index", serde_json::to_value(pack.index))?;
            field("key", serde_json::to_value(pack.key.to_string()))?;
            output.json("cli/build/v1", &document)?;
        }
        Format::Text if output.talks() => {
            let page = args.evidence.join(ReportFormat::Html.path());
            let options = render::TextOptions {
                rest: format!("all in {}", page.display()),
                evidence: Some(evidence),
                ..output.text_options(false, hints(args))
            };
            let lines = render::text(report, &options);
            if Outputs(&args.output).streams() || Reports(&args.reports).streams() {
                output.report_aside(&lines);
            } else {
                output.report(&lines)?;
            }
        }
        Format::Text if Reports(&args.reports).streams() => {}
        // As `docker build -q`: the id of an image that can be used, and nothing else.
        Format::Text => {
            if let Some(image) = results::image_of(record)
                && status(args.on_difference, record, report) == ExitStatus::Done
            {
                output.text(&image.config.to_string())?;
            }
        }
    }
    if !args.signing.is_given() {
        output.hint(
            "signed with a key made for this build alone: the pack shows what was seen, not who saw \
             it. `repro keygen`, then --key, gives it a name",
        );
    }
    let stays = record.tags.is_empty() && args.output.is_empty() && args.load.is_none();
    if stays && report.image.manifest_digest.is_some() {
        output.status(
            "the image is in the evidence; -t names it in the store, -o writes it elsewhere",
        );
    }
    Ok(())
}

/// Lines that hints may take below the report.
fn hints(args: &Args) -> usize {
    const EACH: usize = 2;
    [!args.signing.is_given(), args.tags.is_empty(), args.suggest]
        .into_iter()
        .map(|said| EACH * usize::from(said))
        .sum()
}

/// The exit code, by what the report says.
fn status(on_difference: OnDifference, record: &BuildRecord, report: &Report) -> ExitStatus {
    match (report.verdict, on_difference) {
        (Verdict::Reproducible, _) | (Verdict::NotReproducible, OnDifference::Warn) => {
            ExitStatus::Done
        }
        (Verdict::NotReproducible, OnDifference::Fail) => ExitStatus::NotReproducible,
        (Verdict::BuildFailed, _) => ExitStatus::StepFailed,
        // One run, or nothing varied: that was asked for, and is done.
        (Verdict::Inconclusive, _)
            if matches!(
                record.outcome.reason,
                Reason::NotCompared | Reason::NotVaried
            ) =>
        {
            ExitStatus::Done
        }
        (Verdict::Inconclusive, _) => ExitStatus::Inconclusive,
    }
}

/// This program, as provenance names it.
pub(crate) fn builder_info(id: &BuilderId) -> Result<BuilderInfo, CommandError> {
    Ok(BuilderInfo {
        id: id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: program_digest()?,
        kernel_release: kernel_release(),
    })
}

/// SHA-256 of the running program, as the provenance names it.
fn program_digest() -> Result<repro_core::digest::Digest, CommandError> {
    let digest = || -> std::io::Result<_> {
        let mut file = std::fs::File::open("/proc/self/exe")?;
        let mut hash = HashingWriter::new(std::io::sink());
        std::io::copy(&mut file, &mut hash)?;
        Ok(hash.finish().0)
    };
    digest().map_err(|error| {
        CommandError::new(ErrorKind::Machine, &error)
            .context("cannot read the running program")
            .hint("see that /proc is mounted")
    })
}

fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}
