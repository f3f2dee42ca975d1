//! The result for people: every check, how it ended and why.

use repro_verifier::{
    predicate::reproducibility::Verdict,
    verify::{Check, Conclusion, Status, VerifyReport},
};

use crate::{output::Meaning, text};

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproducible => "reproducible",
        Verdict::NotReproducible => "not reproducible",
        Verdict::BuildFailed => "build failed",
        Verdict::Inconclusive => "inconclusive",
    }
}

pub(super) fn readable(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    // What there is nothing to check on, and what only follows from an earlier refusal, is in
    // the JSON; here it would hide what matters.
    let applicable = |check: &&Check| check.status != Status::NotApplicable;
    for check in report.checks.iter().filter(applicable) {
        let (mark, meaning) = match check.status {
            Status::Passed => ("ok", Meaning::Good),
            Status::Failed => ("REFUSED", Meaning::Bad),
            Status::Skipped => ("skipped", Meaning::Warning),
            Status::Waived => ("waived", Meaning::Warning),
            Status::NotApplicable => ("-", Meaning::Faint),
        };
        let mark = meaning.paint(format!("{mark:<7}"));
        lines.push(format!("{mark}  {}", check.title));
        for finding in check
            .findings
            .iter()
            .filter(|one| one.status == Status::Failed)
        {
            let detail = format!("{}: {}", finding.on, finding.detail);
            lines.push(format!("         {}", text::one_line(&detail)));
        }
    }
    if let Some(image) = report.image {
        lines.push(format!("image    {image}"));
    }
    lines.extend(
        report
            .signers
            .iter()
            .map(|key| format!("signer   {}", text::one_line(&key.0))),
    );
    if let Some(verdict) = report.verdict {
        lines.push(format!("verdict  {}", verdict_name(verdict)));
    }
    lines.push(match report.conclusion {
        Conclusion::Verified => Meaning::Good.paint("verified").to_string(),
        Conclusion::IntegrityOnly => Meaning::Warning
            .paint("whole, but by a key that anyone could have made")
            .to_string(),
        Conclusion::Refused => Meaning::Bad.paint("refused").to_string(),
    });
    lines.join("\n")
}
