//! What a verification says in the end.

use std::collections::BTreeMap;

use repro_core::digest::Digest;
use serde::{Serialize, Serializer};

use super::{
    Evidence, SubjectReport, Terms, Trust,
    check::{Check, CheckCode, Checks, Status},
    provenance,
    quorum::{Agreement, agree},
    runs,
    trusted::Granted,
};
use crate::{
    keys::KeyId,
    predicate::reproducibility::Verdict,
    terms::{Policy, document::rfc3339},
    uris,
};

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
    /// What that image was called when it was built.
    pub name: Option<String>,
    /// Who built, where the verifier trusts it with that.
    pub builder: Option<BuilderReport>,
    /// When the last run ended, in RFC 3339.
    pub finished_on: Option<String>,
    /// What is said of the data that went in.
    pub lineage: BTreeMap<String, String>,
    /// Who signed, each key once.
    pub signers: Vec<KeyIdText>,
    /// Every statement with a good signature.
    pub statements: Vec<StatementReport>,
    /// The policy that was held against it.
    pub policy: Option<PolicyName>,
    /// One for every code, in order.
    pub checks: Vec<Check>,
    /// The image beside which the evidence was found, where it was not a pack that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectReport>,
}

/// A builder, as the verifier trusts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuilderReport {
    /// `builder.id`.
    pub id: String,
    /// Who runs it, else its id.
    pub operator: String,
    /// The key of its provenance.
    pub key: KeyIdText,
    /// The highest level of SLSA's Build track that the verifier grants it.
    pub slsa_build_level: u8,
}

/// A statement with a good signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementReport {
    /// Where it lies in the pack.
    pub path: String,
    /// URI of the type of its predicate.
    pub predicate_type: String,
    /// Who signed.
    pub key: KeyIdText,
    /// SHA-256 of its bundle.
    pub digest: Digest,
}

/// How a policy is named in reports and summaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyName {
    /// Its URI.
    pub uri: String,
    /// SHA-256 of its file.
    pub digest: Option<Digest>,
}

impl PolicyName {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            uri: policy
                .uri
                .clone()
                .unwrap_or_else(|| uris::POLICY.to_owned()),
            digest: policy.digest,
        }
    }
}

/// A key id as text, the form in which it is reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeyIdText(pub String);

impl From<KeyId> for KeyIdText {
    fn from(id: KeyId) -> Self {
        Self(id.to_string())
    }
}

impl VerifyReport {
    pub(super) fn new(
        checks: Checks,
        terms: &Terms<'_>,
        evidence: &Evidence,
        granted: Option<&Granted>,
    ) -> Self {
        let first = evidence.provenance.first().map(|(_, signed)| signed);
        let runs = evidence.provenance.iter();
        let finished = runs
            .filter_map(|(_, signed)| provenance::finished(signed))
            .max();
        let builder = first.zip(granted).map(|(signed, granted)| BuilderReport {
            id: signed.predicate.run_details.builder.id.clone(),
            operator: granted.operator.clone(),
            key: granted.key.into(),
            slsa_build_level: granted.level.number(),
        });
        let statements = evidence
            .statements()
            .into_iter()
            .map(|one| StatementReport {
                path: one.path,
                predicate_type: one.predicate_type.to_owned(),
                key: one.key.into(),
                digest: one.bundle,
            });
        let mut report = Self {
            conclusion: match terms.trust {
                Trust::Keys(_) | Trust::Rules(_) => Conclusion::Verified,
                Trust::Embedded => Conclusion::IntegrityOnly,
            },
            verdict: evidence
                .verdict
                .as_ref()
                .map(|signed| signed.predicate.verdict),
            image: evidence.verdict.as_ref().and_then(runs::image_of_a),
            name: first
                .and_then(|signed| signed.subjects.first())
                .map(|subject| subject.name.clone()),
            builder,
            finished_on: finished.map(rfc3339),
            lineage: evidence.lineage(first, &terms.trust.rules()),
            signers: evidence.signers(),
            statements: statements.collect(),
            policy: terms.policy.map(PolicyName::of),
            checks: checks.finish(),
            subject: None,
        };
        report.conclude();
        report
    }

    /// Puts a check in the place of the one with its code.
    pub(super) fn take_in(&mut self, check: Check) {
        for place in &mut self.checks {
            if place.code == check.code {
                *place = check;
                break;
            }
        }
        self.conclude();
    }

    pub(super) fn conclude(&mut self) {
        if self
            .checks
            .iter()
            .any(|check| check.status == Status::Failed)
        {
            self.conclusion = Conclusion::Refused;
        }
    }

    /// The check of this code.
    #[must_use]
    pub fn check(&self, code: CheckCode) -> Option<&Check> {
        self.checks.iter().find(|check| check.code == code)
    }
}

/// The result on everything that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// What all of it comes to.
    pub conclusion: Conclusion,
    /// Each pack by its name, with its report.
    #[serde(serialize_with = "named")]
    pub packs: Vec<(String, VerifyReport)>,
    /// How far builders agree, where that was asked.
    pub agreement: Option<Agreement>,
    /// Check V27, where a summary of another verifier was given.
    pub summary: Option<Check>,
}

/// Objects with the field `pack`.
fn named<S: Serializer>(
    packs: &[(String, VerifyReport)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        pack: &'a str,
        #[serde(flatten)]
        report: &'a VerifyReport,
    }
    serializer.collect_seq(packs.iter().map(|(pack, report)| Named { pack, report }))
}

impl Verification {
    /// What the reports come to, each with the name of its pack and made under the same terms, and how far
    /// their builders agree: that is asked where there are several, or by the policy, or with `builders`.
    #[must_use]
    pub fn of_reports(
        packs: Vec<(String, VerifyReport)>,
        terms: &Terms<'_>,
        builders: Option<usize>,
    ) -> Self {
        let demanded = terms.policy.and_then(|policy| policy.builders);
        let needed = builders.max(demanded);
        let agreement = (needed.is_some() || packs.len() > 1).then(|| {
            let named: Vec<(&str, &VerifyReport)> = packs
                .iter()
                .map(|(name, report)| (name.as_str(), report))
                .collect();
            agree(&named, needed.unwrap_or(packs.len()))
        });
        let mut verification = Self {
            conclusion: Conclusion::Refused,
            packs,
            agreement,
            summary: None,
        };
        if let ([(_, report)], Some(agreement)) =
            (verification.packs.as_mut_slice(), &verification.agreement)
        {
            report.take_in(agreement.check.clone());
        }
        verification.conclude();
        verification
    }

    /// The same with the check of a summary.
    #[must_use]
    pub fn with_summary(mut self, summary: Check) -> Self {
        self.summary = Some(summary);
        self.conclude();
        self
    }

    /// Of a summary alone.
    #[must_use]
    pub fn of_summary(summary: Check) -> Self {
        let mut verification = Self {
            conclusion: Conclusion::Refused,
            packs: Vec::new(),
            agreement: None,
            summary: Some(summary),
        };
        verification.conclude();
        verification
    }

    /// The worst of all parts; of no parts, that nothing was verified.
    fn conclude(&mut self) {
        let packs = self.packs.iter().map(|(_, report)| report.conclusion);
        let of = |check: &Check| match check.status {
            Status::Passed => Conclusion::Verified,
            _ => Conclusion::Refused,
        };
        let agreement = self.agreement.iter().map(|agreement| of(&agreement.check));
        let parts: Vec<Conclusion> = packs
            .chain(agreement)
            .chain(self.summary.iter().map(of))
            .collect();
        self.conclusion = if parts.is_empty() || parts.contains(&Conclusion::Refused) {
            Conclusion::Refused
        } else if parts.contains(&Conclusion::IntegrityOnly) {
            Conclusion::IntegrityOnly
        } else {
            Conclusion::Verified
        };
    }

    /// Every check with the name of its pack, where there are several.
    pub(crate) fn checks(&self) -> impl Iterator<Item = (Option<&str>, &Check)> {
        let several = self.packs.len() > 1;
        let packs = self.packs.iter().flat_map(move |(name, report)| {
            let name = several.then_some(name.as_str());
            report.checks.iter().map(move |check| (name, check))
        });
        let agreement = self.agreement.iter().filter(move |_| several);
        packs
            .chain(agreement.map(|agreement| (None, &agreement.check)))
            .chain(self.summary.iter().map(|check| (None, check)))
    }
}
