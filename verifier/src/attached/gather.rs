//! Everything that a place says of an image, sorted: packs and statements that can be verified, and the
//! rest, which is named and never counted.
//!
//! The place is not believed. What is fetched has the digest that it was asked for by, what is listed
//! under an image has that image as its subject, and how much is looked at is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use repro_core::{
    digest::Digest,
    image::{Descriptor, Index, Manifest},
};
use serde::Serialize;

use super::{
    LEGACY_SUFFIX, PACK_TYPE, PackArtifact,
    legacy::legacy_tag,
    read::{self, Artifact},
};

/// Most packs and statements that are looked at for one image. A release has a handful.
const MAX_PACKS: usize = 16;
const MAX_STATEMENTS: usize = 256;
/// Most other artifacts that are named.
const MAX_OTHERS: usize = 64;
/// Annotations by which BuildKit marks statements in a list, and the types in them
/// (`attestation-storage.md` of BuildKit).
const BUILDKIT_KIND: &str = "vnd.docker.reference.type";
const BUILDKIT_STATEMENTS: &str = "attestation-manifest";
const BUILDKIT_SUBJECT: &str = "vnd.docker.reference.digest";
const BUILDKIT_PREDICATE: &str = "in-toto.io/predicate-type";
/// Tags of cosign beside [`LEGACY_SUFFIX`], and what they hold.
const OTHER_TAGS: [(&str, &str); 2] = [(".sig", "cosign signature"), (".sbom", "cosign SBOM")];

/// Why a place did not give something.
#[derive(Debug)]
pub enum Trouble<E> {
    /// It is not there.
    Missing,
    /// It is there and is not what it should be: another digest, another size, no document.
    Damaged(String),
    /// The place itself is at fault, and nothing is known.
    Place(E),
}

/// A registry, a layout or a store that holds evidence.
pub trait EvidencePlace {
    /// What can go wrong with the place.
    type Error;

    /// What refers to `subject`, as the place lists it.
    fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Trouble<Self::Error>>;

    /// What a tag beside the image means.
    fn tagged(&self, tag: &str) -> Result<Descriptor, Trouble<Self::Error>>;

    /// A manifest. It is in the place's store afterwards.
    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, Trouble<Self::Error>>;

    /// Brings blobs of a manifest that was read into the place's store.
    fn blobs(&self, of: &Descriptor, blobs: &[Descriptor]) -> Result<(), Trouble<Self::Error>>;
}

/// How a statement was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A bundle that refers to the image.
    Referrer,
    /// An envelope under the legacy tag.
    LegacyTag,
}

/// A statement whose blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStatement {
    /// How it was found.
    pub form: Form,
    /// The manifest that has it.
    pub artifact: Digest,
    /// The image under which it was found.
    pub subject: Digest,
    /// Bundle or envelope.
    pub blob: Digest,
    /// The type of its predicate, as the place has it.
    pub claimed: String,
}

/// A pack whose blobs are in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPack {
    /// Its manifest.
    pub artifact: Digest,
    /// Its files.
    pub files: PackArtifact,
}

/// Something that was found and is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// What it is, for people.
    pub what: String,
    /// Where it is: the digest of its manifest, or a tag.
    pub at: String,
    /// Why it does not count.
    pub why: String,
}

/// Something that is there and is damaged. It is refused, not passed over: somebody changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its digest or tag.
    pub at: String,
    /// What is wrong.
    pub why: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Whole packs.
    pub packs: Vec<FoundPack>,
    /// Single statements.
    pub statements: Vec<FoundStatement>,
    /// The rest.
    pub others: Vec<Other>,
    /// What is damaged.
    pub damaged: Vec<Damage>,
}

impl Gathered {
    fn other(&mut self, what: impl Into<String>, at: &dyn fmt::Display, why: impl Into<String>) {
        let (what, at, why) = (what.into(), at.to_string(), why.into());
        self.others.push(Other { what, at, why });
    }

    /// What a place's answer comes to: the value, or a note of why there is none.
    fn take<T, E>(
        &mut self,
        what: &str,
        at: &dyn fmt::Display,
        answer: Result<T, Trouble<E>>,
    ) -> Result<Option<T>, E> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(Trouble::Place(error)) => Err(error),
            Err(Trouble::Missing) => {
                self.other(what, at, "it is listed and is not there");
                Ok(None)
            }
            Err(Trouble::Damaged(why)) => {
                let at = at.to_string();
                self.damaged.push(Damage { at, why });
                Ok(None)
            }
        }
    }
}

/// Whether an entry of a list is BuildKit's statements on another entry.
#[must_use]
pub fn is_statement_of_a_list(entry: &Descriptor) -> bool {
    entry.annotations.get(BUILDKIT_KIND).map(String::as_str) == Some(BUILDKIT_STATEMENTS)
}

/// Collects what `place` has on an image: `manifest`, and `list` where the image is on one.
/// `parts` are the parts of the image with their sizes.
pub fn gather<P: EvidencePlace>(
    place: &P,
    manifest: Digest,
    list: Option<(Digest, &Index)>,
    parts: &BTreeMap<Digest, u64>,
) -> Result<Gathered, P::Error> {
    let mut found = Gathered::default();
    let mut subjects = vec![manifest];
    subjects.extend(list.map(|(digest, _)| digest));
    for subject in subjects {
        referrers(place, subject, parts, &mut found)?;
        legacy(place, subject, &mut found)?;
        for (suffix, what) in OTHER_TAGS {
            let tag = legacy_tag(subject).replace(LEGACY_SUFFIX, suffix);
            match place.tagged(&tag) {
                Ok(_) => found.other(what, &tag, "repro does not read it"),
                Err(Trouble::Missing) => {}
                Err(Trouble::Damaged(why)) => found.damaged.push(Damage { at: tag, why }),
                Err(Trouble::Place(error)) => return Err(error),
            }
        }
    }
    if let Some((_, index)) = list {
        buildkit(place, manifest, index, &mut found)?;
    }
    let mut seen = BTreeSet::new();
    found.statements.retain(|one| seen.insert(one.blob));
    Ok(found)
}

fn referrers<P: EvidencePlace>(
    place: &P,
    subject: Digest,
    parts: &BTreeMap<Digest, u64>,
    found: &mut Gathered,
) -> Result<(), P::Error> {
    let listed = place.referrers(subject);
    let Some(listed) = found.take("list of referrers", &subject, listed)? else {
        return Ok(());
    };
    let mut seen = BTreeSet::new();
    let mut left = (MAX_PACKS, MAX_STATEMENTS, MAX_OTHERS);
    let mut passed_over = 0_u64;
    for entry in listed {
        if !seen.insert(entry.digest) {
            continue;
        }
        let kind = entry.artifact_type.clone().unwrap_or_default();
        let quota = if kind == PACK_TYPE {
            &mut left.0
        } else if read::is_bundle(&kind) {
            &mut left.1
        } else {
            &mut left.2
        };
        let Some(rest) = quota.checked_sub(1) else {
            passed_over += 1;
            continue;
        };
        *quota = rest;
        if kind == PACK_TYPE || read::is_bundle(&kind) {
            artifact(place, subject, &entry, parts, found)?;
        } else {
            let what = if kind.is_empty() {
                "artifact without a type".to_owned()
            } else {
                format!("artifact {kind}")
            };
            found.other(what, &entry.digest, "repro does not read it");
        }
    }
    if passed_over > 0 {
        let what = format!("{passed_over} more artifacts");
        found.other(what, &subject, "more are listed than are looked at");
    }
    Ok(())
}

fn artifact<P: EvidencePlace>(
    place: &P,
    subject: Digest,
    entry: &Descriptor,
    parts: &BTreeMap<Digest, u64>,
    found: &mut Gathered,
) -> Result<(), P::Error> {
    let what = if entry.artifact_type.as_deref() == Some(PACK_TYPE) {
        "evidence pack"
    } else {
        "statement"
    };
    let Some(bytes) = found.take(what, &entry.digest, place.document(entry))? else {
        return Ok(());
    };
    match Artifact::parse(&bytes, subject, parts) {
        Err(error) => found.other(what, &entry.digest, chain(&error)),
        Ok(Artifact::Other(kind)) => {
            found.other(
                format!("artifact {kind}"),
                &entry.digest,
                "repro does not read it",
            );
        }
        Ok(Artifact::Pack(files)) => {
            let blobs: Vec<Descriptor> = files.files().values().cloned().collect();
            let fetched = place.blobs(entry, &blobs);
            if found.take(what, &entry.digest, fetched)?.is_some() {
                found.packs.push(FoundPack {
                    artifact: entry.digest,
                    files,
                });
            }
        }
        Ok(Artifact::Statement(layer)) => {
            let fetched = place.blobs(entry, std::slice::from_ref(&layer));
            if found.take(what, &entry.digest, fetched)?.is_some() {
                let claimed = entry.annotations.get(super::PREDICATE_TYPE);
                found.statements.push(FoundStatement {
                    form: Form::Referrer,
                    artifact: entry.digest,
                    subject,
                    blob: layer.digest,
                    claimed: claimed.cloned().unwrap_or_default(),
                });
            }
        }
    }
    Ok(())
}

fn legacy<P: EvidencePlace>(
    place: &P,
    subject: Digest,
    found: &mut Gathered,
) -> Result<(), P::Error> {
    let tag = legacy_tag(subject);
    let entry = match place.tagged(&tag) {
        Err(Trouble::Missing) => return Ok(()),
        answer => found.take("statements", &tag, answer)?,
    };
    let Some(entry) = entry else { return Ok(()) };
    let Some(bytes) = found.take("statements", &tag, place.document(&entry))? else {
        return Ok(());
    };
    let (statements, others) = match read::legacy(&bytes) {
        Ok(found) => found,
        Err(error) => {
            found.other("statements", &tag, chain(&error));
            return Ok(());
        }
    };
    if others > 0 {
        found.other(format!("{others} layers"), &tag, "they are no envelopes");
    }
    if statements.len() > MAX_STATEMENTS {
        let what = format!("{} more statements", statements.len() - MAX_STATEMENTS);
        found.other(what, &tag, "more are there than are looked at");
    }
    for statement in statements.into_iter().take(MAX_STATEMENTS) {
        let fetched = place.blobs(&entry, std::slice::from_ref(&statement.layer));
        let at = format!("{} under {tag}", statement.layer.digest);
        if found.take("statement", &at, fetched)?.is_some() {
            found.statements.push(FoundStatement {
                form: Form::LegacyTag,
                artifact: entry.digest,
                subject,
                blob: statement.layer.digest,
                claimed: statement.predicate_type,
            });
        }
    }
    Ok(())
}

/// Names what BuildKit put into a list. It is never signed there.
fn buildkit<P: EvidencePlace>(
    place: &P,
    manifest: Digest,
    index: &Index,
    found: &mut Gathered,
) -> Result<(), P::Error> {
    let about = |entry: &&Descriptor| {
        let subject = entry.annotations.get(BUILDKIT_SUBJECT);
        is_statement_of_a_list(entry) && subject == Some(&manifest.to_string())
    };
    for entry in index.manifests.iter().filter(about).take(MAX_OTHERS) {
        let what = "statements of BuildKit";
        let Some(bytes) = found.take(what, &entry.digest, place.document(entry))? else {
            continue;
        };
        let layers = match Manifest::parse(&bytes, None) {
            Ok(manifest) => manifest.layers,
            Err(error) => {
                found.other(what, &entry.digest, chain(&error));
                continue;
            }
        };
        for layer in layers.iter().take(MAX_OTHERS) {
            let kind = layer.annotations.get(BUILDKIT_PREDICATE);
            let kind = kind.map_or("of no type", String::as_str);
            let what = format!("statement of BuildKit, {kind}");
            found.other(what, &layer.digest, "it is not signed");
        }
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
