//! A verification as SARIF 2.1.0 (OASIS), for code scanning: a rule for every check, a result for
//! everything that failed, was waived or could not be looked at.

use repro_core::json::{CanonicalError, canonical};
use serde_json::{Value, json};

use super::{
    check::{CheckCode, Status},
    report::Verification,
};
use crate::render::{printable, shortened};

/// Longest text of a message, in columns.
const LONGEST: usize = 1000;

/// The log, canonical JSON.
pub fn sarif(verification: &Verification) -> Result<Vec<u8>, CanonicalError> {
    let mut results = Vec::new();
    for (pack, check) in verification.checks() {
        for finding in &check.findings {
            let (level, kind) = match finding.status {
                Status::Failed => ("error", "fail"),
                Status::Waived => ("warning", "fail"),
                Status::Skipped => ("none", "open"),
                Status::Passed | Status::NotApplicable => continue,
            };
            let on = match pack {
                Some(pack) => format!("{pack}: {}", finding.on),
                None => finding.on.clone(),
            };
            let text = format!("{}: {}: {}", check.title, on, finding.detail);
            let text = shortened(&printable(&text), LONGEST)
                .replace('\\', "\\\\")
                .replace('[', "\\[")
                .replace(']', "\\]");
            let mut result = json!({
                "ruleId": check.code.code(),
                "ruleIndex": CheckCode::ALL.iter().position(|code| *code == check.code),
                "kind": kind,
                "level": level,
                "message": {"text": text},
                "locations": [{"logicalLocations": [
                    {"fullyQualifiedName": shortened(&printable(&on), LONGEST)}
                ]}],
            });
            if finding.status == Status::Waived {
                result["suppressions"] = json!([{
                    "kind": "external",
                    "status": "accepted",
                    "justification": shortened(&printable(&finding.detail), LONGEST),
                }]);
            }
            results.push(result);
        }
    }
    canonical(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "repro",
                "informationUri": crate::uris::BASE,
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": CheckCode::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn rule(code: CheckCode) -> Value {
    json!({
        "id": code.code(),
        "name": format!("{code:?}"),
        "shortDescription": {"text": code.title()},
        "properties": {"tags": ["supply-chain", "verification"]},
    })
}
