//! The evidence pack: everything that was seen, in one directory, signed as a whole.

mod derived;
mod holder;
pub(crate) mod image;
pub mod layout;
mod replace;
mod stage;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use repro_core::{
    build::{BuildRecord, RunId},
    digest::{DiffId, Digest},
    image::ImageError,
    json::CanonicalError,
    store::{BlobError, BlobStore},
};

use crate::{
    attestation::Attestation,
    keys::{KeyId, Sign, SignError},
    predicate::{
        Predicate,
        evidence_index::{EvidenceIndex, PackIndex},
        provenance::{BuilderInfo, Provenance, ProvenanceError},
        reproducibility::{Findings, RebuildOf, Reproducibility},
    },
    sbom::SbomError,
    statement::{ResourceDescriptor, Statement, Subject},
};
pub use holder::unfinished;
use layout::ReportFormat;
pub use replace::check_replaceable;
use stage::Stage;

/// Whose word a pack is.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// A key that the verifier can know.
    Key(&'a dyn Sign),
    /// A key made for this pack. Its public half goes into the pack: it shows that the pack is
    /// whole, not who made it.
    Ephemeral(&'a dyn Sign),
}

impl<'a> Signer<'a> {
    const fn key(self) -> &'a dyn Sign {
        match self {
            Self::Key(key) | Self::Ephemeral(key) => key,
        }
    }
}

/// What somebody needs who builds again, as far as nobody else has it.
#[derive(Debug, Clone, Default)]
pub struct PackInputs {
    /// The Dockerfile.
    pub dockerfile: Option<Vec<u8>>,
    /// `repro.toml`.
    pub project: Option<Vec<u8>>,
    /// `repro.lock`.
    pub lock: Option<Vec<u8>>,
    /// Contexts, by the digest of their canonical tars: the blobs that have them compressed.
    pub contexts: BTreeMap<DiffId, Digest>,
}

/// What goes into a pack.
#[derive(Clone, Copy)]
pub struct PackContents<'a> {
    /// Everything that was seen.
    pub record: &'a BuildRecord,
    /// Has the images and logs that the record names.
    pub blobs: &'a dyn BlobStore,
    /// What the comparison found.
    pub findings: &'a Findings,
    /// The report in its forms; [`ReportFormat::Json`] must be among them.
    pub reports: &'a BTreeMap<ReportFormat, Vec<u8>>,
    /// The program that built.
    pub builder: &'a BuilderInfo,
    /// Whether packages are looked for, which takes a reading of every layer.
    pub sbom: Sbom,
    /// Whose word it is.
    pub signer: Signer<'a>,
    /// For somebody who builds again.
    pub inputs: &'a PackInputs,
    /// Whose build this was again, if it was.
    pub rebuild_of: Option<&'a RebuildOf>,
}

/// Whether a pack has a bill of materials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sbom {
    /// It has.
    #[default]
    Written,
    /// It has none.
    LeftOut,
}

impl fmt::Debug for PackContents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackContents")
            .field("invocation", &self.record.invocation)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// A pack that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPack {
    /// Files that the index lists.
    pub files: u64,
    /// SHA-256 of `index.json`: names the pack with all that is in it.
    pub index: Digest,
    /// Who signed.
    pub key: KeyId,
}

/// Why no pack was written. What was at its place is untouched.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The report itself is not among the reports.
    #[error("an evidence pack needs report.json")]
    NoReport,
    /// The record gives no provenance.
    #[error("run {run} gives no provenance")]
    Provenance {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: ProvenanceError,
    },
    /// Something could not be signed.
    #[error("the evidence is not signed")]
    Sign(#[from] SignError),
    /// The bill of materials cannot be made.
    #[error("there is no bill of materials")]
    Sbom(#[from] SbomError),
    /// A value without canonical form.
    #[error("a statement has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// A log or image blob cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The image cannot be read.
    #[error("the image cannot be put into the pack")]
    Image(#[from] ImageError),
    /// Something is there that is no evidence pack.
    #[error("{} is {what}, and is left alone; name another directory", .path.display())]
    NotOurs {
        /// The place.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// Another run is writing the same pack.
    #[error("another run is writing evidence to {}", .0.display())]
    Busy(PathBuf),
    /// The operating system's word.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PackError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Writes a pack to `dir`, whole or not at all.
///
/// It is made beside `dir`, in [`unfinished`], and renamed into place. An evidence pack that is there already is
/// replaced, anything else is an error and stays.
pub fn write(dir: &Path, contents: &PackContents<'_>) -> Result<WrittenPack, PackError> {
    let Some(report) = contents.reports.get(&ReportFormat::Json) else {
        return Err(PackError::NoReport);
    };
    replace::check_replaceable(dir)?;
    let mut stage = Stage::beside(dir)?;
    let key = contents.signer.key();

    for (format, bytes) in contents.reports {
        stage.file(format.path(), bytes)?;
    }
    let image = contents.record.runs.iter().find_map(|run| match run.id {
        RunId::A => run.image.as_ref(),
        _ => None,
    });
    if let Some(image) = image {
        image::write(
            &mut stage,
            contents.blobs,
            image.manifest,
            &contents.record.tags,
        )?;
    }
    write_inputs(&mut stage, contents)?;
    let runs = write_runs(&mut stage, contents)?;
    let provenance = runs.iter().map(|(run, written)| (*run, written.bundle));

    let mut report_file = ResourceDescriptor::named("report.json", Digest::of(report));
    report_file.media_type = Some("application/json".into());
    let verdict = Reproducibility {
        rebuild_of: contents.rebuild_of.cloned(),
        ..Reproducibility::new(
            contents.record,
            contents.findings,
            &provenance.collect(),
            report_file,
        )
    };
    let statement = verdict.statement(verdict.subjects())?;
    let verdict_bundle = bundle(&mut stage, layout::REPRODUCIBILITY, statement, key)?;
    derived::write(&mut stage, contents, &runs, (&verdict, verdict_bundle))?;
    if let Signer::Ephemeral(key) = contents.signer {
        stage.file(layout::EPHEMERAL_KEY, key.public_key().to_pem().as_bytes())?;
    }

    let index = PackIndex::new(stage.files().clone());
    let mut bytes = repro_core::json::canonical(&index)?;
    bytes.push(b'\n');
    let written = WrittenPack {
        files: index.files.len() as u64,
        index: Digest::of(&bytes),
        key: key.public_key().id(),
    };
    let statement = EvidenceIndex {
        files: written.files,
        invocation_id: contents.record.invocation.to_string(),
        image: image.map(|image| image.manifest),
    }
    .statement(vec![Subject {
        name: layout::INDEX.into(),
        digest: written.index,
    }])?;
    stage.file(layout::INDEX, &bytes)?;
    bundle(&mut stage, layout::INDEX_BUNDLE, statement, key)?;
    stage.put_in_place(dir)?;
    Ok(written)
}

fn write_inputs(stage: &mut Stage, contents: &PackContents<'_>) -> Result<(), PackError> {
    let PackInputs {
        dockerfile,
        project,
        lock,
        contexts,
    } = contents.inputs;
    for (path, bytes) in [
        (layout::DOCKERFILE, dockerfile),
        (layout::PROJECT, project),
        (layout::LOCK, lock),
    ] {
        if let Some(bytes) = bytes {
            stage.file(path, bytes)?;
        }
    }
    for (tar, blob) in contexts {
        stage.blob(&layout::context(*tar), contents.blobs, *blob)?;
    }
    Ok(())
}

/// Signs a statement and writes its bundle; gives the bundle's digest.
fn bundle(
    stage: &mut Stage,
    path: &str,
    statement: Statement,
    key: &dyn Sign,
) -> Result<Digest, PackError> {
    let bytes = Attestation::sign(statement, key)?.to_bytes()?;
    stage.file(path, &bytes)?;
    Ok(Digest::of(&bytes))
}

/// The provenance of a run that made an image.
struct WrittenRun {
    bundle: Digest,
    subjects: Vec<Subject>,
    provenance: Provenance,
}

/// Writes logs and provenance of every run.
fn write_runs(
    stage: &mut Stage,
    contents: &PackContents<'_>,
) -> Result<BTreeMap<RunId, WrittenRun>, PackError> {
    let mut written = BTreeMap::new();
    for run in &contents.record.runs {
        for (path, log) in layout::logs(run) {
            stage.blob(&path, contents.blobs, log)?;
        }
        let (provenance, subjects) = Provenance::of_run(contents.record, run, contents.builder)
            .map_err(|source| PackError::Provenance {
                run: run.id,
                source,
            })?;
        // Provenance is of an artifact; a run that failed made none. Its log is in the pack.
        if subjects.is_empty() {
            continue;
        }
        let statement = provenance.statement(subjects.clone())?;
        let path = layout::provenance(run.id);
        let run_written = WrittenRun {
            bundle: bundle(stage, &path, statement, contents.signer.key())?,
            subjects,
            provenance,
        };
        written.insert(run.id, run_written);
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
