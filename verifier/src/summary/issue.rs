//! Summaries that are written.

use std::collections::BTreeMap;

use repro_core::{digest::Digest, json::CanonicalError};

use crate::{
    attestation::Attestation,
    keys::{Sign, SignError},
    predicate::{
        Predicate as _,
        reproducibility::Verdict,
        svr::{Svr, SvrVerifier},
        vsa::{REPRODUCED, VerificationResult, VerifierName, Vsa},
    },
    statement::{ResourceDescriptor, Statement, Subject},
    terms::{document::rfc3339, trust::BuildLevel},
    uris,
    verify::{Agreement, CheckCode, Conclusion, PolicyName, Status, Verification},
};

/// The version of SLSA whose levels are meant.
const SLSA_VERSION: &str = "1.2";

/// Who summarises, and how.
#[derive(Debug, Clone, Copy)]
pub struct Issuer<'a> {
    /// URI of the verifier.
    pub id: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// Seconds since 1970.
    pub time: i64,
    /// Where consumers get the image; a package URL of its digest unless given.
    pub resource_uri: Option<&'a str>,
    /// Signs.
    pub key: &'a dyn Sign,
}

/// One summary, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What its files are called, without ending.
    pub name: &'static str,
    /// URI of the type of its predicate.
    pub predicate_type: &'static str,
    /// The Sigstore bundle.
    pub bundle: Vec<u8>,
    /// The same signature in an envelope alone, which is what slsa-verifier reads.
    pub envelope: Vec<u8>,
}

/// Why there is nothing to sign.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No image is known that a summary could be about.
    #[error(
        "no verified statement names an image, so there is nothing that a summary could be about"
    )]
    NoImage,
    /// More than one image.
    #[error("the packs are about different images: {0} and {1}")]
    SeveralImages(Digest, Digest),
    /// What is to be signed has no canonical form.
    #[error("the summary has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// The statement could not be signed.
    #[error("the summary cannot be signed")]
    Sign(#[from] SignError),
}

/// The summaries of `verification`: of levels (VSA), of the checks that passed (SVR), and, where
/// independent builders agree, of that (a VSA of its own).
///
/// A verification that failed is summarised too, as failed.
pub fn issue(verification: &Verification, issuer: &Issuer<'_>) -> Result<Vec<Summary>, IssueError> {
    let (name, image) = image(verification)?;
    let subject = || {
        vec![Subject {
            name: name.clone(),
            digest: image,
        }]
    };
    let levels = match verification.conclusion {
        Conclusion::Verified => vec![level(verification).to_string()],
        Conclusion::IntegrityOnly | Conclusion::Refused => Vec::new(),
    };
    let levels_vsa = vsa(verification, issuer, image, levels);
    let mut summaries = vec![sign(
        "vsa",
        levels_vsa.statement(subject()),
        Vsa::TYPE,
        issuer,
    )?];
    let reproduced = verification
        .agreement
        .as_ref()
        .is_some_and(Agreement::is_reproduced);
    if reproduced && verification.conclusion == Conclusion::Verified {
        let vsa = vsa(verification, issuer, image, vec![REPRODUCED.to_owned()]);
        summaries.push(sign(
            "vsa-reproduced",
            vsa.statement(subject()),
            Vsa::TYPE,
            issuer,
        )?);
    }
    let svr = svr(verification, issuer);
    summaries.push(sign("svr", svr.statement(subject()), Svr::TYPE, issuer)?);
    Ok(summaries)
}

fn sign(
    name: &'static str,
    statement: Result<Statement, CanonicalError>,
    predicate_type: &'static str,
    issuer: &Issuer<'_>,
) -> Result<Summary, IssueError> {
    let signed = Attestation::sign(statement?, issuer.key)?;
    Ok(Summary {
        name,
        predicate_type,
        bundle: signed.to_bytes()?,
        envelope: signed.envelope_bytes()?,
    })
}

/// The one image that every pack is about.
fn image(verification: &Verification) -> Result<(String, Digest), IssueError> {
    let reports = verification.packs.iter().map(|(_, report)| report);
    let mut images = reports.clone().filter_map(|report| report.image);
    let first = images.next().ok_or(IssueError::NoImage)?;
    if let Some(other) = images.find(|image| *image != first) {
        return Err(IssueError::SeveralImages(first, other));
    }
    let mut names = reports.filter_map(|report| report.name.clone());
    Ok((names.next().unwrap_or_else(|| "image".to_owned()), first))
}

/// The least of what the builders are trusted for; whose builder is unknown has the lowest.
fn level(verification: &Verification) -> BuildLevel {
    let levels = verification.packs.iter().map(|(_, report)| {
        let granted = report
            .builder
            .as_ref()
            .map(|builder| builder.slsa_build_level);
        granted.and_then(BuildLevel::new).unwrap_or(BuildLevel::ONE)
    });
    levels.min().unwrap_or(BuildLevel::ONE)
}

fn policy(verification: &Verification) -> Option<ResourceDescriptor> {
    let name: &PolicyName = verification
        .packs
        .iter()
        .find_map(|(_, report)| report.policy.as_ref())?;
    let mut policy = match name.digest {
        Some(digest) => ResourceDescriptor::named("", digest),
        None => ResourceDescriptor::default(),
    };
    policy.uri.clone_from(&name.uri);
    Some(policy)
}

/// Without levels a summary of failure.
fn vsa(
    verification: &Verification,
    issuer: &Issuer<'_>,
    image: Digest,
    levels: Vec<String>,
) -> Vsa {
    // All that were used, each once: packs of one image can share statements.
    let mut used: BTreeMap<Digest, String> = BTreeMap::new();
    for (_, report) in &verification.packs {
        for statement in &report.statements {
            used.entry(statement.digest)
                .or_insert_with(|| statement.path.clone());
        }
    }
    let mut inputs: Vec<ResourceDescriptor> = used
        .into_iter()
        .map(|(digest, path)| ResourceDescriptor {
            uri: path,
            ..ResourceDescriptor::named("", digest)
        })
        .collect();
    inputs.sort_by(|a, b| (&a.uri, &a.digest).cmp(&(&b.uri, &b.digest)));
    let (verification_result, verified_levels) = if levels.is_empty() {
        (VerificationResult::Failed, vec!["FAILED".to_owned()])
    } else {
        (VerificationResult::Passed, levels)
    };
    Vsa {
        verifier: VerifierName {
            id: issuer.id.to_owned(),
            version: BTreeMap::from([("repro".to_owned(), issuer.version.to_owned())]),
        },
        time_verified: Some(rfc3339(issuer.time)),
        resource_uri: issuer.resource_uri.map_or_else(
            || format!("pkg:oci/image@{}", image.to_string().replace(':', "%3A")),
            str::to_owned,
        ),
        policy: policy(verification).unwrap_or_else(|| ResourceDescriptor {
            uri: uris::DEFAULT_POLICY.to_owned(),
            ..ResourceDescriptor::default()
        }),
        input_attestations: inputs,
        verification_result,
        verified_levels,
        dependency_levels: None,
        slsa_version: Some(SLSA_VERSION.to_owned()),
    }
}

/// What passed everywhere, as properties: `REPRO_V07` and so on, and `REPRO_REPRODUCIBLE` for the
/// verdict. A check that was waived, skipped or did not apply is not among them.
fn svr(verification: &Verification, issuer: &Issuer<'_>) -> Svr {
    let mut properties = Vec::new();
    if verification.conclusion == Conclusion::Verified {
        let mut passed: BTreeMap<_, bool> = BTreeMap::new();
        for (_, check) in verification.checks() {
            let good = check.status == Status::Passed;
            passed
                .entry(check.code)
                .and_modify(|all| *all &= good)
                .or_insert(good);
        }
        passed.retain(|_, all| *all);
        properties.extend(passed.keys().map(|code| format!("REPRO_{code}")));
        let mut reports = verification.packs.iter();
        // A verdict alone, without what it follows from, is not passed on.
        if passed.contains_key(&CheckCode::Runs)
            && reports.all(|(_, report)| report.verdict == Some(Verdict::Reproducible))
        {
            properties.push("REPRO_REPRODUCIBLE".to_owned());
        }
    }
    Svr {
        verifier: SvrVerifier {
            id: issuer.id.to_owned(),
            policies: policy(verification).into_iter().collect(),
        },
        time_created: rfc3339(issuer.time),
        properties,
    }
}
