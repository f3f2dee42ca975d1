//! V23: independent builders that came to the same image.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Conclusion, KeyIdText, VerifyReport,
    check::{Check, CheckCode, Finding, Status},
};
use crate::predicate::reproducibility::Verdict;

/// The result on several packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// How many independent builders came to the image that the first pack is about.
    pub builders: usize,
    /// How many are needed.
    pub needed: usize,
    /// The check, with a finding for each pack.
    pub check: Check,
}

impl Agreement {
    /// Whether enough of them did, and at least two: one builder that agrees with itself reproduces
    /// nothing.
    #[must_use]
    pub fn is_reproduced(&self) -> bool {
        self.check.status == Status::Passed && self.needed >= 2 && self.builders >= 2
    }
}

/// Counts the builders of `packs`, each a name and its report. A builder counts once, by its key and
/// by who runs it: whoever has two keys, or two ids, is still one witness.
#[must_use]
pub fn agree(packs: &[(&str, &VerifyReport)], needed: usize) -> Agreement {
    let image = packs.first().and_then(|(_, report)| report.image);
    let mut witnesses: BTreeMap<KeyIdText, BTreeSet<String>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (name, report) in packs {
        let counted = match (&report.builder, report.image) {
            _ if report.conclusion != Conclusion::Verified => Err("was refused".to_owned()),
            (_, None) => Err("is about no image".to_owned()),
            (_, Some(found)) if Some(found) != image => {
                Err(format!("is about {found}, another image than the first"))
            }
            (None, _) => Err("has no builder".to_owned()),
            // Its own word is that the image cannot be made again.
            (Some(_), _)
                if !matches!(
                    report.verdict,
                    Some(Verdict::Reproducible | Verdict::Inconclusive)
                ) =>
            {
                Err("says that the image is not reproducible".to_owned())
            }
            (Some(builder), Some(found)) => {
                let operators = witnesses.entry(builder.key.clone()).or_default();
                operators.insert(builder.operator.clone());
                Ok(format!("{found} by {}", builder.id))
            }
        };
        let (status, detail) = match counted {
            Ok(detail) => (Status::Passed, detail),
            Err(detail) => (Status::Failed, detail),
        };
        findings.push(Finding {
            on: (*name).to_owned(),
            status,
            detail,
        });
    }
    let builders = pairs(&witnesses);
    let good = builders >= needed;
    findings.push(Finding {
        on: "builders".into(),
        status: if good { Status::Passed } else { Status::Failed },
        detail: format!("{builders} independent of {needed} needed"),
    });
    Agreement {
        builders,
        needed,
        check: Check::new(CheckCode::Quorum, findings),
    }
}

/// Most pairs of a key and an operator in which nothing is used twice: a matching, found by
/// augmenting paths.
fn pairs(witnesses: &BTreeMap<KeyIdText, BTreeSet<String>>) -> usize {
    let mut taken: BTreeMap<&str, &KeyIdText> = BTreeMap::new();
    let keys = witnesses.keys();
    keys.filter(|key| augment(key, witnesses, &mut taken, &mut BTreeSet::new()))
        .count()
}

fn augment<'a>(
    key: &'a KeyIdText,
    witnesses: &'a BTreeMap<KeyIdText, BTreeSet<String>>,
    taken: &mut BTreeMap<&'a str, &'a KeyIdText>,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    for operator in witnesses.get(key).into_iter().flatten() {
        if !seen.insert(operator) {
            continue;
        }
        let free = match taken.get(operator.as_str()).copied() {
            None => true,
            Some(other) => augment(other, witnesses, taken, seen),
        };
        if free {
            taken.insert(operator, key);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_an_operator_count_once_each() {
        for (pairs_of, expected) in [
            (vec![], 0),
            (vec![("k1", "a")], 1),
            (vec![("k1", "a"), ("k2", "a")], 1),
            (vec![("k1", "a"), ("k1", "b")], 1),
            (vec![("k1", "a"), ("k2", "b")], 2),
            // The first key must give way to the second.
            (vec![("k1", "a"), ("k1", "b"), ("k2", "a")], 2),
            (vec![("k1", "a"), ("k2", "a"), ("k3", "a"), ("k3", "b")], 2),
        ] {
            let mut witnesses: BTreeMap<KeyIdText, BTreeSet<String>> = BTreeMap::new();
            for (key, operator) in &pairs_of {
                let operators = witnesses.entry(KeyIdText((*key).into())).or_default();
                operators.insert((*operator).into());
            }
            assert_eq!(pairs(&witnesses), expected, "{pairs_of:?}");
        }
    }
}
