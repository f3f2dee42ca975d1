//! V09, V10: whether the keys that signed may speak for the builder, and could when they did.

use super::{
    Evidence,
    check::{CheckCode, Checks},
    provenance,
};
use crate::{
    keys::KeyId,
    terms::{
        document::rfc3339,
        trust::{BuildLevel, Standing, TrustRules},
    },
};

/// What the verifier grants a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    /// The least of what the builders of its runs are trusted for.
    pub(super) level: BuildLevel,
    /// By what independence is counted.
    pub(super) operator: String,
    /// Who signed the provenance of its first run.
    pub(super) key: KeyId,
}

/// Gives what is granted where every statement has its right signer.
pub(super) fn check(
    rules: &TrustRules,
    evidence: &Evidence,
    now: i64,
    checks: &mut Checks,
) -> Option<Granted> {
    // A statement without a time of its own was made after the runs that it is about.
    let times = evidence.provenance.iter();
    let latest = times
        .filter_map(|(_, signed)| provenance::finished(signed))
        .max();
    let mut granted: Option<Granted> = None;
    let mut builder = None;
    let mut refused = false;
    for (_, signed) in &evidence.provenance {
        let on = signed.path.as_str();
        let id = signed.predicate.run_details.builder.id.as_str();
        builder = builder.or(Some(id));
        let Some(standing) = rules.standing(signed.key, id) else {
            refused = true;
            checks.fail(CheckCode::Builder, on, unknown(rules, signed.key, id));
            continue;
        };
        checks.pass(
            CheckCode::Builder,
            on,
            format!("{id}, {} at most", standing.level),
        );
        let time = provenance::finished(signed).unwrap_or(now);
        refused |= !window(rules, on, signed.key, &standing, time, checks);
        let level = granted
            .as_ref()
            .map_or(standing.level, |known| known.level.min(standing.level));
        granted = Some(match granted {
            Some(known) => Granted { level, ..known },
            None => Granted {
                level,
                operator: standing.operator,
                key: signed.key,
            },
        });
    }
    let builder = builder.map(str::to_owned);
    for stated in evidence.statements() {
        if evidence
            .provenance
            .iter()
            .any(|(_, signed)| signed.path == stated.path)
        {
            continue;
        }
        // With no run that made an image there is no builder id; any key of the caller's will do.
        let standing = match &builder {
            Some(id) => rules.standing(stated.key, id),
            None => rules
                .builders_of(stated.key)
                .first()
                .and_then(|id| rules.standing(stated.key, id)),
        };
        let Some(standing) = standing else {
            refused = true;
            let id = builder.as_deref().unwrap_or_default();
            checks.fail(
                CheckCode::Builder,
                &stated.path,
                unknown(rules, stated.key, id),
            );
            continue;
        };
        let time = latest.unwrap_or(now);
        refused |= !window(rules, &stated.path, stated.key, &standing, time, checks);
    }
    granted.filter(|_| !refused)
}

fn unknown(rules: &TrustRules, key: KeyId, id: &str) -> String {
    let others = rules.builders_of(key);
    let speaks = if others.is_empty() {
        "for no builder".to_owned()
    } else {
        format!("only for {}", others.join(", "))
    };
    format!("builder id {id:?} is not trusted with the key {key}, which speaks {speaks}")
}

fn window(
    rules: &TrustRules,
    on: &str,
    key: KeyId,
    standing: &Standing,
    time: i64,
    checks: &mut Checks,
) -> bool {
    let code = CheckCode::KeyWindow;
    if let Some(reason) = rules.revoked(key) {
        checks.fail(code, on, format!("the key {key} is revoked: {reason}"));
        return false;
    }
    let window = standing.window;
    if !window.is_limited() {
        return true;
    }
    let good = window.holds(time);
    let time = rfc3339(time);
    checks.expect(
        code,
        on,
        good,
        format!("signed at {time}, the key is valid {window}"),
        format!("signed at {time}, and the key {key} is valid {window}"),
    );
    good
}
