//! Evidence that lies beside an image, in a registry, a layout or a directory of its own: what of it
//! counts, and what all of it comes to.
//!
//! Who may write beside an image can put anything there. So what no accepted key signed is named and
//! otherwise passed over: it makes nothing better and nothing worse. What an accepted key signed and is
//! not as it was signed is refused, and so is what was found damaged.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use repro_core::{
    digest::Digest,
    image::{MAX_DOCUMENT, Manifest},
    store::BlobStore,
};
use serde::Serialize;

use super::{
    Conclusion, Evidence, FilesError, Looked, Terms, Trust, VerifyReport,
    check::{Check, CheckCode, Checks, Status, chain},
    files::PackFiles,
    image, look, policy, provenance, runs,
    statements::{PIPELINE, Signed},
    trusted,
};
use crate::{
    attached::gather::{Damage, Form, FoundStatement, Other},
    attestation::{Attestation, Verified},
    bundle::BUNDLE_MAX,
    keys::PublicKey,
    pack::layout,
    predicate::{
        Predicate as _,
        provenance::Provenance,
        reproducibility::{Reproducibility, Verdict},
    },
    terms::{Policy, TrustRules},
    verify::KeyIdText,
};

/// How many packs beside an image are gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One: further ones of accepted keys say the same of the same image.
    One,
    /// All, since builders are counted.
    EachBuilder,
}

/// How the image was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// By its digest.
    ByDigest,
    /// By a tag, which was asked for once; all else went by the digest that it meant.
    ByTag,
    /// By a file or directory that holds it.
    InFile,
}

/// The image that evidence is wanted for. Its blobs were fetched, each with its digest and size.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// As the user named it.
    pub name: String,
    /// How that was.
    pub named: Named,
    /// Its manifest; `None` where the form that holds it has none, such as `docker save` writes.
    pub manifest: Option<Digest>,
    /// Its configuration, which names the content of every layer.
    pub config: Digest,
    /// The list that the name means, if it means one.
    pub list: Option<Digest>,
}

/// A pack in a directory.
#[derive(Debug, Clone)]
pub struct PackAt {
    /// Where it was found, for people.
    pub at: String,
    /// Where it lies now.
    pub dir: PathBuf,
}

/// What was found beside the image.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Whole packs.
    pub packs: Vec<PackAt>,
    /// Single statements, with their bytes.
    pub statements: Vec<(FoundStatement, Vec<u8>)>,
    /// What is no evidence, or none that can be read.
    pub others: Vec<Other>,
    /// What is damaged.
    pub damaged: Vec<Damage>,
}

/// What a report says of the image beyond its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectReport {
    /// As the user named it.
    pub name: String,
    /// How that was.
    pub named: Named,
    /// Its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// The list that the name means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_digest: Option<Digest>,
    /// Statements about it that an accepted key signed, besides those in the pack.
    pub statements: Vec<Counted>,
    /// What was found and is not verified.
    pub not_verified: Vec<Other>,
}

/// A statement with a good signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// URI of the type of its predicate.
    pub predicate_type: String,
    /// Who signed.
    pub key: KeyIdText,
    /// How it was found.
    pub form: Form,
    /// Bundle or envelope.
    pub digest: Digest,
}

/// Verifies an image by what lies beside it. `blobs` has the image. `now` is in seconds since 1970.
///
/// Gives one report, or one for each pack where those of several builders are wanted. Whatever is wrong
/// with the evidence is in the reports; an error is only that a directory cannot be looked at.
pub fn verify_image(
    facts: &ImageFacts,
    beside: Beside,
    blobs: &dyn BlobStore,
    terms: &Terms<'_>,
    wanted: Wanted,
) -> Result<Vec<(String, Looked)>, FilesError> {
    let mut found = Found {
        facts,
        counted: Vec::new(),
        others: beside.others,
    };
    let chosen = found.packs(&beside.packs, terms, wanted)?;
    let mut in_packs = BTreeSet::new();
    for (pack, _) in &chosen {
        in_packs.append(&mut bundles(pack)?);
    }
    let rules = terms.trust.rules();
    let statements = found.statements(&beside.statements, &rules, &in_packs);
    let several = chosen.len() > 1;
    let mut all = Vec::new();
    for (pack, looked) in chosen {
        let mut checks = Checks::reopen(&looked.report.checks);
        found.bind(&pack, &looked.report, &mut checks);
        let name = if several { pack.at } else { facts.name.clone() };
        all.push((name, looked, checks));
    }
    if all.is_empty() {
        let (report, checks) = found.alone(&statements, blobs, &rules, terms);
        all.push((facts.name.clone(), Looked { report, pack: None }, checks));
    }
    let subject = found.report();
    let finish = |(at, looked, mut checks): (String, Looked, Checks)| {
        let Looked { mut report, pack } = looked;
        for damage in &beside.damaged {
            checks.fail(CheckCode::SubjectMatches, &damage.at, &damage.why);
        }
        name(facts, &mut checks);
        report.checks = checks.finish();
        report.subject = Some(subject.clone());
        report.conclude();
        let pack = pack.filter(|_| report.conclusion == Conclusion::Verified);
        (at, Looked { report, pack })
    };
    Ok(all.into_iter().map(finish).collect())
}

/// The report on an image that is not what its digest says, so that there is nothing to verify.
#[must_use]
pub fn refuse_image(name: &str, reason: &str) -> VerifyReport {
    let mut checks = Checks::default();
    checks.fail(CheckCode::SubjectMatches, name, reason);
    let nothing = "nothing was verified";
    checks.fail(CheckCode::SomethingVerified, name, nothing);
    let terms = Terms::new(Trust::Keys(&[]), 0);
    VerifyReport::new(checks, &terms, &Evidence::default(), None)
}

/// V13.
fn name(facts: &ImageFacts, checks: &mut Checks) {
    let code = CheckCode::DigestPinned;
    let root = facts.list.or(facts.manifest);
    match (facts.named, root) {
        (Named::ByDigest, _) => checks.pass(code, &facts.name, "named by its digest"),
        (Named::ByTag, Some(root)) => {
            let detail = format!("the tag was asked for once and meant {root}");
            checks.pass(code, &facts.name, detail);
        }
        (Named::ByTag, None) | (Named::InFile, _) => {
            checks.not_applicable(code, &facts.name, "the image is in a file");
        }
    }
}

/// The bundles of a pack, in both forms in which they can lie beside the image too.
fn bundles(pack: &PackAt) -> Result<BTreeSet<Digest>, FilesError> {
    let files = PackFiles::list(&pack.dir)?;
    let mut all = BTreeSet::new();
    let is_bundle = |path: &&String| path.ends_with(".sigstore.json");
    for path in files.paths().iter().filter(is_bundle) {
        let bytes = files.read(path, BUNDLE_MAX)?;
        all.insert(Digest::of(&bytes));
        if let Some(Ok(envelope)) = Attestation::parse(&bytes)
            .ok()
            .map(|bundle| bundle.envelope_bytes())
        {
            all.insert(Digest::of(&envelope));
        }
    }
    Ok(all)
}

struct Found<'a> {
    facts: &'a ImageFacts,
    counted: Vec<Counted>,
    others: Vec<Other>,
}

impl Found<'_> {
    fn other(&mut self, what: &str, at: &dyn fmt::Display, why: impl Into<String>) {
        self.others.push(Other {
            what: what.into(),
            at: at.to_string(),
            why: why.into(),
        });
    }

    fn report(self) -> SubjectReport {
        SubjectReport {
            name: self.facts.name.clone(),
            named: self.facts.named,
            manifest_digest: self.facts.manifest,
            list_digest: self.facts.list,
            statements: self.counted,
            not_verified: self.others,
        }
    }

    /// Verifies every pack, and chooses those to go by. Of which one is wanted, it is the first that is not
    /// as it was signed, since whoever accepts the key must learn of it; else the first that holds: what is
    /// only too old, or no longer what a policy demands, does not speak against what came later.
    fn packs(
        &mut self,
        packs: &[PackAt],
        terms: &Terms<'_>,
        wanted: Wanted,
    ) -> Result<Vec<(PackAt, Looked)>, FilesError> {
        let mut chosen: Vec<(PackAt, Looked)> = Vec::new();
        for pack in packs {
            let looked = look(&pack.dir, terms)?;
            if let Err(why) = is_by_accepted_key(&looked.report) {
                self.other("evidence pack", &pack.at, why);
                continue;
            }
            chosen.push((pack.clone(), looked));
        }
        if wanted == Wanted::One && chosen.len() > 1 {
            let changed = chosen.iter().position(|(_, one)| is_changed(&one.report));
            let holds = |(_, one): &(PackAt, Looked)| one.pack.is_some();
            let first = changed.or_else(|| chosen.iter().position(holds));
            let first = first.unwrap_or(0);
            let one = chosen.swap_remove(first);
            for (pack, _) in chosen {
                self.other("evidence pack", &pack.at, "another one was gone by");
            }
            chosen = vec![one];
        }
        Ok(chosen)
    }

    /// V14: the pack is about this image and no other.
    fn bind(&self, pack: &PackAt, report: &VerifyReport, checks: &mut Checks) {
        let code = CheckCode::SubjectMatches;
        let facts = self.facts;
        let Some(image) = report.image else {
            return checks.fail(code, &pack.at, "the pack is about no image");
        };
        let Some(manifest) = facts.manifest else {
            // The form has lost the manifest; the configuration names every layer's content.
            let config = config_of(pack, image);
            return checks.expect(
                code,
                &facts.name,
                config == Ok(facts.config),
                format!("its configuration {} is that of the pack", facts.config),
                match config {
                    Ok(other) => format!(
                        "its configuration is {}, that of the pack is {other}",
                        facts.config
                    ),
                    Err(why) => why,
                },
            );
        };
        checks.expect(
            code,
            &facts.name,
            image == manifest,
            format!("{manifest} is the image of the pack"),
            format!("is {manifest}, the pack is about {image}"),
        );
    }

    /// Sorts single statements into those that count and the rest.
    fn statements(
        &mut self,
        all: &[(FoundStatement, Vec<u8>)],
        rules: &TrustRules,
        in_packs: &BTreeSet<Digest>,
    ) -> Vec<(FoundStatement, Attestation<Verified>)> {
        let mut good = Vec::new();
        let keys = rules.builder_keys();
        for (found, bytes) in all {
            if in_packs.contains(&found.blob) {
                continue;
            }
            let what = format!("statement {}", found.claimed);
            let attestation = match open(found.form, bytes, &keys) {
                Ok(attestation) => attestation,
                Err(why) => {
                    self.other(&what, &found.blob, why);
                    continue;
                }
            };
            let about = attestation
                .statement()
                .subjects
                .iter()
                .map(|one| one.digest);
            let about: Vec<Digest> = about.collect();
            let facts = self.facts;
            let wanted = [facts.manifest, facts.list];
            if !wanted.iter().flatten().any(|digest| about.contains(digest)) {
                self.other(&what, &found.blob, "it is about another image");
                continue;
            }
            if let Some(reason) = rules.revoked(attestation.key()) {
                let key = attestation.key();
                self.other(
                    &what,
                    &found.blob,
                    format!("its key {key} is revoked: {reason}"),
                );
                continue;
            }
            self.counted.push(Counted {
                predicate_type: attestation.statement().predicate_type.clone(),
                key: attestation.key().into(),
                form: found.form,
                digest: found.blob,
            });
            good.push((found.clone(), attestation));
        }
        good
    }

    /// The report where there is no pack: each statement by itself.
    fn alone(
        &self,
        statements: &[(FoundStatement, Attestation<Verified>)],
        blobs: &dyn BlobStore,
        rules: &TrustRules,
        terms: &Terms<'_>,
    ) -> (VerifyReport, Checks) {
        let mut checks = Checks::default();
        let mut evidence = Evidence::default();
        let mut provenances = 0_usize;
        for (found, attestation) in statements {
            let on = found.blob.to_string();
            for code in PIPELINE {
                checks.pass(code, &on, "holds");
            }
            let statement = attestation.statement();
            let refuse = |error: serde_json::Error| format!("the predicate does not read: {error}");
            if statement.predicate_type == Provenance::TYPE {
                match Provenance::of(statement).map_err(refuse) {
                    Err(why) => checks.fail(CheckCode::Types, &on, why),
                    Ok(predicate) => {
                        let run = predicate.build_definition.internal_parameters.run;
                        let signed = signed(&on, attestation, found.blob, predicate);
                        provenance::check(&signed, terms.now, &mut checks);
                        provenances += 1;
                        evidence.provenance.push((run, signed));
                    }
                }
            } else if statement.predicate_type == Reproducibility::TYPE {
                match Reproducibility::of(statement).map_err(refuse) {
                    Err(why) => checks.fail(CheckCode::Types, &on, why),
                    Ok(predicate) => {
                        // Of several the one that says least for the image: their order is the place's.
                        let worst = evidence.verdict.as_ref();
                        if worst.is_none_or(|one| {
                            says_for_the_image(predicate.verdict)
                                < says_for_the_image(one.predicate.verdict)
                        }) {
                            let signed = signed(&on, attestation, found.blob, predicate);
                            evidence.verdict = Some(signed);
                        }
                    }
                }
            }
        }
        let on = &self.facts.name;
        checks.expect(
            CheckCode::SomethingVerified,
            on,
            provenances > 0,
            "provenance by an accepted key",
            "no evidence pack and no provenance that an accepted key signed lies beside the image",
        );
        let granted = trusted::check(rules, &evidence, terms.now, &mut checks);
        let layers = self.reread(blobs, &mut checks);
        let alone = "the statements were looked at one by one, without their pack";
        for code in [CheckCode::Pack, CheckCode::Runs] {
            checks.not_applicable(code, on, alone);
        }
        runs::check_alone(&evidence, &mut checks);
        if let Some(policy) = terms.policy {
            let facts = policy::Facts {
                evidence: &evidence,
                rules,
                granted: granted.as_ref(),
                layers,
                now: terms.now,
            };
            policy::check(policy, &facts, &mut checks);
        }
        let mut report = VerifyReport::new(Checks::default(), terms, &evidence, granted.as_ref());
        report.image = self.facts.manifest;
        (report, checks)
    }

    /// V14, where no pack has the image; gives the number of its layers.
    fn reread(&self, blobs: &dyn BlobStore, checks: &mut Checks) -> Option<usize> {
        let manifest = self.facts.manifest?;
        let (code, on) = (CheckCode::SubjectMatches, &self.facts.name);
        match image::reread(blobs, manifest) {
            Ok(layers) => {
                checks.pass(
                    code,
                    on,
                    format!("{manifest} with {layers} layers, recomputed"),
                );
                Some(layers)
            }
            Err(why) => {
                checks.fail(code, on, why);
                None
            }
        }
    }
}

/// The more it says for the image the higher.
const fn says_for_the_image(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotReproducible => 0,
        Verdict::BuildFailed => 1,
        Verdict::Inconclusive => 2,
        Verdict::Reproducible => 3,
    }
}

fn signed<P>(
    path: &str,
    attestation: &Attestation<Verified>,
    bundle: Digest,
    predicate: P,
) -> Signed<P> {
    Signed {
        path: path.into(),
        bundle,
        key: attestation.key(),
        subjects: attestation.statement().subjects.clone(),
        predicate,
    }
}

fn open(form: Form, bytes: &[u8], keys: &[PublicKey]) -> Result<Attestation<Verified>, String> {
    let parsed = match form {
        Form::Referrer => Attestation::parse(bytes).map_err(|error| chain(&error))?,
        Form::LegacyTag => Attestation::parse_envelope(bytes).map_err(|error| chain(&error))?,
    };
    parsed.verify(keys).map_err(|error| chain(&error))
}

/// Whether anything failed but what the verifier's own terms decide, which change with time.
fn is_changed(report: &VerifyReport) -> bool {
    let failed = |check: &&Check| check.status == Status::Failed;
    let of_terms = |code| code == CheckCode::KeyWindow || Policy::WAIVABLE.contains(&code);
    let mut failed = report.checks.iter().filter(failed);
    failed.any(|check| !of_terms(check.code))
}

/// Whether the index of a pack was signed by an accepted key: only then is it anybody's whose word
/// counts.
fn is_by_accepted_key(report: &VerifyReport) -> Result<(), String> {
    let signature = report
        .checks
        .iter()
        .filter(|check| check.code == CheckCode::Signature)
        .flat_map(|check| &check.findings)
        .find(|finding| finding.on == layout::INDEX_BUNDLE);
    match signature {
        Some(finding) if finding.status == Status::Passed => Ok(()),
        Some(finding) if finding.status == Status::Failed => Err(finding.detail.clone()),
        _ => Err("the signature of its index cannot be checked".into()),
    }
}

fn config_of(pack: &PackAt, image: Digest) -> Result<Digest, String> {
    let files = PackFiles::list(&pack.dir).map_err(|error| chain(&error))?;
    let path = format!("{}/blobs/sha256/{}", layout::IMAGE, image.hex());
    let limit = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
    let bytes = files.read(&path, limit).map_err(|error| chain(&error))?;
    let manifest = Manifest::parse(&bytes, None).map_err(|error| chain(&error))?;
    Ok(manifest.config.digest)
}
