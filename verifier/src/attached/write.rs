//! From packs and bundles to artifacts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use jiff::Timestamp;
use repro_core::{
    digest::{Digest, HashingReader},
    image::{Descriptor, MediaType},
    store::{BlobStore, StoredBlob, put_bytes},
};

use super::{
    AttachError, Attached, Content, PACK_TYPE, STATEMENT_TYPE, Subjects,
    manifest::{self, BUNDLE_CONTENT, ENVELOPE, INDEX, PREDICATE_TYPE, TITLE},
};
use crate::{
    attestation::Attestation,
    bundle::BUNDLE_MAX,
    pack::layout,
    predicate::{
        Predicate as _,
        evidence_index::{EvidenceIndex, PackIndex},
    },
    statement::Statement,
    strict_json, uris,
    verify::files::{INDEX_MAX, PackFiles},
};

/// A bundle in a file, such as a verification summary that was made later.
#[derive(Debug, Clone, Copy)]
pub struct StatementFile<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Makes the artifact of one statement, for the image that it is about, in `blobs`.
///
/// The signature is not checked: whose word counts is for those to say who verify.
pub fn attach_statement(
    file: StatementFile<'_>,
    subjects: &Subjects,
    blobs: &dyn BlobStore,
) -> Result<Attached, AttachError> {
    let statement = claims(file)?;
    let subject = subject_of(&statement, subjects).ok_or_else(|| AttachError::OtherSubject {
        name: file.name.into(),
        found: statement.subjects.iter().map(|one| one.digest).collect(),
        wanted: subjects.digests(),
    })?;
    let time = manifest::time_of(&statement);
    statement_artifact(file.bytes, &statement, &subject, time, blobs)
}

fn claims(file: StatementFile<'_>) -> Result<Statement, AttachError> {
    let bundle = Attestation::parse(file.bytes).map_err(|source| AttachError::Bundle {
        name: file.name.into(),
        source,
    })?;
    bundle.claims().map_err(|source| AttachError::Statement {
        name: file.name.into(),
        source,
    })
}

/// The image that a statement is about: where it names a list and an image on it, the image.
fn subject_of(statement: &Statement, subjects: &Subjects) -> Option<Descriptor> {
    let named = |entry: &&Descriptor| {
        let mut all = statement.subjects.iter();
        all.any(|subject| subject.digest == entry.digest)
    };
    let found = subjects.all().iter().rev().find(named)?;
    subjects.find(found.digest)
}

fn statement_artifact(
    bytes: &[u8],
    statement: &Statement,
    subject: &Descriptor,
    time: Option<Timestamp>,
    blobs: &dyn BlobStore,
) -> Result<Attached, AttachError> {
    let stored = put_bytes(blobs, bytes)?;
    let media_type = MediaType::Other(STATEMENT_TYPE.into());
    let layer = Descriptor::new(media_type, stored.digest, stored.size);
    let mut annotations = manifest::created(time);
    annotations.insert(BUNDLE_CONTENT.into(), ENVELOPE.into());
    annotations.insert(PREDICATE_TYPE.into(), statement.predicate_type.clone());
    let content = Content::Statement {
        predicate_type: statement.predicate_type.clone(),
        bundle: stored.digest,
    };
    manifest::write(
        blobs,
        STATEMENT_TYPE,
        vec![layer],
        subject,
        annotations,
        content,
    )
}

/// Makes the artifacts of the pack in `dir` in `blobs`: one for each of its statements about the image,
/// and one for the pack with all of its files.
///
/// The pack must be what its index lists. Signatures are not checked, as by [`attach_statement`].
pub fn attach_pack(
    dir: &Path,
    subjects: &Subjects,
    blobs: &dyn BlobStore,
) -> Result<Vec<Attached>, AttachError> {
    let files = PackFiles::list(dir)?;
    let (index, digest) = index(&files)?;
    refuse_other_files(&files, &index)?;
    let name = dir.display().to_string();
    let image = image_of(&files)?.ok_or(AttachError::NoImage)?;
    let subject = subjects
        .find(image)
        .ok_or_else(|| AttachError::OtherSubject {
            name,
            found: vec![image],
            wanted: subjects.digests(),
        })?;
    let mut layers = BTreeMap::new();
    for path in files.paths() {
        let stored = copy(&files, path, blobs)?;
        if let Some(listed) = index.files.get(path)
            && *listed != stored
        {
            return Err(AttachError::Changed(format!(
                "{path} has {} bytes and {}, the index says {} bytes and {}",
                stored.size, stored.digest, listed.size, listed.digest
            )));
        }
        layers.insert(path.clone(), stored);
    }
    let statements = statements(&files)?;
    let time = statements
        .iter()
        .filter_map(|(_, statement)| manifest::time_of(statement))
        .max();
    let mut made = Vec::new();
    for (bytes, statement) in &statements {
        // Those on other things, such as the index itself, are reached through the pack.
        if statement.subjects.iter().any(|one| one.digest == image) {
            let time = manifest::time_of(statement).or(time);
            made.push(statement_artifact(bytes, statement, &subject, time, blobs)?);
        }
    }
    let layers = layers.iter().map(|(path, stored)| layer(path, *stored));
    let mut annotations = manifest::created(time);
    annotations.insert(INDEX.into(), digest.to_string());
    made.push(manifest::write(
        blobs,
        PACK_TYPE,
        layers.collect(),
        &subject,
        annotations,
        Content::Pack { index: digest },
    )?);
    Ok(made)
}

fn index(files: &PackFiles) -> Result<(PackIndex, Digest), AttachError> {
    let bytes = files.read(layout::INDEX, INDEX_MAX)?;
    let value = strict_json::parse(&bytes, INDEX_MAX)?;
    let index: PackIndex =
        serde_json::from_value(value).map_err(|error| AttachError::Index(Some(error)))?;
    if index.schema != uris::EVIDENCE_INDEX {
        return Err(AttachError::Index(None));
    }
    Ok((index, Digest::of(&bytes)))
}

fn refuse_other_files(files: &PackFiles, index: &PackIndex) -> Result<(), AttachError> {
    let own = [layout::INDEX, layout::INDEX_BUNDLE].map(str::to_owned);
    let listed: BTreeSet<&String> = index.files.keys().chain(&own).collect();
    let found: BTreeSet<&String> = files.paths().iter().collect();
    let odd = |what: &str, path: Option<&&String>| match path {
        Some(path) => Err(AttachError::Changed(format!("{path} is {what}"))),
        None => Ok(()),
    };
    odd("missing", listed.difference(&found).next())?;
    odd("not in it", found.difference(&listed).next())
}

/// The image of the pack, as the statement on its index says.
fn image_of(files: &PackFiles) -> Result<Option<Digest>, AttachError> {
    let name = layout::INDEX_BUNDLE;
    let bytes = files.read(name, BUNDLE_MAX)?;
    let statement = claims(StatementFile {
        name,
        bytes: &bytes,
    })?;
    let signed = EvidenceIndex::of(&statement).map_err(|error| AttachError::Index(Some(error)))?;
    Ok(signed.image)
}

/// Every statement of the pack.
fn statements(files: &PackFiles) -> Result<Vec<(Vec<u8>, Statement)>, AttachError> {
    let bundles = files
        .paths()
        .iter()
        .filter(|path| path.ends_with(".sigstore.json"));
    bundles
        .map(|path| {
            let bytes = files.read(path, BUNDLE_MAX)?;
            let statement = claims(StatementFile {
                name: path,
                bytes: &bytes,
            })?;
            Ok((bytes, statement))
        })
        .collect()
}

fn copy(files: &PackFiles, path: &str, blobs: &dyn BlobStore) -> Result<StoredBlob, AttachError> {
    let io = |source| {
        AttachError::Blob(repro_core::store::BlobError::Io {
            what: format!("copy {path} into the store"),
            source,
        })
    };
    let mut reader = HashingReader::new(files.open(path)?);
    let mut out = blobs.create()?;
    io::copy(&mut reader, &mut out).map_err(io)?;
    Ok(out.commit()?)
}

fn layer(path: &str, stored: StoredBlob) -> Descriptor {
    let name = match path.rsplit_once('.').map(|(_, extension)| extension) {
        _ if path.ends_with(".sigstore.json") => STATEMENT_TYPE,
        Some("json" | "sarif") => "application/json",
        Some("log") => "text/plain",
        Some("md") => "text/markdown",
        Some("html") => "text/html",
        Some("xml") => "application/xml",
        _ => "application/octet-stream",
    };
    let media_type = MediaType::Other(name.into());
    let mut layer = Descriptor::new(media_type, stored.digest, stored.size);
    layer.annotations.insert(TITLE.into(), path.into());
    layer
}
