//! What is said of a pair besides the verdict: attestations, and the words of diffoscope.

use repro_core::digest::Digest;

use crate::report::PairReport;

/// The lines, not yet printable.
pub(super) fn aside(report: &PairReport) -> Vec<String> {
    let listed = |digests: &[Digest]| {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        if digests.is_empty() {
            "none".to_owned()
        } else {
            digests.join(", ")
        }
    };
    let mut lines = Vec::new();
    for pair in &report.attestations {
        let same = if pair.a == pair.b {
            "equal"
        } else {
            "different"
        };
        lines.push(format!("attestations on {}: {same}", pair.platform));
        if pair.a != pair.b {
            lines.push(format!("  a  {}", listed(&pair.a)));
            lines.push(format!("  b  {}", listed(&pair.b)));
        }
    }
    if let Some(said) = &report.diffoscope {
        lines.push("diffoscope:".into());
        lines.extend(said.lines().map(|line| format!("  {line}")));
    }
    lines
}
