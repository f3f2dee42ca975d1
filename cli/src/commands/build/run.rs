//! Builds, compares, reports, signs, delivers: in this order.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
};

use repro_builder::Builder;
use repro_core::{
    build::{BuildRecord, Reason, RunId},
    digest::HashingWriter,
    image::{load_image, transport},
    store::Store,
};
use repro_toolchains::{Sources, materialise::Workshop};
use repro_verifier::{
    compare::{self, compare_runs},
    keys::{KeyKind, SigningKey},
    pack::{self, PackContents, Signer, WrittenPack, layout::ReportFormat},
    predicate::{provenance::BuilderInfo, reproducibility::Verdict},
    render,
    report::Report,
};

use super::{
    Args, OnDifference,
    contexts::contexts,
    request::{Asked, asked},
};
use crate::{
    ambient::{self, SystemClock},
    commands::Context,
    engine::Engine,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    files::{self, Limit},
    output::Format,
};

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let clock = SystemClock;
    let mut asked = asked(args, &context.settings, ambient::invocation_id(&clock)?)?;
    // Before the build: a key that cannot be read is better known now than in an hour. It is read
    // again, and only then opened, when the last step has ended.
    if let Some(path) = &args.key {
        drop(signing_key(path)?);
    }
    let store = context.open_store()?;
    asked.request.contexts = contexts(&args.contexts, &store, &asked.request.platform)?;
    let builder = BuilderInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: program_digest()?,
        kernel_release: kernel_release(),
    };
    let record = build(args, context, &asked, &store)?;
    let report = report(&record, &store)?;
    deliver(args, context, &asked, &store, &record, &report)?;
    let pack = write_pack(args, &store, &record, &report, &builder)?;
    say(args, context, &record, &report, &pack)?;
    Ok(status(args.on_difference, &record, &report))
}

/// The build itself, with everything that may be stopped by a signal.
fn build(
    args: &Args,
    context: &Context,
    asked: &Asked,
    store: &Store,
) -> Result<BuildRecord, CommandError> {
    let request = &asked.request;
    let engine = Engine::start(
        context,
        store,
        &request.invocation,
        &args.mirrors,
        asked.grants.clone(),
    )?;
    let events = context.settings.view.start(&context.settings.output);
    let sources = Sources {
        project: &asked.project,
        lock: asked.lock.as_ref(),
        lock_mode: request.lock_mode,
        platform: &request.platform,
        workshop: Workshop {
            store,
            executor: engine.executor.as_ref(),
            fetcher: &engine.fetcher,
            events: events.as_ref(),
            invocation: &request.invocation,
            ruleset: request.ruleset,
        },
    };
    let builder = Builder {
        store,
        executor: engine.executor.as_ref(),
        sources: &sources,
        events: events.as_ref(),
        clock: &SystemClock,
        jobs: args.jobs.unwrap_or_else(processors),
    };
    let record = builder.build(request).map_err(CommandError::from);
    engine.finish(record)
}

/// How many this process may use; one where the system does not say.
fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn report(record: &BuildRecord, store: &Store) -> Result<Report, CommandError> {
    let built = |id| {
        record
            .runs
            .iter()
            .any(|run| run.id == id && run.image.is_some())
    };
    let comparison = if built(RunId::A) && built(RunId::B) {
        let mut options = compare::Options::new(store.blobs().tmp().to_owned());
        options.host_cpus = NonZeroU32::try_from(processors()).ok();
        Some(compare_runs(store.blobs(), record, &options)?)
    } else {
        None
    };
    Ok(Report::build(record, comparison.as_ref())?)
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
    let image = record
        .runs
        .iter()
        .find(|run| run.id == RunId::A)
        .and_then(|run| run.image.as_ref());
    let Some(image) = image else { return Ok(()) };
    let stored = load_image(store.blobs(), image.manifest)?;
    for destination in &args.output {
        transport::export(
            store.blobs(),
            &stored,
            asked.request.tags.first(),
            destination,
        )?;
    }
    if status(args.on_difference, record, report) == ExitStatus::Done {
        for tag in &args.tags {
            store.tag(tag, &stored.descriptor)?;
        }
    } else if !args.tags.is_empty() {
        context
            .settings
            .output
            .warning("the image is not tagged, since the runs differ");
    }
    Ok(())
}

fn write_pack(
    args: &Args,
    store: &Store,
    record: &BuildRecord,
    report: &Report,
    builder: &BuilderInfo,
) -> Result<WrittenPack, CommandError> {
    let internal = |error| CommandError::new(ErrorKind::Internal, &error);
    let reports = BTreeMap::from([
        (ReportFormat::Json, report.to_json().map_err(internal)?),
        (
            ReportFormat::Markdown,
            render::markdown(report).into_bytes(),
        ),
        (ReportFormat::Html, render::html(report).into_bytes()),
        (
            ReportFormat::Sarif,
            render::sarif(report).map_err(internal)?,
        ),
    ]);
    let key = match &args.key {
        Some(path) => signing_key(path)?,
        None => SigningKey::generate(KeyKind::P256, &mut ambient::fill_random)?,
    };
    let signer = if args.key.is_some() {
        Signer::Key(&key)
    } else {
        Signer::Ephemeral(&key)
    };
    let findings = report.findings();
    let contents = PackContents {
        record,
        blobs: store.blobs(),
        findings: &findings,
        reports: &reports,
        builder,
        signer,
    };
    Ok(pack::write(&args.evidence, &contents)?)
}

fn signing_key(path: &Path) -> Result<SigningKey, CommandError> {
    let pem = zeroize::Zeroizing::new(files::read_text(path, Limit::Key)?);
    SigningKey::from_pem(&pem).map_err(|error| {
        CommandError::from(error).context(format!("cannot sign with {}", path.display()))
    })
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
            let options = render::TextOptions {
                evidence: Some(evidence),
                ..Default::default()
            };
            output.report(&render::text(report, &options))?;
        }
        // As `docker build -q`: the image, and nothing else.
        Format::Text => {
            if let Some(digest) = report.image.manifest_digest {
                output.text(&digest.to_string())?;
            }
        }
    }
    if args.key.is_none() {
        output.hint(
            "signed with a key made for this build alone: the pack shows what was seen, not who saw \
             it. `repro keygen`, then --key, gives it a name",
        );
    }
    if record.tags.is_empty() && args.output.is_empty() && report.image.manifest_digest.is_some() {
        output.status(
            "the image is in the evidence; -t names it in the store, -o writes it elsewhere",
        );
    }
    Ok(())
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
