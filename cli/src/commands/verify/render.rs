//! The result for people: every check, how it ended and why; what failed comes first.

use std::collections::BTreeSet;

use repro_verifier::verify::{Check, Conclusion, Finding, Status, Verification, VerifyReport};

use crate::{output::Meaning, text};

/// Findings of one check that are shown; the rest is in the JSON.
const SHOWN: usize = 20;

pub(super) fn readable(verification: &Verification) -> String {
    let mut lines = Vec::new();
    let several = verification.packs.len() > 1;
    for (name, report) in &verification.packs {
        if several {
            lines.push(Meaning::Heading.paint(text::one_line(name)).to_string());
        }
        checks(&report.checks, &mut lines);
        facts(report, &mut lines);
        if several {
            lines.push(conclusion(report.conclusion));
            lines.push(String::new());
        }
    }
    let mut others: Vec<Check> = Vec::new();
    if let Some(agreement) = verification.agreement.as_ref().filter(|_| several) {
        others.push(agreement.check.clone());
    }
    others.extend(verification.summary.clone());
    if !others.is_empty() {
        checks(&others, &mut lines);
    }
    if let Some(agreement) = &verification.agreement {
        lines.push(format!(
            "builders  {} independent, {} needed",
            agreement.builders, agreement.needed
        ));
    }
    lines.push(conclusion(verification.conclusion));
    lines.join("\n")
}

fn conclusion(conclusion: Conclusion) -> String {
    match conclusion {
        Conclusion::Verified => Meaning::Good.paint("verified").to_string(),
        Conclusion::IntegrityOnly => Meaning::Warning
            .paint("whole, but by a key that anyone could have made")
            .to_string(),
        Conclusion::Refused => Meaning::Bad.paint("refused").to_string(),
    }
}

/// The order in which checks are read.
const fn rank(status: Status) -> u8 {
    match status {
        Status::Failed => 0,
        Status::Waived => 1,
        Status::Skipped => 2,
        Status::Passed => 3,
        Status::NotApplicable => 4,
    }
}

fn checks(checks: &[Check], lines: &mut Vec<String>) {
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| (rank(check.status), check.code));
    for check in sorted {
        let (mark, meaning) = match check.status {
            Status::Failed => ("REFUSED", Meaning::Bad),
            Status::Waived => ("waived", Meaning::Warning),
            Status::Skipped => ("skipped", Meaning::Warning),
            Status::Passed => ("ok", Meaning::Good),
            Status::NotApplicable => ("-", Meaning::Faint),
        };
        let mark = meaning.paint(format!("{mark:<7}"));
        let head = format!("{mark}  {}  {}", check.code, check.title);
        match check.status {
            // Each one matters.
            Status::Failed | Status::Waived => {
                lines.push(head);
                let worth =
                    |finding: &&Finding| matches!(finding.status, Status::Failed | Status::Waived);
                let all: Vec<&Finding> = check.findings.iter().filter(worth).collect();
                for finding in all.iter().take(SHOWN) {
                    let detail = format!("{}: {}", finding.on, finding.detail);
                    lines.push(format!("              {}", text::one_line(&detail)));
                }
                if all.len() > SHOWN {
                    lines.push(format!("              and {} more", all.len() - SHOWN));
                }
            }
            Status::Skipped | Status::Passed | Status::NotApplicable => {
                lines.push(format!("{head}{}", Meaning::Faint.paint(why(check))));
            }
        }
    }
}

/// Why a check that asks for no reading ended as it did.
fn why(check: &Check) -> String {
    let same = check
        .findings
        .iter()
        .filter(|one| one.status == check.status);
    let details: BTreeSet<&str> = same.map(|one| one.detail.as_str()).collect();
    let mut details = details.into_iter();
    match (details.next(), details.len()) {
        (Some("holds"), 0) => format!(": {} statements", check.findings.len()),
        (Some(one), 0) => format!(": {}", text::one_line(one)),
        (Some(_), more) => format!(": {} things looked at", more + 1),
        (None, _) => String::new(),
    }
}

fn facts(report: &VerifyReport, lines: &mut Vec<String>) {
    let mut fact = |name: &str, value: &str| {
        lines.push(format!("{name:<8}  {}", text::one_line(value)));
    };
    if let Some(image) = report.image {
        fact("image", &image.to_string());
    }
    if let Some(builder) = &report.builder {
        let level = builder.slsa_build_level;
        fact(
            "builder",
            &format!("{}, SLSA Build level {level} at most", builder.id),
        );
    }
    for signer in &report.signers {
        fact("signer", &signer.0);
    }
    for (key, value) in &report.lineage {
        fact("lineage", &format!("{key} = {value}"));
    }
    if let Some(policy) = &report.policy {
        fact("policy", &policy.uri);
    }
    if let Some(verdict) = report.verdict {
        fact("verdict", verdict.words());
    }
}
