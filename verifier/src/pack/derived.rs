//! The statements that follow from the others, for readers who know them and not ours.

use std::collections::BTreeMap;

use repro_core::{
    build::{RunId, RunRecord},
    digest::Digest,
    image::load_image,
};

use super::{PackContents, PackError, Sbom, WrittenRun, bundle, image, layout, stage::Stage};
use crate::{
    link::{self, Link},
    predicate::{
        Predicate as _,
        reproducibility::Reproducibility,
        runtime_trace::RuntimeTrace,
        scai::AttributeReport,
        test_result::{self, TestResult},
    },
    sbom::SpdxDocument,
};

/// Writes them all. `verdict` comes with the digest of its bundle.
pub(super) fn write(
    stage: &mut Stage,
    contents: &PackContents<'_>,
    runs: &BTreeMap<RunId, WrittenRun>,
    verdict: (&Reproducibility, Digest),
) -> Result<(), PackError> {
    let (verdict, digest) = verdict;
    let key = contents.signer.key();
    let record = contents.record;
    let tested = record.runs.iter().find(|run| run.id == RunId::A);
    let configuration = tested.map_or_else(Vec::new, |run| test_result::configuration(record, run));
    let tests = TestResult::new(verdict, &contents.findings.failed_axes, configuration);
    let statement = tests.statement(verdict.subjects())?;
    bundle(stage, layout::TEST_RESULT, statement, key)?;
    let attributes = runs.get(&RunId::A).and_then(|written| {
        let builder = &written.provenance.run_details.builder.id;
        AttributeReport::new(verdict, digest, builder)
    });
    if let Some((report, subjects)) = attributes {
        let statement = report.statement(subjects)?;
        bundle(stage, layout::ATTRIBUTES, statement, key)?;
    }
    for run in &record.runs {
        if let Some(written) = runs.get(&run.id) {
            network(stage, contents, run, written)?;
            links(stage, contents, run, written)?;
        }
    }
    match (contents.sbom, runs.get(&RunId::A)) {
        (Sbom::Written, Some(written)) => materials(stage, contents, written),
        (Sbom::LeftOut, _) | (_, None) => Ok(()),
    }
}

fn network(
    stage: &mut Stage,
    contents: &PackContents<'_>,
    run: &RunRecord,
    written: &WrittenRun,
) -> Result<(), PackError> {
    let builder = &written.provenance.run_details.builder.id;
    let trace = RuntimeTrace::of_run(contents.record, run, builder);
    let statement = trace.statement(written.subjects.clone())?;
    let key = contents.signer.key();
    bundle(stage, &layout::network(run.id), statement, key)?;
    Ok(())
}

fn links(
    stage: &mut Stage,
    contents: &PackContents<'_>,
    run: &RunRecord,
    written: &WrittenRun,
) -> Result<(), PackError> {
    let Some(made) = &run.image else {
        return Ok(());
    };
    let parts = image::parts(&load_image(contents.blobs, made.manifest)?);
    let key = contents.signer.key();
    let bytes = Link::of_run(run.id, &written.provenance, &parts).sign(key)?;
    let name = link::file_name(run.id, &key.public_key());
    stage.file(&format!("{}/{name}", layout::LINKS), &bytes)
}

fn materials(
    stage: &mut Stage,
    contents: &PackContents<'_>,
    written: &WrittenRun,
) -> Result<(), PackError> {
    let Some(subject) = written.subjects.first() else {
        return Ok(());
    };
    let image = load_image(contents.blobs, subject.digest)?;
    let document = SpdxDocument::of_image(&image, contents.blobs, subject, &written.provenance)?;
    let (path, file) = layout::sbom(&subject.name);
    stage.file(&file, &document.to_bytes()?)?;
    let statement = document.statement(written.subjects.clone())?;
    bundle(stage, &path, statement, contents.signer.key())?;
    Ok(())
}
