//! One signed statement of a pack: from the file to a predicate that may be used.

use repro_core::digest::Digest;

use super::{
    check::{CheckCode, Checks, chain},
    files::{FilesError, PackFiles},
};
use crate::{
    attestation::{Attestation, AttestationError},
    bundle::{BUNDLE_MAX, BundleError},
    dsse::EnvelopeError,
    keys::{KeyId, PublicKey},
    pack::layout,
    predicate::Predicate,
    statement::{StatementError, Subject},
    strict_json::JsonError,
};
use repro_core::build::RunId;

/// A predicate with a good signature on it.
#[derive(Debug, Clone)]
pub struct Signed<P> {
    /// Where its bundle lies.
    pub path: String,
    /// SHA-256 of the bundle.
    pub bundle: Digest,
    /// Who signed.
    pub key: KeyId,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What is said.
    pub predicate: P,
}

/// Where a statement is, and whose word counts.
pub(super) struct Source<'a> {
    pub(super) files: &'a PackFiles,
    pub(super) path: String,
    pub(super) keys: &'a [PublicKey],
}

/// The checks that every statement goes through, in the order in which they are made. A failure
/// at one leaves those behind it skipped.
pub(super) const PIPELINE: [CheckCode; 10] = [
    CheckCode::Size,
    CheckCode::StrictJson,
    CheckCode::BundleVersion,
    CheckCode::PayloadType,
    CheckCode::SignatureCount,
    CheckCode::Base64,
    CheckCode::Signature,
    CheckCode::SameBytes,
    CheckCode::Types,
    CheckCode::Subjects,
];

/// Where the checks of the bundle end and those of the statement inside begin.
const INSIDE: usize = 8;

/// A failure: the code it has, how many steps of the pipeline were passed, and the reason.
struct Refusal {
    code: CheckCode,
    passed: usize,
    reason: String,
}

impl Refusal {
    fn new(code: CheckCode, passed: usize, reason: String) -> Self {
        Self {
            code,
            passed,
            reason,
        }
    }

    /// At its own place in the pipeline.
    fn at(code: CheckCode, reason: String) -> Self {
        let passed = PIPELINE.iter().position(|step| *step == code);
        Self::new(code, passed.unwrap_or(0), reason)
    }
}

impl Source<'_> {
    /// Loads a statement with a predicate `P` and records every check on the way.
    pub(super) fn load<P: Predicate>(&self, checks: &mut Checks) -> Option<Signed<P>> {
        let (passed, refusal, signed) = match self.try_load() {
            Ok(signed) => (PIPELINE.len(), None, Some(signed)),
            Err(refusal) => (refusal.passed, Some(refusal), None),
        };
        let failed = refusal.as_ref().map(|refusal| refusal.code);
        for (number, code) in PIPELINE.into_iter().enumerate() {
            if Some(code) == failed {
                continue;
            }
            if number < passed {
                checks.pass(code, &self.path, "holds");
            } else {
                checks.skip(code, &self.path, "an earlier check failed");
            }
        }
        if let Some(refusal) = refusal {
            checks.fail(refusal.code, &self.path, refusal.reason);
        }
        signed
    }

    fn try_load<P: Predicate>(&self) -> Result<Signed<P>, Refusal> {
        let bytes = self.files.read(&self.path, BUNDLE_MAX).map_err(|error| {
            let code = match error {
                FilesError::TooLarge { .. } => CheckCode::Size,
                FilesError::Missing(_) => CheckCode::SomethingVerified,
                _ => CheckCode::Pack,
            };
            Refusal::new(code, 0, chain(&error))
        })?;
        let attestation = Attestation::parse(&bytes)
            .map_err(|error| Refusal::at(bundle_code(&error), chain(&error)))?
            .verify(self.keys)
            .map_err(|error| match &error {
                AttestationError::Statement(inside) => statement_refusal(inside, chain(&error)),
                AttestationError::OtherKey { .. }
                | AttestationError::Signature { .. }
                | AttestationError::NoKeys => Refusal::at(CheckCode::Signature, chain(&error)),
            })?;
        let statement = attestation.statement();
        if statement.predicate_type != P::TYPE {
            let reason = format!(
                "predicate type {:?} is not {:?}",
                statement.predicate_type,
                P::TYPE
            );
            return Err(Refusal::at(CheckCode::Types, reason));
        }
        let predicate = P::of(statement).map_err(|error| {
            // serde names the field; an unknown external parameter is a check of its own.
            let code = if P::TYPE == crate::predicate::provenance::Provenance::TYPE
                && has_unknown_parameter(statement)
            {
                CheckCode::Parameters
            } else {
                CheckCode::Types
            };
            Refusal::new(
                code,
                INSIDE,
                format!("the predicate does not read: {error}"),
            )
        })?;
        Ok(Signed {
            path: self.path.clone(),
            bundle: Digest::of(&bytes),
            key: attestation.key(),
            subjects: statement.subjects.clone(),
            predicate,
        })
    }
}

fn has_unknown_parameter(statement: &crate::statement::Statement) -> bool {
    let parameters = statement
        .predicate
        .get("buildDefinition")
        .and_then(|definition| definition.get("externalParameters"))
        .cloned()
        .unwrap_or_default();
    serde_json::from_value::<crate::predicate::provenance::ExternalParameters>(parameters).is_err()
}

fn json_code(error: &JsonError) -> CheckCode {
    match error {
        JsonError::TooLarge { .. } => CheckCode::Size,
        JsonError::Utf8(_)
        | JsonError::DuplicateKey { .. }
        | JsonError::TooDeep
        | JsonError::Number { .. }
        | JsonError::Syntax(_) => CheckCode::StrictJson,
    }
}

fn bundle_code(error: &BundleError) -> CheckCode {
    match error {
        BundleError::Json(error) => json_code(error),
        BundleError::MediaType(_)
        | BundleError::Shape(_)
        | BundleError::Unsupported(_)
        | BundleError::KeyHints { .. } => CheckCode::BundleVersion,
        BundleError::Envelope(EnvelopeError::PayloadType(_)) => CheckCode::PayloadType,
        BundleError::Envelope(EnvelopeError::SignatureCount(_)) => CheckCode::SignatureCount,
        BundleError::Envelope(EnvelopeError::Base64(_) | EnvelopeError::Empty(_)) => {
            CheckCode::Base64
        }
    }
}

fn statement_refusal(error: &StatementError, reason: String) -> Refusal {
    match error {
        StatementError::Json(error) => Refusal::new(json_code(error), INSIDE, reason),
        StatementError::Shape(_) | StatementError::Type(_) => Refusal::at(CheckCode::Types, reason),
        StatementError::Subjects(_)
        | StatementError::Digests { .. }
        | StatementError::NoDigest(_)
        | StatementError::Digest { .. } => Refusal::at(CheckCode::Subjects, reason),
    }
}

/// Every bundle of a pack is one that was looked at: a statement that is passed over may be the
/// one that matters.
pub(super) fn refuse_unknown(files: &PackFiles, checks: &mut Checks) {
    let mut known = vec![
        layout::INDEX_BUNDLE.to_owned(),
        layout::REPRODUCIBILITY.to_owned(),
    ];
    known.extend(RunId::RECORDED.map(layout::provenance));
    let is_bundle = |path: &&String| path.ends_with(".sigstore.json");
    for path in files.paths().iter().filter(is_bundle) {
        if !known.contains(path) && !super::derived::is_place(path) {
            let reason = "a statement at a place that this version does not know";
            checks.fail(CheckCode::SomethingVerified, path, reason);
        }
    }
}
