//! Checks of evidence from outside. No network is used, no clock is read; keys and time come
//! from the caller, never from what is judged.

mod beside;
mod blobs;
mod check;
mod derived;
pub mod files;
mod image;
mod index;
mod policy;
mod provenance;
mod quorum;
mod report;
mod runs;
mod sarif;
mod statements;
mod trusted;
mod verified;

use std::{collections::BTreeMap, path::Path};

pub use beside::{
    Beside, Counted, ImageFacts, Named, PackAt, SubjectReport, Wanted, refuse_image, verify_image,
};
pub(crate) use check::chain;
pub use check::{Check, CheckCode, Finding, Status};
pub use files::FilesError;
pub use quorum::{Agreement, agree};
pub use report::{
    BuilderReport, Conclusion, KeyIdText, PolicyName, StatementReport, Verification, VerifyReport,
};
pub use sarif::sarif;
pub use statements::Signed;
pub use verified::VerifiedPack;

pub use crate::terms::{Terms, Trust};

use crate::{
    keys::{KeyId, PublicKey},
    pack::layout,
    predicate::{
        Predicate,
        evidence_index::EvidenceIndex,
        provenance::Provenance,
        reproducibility::{RebuildOutcome, Reproducibility},
    },
    terms::TrustRules,
};
use check::Checks;
use files::PackFiles;
use repro_core::{build::RunId, digest::Digest};

/// What was found in a pack.
#[derive(Debug)]
pub struct Looked {
    /// Every check.
    pub report: VerifyReport,
    /// The pack, for whoever goes by what is in it: only where all of it was verified. What is checked
    /// beyond the pack, such as how many builders agree, [`Verification`] says.
    pub pack: Option<VerifiedPack>,
}

impl Looked {
    /// Of something that was refused.
    #[must_use]
    pub const fn refused(report: VerifyReport) -> Self {
        Self { report, pack: None }
    }
}

/// Checks the evidence pack in `dir`: every check but that on other packs, which
/// [`Verification::of_reports`] makes.
///
/// Whatever is wrong inside the pack is a failed check of the report; an error is only that
/// `dir` cannot be looked at.
pub fn look(dir: &Path, terms: &Terms<'_>) -> Result<Looked, FilesError> {
    let mut checks = Checks::default();
    let files = match PackFiles::list(dir) {
        Ok(files) => files,
        Err(error @ FilesError::Io { .. }) => return Err(error),
        Err(error) => {
            checks.fail(CheckCode::Pack, "pack", &error);
            checks.fail(CheckCode::SomethingVerified, "pack", "nothing was verified");
            let report = VerifyReport::new(checks, terms, &Evidence::default(), None);
            return Ok(Looked::refused(report));
        }
    };
    let rules = match terms.trust {
        Trust::Rules(_) | Trust::Keys(_) => terms.trust.rules(),
        Trust::Embedded => TrustRules::of_keys(&embedded_key(&files, &mut checks)),
    };
    let keys = rules.builder_keys();
    let mut evidence = Evidence::default();
    let statement = |path: &str| statements::Source {
        files: &files,
        path: path.to_owned(),
        keys: &keys,
    };
    evidence.index = statement(layout::INDEX_BUNDLE).load::<EvidenceIndex>(&mut checks);
    index::check(&files, evidence.index.as_ref(), &mut checks);
    for run in RunId::RECORDED {
        let path = layout::provenance(run);
        if files.paths().contains(&path) {
            let loaded = statement(&path).load::<Provenance>(&mut checks);
            evidence
                .provenance
                .extend(loaded.map(|signed| (run, signed)));
        }
    }
    evidence.verdict = statement(layout::REPRODUCIBILITY).load::<Reproducibility>(&mut checks);
    statements::refuse_unknown(&files, &mut checks);
    for (_, signed) in &evidence.provenance {
        provenance::check(signed, terms.now, &mut checks);
    }
    let layers = image::check(&files, &evidence, &mut checks);
    runs::check(&files, &evidence, &mut checks);
    evidence.derived = derived::check(&files, &keys, &evidence, &mut checks);
    let granted = trusted::check(&rules, &evidence, terms.now, &mut checks);
    evidence.require(&mut checks);
    if let Some(policy) = terms.policy {
        let facts = policy::Facts {
            evidence: &evidence,
            rules: &rules,
            granted: granted.as_ref(),
            layers,
            now: terms.now,
        };
        policy::check(policy, &facts, &mut checks);
    }
    let anyone = signed_by_its_own_key(&files, &evidence);
    let trust = if anyone { Trust::Embedded } else { terms.trust };
    let terms = Terms { trust, ..*terms };
    let report = VerifyReport::new(checks, &terms, &evidence, granted.as_ref());
    let pack = match report.conclusion {
        Conclusion::Verified => VerifiedPack::of(files, evidence),
        Conclusion::IntegrityOnly | Conclusion::Refused => None,
    };
    Ok(Looked { report, pack })
}

/// What was found with a good signature on it.
#[derive(Debug, Default)]
struct Evidence {
    index: Option<Signed<EvidenceIndex>>,
    provenance: Vec<(RunId, Signed<Provenance>)>,
    verdict: Option<Signed<Reproducibility>>,
    /// What follows from these.
    derived: Vec<Stated>,
}

impl Evidence {
    fn provenance(&self, id: RunId) -> Option<&Signed<Provenance>> {
        let (_, signed) = self.provenance.iter().find(|(run, _)| *run == id)?;
        Some(signed)
    }

    /// What is said of the data: by the provenance `run`, and in a rebuild by the one that was judged,
    /// where it is about the same image and by somebody whose word counts.
    fn lineage(
        &self,
        run: Option<&Signed<Provenance>>,
        rules: &TrustRules,
    ) -> BTreeMap<String, String> {
        let judged = self
            .verdict
            .as_ref()
            .and_then(|signed| signed.predicate.rebuild_of.as_ref())
            .filter(|judged| judged.outcome == RebuildOutcome::Agrees)
            .filter(|judged| {
                let by = judged.lineage_by.as_ref();
                by.is_some_and(|by| rules.is_word_of(&by.key_id, &by.builder))
            });
        let judged = judged.map(|judged| &judged.lineage);
        let own = run.map(|signed| &signed.predicate.run_details.metadata.lineage);
        let all = judged.into_iter().chain(own).flatten();
        all.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Fails closed: what must be there was verified, or the pack is refused.
    fn require(&self, checks: &mut Checks) {
        let code = CheckCode::SomethingVerified;
        for (path, there) in [
            (layout::INDEX_BUNDLE, self.index.is_some()),
            (layout::REPRODUCIBILITY, self.verdict.is_some()),
        ] {
            checks.expect(code, path, there, "verified", "not verified, and needed");
        }
        let runs = self
            .verdict
            .iter()
            .flat_map(|signed| &signed.predicate.runs);
        for run in runs.filter(|run| run.manifest.is_some()) {
            let path = layout::provenance(run.id);
            let there = self.provenance(run.id).is_some();
            checks.expect(code, &path, there, "verified", "not verified, and needed");
        }
    }

    /// Every statement with a good signature on it.
    fn statements(&self) -> Vec<Stated> {
        let index = self.index.iter().map(Stated::of);
        let verdict = self.verdict.iter().map(Stated::of);
        let provenance = self.provenance.iter().map(|(_, signed)| Stated::of(signed));
        let derived = self.derived.iter().cloned();
        index
            .chain(provenance)
            .chain(verdict)
            .chain(derived)
            .collect()
    }

    fn signers(&self) -> Vec<KeyIdText> {
        let mut keys: Vec<KeyId> = self.statements().iter().map(|one| one.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(KeyIdText::from).collect()
    }
}

/// A statement without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stated {
    path: String,
    predicate_type: &'static str,
    key: KeyId,
    bundle: Digest,
}

impl Stated {
    fn of<P: Predicate>(signed: &Signed<P>) -> Self {
        Self {
            path: signed.path.clone(),
            predicate_type: P::TYPE,
            key: signed.key,
            bundle: signed.bundle,
        }
    }
}

/// Whether the caller took the key from the pack: it says no more for being named.
fn signed_by_its_own_key(files: &PackFiles, evidence: &Evidence) -> bool {
    let key = files
        .read(layout::EPHEMERAL_KEY, crate::keys::KEY_FILE_MAX)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| PublicKey::from_pem(&text).ok());
    key.is_some_and(|key| evidence.signers().contains(&KeyIdText::from(key.id())))
}

fn embedded_key(files: &PackFiles, checks: &mut Checks) -> Vec<PublicKey> {
    let path = layout::EPHEMERAL_KEY;
    let key = files
        .read(path, crate::keys::KEY_FILE_MAX)
        .map_err(|error| check::chain(&error))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|error| check::chain(&error)))
        .and_then(|text| PublicKey::from_pem(&text).map_err(|error| check::chain(&error)));
    match key {
        Ok(key) => vec![key],
        Err(error) => {
            checks.fail(CheckCode::Signature, path, error);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
