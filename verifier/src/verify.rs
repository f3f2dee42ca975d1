//! Checks of evidence from outside. No network is used, no clock is read; keys and time come
//! from the caller, never from what is judged.

mod blobs;
mod check;
mod derived;
pub mod files;
mod image;
mod index;
mod provenance;
mod runs;
mod statements;

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

pub use check::{Check, CheckCode, Finding, Status};
pub use files::FilesError;
pub use statements::Signed;

use crate::{
    keys::{KeyId, PublicKey},
    pack::layout,
    predicate::{
        evidence_index::EvidenceIndex,
        provenance::Provenance,
        reproducibility::{Reproducibility, Verdict},
    },
};
use check::Checks;
use files::PackFiles;
use repro_core::{build::RunId, digest::Digest};

/// Whose word is taken.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Statements signed by one of these keys.
    Keys(&'a [PublicKey]),
    /// Statements signed by the key that lies in the pack itself. That shows that the pack is
    /// whole and nothing on who made it, so the result is never [`Conclusion::Verified`].
    Embedded,
}

/// What all checks together come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Everything that applies passed, and the keys are the caller's.
    Verified,
    /// Everything that applies passed, by a key that anyone could have made.
    IntegrityOnly,
    /// Something failed.
    Refused,
}

/// The result of looking at an evidence pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// What all checks come to.
    pub conclusion: Conclusion,
    /// What the pack says of the build. Worth something only where nothing was refused.
    pub verdict: Option<Verdict>,
    /// Manifest of the image of run A.
    pub image: Option<Digest>,
    /// Who signed, each key once.
    pub signers: Vec<KeyIdText>,
    /// What the user of the build said of its data, by the provenance of run A; not measured. Worth
    /// something only where nothing was refused.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lineage: BTreeMap<String, String>,
    /// One for every code, in order.
    pub checks: Vec<Check>,
}

/// A key id as text, the form in which it is reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeyIdText(pub String);

impl From<KeyId> for KeyIdText {
    fn from(id: KeyId) -> Self {
        Self(id.to_string())
    }
}

/// Checks the evidence pack in `dir`. `now` is in seconds since 1970.
///
/// Whatever is wrong inside the pack is a failed check of the report; an error is only that
/// `dir` cannot be looked at.
pub fn verify_pack(dir: &Path, trust: Trust<'_>, now: i64) -> Result<VerifyReport, FilesError> {
    let mut checks = Checks::default();
    let files = match PackFiles::list(dir) {
        Ok(files) => files,
        Err(error @ FilesError::Io { .. }) => return Err(error),
        Err(error) => {
            checks.fail(CheckCode::Pack, "pack", &error);
            checks.fail(CheckCode::SomethingVerified, "pack", "nothing was verified");
            return Ok(report(checks, trust, &Evidence::default()));
        }
    };
    let embedded;
    let keys = match trust {
        Trust::Keys(keys) => keys,
        Trust::Embedded => {
            embedded = embedded_key(&files, &mut checks);
            embedded.as_slice()
        }
    };
    let mut evidence = Evidence::default();
    let statement = |path: &str| statements::Source {
        files: &files,
        path: path.to_owned(),
        keys,
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
        provenance::check(signed, now, &mut checks);
    }
    image::check(&files, &evidence, &mut checks);
    runs::check(&files, &evidence, &mut checks);
    evidence.derived = derived::check(&files, keys, &evidence, &mut checks);
    evidence.require(&mut checks);
    let anyone = signed_by_its_own_key(&files, &evidence);
    let trust = if anyone { Trust::Embedded } else { trust };
    Ok(report(checks, trust, &evidence))
}

/// What was found with a good signature on it.
#[derive(Debug, Default)]
struct Evidence {
    index: Option<Signed<EvidenceIndex>>,
    provenance: Vec<(RunId, Signed<Provenance>)>,
    verdict: Option<Signed<Reproducibility>>,
    /// Who signed what follows from these.
    derived: Vec<KeyId>,
}

impl Evidence {
    fn provenance(&self, id: RunId) -> Option<&Signed<Provenance>> {
        let (_, signed) = self.provenance.iter().find(|(run, _)| *run == id)?;
        Some(signed)
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

    fn signers(&self) -> Vec<KeyIdText> {
        let index = self.index.iter().map(|signed| signed.key);
        let verdict = self.verdict.iter().map(|signed| signed.key);
        let provenance = self.provenance.iter().map(|(_, signed)| signed.key);
        let mut keys: Vec<KeyId> = index.chain(verdict).chain(provenance).collect();
        keys.extend(&self.derived);
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(KeyIdText::from).collect()
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

fn report(checks: Checks, trust: Trust<'_>, evidence: &Evidence) -> VerifyReport {
    let checks = checks.finish();
    let refused = checks.iter().any(|check| check.status == Status::Failed);
    let conclusion = match trust {
        _ if refused => Conclusion::Refused,
        Trust::Keys(_) => Conclusion::Verified,
        Trust::Embedded => Conclusion::IntegrityOnly,
    };
    VerifyReport {
        conclusion,
        verdict: evidence
            .verdict
            .as_ref()
            .map(|signed| signed.predicate.verdict),
        image: evidence.verdict.as_ref().and_then(runs::image_of_a),
        signers: evidence.signers(),
        lineage: evidence
            .provenance(RunId::A)
            .map(|signed| signed.predicate.run_details.metadata.lineage.clone())
            .unwrap_or_default(),
        checks,
    }
}

#[cfg(test)]
mod tests;
