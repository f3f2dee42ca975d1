//! V27: the summary of another verifier.

use jiff::Timestamp;
use repro_core::digest::Digest;

use crate::{
    attestation::Attestation,
    bundle::BUNDLE_MAX,
    keys::PublicKey,
    predicate::{
        Predicate as _,
        vsa::{REPRODUCED, VerificationResult, Vsa},
    },
    strict_json,
    terms::{
        Policy,
        trust::{BuildLevel, Party, TrustRules},
    },
    verify::{Check, CheckCode, Finding, Status, chain},
};

/// Seconds by which the clock of the other verifier may be ahead.
const CLOCK_SKEW: i64 = 300;

/// What a summary must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Whose summaries are read.
    pub rules: &'a TrustRules,
    /// The image that it must be about; none is known where the caller has neither pack nor digest,
    /// and then nothing passes.
    pub image: Option<Digest>,
    /// Where the caller gets the image.
    pub resource_uri: &'a str,
    /// Least level of the Build track.
    pub level: Option<BuildLevel>,
    /// The policy that it must have been held against.
    pub policy: Option<&'a Policy>,
    /// Statements that must be among those it used, if it lists any.
    pub statements: &'a [Digest],
    /// Seconds since 1970.
    pub now: i64,
}

/// Checks a summary in a bundle or in an envelope alone.
#[must_use]
pub fn check(bytes: &[u8], expected: &Expected<'_>) -> Check {
    let mut findings = Vec::new();
    let mut found = |on: &str, result: Result<String, String>| {
        let (status, detail) = match result {
            Ok(detail) => (Status::Passed, detail),
            Err(detail) => (Status::Failed, detail),
        };
        findings.push(Finding {
            on: format!("summary: {on}"),
            status,
            detail,
        });
    };
    match open(bytes, expected) {
        Err(reason) => found("signature", Err(reason)),
        Ok((vsa, images, verifier)) => {
            found("verifier", Ok(verifier.id.clone()));
            found("subject", subject(&images, expected.image));
            found(
                "resource",
                equal("resourceUri", &vsa.resource_uri, expected.resource_uri),
            );
            found("result", result(&vsa));
            found("levels", levels(&vsa, expected.level, verifier.level));
            found("policy", policy(&vsa, expected.policy));
            found("waivers", waivers(expected));
            found("time", time(&vsa, expected));
            found("statements", statements(&vsa, expected.statements));
        }
    }
    Check::new(CheckCode::Summary, findings)
}

type Opened<'a> = (Vsa, Vec<Digest>, &'a Party);

/// Signature, type, and whether the key is that of the verifier that the summary names.
fn open<'a>(bytes: &[u8], expected: &Expected<'a>) -> Result<Opened<'a>, String> {
    let parties = expected.rules.verifiers();
    let keys: Vec<PublicKey> = parties
        .iter()
        .flat_map(|party| party.keys.iter().map(|trusted| trusted.key.clone()))
        .collect();
    let value = strict_json::parse(bytes, BUNDLE_MAX).map_err(|error| chain(&error))?;
    // A bundle has a media type; what has none is an envelope or nothing.
    let parsed = if value.get("mediaType").is_some() {
        Attestation::parse(bytes).map_err(|error| chain(&error))?
    } else {
        Attestation::parse_envelope(bytes).map_err(|error| chain(&error))?
    };
    if keys.is_empty() {
        return Err("the trust file names no verifier whose summaries are read".into());
    }
    let signed = parsed.verify(&keys).map_err(|error| chain(&error))?;
    let statement = signed.statement();
    if statement.predicate_type != Vsa::TYPE {
        return Err(format!(
            "predicate type {:?} is not {:?}",
            statement.predicate_type,
            Vsa::TYPE
        ));
    }
    let vsa = Vsa::of(statement).map_err(|error| format!("the summary does not read: {error}"))?;
    let key = signed.key();
    let party = parties.iter().find(|party| party.id == vsa.verifier.id);
    let trusted = party.and_then(|party| {
        let key = party.keys.iter().find(|trusted| trusted.key.id() == key)?;
        Some((party, key.window))
    });
    let Some((party, window)) = trusted else {
        return Err(format!(
            "verifier id {:?} is not trusted with the key {key}",
            vsa.verifier.id
        ));
    };
    if let Some(reason) = expected.rules.revoked(key) {
        return Err(format!("the key {key} is revoked: {reason}"));
    }
    let time = moment(&vsa).unwrap_or(expected.now);
    if !window.holds(time) {
        return Err(format!(
            "the key {key} is valid {window}, not when this was signed"
        ));
    }
    let images = statement
        .subjects
        .iter()
        .map(|subject| subject.digest)
        .collect();
    Ok((vsa, images, party))
}

fn moment(vsa: &Vsa) -> Option<i64> {
    let text = vsa.time_verified.as_deref()?.strip_suffix('Z')?;
    let moment: Timestamp = format!("{text}Z").parse().ok()?;
    Some(moment.as_second())
}

fn subject(images: &[Digest], wanted: Option<Digest>) -> Result<String, String> {
    let wanted = wanted.ok_or("no image is known that it could be about")?;
    if images.contains(&wanted) {
        return Ok(wanted.to_string());
    }
    let found: Vec<String> = images.iter().take(5).map(Digest::to_string).collect();
    Err(format!("is about {}, not about {wanted}", found.join(", ")))
}

fn equal(what: &str, found: &str, wanted: &str) -> Result<String, String> {
    if found.is_empty() {
        Err(format!("{what} is empty"))
    } else if found == wanted {
        Ok(found.to_owned())
    } else {
        Err(format!("{what} is {found:?}, not {wanted:?}"))
    }
}

fn result(vsa: &Vsa) -> Result<String, String> {
    match vsa.verification_result {
        VerificationResult::Passed => Ok("PASSED".into()),
        VerificationResult::Failed => Err("is FAILED".into()),
    }
}

/// The level of the Build track, at most one, and nothing that only looks like a level.
fn levels(vsa: &Vsa, wanted: Option<BuildLevel>, most: BuildLevel) -> Result<String, String> {
    if vsa.verified_levels.is_empty() {
        return Err("verifiedLevels is empty".into());
    }
    let mut build = None;
    for text in &vsa.verified_levels {
        if text == "FAILED" {
            return Err("verifiedLevels says FAILED".into());
        }
        let Some(rest) = text.strip_prefix("SLSA_") else {
            continue;
        };
        if text == REPRODUCED {
            continue;
        }
        let refused = || format!("{text:?} is not a level: SLSA_TRACK_LEVEL_n is");
        let (track, number) = rest.split_once("_LEVEL_").ok_or_else(refused)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u8 = number.parse().ok().filter(|_| digits).ok_or_else(refused)?;
        if track == "BUILD" && build.replace(number).is_some() {
            return Err("has two levels of the Build track".into());
        }
    }
    let shown = vsa.verified_levels.join(", ");
    if let (Some(build), true) = (build, build.is_some_and(|build| build > most.number())) {
        return Err(format!(
            "says Build level {build}, and the trust file takes the verifier's word up to {}",
            most.number()
        ));
    }
    match (wanted, build) {
        (None, _) => Ok(shown),
        (Some(wanted), Some(build)) if build >= wanted.number() => Ok(shown),
        (Some(wanted), _) => Err(format!("{shown} is less than {wanted}")),
    }
}

fn policy(vsa: &Vsa, ours: Option<&Policy>) -> Result<String, String> {
    if vsa.policy.uri.is_empty() {
        return Err("policy.uri is empty".into());
    }
    let Some(ours) = ours else {
        return Ok(vsa.policy.uri.clone());
    };
    match (ours.digest, vsa.policy.sha256()) {
        (Some(ours), Some(found)) if ours == found => Ok(found.to_string()),
        (Some(ours), Some(found)) => Err(format!("was {found}, yours is {ours}")),
        _ => Err("has no digest that yours could be compared with".into()),
    }
}

/// An expired waiver fails here too: who wrote the policy wanted it to be looked at by then.
fn waivers(expected: &Expected<'_>) -> Result<String, String> {
    let mut all = expected.policy.iter().flat_map(|policy| &policy.waivers);
    match all.find(|waiver| waiver.is_expired(expected.now)) {
        Some(waiver) => Err(format!("expired: {}", waiver.describe())),
        None => Ok("none has expired".into()),
    }
}

fn time(vsa: &Vsa, expected: &Expected<'_>) -> Result<String, String> {
    let max_age = expected.policy.and_then(|policy| policy.max_age);
    let Some(text) = &vsa.time_verified else {
        return match max_age {
            None => Ok("is not said".into()),
            Some(_) => Err("is not said, and the policy demands a maximum age".into()),
        };
    };
    let shown: String = text.chars().take(40).collect();
    let moment = moment(vsa).ok_or_else(|| format!("{shown:?} is not a time in UTC"))?;
    if moment > expected.now.saturating_add(CLOCK_SKEW) {
        return Err(format!("{shown} is in the future"));
    }
    match max_age {
        Some(max_age) if expected.now.saturating_sub(moment) > max_age.seconds() => {
            Err(format!("{shown} is more than {max_age} ago"))
        }
        _ => Ok(shown),
    }
}

fn statements(vsa: &Vsa, used: &[Digest]) -> Result<String, String> {
    if vsa.input_attestations.is_empty() && used.is_empty() {
        return Ok("none are listed".into());
    }
    let mut listed = Vec::new();
    for input in &vsa.input_attestations {
        let digest = input.sha256();
        listed.push(digest.ok_or_else(|| format!("{:?} has no sha256 digest", input.uri))?);
    }
    match used.iter().find(|digest| !listed.contains(digest)) {
        Some(missing) => Err(format!("the statement {missing} of the pack is not listed")),
        None => Ok(format!("{} listed", listed.len())),
    }
}
